#!/usr/bin/python3
"""`make bench-growth`: what a trace costs the broker as work grows; docs/growth.json and .svg.

The cost is CPU time of all the broker's threads, which hardly depends on who else is on the
machine. It is that of the additional traces: the cost of a shorter run before, with its connections
and its end, is subtracted. Workers answer at once, with results of 12 hops; files are synced.

Exits with 1 where a curve is not flat, but for what is known to grow, and grows no more than known.
"""

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import sys
import time

import msgpack

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "process"))

from alone import Disk, ends, load, run_s  # noqa: E402
from measure import end_in_order, machine  # noqa: E402
from picture import Panel, draw  # noqa: E402
from system import SOURCE, System  # noqa: E402

DOCS = os.path.join(SOURCE, "docs")
FLAT = 1.5  # times the cost at the smallest: a curve that goes beyond it is not flat
KNOWN = {  # what is known to go beyond it: up to how many times, and why
    "workers": (3, "libzmq's thread reads and writes each connection by itself"),
}
ROUNDS = 3
SHORT, LONG = 4000, 28000  # traces of a run
REQUEST = 1000  # traces of one submit
ACCEPTS = 20  # of those, of which the median is taken
QUEUED = (1_000, 10_000, 100_000, 1_000_000)
WORKERS = (1, 10, 100, 1_000)
STREAMS = (1, 100, 1_000, 10_000)
# At a trace a second: a quarter of an hour, three hours, a day, twelve days, five weeks.
RESULTS = {
    "memory": (1_000, 10_000, 100_000),
    "file": (1_000, 10_000, 100_000, 1_000_000, 3_000_000),
}
RESULT_BYTES = 3000  # on disk, more than it takes
STORES = ("memory", "file")
STARTED = time.monotonic()
LIMIT_S = 480  # after which no larger store is begun


class Broker:
    """One whose store, if it is a file, is on a disk."""

    def __init__(self, store, *options):
        self.store, self.options = store, options

    def __enter__(self):
        self.disk = Disk()
        self.path = os.path.join(self.disk.__enter__(), "store")
        self.system = System()
        self.start(*self.options)
        return self

    def __exit__(self, *_):
        self.system.close()
        self.disk.__exit__()

    def start(self, *options):
        """Returns how many seconds it took until it answered."""
        store = "memory" if self.store == "memory" else self.path
        started = time.monotonic()
        self.process = self.system.broker(*options, store=store)
        self.client = self.system.client()
        self.client.request("ping")
        return time.monotonic() - started

    def run(self, traces, workers, streams):
        """CPU seconds of the broker, results, and wall seconds of the load."""
        results = self.client.counters()["results"]
        before = run_s(self.process.pid)
        said = load("crowd", *ends(self.system), f"{workers}/{streams}", traces)
        used_s = run_s(self.process.pid) - before
        return used_s, self.client.counters()["results"] - results, said["seconds"]

    def cost(self, workers=1, streams=1, queued=0):
        """(us of CPU a trace, traces/s)"""
        runs = []
        for traces in (SHORT, LONG):
            fill(self, queued - self.client.stats()["queue"]["queued"])
            runs.append(self.run(traces, workers, streams))
        used_s, results, took_s = (long - short for short, long in zip(*runs, strict=True))
        return used_s / results * 1e6, (LONG - SHORT) / max(took_s, 1e-3)


def point(at, measured, **more):
    """Of several (cost, rate)."""
    us, per_s = (statistics.median(figures) for figures in zip(*measured, strict=True))
    return {"at": at, "us": round(us, 2), "per_s": round(per_s), **more}


def by_peers(store, values, kind):
    """Of different numbers of peers, in turn."""
    measured = {value: [] for value in values}
    for _ in range(ROUNDS):
        for value in values:
            with Broker(store) as broker:
                measured[value].append(broker.cost(**{kind: value}))
    return [point(value, figures) for value, figures in measured.items()]


# ---- traces queued -------------------------------------------------------------------------------

OWN = 1000  # that the load has in the queue itself
FILLING = {"target": "192.0.2.1", "deadline_ms": 86400000}


def fill(broker, count):
    """Queues this many more traces, with two requests in flight."""
    request = msgpack.packb({"v": 1, "op": "submit", "traces": [FILLING] * REQUEST})
    requests = max(0, count // REQUEST)
    for i in range(requests + 1 if requests else 0):
        if i < requests:
            broker.client.send_raw(request)
        if i > 0:
            assert broker.client.receive()["op"] == "accepted"


def accept_us(broker):
    """CPU a trace that is accepted; those are cancelled again."""
    used = []
    for _ in range(ACCEPTS):
        before = run_s(broker.process.pid)
        ids = broker.client.request("submit", traces=[FILLING] * REQUEST)["ids"]
        used.append(run_s(broker.process.pid) - before)
        broker.client.request("cancel", ids=ids)
    return statistics.median(used) / REQUEST * 1e6


def queued(store, values):
    points = []
    for value in values:
        with Broker(store, "--max-queued", str(2 * max(values))) as broker:
            fill(broker, value)
            accepted_us = accept_us(broker)
            measured = [broker.cost(queued=value - OWN) for _ in range(ROUNDS)]
            points.append(point(value, measured, accept_us=round(accepted_us, 2)))
    return points


# ---- results in the store ------------------------------------------------------------------------


def preload(path, count):
    """Fills a store that no broker uses up to this number of results, by copying those it has."""
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=OFF", "synchronous=OFF"):
        db.execute("PRAGMA " + pragma)
    columns = [row[1] for row in db.execute("PRAGMA table_info(finished)")]
    there, last, number = db.execute(
        "SELECT count(*), max(seq), max(number) FROM finished"
    ).fetchone()
    missing = max(0, count - there)
    base = min(there, REQUEST)
    changed = {
        "seq": f"{last} + n",
        "number": f"{number} + n",
        "id": f"printf('0-%012d', {last} + n)",  # before the broker's own, as older ones are
        "stream_seq": f"{last} + n",
    }
    values = ", ".join(changed.get(column, "b." + column) for column in columns)
    db.execute(
        f"INSERT INTO finished WITH RECURSIVE more(n) AS"
        f" (SELECT 1 WHERE {missing} > 0 UNION ALL SELECT n + 1 FROM more WHERE n < {missing})"
        f" SELECT {values} FROM more CROSS JOIN finished AS b"
        f" WHERE b.seq = {last} - n % {base}"
    )
    db.execute("UPDATE meta SET seq = seq + ?1, number = number + ?1", (missing,))
    db.execute("UPDATE streams SET seq = seq + ?1", (missing,))
    db.close()
    with open(path, "rb") as f:
        os.fsync(f.fileno())


def results_in_file(values):
    """Each result that comes forgets the oldest; all have come by copying."""
    points = []
    with Broker("file") as broker:
        broker.run(SHORT, 1, 1)
        for value in values:
            broker.process.stop()
            room = shutil.disk_usage(broker.path).free > 2 * value * RESULT_BYTES
            if not room or time.monotonic() - STARTED > LIMIT_S:
                why = "too late" if room else f"too little room at {broker.path}"
                print(f"LEFT OUT {value} results: {why}", flush=True)
                break
            preload(broker.path, value)
            start_s = broker.start("--keep-results", str(value))
            measured = [broker.cost() for _ in range(ROUNDS)]
            points.append(point(value, measured, start_s=round(start_s, 2)))
            assert "store-lost" not in broker.process.log(), broker.process.log()
    return points


def results(store, values):
    if store == "file":
        return results_in_file(values)
    points = []
    for value in values:
        with Broker(store, "--keep-results", str(value)) as broker:
            broker.run(value, 1, 1)
            points.append(point(value, [broker.cost() for _ in range(ROUNDS)]))
    return points


# ---- all of them ---------------------------------------------------------------------------------

CURVES = {
    "queued": ("traces queued", queued, dict.fromkeys(STORES, QUEUED)),
    "workers": (
        "workers",
        lambda store, values: by_peers(store, values, "workers"),
        dict.fromkeys(STORES, WORKERS),
    ),
    "streams": (
        "streams",
        lambda store, values: by_peers(store, values, "streams"),
        dict.fromkeys(STORES, STREAMS),
    ),
    "results": ("results in the store", results, RESULTS),
}


def series(curves):
    """(what grows, where, which figure, [(at, figure), ...]) of all curves."""
    for name, stores in curves.items():
        for store, points in stores.items():
            yield CURVES[name][0], store, "a trace", [(p["at"], p["us"]) for p in points]
            if all("accept_us" in p for p in points):
                accepts = [(p["at"], p["accept_us"]) for p in points]
                yield CURVES[name][0], store, "its acceptance", accepts


def worst(points):
    return max(us for _, us in points) / points[0][1]


def unknown(curves):
    """The curves that are not flat, and not known to grow as much."""
    return [
        f"{what}, {store}: {figure}"
        for what, store, figure, points in series(curves)
        if worst(points) > KNOWN.get(what, (FLAT, ""))[0]
    ]


def table(curves):
    lines = [f"{'':22} {'store':8} {'us of CPU of':14} {'at':>10} {'us':>8} {'to smallest':>12}"]
    for what, store, figure, points in series(curves):
        least = points[0][1]
        for at, us in points:
            flat = "" if us <= FLAT * least else "  NOT FLAT"
            lines.append(
                f"{what:22} {store:8} {figure:14} {at:10,} {us:8.1f} {us / least:12.2f}{flat}"
            )
    for what, (most, why) in KNOWN.items():
        lines.append(f"known to grow, up to {most} times: {what}: {why}")
    return "\n".join(lines)


def picture(path, curves):
    panels = []
    for name, stores in curves.items():
        shown = {
            f"{store}: {figure}": points
            for _, store, figure, points in series({name: stores})
        }
        panels.append(Panel("", CURVES[name][0], "us of CPU of the broker", shown, log_x=True))
    draw(path, panels)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=CURVES, help="this curve, and write nothing")
    parser.add_argument("--docs", default=DOCS, metavar="DIRECTORY", help="where to write")
    options = parser.parse_args()
    end_in_order()
    print(machine(), flush=True)
    curves = {}
    for name in [options.only] if options.only else CURVES:
        what, measure, values = CURVES[name]
        curves[name] = {store: measure(store, values[store]) for store in STORES}
        print(f"{what}: after {time.monotonic() - STARTED:.0f} s", flush=True)
    print(table(curves))
    if options.only is None:
        with open(os.path.join(options.docs, "growth.json"), "w", encoding="ascii") as f:
            json.dump({"machine": machine(), "curves": curves}, f, indent=1)
            f.write("\n")
        picture(os.path.join(options.docs, "growth.svg"), curves)
    for curve in unknown(curves):
        print(f"FAILED {curve}: more than {FLAT} times, or than is known", file=sys.stderr)
    return 1 if unknown(curves) else 0


if __name__ == "__main__":
    sys.exit(main())
