"""A million queued traces cost what a thousand do: the same times, and 400 bytes each.

Figures of one machine are compared with each other, and printed."""

import os
import statistics
import time

import msgpack
import pytest

from fakeworker import FakeWorker, body
from system import System

MANY = 1_000_000
FEW = 1_000  # also those of one request
SAMPLES = 300  # of each time
ROUND = 50  # requests between two heartbeats of the worker
MAX_BYTES = 400  # of resident memory a queued trace
MAX_RATIO = 2.0  # of latencies with MANY queued to those with FEW
MIN_RATE = 0.7  # of accepting the last traces, to that of the first
START_S = 10  # until a broker serves again, with MANY in its file


def name(number):
    return f"queued-{number:013}"


def batches():
    """Requests that submit them, encoded before: what is measured is the broker."""
    fields = {"target": "192.0.2.1", "deadline_ms": 86400000}
    for at in range(0, MANY, FEW):
        traces = [{"id": name(n), **fields} for n in range(at, at + FEW)]
        yield msgpack.packb({"v": 1, "op": "submit", "traces": traces})


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return sum(int(n) for n in fields[11:13]) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def other_system():
    made = System()
    yield made
    made.close()


class Bench:
    """A broker with a client, and a worker that takes one trace at a time and has one."""

    def __init__(self, system, store):
        self.system, self.store = system, store
        self.start()
        self.client, self.worker = system.client(), FakeWorker(system.workers)
        system.clients.append(self.worker)
        assert self.worker.hello(capacity=1)["op"] == "welcome"
        self.before = resident_bytes(self.broker.pid)

    def start(self):
        self.broker = self.system.broker("--max-queued", str(2 * MANY), store=self.store)

    def bytes_each(self):
        return (resident_bytes(self.broker.pid) - self.before) / MANY

    def submit(self, requests):
        """Two are always on their way. Returns traces a second of the broker's own time, which does
        not depend on who else is on the machine, of the first quarter and of the last."""
        used = []
        self.client.send_raw(requests[0])
        for i in range(1, len(requests) + 1):
            if i < len(requests):
                self.client.send_raw(requests[i])
            reply = self.client.receive()
            assert reply["op"] == "accepted" and isinstance(reply["ids"][-1], str), reply["ids"][-1]
            used.append(cpu_s(self.broker.pid))
            if i == 1:
                given = self.worker.expect("trace")
                self.lease, self.body = given["lease"], msgpack.packb(body(given["trace"]))
            if i % ROUND == 0:
                self.beat()
        quarter = len(requests) // 4
        first, last = used[quarter] - used[0], used[-1] - used[-1 - quarter]
        return [quarter * FEW / max(s, 0.01) for s in (first, last)]

    def beat(self):
        self.worker.send("heartbeat", leases=[self.lease])

    def one(self, op, number):
        (state,) = self.client.request(op, ids=[name(number)])["states"]
        assert state["state"] == "queued", state

    def status(self, number):
        self.one("status", number)

    def cancel(self, number):
        self.one("cancel", number)

    def dispatch(self, _):
        """From a result, which makes place for it, to the trace that is next."""
        self.worker.result(self.lease, self.body)
        self.lease = self.worker.expect("trace")["lease"]


def medians(few, many, op):
    """Of both in turn, so that both are measured under the same conditions; in microseconds."""
    times = {few: [], many: []}
    for i in range(SAMPLES):
        for bench, number in ((few, FEW - 1 - i), (many, MANY - 1 - i * (MANY // SAMPLES - 5))):
            started = time.perf_counter()
            getattr(bench, op)(number)
            times[bench].append((time.perf_counter() - started) * 1e6)
    return [statistics.median(each) for each in times.values()]


@pytest.mark.parametrize("store", ["memory", "file"])
def test_a_million_queued(system, other_system, store, capsys):
    requests = list(batches())
    many = Bench(system, store)
    started = time.monotonic()
    first, last = many.submit(requests)
    took_s = time.monotonic() - started
    few = Bench(other_system, store)
    few.submit(requests[:1])
    many.beat()
    grown = many.bytes_each()
    times = {op: medians(few, many, op) for op in ("status", "cancel", "dispatch")}
    said = [f"{MANY / took_s:.0f} accepted a second; of CPU, {first:.0f} at first, {last:.0f} at last"]
    said += [f"{op}: {us[0]:.0f} us with {FEW} queued, {us[1]:.0f} us" for op, us in times.items()]
    said += [f"{grown:.0f} bytes each"]
    if store == "file":
        many.broker.kill()
        started = time.monotonic()
        many.start()
        client = system.client()
        client.request("ping")
        start_s = time.monotonic() - started
        said += [f"started with all of them in {start_s:.2f} s, {many.bytes_each():.0f} bytes each"]
        (state,) = client.request("status", ids=[name(MANY - 2)])["states"]
        assert state["state"] == "queued", state
    with capsys.disabled():
        print("".join(f"\na million queued, {store}: {line}" for line in said))
    assert grown <= MAX_BYTES and many.bytes_each() <= MAX_BYTES, said
    assert last >= MIN_RATE * first, said
    assert all(us[1] <= MAX_RATIO * us[0] for us in times.values()), said
    assert store == "memory" or start_s < START_S, said
