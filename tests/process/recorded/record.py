#!/usr/bin/python3
"""Writes down a session of a worker with a broker, in both directions; see README.md.

record.py NAME >NAME.txt    records the programs in $HOPMQ_BUILD
"""

import os
import signal
import subprocess
import sys
import time

import msgpack
import zmq

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

from system import PATIENCE, System, program  # noqa: E402

PROBER = "version 0.95\nhops 3\non probe ip-4=127.1.0.9: silent\n"
ENDLESS = {"target": "127.1.0.9", "timeout_ms": 30000, "window": 1, "max_ttl": 255, "gap_limit": 0}


class Relay:
    """Stands between the two. It has one thread, so what it writes has the order of cause and effect."""

    def __init__(self, system):
        context = zmq.Context.instance()
        self.system = system
        self.workers = f"ipc://{system.dir}/relay"
        self.router = context.socket(zmq.ROUTER)
        self.router.linger = 0
        self.router.bind(self.workers)
        self.dealer = None
        self.client = system.client()
        self.worker_id = None

    def connect(self):
        """The broker takes the worker for a new peer from here on."""
        if self.dealer is not None:
            self.dealer.close(0)
            print("event reconnect")
        self.dealer = zmq.Context.instance().socket(zmq.DEALER)
        self.dealer.linger = 0
        self.dealer.connect(self.system.workers)

    def write(self, who, message):
        print(f"# {msgpack.unpackb(message)}")
        print(f"{who} {message.hex()}")

    def ask(self, op, **fields):
        message = msgpack.packb({"v": 1, "op": op, **fields})
        self.write("client", message)
        self.client.send_raw(message)
        self.client.receive()

    def until(self, who, op):
        """Passes messages on until one like this has passed."""
        deadline = time.monotonic() + PATIENCE
        poller = zmq.Poller()
        poller.register(self.router, zmq.POLLIN)
        poller.register(self.dealer, zmq.POLLIN)
        while True:
            ready = dict(poller.poll(max(0, deadline - time.monotonic()) * 1000))
            assert ready, f"no {op} from the {who}"
            # What the broker has said came before what the worker answers to it.
            if self.dealer in ready:
                sender, message = "broker", self.dealer.recv()
                self.router.send_multipart([self.worker_id, message])
            else:
                sender = "worker"
                self.worker_id, message = self.router.recv_multipart()
                self.dealer.send(message)
            self.write(sender, message)
            if (sender, msgpack.unpackb(message)["op"]) == (who, op):
                return


def main():
    system = System()
    try:
        system.broker()
        relay = Relay(system)
        relay.connect()
        argv = [program("hopmq-worker"), "--broker", relay.workers, "--name", "w1"]
        argv += ["--label", "site=ams", "--capacity", "10", "--drain", "1"]
        env = {**os.environ, **system.fakemtr(PROBER)}
        worker = system.run(argv, "w1", env=env)
        version = subprocess.run([argv[0], "--version"], capture_output=True, text=True).stdout
        print(f"# {sys.argv[1]}: {version.strip()}")
        relay.until("broker", "heartbeat")
        # A trace from its submission to its end.
        relay.ask("submit", traces=[{"id": "one", "target": "127.1.0.1", "progress": True}])
        relay.until("broker", "done")
        # One that is cancelled.
        relay.ask("submit", traces=[{"id": "two", **ENDLESS}])
        relay.until("broker", "trace")
        relay.until("worker", "heartbeat")
        relay.until("broker", "heartbeat")
        relay.ask("cancel", ids=["two"])
        relay.until("broker", "done")
        # One that outlives its connection, and is handed back by a worker that drains.
        relay.ask("submit", traces=[{"id": "three", **ENDLESS}])
        relay.until("broker", "trace")
        relay.connect()
        relay.until("broker", "who")
        relay.until("broker", "heartbeat")
        print("event SIGTERM")
        worker.send_signal(signal.SIGTERM)
        relay.until("worker", "bye")
        assert worker.wait() == 0
    finally:
        system.close()


main()
