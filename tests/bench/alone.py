"""The broker alone: workers that answer at once, beanstalkd, crowds, a million queued, the codec.

Each run has a broker of its own. The loads are C programs, whose own cost stands in the notes.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import msgpack

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "process"))

from measure import Row, alone, interleaved, ratio  # noqa: E402
from system import BUILD, Process, System, program, until  # noqa: E402
import test_million  # noqa: E402
from test_million import FEW, batches, name  # noqa: E402

TRACES = {"memory": 200000, "file": 120000}
CROWD_TRACES = {"memory": 80000, "file": 50000}
JOBS = {"memory": 150000, "file": 6000}
PEERS = 1000  # workers, and as many subscribers
PACED_S = 4
SAMPLES = 50  # of FEW traces each, with few and with many queued
MANY = 1_000_000  # traces queued
TIMEOUT = 90


def load(kind, *argv):
    argv = [program("bench-" + kind), *(str(a) for a in argv)]
    out = subprocess.run(argv, stdout=subprocess.PIPE, check=True, timeout=TIMEOUT).stdout
    return json.loads(out)


class Disk:
    """A directory beside the programs, since /tmp may be in memory: what is synced needs a disk."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="bench-", dir=BUILD)
        kind = subprocess.run(
            ["stat", "-f", "-c", "%T", self.path], stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()
        assert kind not in ("tmpfs", "ramfs"), f"{BUILD}: {kind}: build on a disk, with BUILD=DIR"
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path)


def with_broker(store, measure):
    """What measure(system) returns, with a broker that keeps `memory`, or a file on the disk."""
    system = System()
    try:
        with Disk() as disk:
            system.broker(store="memory" if store == "memory" else os.path.join(disk, "store"))
            system.client().request("ping")
            return measure(system)
    finally:
        system.close()


def ends(system):
    return system.submit, system.results, system.workers


def broker(store):
    return with_broker(store, lambda system: load("broker", *ends(system), TRACES[store]))


def crowd(store):
    """At full load, and then at half of it, a broker for each."""
    traces = CROWD_TRACES[store]
    full = with_broker(store, lambda system: load("crowd", *ends(system), PEERS, traces))
    per_s = full["traces_per_s"] // 2
    paced = [per_s * PACED_S, per_s]
    half = with_broker(store, lambda system: load("crowd", *ends(system), PEERS, *paced))
    return {**full, "half": half}


def beanstalkd(store):
    with Disk() as disk:
        socket = os.path.join(disk, "socket")
        synced = ["-b", disk, "-f0"] if store == "file" else []
        argv = ["beanstalkd", "-l", "unix:" + socket, *synced]
        server = Process(argv, os.path.join(disk, "log"))
        try:
            until(lambda: os.path.exists(socket), "beanstalkd")
            return load("beanstalk", socket, JOBS[store])
        finally:
            server.stop()


def rate(figures, key="traces_per_s"):
    return [f[key] for f in figures]


def own(figures, key="own_cpu_us_per_trace"):
    return f"load program {max(rate(figures, key)):.1f} us of CPU each"


def store_rows(rounds, store, least, times):
    sides = {"ours": functools.partial(broker, store), "crowd": functools.partial(crowd, store)}
    if shutil.which("beanstalkd"):
        sides["theirs"] = functools.partial(beanstalkd, store)
    else:
        print("LEFT OUT beanstalkd: not installed", flush=True)
    figures = interleaved(rounds, **sides)
    ours, many = figures["ours"], figures["crowd"]
    where = {"memory": "in memory", "file": "synced"}[store]
    rows = [alone(f"broker alone, {where}", "traces/s", rate(ours), least, True, own(ours))]
    if "theirs" in figures:
        theirs = figures["theirs"]
        rows.append(
            ratio(
                f"broker against beanstalkd, {where}",
                "jobs/s",
                rate(ours),
                rate(theirs, "jobs_per_s"),
                "beanstalkd -b -f0" if store == "file" else "beanstalkd",
                times,
                note=own(theirs, "own_cpu_us_per_job"),
            )
        )
    crowded = f"{PEERS} workers and subscribers, {where}"
    rows.append(ratio(crowded, "traces/s", rate(many), rate(ours), "one", 0.5, note=own(many)))
    halves = [f["half"] for f in many]
    p99 = [f["result_p99_us"] / 1000 for f in halves]
    rows.append(alone("  result in to out at half load, p99", "ms", p99, 20, note=own(halves)))
    return rows


def run_s(pid):
    """CPU time of all threads, exact where /proc/PID/stat counts ticks of 10 ms."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total / 1e9


class Queue:
    """A broker with `many` traces queued, which takes FEW more now and then."""

    def __init__(self, system, store, many):
        self.queue = test_million.Queue(system, store, many)
        self.queue.submit(batches(many))
        self.many = many
        self.next = MANY

    def us(self, op):
        """Of one status, cancel or dispatch, among those that are spread over the queue."""
        self.many -= max(1, self.many // (SAMPLES + 1)) if op == "cancel" else 0
        started = time.perf_counter()
        getattr(self.queue, op)(self.many - 1)
        return (time.perf_counter() - started) * 1e6

    def accepted_per_s(self):
        """Of the broker's own time: it does not depend on who else is on the machine."""
        ids = [name(n) for n in range(self.next, self.next + FEW)]
        self.next += FEW
        traces = [{"id": i, "target": "192.0.2.1", "deadline_ms": 86400000} for i in ids]
        request = msgpack.packb({"v": 1, "op": "submit", "traces": traces})
        client, pid = self.queue.client, self.queue.broker.pid
        before = run_s(pid)
        client.send_raw(request)
        assert client.receive()["ids"] == ids
        used = run_s(pid) - before
        client.request("cancel", ids=ids)
        self.queue.beat()
        return FEW / used


def started_s(queue):
    """Until a broker that was killed answers again, with all of them in its file."""
    queue.broker.kill()
    started = time.perf_counter()
    queue.start()
    queue.system.client().request("ping")
    return time.perf_counter() - started


def queue_rows(store):
    """The same with a million queued as with a thousand at most, in turn."""
    systems = [System(), System()]
    try:
        with Disk() as disk:
            path = [store if store == "memory" else os.path.join(disk, n) for n in ("many", "few")]
            many, few = Queue(systems[0], path[0], MANY), Queue(systems[1], path[1], FEW)
            grown = many.queue.bytes_each()
            times = {}
            for op in ("status", "cancel", "dispatch"):
                sides = {side: functools.partial(queue.us, op)
                         for side, queue in (("many", many), ("few", few))}
                times[op] = interleaved(SAMPLES, **sides)
            few.queue.client.request("cancel", ids=[name(n) for n in range(1, FEW)])
            rates = interleaved(SAMPLES, many=many.accepted_per_s, few=few.accepted_per_s)
            start_s = started_s(many.queue) if store == "file" else None
    finally:
        for system in systems:
            system.close()
    where = {"memory": "in memory", "file": "synced"}[store]
    rows = [
        alone(f"a million queued, {where}", "resident bytes a trace", [grown], 400),
        ratio(
            f"  accepted with a million queued, {where}",
            "traces a CPU second of the broker",
            rates["many"],
            rates["few"],
            "a thousand",
            0.9,
        ),
    ]
    for op, us in times.items():
        what = f"  {op} with a million queued, {where}"
        rows.append(ratio(what, "us", us["many"], us["few"], "a thousand", 2, False))
    if start_s is not None:
        rows.append(alone("  started with a million in its file", "s", [start_s], 10))
    return rows


def codec_rows():
    """The program takes medians of its own."""
    figures = load("codec")
    return [
        Row(f"result of 15 hops: {what}", "us", us, None, "", us, 3, False, note)
        for what, us, note in (
            ("encode", figures["encode_us"], "at worker and broker"),
            ("check", figures["check_us"], "at the broker"),
            ("decode", figures["decode_us"], "at a client"),
        )
    ]


def rows(rounds):
    return [
        *store_rows(rounds, "memory", 80000, 1.5),
        *store_rows(rounds, "file", 40000, 5),
        *queue_rows("memory"),
        *queue_rows("file"),
        *codec_rows(),
    ]
