"""The workers endpoint, played by hand, rightly or wrongly, for one worker."""

import time

import msgpack
import zmq

from system import PATIENCE


class FakeSessions:
    def __init__(self, system):
        self.system = system
        self.socket = None
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

    def welcome(self):
        """Waits for a hello; the session is open then."""
        hello = self.expect("hello")
        self.say("welcome", epoch=1, heartbeat_ms=1000, dead_ms=5000)
        return hello

    def trace(self, lease, target, **fields):
        trace = {"id": str(lease), "target": target, **fields}
        self.say("trace", lease=lease, run=1, deadline_ms=60000, trace=trace)

    def receive(self, timeout=PATIENCE):
        """The next message; None when the time is over."""
        if not self.socket.poll(timeout * 1000):
            return None
        self.peer, data = self.socket.recv_multipart()
        return msgpack.unpackb(data)

    def expect(self, op, timeout=PATIENCE):
        """The next message of this kind; heartbeats before it are answered."""
        deadline = time.monotonic() + timeout
        while True:
            message = self.receive(max(0, deadline - time.monotonic()))
            assert message is not None, f"no {op} in {timeout} s"
            if message["op"] == op:
                return message
            assert message["op"] == "heartbeat", message
            self.say("heartbeat", epoch=1)
