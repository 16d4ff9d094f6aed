"""The workers endpoint, played by hand, rightly or wrongly, for one worker."""

import time

import msgpack
import zmq

from system import PATIENCE


class FakeSessions:
    def __init__(self, system):
        self.system = system
        self.socket = None
        self.results = set()  # the leases of those that have come
        self.bind()

    def bind(self):
        """Connections that there were are gone."""
        if self.socket is not None:
            self.socket.close()
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(self.system.workers)
        self.system.clients.append(self.socket)
        self.peer = None

    def send(self, data):
        self.socket.send_multipart([self.peer, data])

    def say(self, op, **fields):
        self.send(msgpack.packb({"v": 1, "op": op, **fields}))

    def welcome(self, heartbeat_ms=1000):
        """Waits for a hello; the session is open then."""
        hello = self.expect("hello")
        self.open(heartbeat_ms)
        return hello

    def open(self, heartbeat_ms=1000, dead_ms=5000):
        """Opens the session, or sets the times of one that is open."""
        self.say("welcome", epoch=1, heartbeat_ms=heartbeat_ms, dead_ms=dead_ms)

    def trace(self, lease, target, **fields):
        trace = {"id": str(lease), "target": target, **fields}
        self.say("trace", lease=lease, run=1, deadline_ms=60000, trace=trace)

    def receive(self, timeout=PATIENCE):
        """The next message; None when the time is over."""
        if not self.socket.poll(timeout * 1000):
            return None
        self.peer, data = self.socket.recv_multipart()
        message = msgpack.unpackb(data)
        self.repeated = message["op"] == "result" and message["lease"] in self.results
        if message["op"] == "result":
            self.results.add(message["lease"])
        return message

    def expect(self, op, timeout=PATIENCE):
        """The next message of this kind. Before it, heartbeats are answered, and results that are
        sent again are passed over."""
        deadline = time.monotonic() + timeout
        while True:
            message = self.receive(max(0, deadline - time.monotonic()))
            assert message is not None, f"no {op} in {timeout} s"
            if message["op"] == op:
                return message
            assert message["op"] == "heartbeat" or self.repeated, message
            if message["op"] == "heartbeat":
                self.say("heartbeat", epoch=1)
