"""The whole system on the simulated internet: against a floor, against Debian's tracers, at rest.

Every run has a simulated internet, and a broker and workers, of its own; each distinct target is
traced once.
"""

import functools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "process"))

from measure import Row, alone, cpu_s, interleaved, ratio  # noqa: E402
from system import System, program  # noqa: E402

NET = ("--seed", "5", "--hops", "8-16", "--rtt-us", "3000")
TRACES = 12000
SCAMPER_TRACES = 3000  # its rate has a cap
CAPACITY = 900  # what mtr-packet 0.95 takes at a time
TIMEOUT = 90


@functools.cache
def targets(count):
    """[(address, distance)], as simnet tells them."""
    addresses = [f"20.{1 + (i >> 16)}.{i >> 8 & 255}.{i & 255}" for i in range(1, count + 1)]
    truths = subprocess.run(
        [program("simnet"), "--truth", *NET],
        input="".join(f"icmp {address}\n" for address in addresses),
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT,
    ).stdout
    distances = [json.loads(line)["distance"] for line in truths.splitlines()]
    return list(zip(addresses, distances))


def write_targets(path, count, distances=False):
    with open(path, "w", encoding="ascii") as f:
        for address, distance in targets(count):
            f.write(f"{address} {distance}\n" if distances else f"{address}\n")
    return path


def run(argv):
    """What a program prints, and the CPU time of it and its children, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(
        argv, stdout=subprocess.PIPE, text=True, check=True, timeout=TIMEOUT
    ).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return out, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def start(system, net, workers, store="memory"):
    """A broker and workers that are ready."""
    broker = system.broker(store=store)
    fleet = [
        system.worker(net, "--pps", "max", "--capacity", str(CAPACITY), name=f"w{i}")
        for i in range(workers)
    ]
    system.client().wait_until(lambda stats: len(stats["workers"]) == workers)
    return broker, fleet


def cpu_of_all(broker, fleet):
    return cpu_s(broker.pid, *(w.pid for w in fleet), *(pid for w in fleet for pid in w.children()))


def hopmq(workers, store="memory"):
    """{"rate": traces/s, "cpu": us a trace of all our processes, "probes": of perfect ones}"""
    system = System()
    try:
        net = system.simnet(*NET)
        broker, fleet = start(system, net, workers, store)
        path = write_targets(system.path("targets"), TRACES)
        before_s = cpu_of_all(broker, fleet)
        window = str(2 * CAPACITY * workers + 2000)
        out, client_s = run([program("bench-load"), system.submit, path, window])
        used_s = cpu_of_all(broker, fleet) - before_s + client_s
        said = json.loads(out)
        assert said["reached"] == TRACES, f"{said}\n{system.logs()}"
        return {
            "rate": TRACES / said["seconds"],
            "cpu": used_s / TRACES * 1e6,
            "probes": said["probes_sent"] / sum(distance for _, distance in targets(TRACES)),
        }
    finally:
        system.close()


def floor(children):
    """The bare driver with as much in flight."""
    system = System()
    try:
        net = system.simnet(*NET)
        path = write_targets(system.path("targets"), TRACES, distances=True)
        out, used_s = run(net.enter([program("bench-floor"), path, str(children), str(CAPACITY)]))
        said = json.loads(out)
        return {"rate": TRACES / said["seconds"], "cpu": used_s / TRACES * 1e6}
    finally:
        system.close()


def of(figures, name):
    return [f[name] for f in figures]


def whole_system(rounds):
    cores = os.cpu_count()
    f = interleaved(
        rounds,
        one=lambda: hopmq(1),
        floor_one=lambda: floor(1),
        each=lambda: hopmq(cores),
        floor_each=lambda: floor(cores),
        disk=lambda: hopmq(1, "results.db"),
    )
    floor_1, floor_n = of(f["floor_one"], "rate"), of(f["floor_each"], "rate")
    return f["one"], [
        ratio("tracing, one worker", "traces/s", of(f["one"], "rate"), floor_1, "floor", 0.8),
        ratio(
            f"tracing, one worker a core ({cores})",
            "traces/s",
            of(f["each"], "rate"),
            floor_n,
            "floor",
            0.75,
        ),
        ratio(
            "tracing, one worker, store in a file",
            "traces/s",
            of(f["disk"], "rate"),
            floor_1,
            "floor",
            None,
        ),
        ratio(
            "CPU a trace",
            "us",
            of(f["one"], "cpu"),
            of(f["floor_one"], "cpu"),
            "floor",
            None,
            at_least=False,
        ),
        alone(
            "probes under full load",
            "of a perfect sequential tracer's",
            of(f["one"] + f["each"], "probes"),
            1.10,
        ),
    ]


def rows(rounds):
    _, table = whole_system(rounds)
    return table
