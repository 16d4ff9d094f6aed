#!/usr/bin/python3
"""`make soak`: hours in small: memory, descriptors and latency stay as they are under 80 % load.

A broker with a synced file, whose retention is at work from the first third on, and one worker a
core, on the simulated internet. How many traces a second they can do is measured first; then so
many of them are submitted, evenly, whatever comes back. Exits with 0 if all checks hold.
"""

import argparse
import os
import select
import signal
import statistics
import struct
import sys
import time
from array import array

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "process"))

import msgpack  # noqa: E402
import zmq  # noqa: E402

from alone import Disk  # noqa: E402
from measure import Row, end_in_order, machine, table  # noqa: E402
from picture import Panel, draw  # noqa: E402
from system import SOURCE, System  # noqa: E402

NET = ("--seed", "5", "--hops", "8-16", "--rtt-us", "3000")
CAPACITY = 900
LOAD = 0.8  # of what was measured
MEASURE_S = 20
TICK_S = 0.02  # between two submits
SAMPLE_S = 10
KEEP_MAX_S = 120  # of results, for the sake of the disk: some 1.5 GB
DRAIN_S = 60  # for what is on its way at the end
BEHIND_S = 30  # of load; with so much unanswered nothing more is submitted, and the soak fails
TARGETS = 65536
STREAMS = 10
META = b"\xa4meta\xcf"  # the key, and a number of eight bytes
MIB = 1 << 20


class Load:
    """Submits traces, and takes their results as a subscriber; each tells when it was submitted."""

    def __init__(self, system):
        self.client = system.client()
        self.subscriber = system.subscriber("result.")
        self.submitted = self.finished = self.number = 0
        self.latencies_us = array("L")  # since take_latencies()
        self.ids = []  # some that were accepted lately

    def submit(self, count):
        for at in range(0, count, 1000):
            now = time.monotonic_ns()
            traces = []
            for _ in range(min(1000, count - at)):
                self.number += 1
                n = self.number % TARGETS
                traces.append(
                    {
                        "target": f"20.1.{n >> 8}.{n & 255}",
                        "stream": f"soak-{n % STREAMS}",
                        "meta": now,
                    }
                )
            self.client.send("submit", traces=traces)
            self.submitted += len(traces)

    def unanswered(self):
        return self.submitted - self.finished

    def take(self):
        """All that is there, of both sockets."""
        now = time.monotonic_ns()
        for _ in range(10000):
            try:
                topic, body = self.subscriber.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            if not topic.startswith(b"result."):
                continue
            at = body.find(META)
            assert at >= 0, msgpack.unpackb(body)
            (sent,) = struct.unpack_from(">Q", body, at + len(META))
            self.latencies_us.append(max(0, now - sent) // 1000)
            self.finished += 1
        while self.client.socket.poll(0):
            reply = self.client.receive()
            assert reply["op"] == "accepted", reply
            refused = [i for i in reply["ids"] if not isinstance(i, str)]
            assert not refused, refused[0]
            self.ids = reply["ids"][:5]

    def pause(self, seconds):
        """Until something is there, or the time is over."""
        zmq.select([self.subscriber, self.client.socket], [], [], max(0, seconds))
        select.select([], [], [], 0.002)  # more at a time

    def take_latencies(self):
        taken, self.latencies_us = self.latencies_us, array("L")
        return taken

    def drain(self):
        deadline = time.monotonic() + DRAIN_S
        while self.unanswered() > 0 and time.monotonic() < deadline:
            self.pause(0.1)
            self.take()


class Watch:
    """What processes and files take; the client that asks is one of its own."""

    def __init__(self, system, broker, workers, store):
        self.client = system.client()
        self.broker, self.workers = broker, workers
        self.store = store
        self.started = time.monotonic()
        self.missing = 0  # traces that were accepted, and that nobody knew ten seconds later
        self.ids = []

    def sample(self, load):
        """A dictionary of figures; asks for those ids that the sample before saw accepted."""
        if self.ids:
            states = self.client.request("status", ids=self.ids)["states"]
            done = [s["id"] for s in states if s["state"] == "done"]
            self.missing += sum(s["state"] == "unknown" for s in states)
            if done:
                self.missing += len(self.client.request("fetch", ids=done)["missing"])
        self.ids = load.ids
        queue = self.client.stats()["queue"]
        taken = load.take_latencies()
        p50, p99 = percentiles(taken)
        return {
            "at_s": time.monotonic() - self.started,
            "broker_mib": status(self.broker.pid, "VmRSS") / 1024,
            "workers_mib": sum(status(w.pid, "VmRSS") for w in self.workers) / 1024,
            "descriptors": sum(descriptors(p.pid) for p in (self.broker, *self.workers)),
            "threads": sum(status(p.pid, "Threads") for p in (self.broker, *self.workers)),
            "store_mib": file_bytes(self.store) / MIB,
            "kept": queue["kept"],
            "queued": queue["queued"],
            "running": queue["running"],
            "results": len(taken),
            "p50_ms": p50 / 1000,
            "p99_ms": p99 / 1000,
            "latencies_us": taken,
        }


def status(pid, key):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(key + ":"))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def file_bytes(path):
    return sum(os.path.getsize(path + end) for end in ("", "-wal") if os.path.exists(path + end))


def percentiles(values):
    """The median and the 99th of a hundred."""
    if not values:
        return 0, 0
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]


def thirds(samples):
    """[{figure: its median}, ...] of begin, middle and end; latencies are those of all results."""
    size = len(samples) // 3
    found = []
    for part in (samples[:size], samples[size : 2 * size], samples[2 * size :]):
        keys = [key for key in part[0] if key != "latencies_us"]
        third = {key: statistics.median(s[key] for s in part) for key in keys}
        pooled = array("L")
        for s in part:
            pooled.extend(s["latencies_us"])
        p50, p99 = percentiles(pooled)
        found.append(dict(third, p50_ms=p50 / 1000, p99_ms=p99 / 1000))
    return found


def checks(begin, middle, end, lost):
    """[Row]: what must hold of the thirds."""

    def against(what, unit, which, other, key, bound):
        ratio = end[key] / other[key] if other[key] else float(end[key] > 0)
        return Row(what, unit, end[key], other[key], which, ratio, bound, at_least=False)

    return [
        against("resident memory, broker", "MiB", "middle", middle, "broker_mib", 1.1),
        against("resident memory, workers", "MiB", "middle", middle, "workers_mib", 1.1),
        against("descriptors", "", "begin", begin, "descriptors", 1.0),
        against("threads", "", "begin", begin, "threads", 1.0),
        against("submit to result, p99", "ms", "begin", begin, "p99_ms", 1.5),
        against("store's files", "MiB", "middle", middle, "store_mib", None),
        Row("traces without result", "", lost, None, "", lost, 0, at_least=False),
    ]


def closed_loop(load, window, seconds):
    """Traces/s with this many in flight, measured after the first quarter of the time."""
    started = time.monotonic()
    counted = counted_at = None
    while (now := time.monotonic()) < started + seconds:
        if counted is None and now > started + seconds / 4:
            counted, counted_at = load.finished, now
        room = window - load.unanswered()
        if room >= window // 20:
            load.submit(room)
        load.pause(0.1)
        load.take()
    rate = (load.finished - counted) / (time.monotonic() - counted_at)
    load.drain()
    load.take_latencies()
    return rate


def open_loop(load, watch, rate, seconds):
    """The samples taken at this rate, in traces/s."""
    samples = []
    started = time.monotonic()
    due, sample_at, tick_at = 0.0, started + SAMPLE_S, started
    while (now := time.monotonic()) < started + seconds:
        if now >= tick_at:
            tick_at = now + TICK_S
            whole = int((now - started) * rate - due)
            if whole > 0 and load.unanswered() < rate * BEHIND_S:
                load.submit(whole)
            due += whole
        if now >= sample_at:
            sample_at += SAMPLE_S
            samples.append(watch.sample(load))
            say(samples[-1])
        load.pause(tick_at - time.monotonic())
        load.take()
    return samples


HEAD = (
    "   at s  results/s  p50 ms  p99 ms  queued running  broker MiB  workers MiB  fds thr  "
    "store MiB    kept"
)


def say(s):
    print(
        f"{s['at_s']:7.0f} {s['results'] / SAMPLE_S:10.0f} {s['p50_ms']:7.1f} {s['p99_ms']:7.1f} "
        f"{s['queued']:7.0f} {s['running']:7.0f} {s['broker_mib']:11.1f} {s['workers_mib']:12.1f} "
        f"{s['descriptors']:4.0f} {s['threads']:3.0f} {s['store_mib']:10.1f} {s['kept']:7.0f}",
        flush=True,
    )


def picture(path, samples):
    def curve(key):
        return [(s["at_s"] / 60, s[key]) for s in samples]

    draw(
        path,
        [
            Panel(
                "Resident memory",
                "minutes",
                "MiB",
                {"broker": curve("broker_mib"), "workers": curve("workers_mib")},
            ),
            Panel(
                "From submit to result",
                "minutes",
                "ms",
                {"p99": curve("p99_ms"), "p50": curve("p50_ms")},
            ),
            Panel(
                "Descriptors and threads, all processes",
                "minutes",
                "",
                {"descriptors": curve("descriptors"), "threads": curve("threads")},
            ),
            Panel("The store's files", "minutes", "MiB", {"size": curve("store_mib")}),
        ],
    )


def soak(options, disk):
    system = System()
    workers = []
    try:
        net = system.simnet(*NET)
        seconds = options.minutes * 60
        keep_s = min(max(10, int(seconds / 6)), KEEP_MAX_S)
        store = os.path.join(disk, "soak.db")
        broker = system.broker("--keep", f"{keep_s}s", store=store)
        cores = os.cpu_count()
        for i in range(cores):
            workers.append(
                system.worker(net, "--pps", "max", "--capacity", str(CAPACITY), name=f"w{i}")
            )
        watch = Watch(system, broker, workers, store)
        watch.client.wait_until(lambda stats: len(stats["workers"]) == cores)
        load = Load(system)
        rate = options.rate
        if rate is None:
            full = closed_loop(load, 2 * CAPACITY * cores, MEASURE_S)
            rate = LOAD * full
            print(f"{full:.0f} traces/s at most with {cores} workers; {rate:.0f} from now on")
        print(HEAD, flush=True)
        watch.started = time.monotonic()
        samples = open_loop(load, watch, rate, seconds)
        load.drain()
        return samples, load.unanswered() + watch.missing
    except BaseException:
        print(system.logs()[-4000:], file=sys.stderr)
        raise
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGINT)  # twice: at once, and its mtr-packet goes too
        for worker in workers:
            worker.stop()
        system.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, help="traces/s [80 %% of what is measured first]")
    parser.add_argument("--picture", default=os.path.join(SOURCE, "docs", "soak.svg"))
    options = parser.parse_args()
    end_in_order()
    print(f"{machine()}; {options.minutes:g} minutes", flush=True)
    try:
        with Disk() as disk:
            samples, lost = soak(options, disk)
    except KeyboardInterrupt:
        print("ended early; all that it had started has ended")
        return 130
    if len(samples) < 3:
        print("too short for thirds: give it 0.6 minutes or more")
        return 64
    parts = thirds(samples)
    print(f"\n{'':16} {'begin':>12} {'middle':>12} {'end':>12}   medians of the samples of a third")
    for key in parts[0]:
        if key != "at_s":
            print(f"{key:16} " + " ".join(f"{part[key]:12.1f}" for part in parts))
    rows = checks(*parts, lost)
    print("\n" + table(rows))
    if parts[2]["queued"] > BEHIND_S / 10 * parts[0]["results"] / SAMPLE_S:
        print("traces queued up: this machine does less now than when it was measured")
    picture(options.picture, samples)
    return 0 if all(row.met() for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
