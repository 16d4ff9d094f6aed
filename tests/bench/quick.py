#!/usr/bin/python3
"""`make bench-quick`: a few ratios, beside those that are recorded; a minute and a half.

Each ratio is of two things that were measured in this run, in turn, so that it says something on
any machine. It fails only where a ratio got worse by more than a third, twice: machines are noisy,
so what is worse is measured again, which takes up to as long again. What this machine cannot
measure is left out; where that is all, it fails.
"""

import argparse
import json
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "process"))

import tracing  # noqa: E402
from alone import beanstalkd, ends, load, with_broker  # noqa: E402
from measure import Row, Surroundings, busy, end_in_order  # noqa: E402
from measure import interleaved, machine, ratio, table  # noqa: E402
from system import BUILD  # noqa: E402

RECORDED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "recorded.json")
LEAST = 2 / 3  # of what is recorded
ROUNDS = 2
TRACES = 6000
BROKER_TRACES = 60000


def judge(rows, recorded):
    """The same rows as ratios beside the recorded ones: judged is what is left of those."""
    found = []
    for row in rows:
        was = recorded.get(row.what)
        left = 1.0 if was is None else row.judged / was if row.at_least else was / row.judged
        note = f"{row.ours:,.4g} against {row.theirs:,.4g} of {row.against}"
        bound = None if was is None else LEAST
        found.append(Row(row.what, row.unit, row.judged, was, "recorded", left, bound, note=note))
    return found


def better(rows, second):
    """Of two measurements of the same, each row as it was best."""
    by_what = {row.what: row for row in second}

    def best(row):
        both = [row, by_what.get(row.what, row)]
        return (max if row.at_least else min)(both, key=lambda r: r.judged)

    return [best(row) for row in rows]


def record(path, rows):
    with open(path, "w", encoding="ascii") as f:
        ratios = {row.what: round(row.judged, 3) for row in rows}
        json.dump({"machine": machine(), "ratios": ratios}, f, indent=1)
        f.write("\n")


# ---- what is measured ----------------------------------------------------------------------------


def traces():
    """The whole system with one worker, against the floor."""
    protocols = ("icmp", "udp", "tcp")
    sides = {p: lambda p=p: tracing.hopmq(1, protocol=p, count=TRACES) for p in protocols}
    f = interleaved(ROUNDS, floor=lambda: tracing.floor(1, TRACES), **sides)

    def against(what, unit, protocol, figure, at_least=True):
        ours, theirs = ([one[figure] for one in f[side]] for side in (protocol, "floor"))
        return ratio(f"{what}, {protocol}", unit, ours, theirs, "the floor", None, at_least)

    rows = [against("traces/s", "traces/s", p, "rate") for p in protocols]
    rows += [against("CPU a trace", "us", p, "cpu", False) for p in protocols]
    for p in protocols:
        probes = [one["probes"] for one in f[p]]
        rows.append(ratio(f"probes, {p}", "times", probes, [1.0], "a perfect tracer", None, False))
    return rows


def broker(store):
    """Traces/s through a broker, and a worker that answers at once."""

    def through(system):
        return load("broker", *ends(system), BROKER_TRACES)["traces_per_s"]

    return with_broker(store, through)


def broker_alone():
    sides = {"memory": lambda: broker("memory"), "file": lambda: broker("file")}
    if shutil.which("beanstalkd") is None:
        print("LEFT OUT beanstalkd: it could not be had")
    else:
        sides["peer"] = lambda: beanstalkd("memory")["jobs_per_s"]
    f = interleaved(ROUNDS + 1, **sides)
    rows = [ratio("broker, synced file", "traces/s", f["file"], f["memory"], "memory", None)]
    if "peer" in f:
        against = "beanstalkd in memory"
        rows.append(ratio("broker, memory", "traces/s", f["memory"], f["peer"], against, None))
    return rows


def codec():
    us = load("codec")
    library = [us["msgpack_us"]]
    return [
        ratio(f"{step} a result", "us", [us[f"{step}_us"]], library, "msgpack", None, False)
        for step in ("encode", "check", "decode")
    ]


PARTS = (traces, broker_alone, codec)


def measured(parts):
    """{part: its rows} of those that can be measured here."""
    rows = {}
    for part in parts:
        try:
            rows[part] = part()
        except BaseException as skip:  # pytest's Skipped is one, and says why
            if type(skip).__name__ != "Skipped":
                raise
            print(f"LEFT OUT {part.__name__}: {skip}", flush=True)
    return rows


def compared(recorded):
    """The judged rows. A part with one that is not met is measured again."""
    rows = measured(PARTS)
    again = []
    for part in rows:
        worse = [row.what for row in judge(rows[part], recorded) if not row.met()]
        if worse:
            print(f"ONCE MORE {part.__name__}: got worse: {', '.join(worse)}", flush=True)
            again.append(part)
    for part, second in measured(again).items():
        rows[part] = better(rows[part], second)
    return judge(sum(rows.values(), []), recorded)


def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--record", action="store_true", help="write what is measured to that file")
    parser.add_argument("--recorded", default=RECORDED, metavar="FILE")
    options = parser.parse_args(argv)
    end_in_order()
    around = Surroundings()
    started = time.monotonic()
    os.environ["PATH"] += os.pathsep + os.path.join(BUILD, "peers")  # see bench-deps
    print(machine(), flush=True)
    if options.record:
        rows = sum(measured(PARTS).values(), [])
        record(options.recorded, rows)
        print(table(rows))
        return 0 if rows else 1
    with open(options.recorded, encoding="ascii") as f:
        recorded = json.load(f)
    print(f"recorded on: {recorded['machine']}", flush=True)
    judged = compared(recorded["ratios"])
    print(table(judged))
    for what in recorded["ratios"].keys() - {row.what for row in judged}:
        print(f"not measured: {what}")
    print(f"in {time.monotonic() - started:.0f} s; {busy(around.found())}")
    if not judged:
        print("FAILED: nothing could be measured here", file=sys.stderr)
    return 0 if judged and all(row.met() for row in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
