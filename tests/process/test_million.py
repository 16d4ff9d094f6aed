"""A million traces can be queued: each takes 400 bytes, and all that is done to one still works."""

import msgpack
import pytest

from fakeworker import FakeWorker, body
from system import full_or_small

MANY = full_or_small(1_000_000, 100_000)
FEW = 1_000  # those of one request
# Of resident memory a queued trace; what a broker with a file takes for itself, such as SQLite's
# cache of 2 MB, is ten times as much of each in small.
MAX_BYTES = full_or_small(400, 440)


def name(number):
    return f"queued-{number:013}"


def batches(many):
    """Encoded requests that submit that many traces."""
    fields = {"target": "192.0.2.1", "deadline_ms": 86400000}
    for at in range(0, many, FEW):
        traces = [{"id": name(n), **fields} for n in range(at, at + FEW)]
        yield msgpack.packb({"v": 1, "op": "submit", "traces": traces})


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))


class Queue:
    """A broker with a client, and a worker that takes one trace at a time and has one."""

    def __init__(self, system, store, many):
        self.system, self.store, self.many = system, store, many
        self.start()
        self.client, self.worker = system.client(), FakeWorker(system.workers)
        system.clients.append(self.worker)
        assert self.worker.hello(capacity=1)["op"] == "welcome"
        self.before = resident_bytes(self.broker.pid)

    def start(self):
        self.broker = self.system.broker("--max-queued", str(2 * self.many), store=self.store)

    def bytes_each(self):
        return (resident_bytes(self.broker.pid) - self.before) / self.many

    def submit(self, requests):
        """Two are always on their way. The first trace of all goes to the worker."""
        waiting = 0
        for number, request in enumerate(requests):
            self.client.send_raw(request)
            waiting += 1
            if waiting == 2:
                self.accepted()
                waiting -= 1
            if number == 0:
                given = self.worker.expect("trace")
                assert given["trace"]["id"] == name(0), given
                self.lease, self.body = given["lease"], msgpack.packb(body(given["trace"]))
            self.beat()
        for _ in range(waiting):
            self.accepted()

    def accepted(self):
        reply = self.client.receive()
        assert reply["op"] == "accepted" and isinstance(reply["ids"][-1], str), reply["ids"][-1]

    def beat(self):
        self.worker.send("heartbeat", leases=[self.lease])

    def one(self, op, number):
        (state,) = self.client.request(op, ids=[name(number)])["states"]
        assert state["state"] == "queued", state

    def status(self, number):
        self.one("status", number)

    def cancel(self, number):
        self.one("cancel", number)

    def dispatch(self, _=None):
        """From a result, which makes place for it, to the trace that is next: its id."""
        self.worker.result(self.lease, self.body)
        given = self.worker.expect("trace")
        self.lease = given["lease"]
        return given["trace"]["id"]


@pytest.mark.parametrize("store", ["memory", "file"])
def test_many_queued(system, store, capsys):
    """How fast all of this is, beside the same with a thousand queued, is measured by make bench."""
    queue = Queue(system, store, MANY)
    queue.submit(batches(MANY))
    queue.beat()
    said = [f"{MANY} queued, {store}: {queue.bytes_each():.0f} resident bytes each"]
    for turn, number in enumerate((FEW - 1, MANY // 2, MANY - 1), 1):
        queue.status(number)
        queue.cancel(number)
        (state,) = queue.client.request("status", ids=[name(number)])["states"]
        assert state["state"] == "done", state
        assert queue.dispatch() == name(turn)  # as they were submitted, whatever was cancelled
    assert queue.bytes_each() <= MAX_BYTES, said
    if store == "file":
        queue.broker.kill()
        queue.start()
        client = system.client()
        (state,) = client.request("status", ids=[name(MANY - 2)])["states"]
        assert state["state"] == "queued", state
        said += [f"started with all of them again, {queue.bytes_each():.0f} resident bytes each"]
        assert queue.bytes_each() <= MAX_BYTES, said
    with capsys.disabled():
        print("".join(f"\n  {line}" for line in said))
