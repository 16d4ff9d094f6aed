"""A worker that a test plays by hand, rightly or wrongly; it never probes."""

import time

import msgpack

from system import PATIENCE, Client


def body(trace, **changes):
    """The body of a result with one hop; a value of ... leaves its key out."""
    probe = {"attempt": 1, "addr": "10.0.0.1", "rtt_us": 412, "sent_us": 0, "verdict": "reply"}
    made = {
        **{"target": trace["target"], "dst": trace["target"], "src": "198.51.100.2"},
        **{"protocol": "icmp", "first_ttl": 1, "max_ttl": 30, "started_us": 1, "finished_us": 2},
        **{"prober": "mtr-packet 0.95", "probes_sent": 1, "stop": "reached"},
        "hops": [{"ttl": 1, "probes": [probe]}],
        **changes,
    }
    return {k: v for k, v in made.items() if v is not ...}


class FakeWorker(Client):
    def hello_map(self, name="fake", **changes):
        made = {
            **{"v": 1, "op": "hello", "name": name, "versions": [1, 1], "prober": "by hand"},
            **{"capacity": 10, "labels": {}, "af": [4, 6], "protocols": ["icmp"], "leases": []},
            **changes,
        }
        return {k: v for k, v in made.items() if v is not ...}

    def hello(self, name="fake", **changes):
        """Says hello; returns the answer."""
        self.send_raw(msgpack.packb(self.hello_map(name, **changes)))
        return self.receive()

    def expect(self, op, timeout=PATIENCE):
        """The next message of this kind; others before it are passed over."""
        deadline = time.monotonic() + timeout
        while True:
            message = self.receive(max(0, deadline - time.monotonic()))
            assert message is not None, f"no {op} in {timeout} s"
            if message["op"] == op:
                return message

    def result(self, lease, value):
        encoded = value if isinstance(value, bytes) else msgpack.packb(value)
        self.send("result", lease=lease, body=encoded)

    def silent(self):
        """Nothing has come. A heartbeat's answer is the event by which it would have."""
        self.send("heartbeat", leases=[])
        message = self.receive()
        assert message is not None and message["op"] in ("heartbeat", "who"), message
