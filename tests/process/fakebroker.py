"""A broker that a test plays by hand for the programs of clients; it has no workers."""

import time

import msgpack
import zmq

from system import PATIENCE


def result(seq, name=None, epoch=1, stream="default", stream_seq=None, **changes):
    """A result as it is published: one hop, at worker w1."""
    probe = {"attempt": 1, "addr": "192.0.2.1", "rtt_us": 412, "sent_us": 0, "verdict": "reply"}
    return {
        **{"v": 1, "op": "result", "seq": seq, "stream": stream},
        **{"stream_seq": stream_seq if stream_seq is not None else seq, "epoch": epoch},
        **{"id": name or f"t{seq}", "accepted_us": 1, "worker": "w1", "run": 1},
        **{"target": "192.0.2.1", "dst": "192.0.2.1", "src": None, "protocol": "icmp"},
        **{"first_ttl": 1, "max_ttl": 30, "started_us": 1, "finished_us": 2, "probes_sent": 1},
        **{"stop": "reached", "hops": [{"ttl": 1, "probes": [probe]}]},
        **changes,
    }


class FakeBroker:
    def __init__(self, system, epoch=1, origin=1):
        self.system = system
        self.epoch, self.origin, self.seq = epoch, origin, 0
        context = zmq.Context.instance()
        self.submit = context.socket(zmq.ROUTER)
        self.publisher = context.socket(zmq.PUB)
        for socket, endpoint in ((self.submit, system.submit), (self.publisher, system.results)):
            socket.linger = 0
            socket.bind(endpoint)
        system.clients.append(self)

    def close(self):
        self.submit.close()
        self.publisher.close()

    def expect(self, op, timeout=PATIENCE):
        """The next request of this kind; answers pings, and fails at anything else."""
        deadline = time.monotonic() + timeout
        while True:
            wait_s = max(0, deadline - time.monotonic())
            assert self.submit.poll(wait_s * 1000), f"no {op} in {timeout} s"
            peer, frame = self.submit.recv_multipart()
            request = {**msgpack.unpackb(frame), "peer": peer}
            if request["op"] == "ping" and op != "ping":
                self.pong(request)
                continue
            assert request["op"] == op, request
            return request

    def answer(self, request, op, **fields):
        self.bring(request, {"v": 1, "op": op, **fields})

    def bring(self, request, message):
        req = {"req": request["req"]} if "req" in request else {}
        self.submit.send_multipart([request["peer"], msgpack.packb({**message, **req})])

    def pong(self, ping):
        self.answer(
            ping,
            "pong",
            **{"broker": "fake", "version": "0", "versions": [1, 1]},
            **{"epoch": self.epoch, "origin": self.origin, "seq": self.seq},
            results=[self.system.results],
        )

    def replay(self, request, results, more=False, **fields):
        numbers = {"epoch": self.epoch, "origin": self.origin, "seq": self.seq}
        self.answer(request, "results", results=results, more=more, **numbers, **fields)

    def publish(self, *results):
        for made in results:
            topic = f"result.{made['stream']}.{made['id']}".encode()
            self.publisher.send_multipart([topic, msgpack.packb(made)])

    def alive(self, seq, **streams):
        self.seq = seq
        alive = {"v": 1, "op": "alive", "epoch": self.epoch, "origin": self.origin, "seq": seq}
        self.publisher.send_multipart([b"alive.", msgpack.packb({**alive, "streams": streams})])
