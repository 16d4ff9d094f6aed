"""The whole system on the simulated internet: against a floor, against Debian's tracers, at rest.

Every run has a simulated internet, and a broker and workers, of its own; each distinct target is
traced once.
"""

import functools
import json
import os
import resource
import select
import shutil
import subprocess
import sys
import time
from contextlib import closing
from statistics import median

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "process"))

from alone import Disk  # noqa: E402
from measure import alone, cpu_s, interleaved, ratio  # noqa: E402
from system import System, program  # noqa: E402
from truth import tally, traces  # noqa: E402

NET = ("--seed", "5", "--hops", "8-16", "--rtt-us", "3000")
TRACES = 12000
EACH_TRACES = 48000  # of one worker a core: a run takes many times as long as its last trace
FEW_TRACES = 4000  # of UDP and TCP
TRUE_TRACES = 5000  # that are held against the truth, hop by hop
SCAMPER_TRACES = 3000  # its rate has a cap
SCAMPER_PPS = 10000  # its highest
SINGLE_TRACES = 300  # of tracers that take a process each
SINGLE_AT_A_TIME = 100
ALONE = 20  # traces one after the other
HOP_MS = 3  # as in NET
CAPACITY = 900  # what mtr-packet 0.95 takes at a time
FULL = ("--pps", "max", "--capacity", str(CAPACITY))
RUNNING = 10000  # traces whose memory is measured
IDLE_S = 10
TIMEOUT = 90  # seconds, of anything


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


def write_targets(path, count, distances=False, protocol=None):
    with open(path, "w", encoding="ascii") as f:
        for address, distance in targets(count):
            after = distance if distances else protocol
            f.write(f"{address}\n" if after is None else f"{address} {after}\n")
    return path


def run(argv):
    """What a program prints, the CPU time of it and its children, and how long it took: seconds."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, timeout=TIMEOUT)
    took_s, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return done.stdout, used_s, took_s


def start(system, net, workers, *options, store="memory"):
    """A broker and workers that are ready."""
    broker = system.broker(store=store)
    fleet = [system.worker(net, *options, name=f"w{i}") for i in range(workers)]
    system.client().wait_until(lambda stats: len(stats["workers"]) == workers)
    return broker, fleet


def cpu_of_each(broker, fleet):
    """Seconds of CPU so far."""
    return {
        "broker": cpu_s(broker.pid),
        "worker": cpu_s(*(worker.pid for worker in fleet)),
        "mtr-packet": cpu_s(*(pid for worker in fleet for pid in worker.children())),
    }


def hopmq(workers, store="memory", count=TRACES, protocol=None):
    """{"rate": traces/s, "cpu": us a trace of all our processes, "parts": of each,
    "probes": sent, to those of a perfect sequential tracer}"""
    with Disk() as disk, closing(System()) as system:
        net = system.simnet(*NET)
        kept = store if store == "memory" else os.path.join(disk, store)
        broker, fleet = start(system, net, workers, *FULL, store=kept)
        path = write_targets(system.path("targets"), count, protocol=protocol)
        window = str(2 * CAPACITY * workers + 2000)
        before = cpu_of_each(broker, fleet)
        out, client_s, _ = run([program("bench-load"), system.submit, path, window])
        used = {name: s - before[name] for name, s in cpu_of_each(broker, fleet).items()}
        used["client"] = client_s
        said = json.loads(out)
        assert said["reached"] == count, f"{said}\n{system.logs()}"
        return {
            "rate": count / said["seconds"],
            "cpu": sum(used.values()) / count * 1e6,
            "parts": {name: s / count * 1e6 for name, s in used.items()},
            "probes": said["probes_sent"] / sum(distance for _, distance in targets(count)),
        }


def truth():
    """At full load: {"false": what is not so, "answers": of hops, "lost": answers that never came,
    "lag": % of the answers whose time is said to be doubtful}"""
    system = System()
    try:
        net = system.simnet(*NET)
        start(system, net, 1, *FULL)
        asked = traces(["icmp"], TRUE_TRACES)
        client = system.client()
        client.submit(asked)
        results = client.collect(len(asked))
        found = tally(net, results)
        marked = sum(
            "prober-lag" in probe.get("flags", [])
            for result in results.values()
            for hop in result["hops"]
            for probe in hop["probes"]
        )
        return {
            "false": found.wrong,
            "answers": found.answered,
            "lost": found.lost,
            "lag": 100 * marked / found.answered,
        }
    finally:
        system.close()


def floor(children, count=TRACES):
    """The bare driver with as much in flight."""
    system = System()
    try:
        net = system.simnet(*NET)
        path = write_targets(system.path("targets"), count, distances=True)
        argv = [program("bench-floor"), path, str(children), str(CAPACITY)]
        out, used_s, _ = run(net.enter(argv))
        said = json.loads(out)
        return {"rate": count / said["seconds"], "cpu": used_s / count * 1e6}
    finally:
        system.close()


def scamper():
    """Debian's scamper at its highest rate, one attempt a hop, which it gives up when ours do."""
    system = System()
    try:
        net = system.simnet(*NET, stats=True)
        argv = ["scamper", "-p", str(SCAMPER_PPS), "-O", "warts", "-o", system.path("warts")]
        argv += ["-f", write_targets(system.path("targets"), SCAMPER_TRACES)]
        _, used_s, took_s = run(net.enter([*argv, "-c", "trace -P icmp-paris -q 1 -w 2"]))
        sent = net.stop()["packets_in"]
        perfect = sum(distance for _, distance in targets(SCAMPER_TRACES))
        assert sent >= perfect, f"scamper sent {sent} probes of {perfect}"
        return {"rate": SCAMPER_TRACES / took_s, "cpu": used_s / SCAMPER_TRACES * 1e6}
    finally:
        system.close()


def single(*argv):
    """Traces/s of a tracer that takes a process for each."""
    system = System()
    try:
        net = system.simnet(*NET)
        path = write_targets(system.path("targets"), SINGLE_TRACES)
        spread = ["xargs", "-a", path, "-n", "1", "-P", str(SINGLE_AT_A_TIME)]
        return SINGLE_TRACES / run(net.enter([*spread, *argv]))[2]
    finally:
        system.close()


def one_by_one(*options):
    """[(time - 5 ms) / longest round trip of the path] of traces on an idle system."""
    system = System()
    try:
        start(system, system.simnet(*NET), 1, *options)
        chosen = targets(TRACES)[:: TRACES // ALONE]  # of prefixes that were never seen
        path = system.path("targets")
        with open(path, "w", encoding="ascii") as f:
            f.writelines(f"{address}\n" for address, _ in chosen)
        out, _, _ = run([program("bench-load"), "--one", system.submit, path, "1"])
        return [
            (int(us) / 1000 - 5) / (HOP_MS * distance)
            for us, (_, distance) in zip(out.split(), chosen, strict=True)
        ]
    finally:
        system.close()


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def bytes_a_trace():
    """Of a worker, where many traces run at once, since their targets are silent."""
    system = System()
    try:
        net = system.simnet(*NET, "--silent-target", "100")
        _, (worker,) = start(system, net, 1, "--pps", "max", "--capacity", str(2 * RUNNING))
        before = resident_bytes(worker.pid)
        client = system.client()
        for at in range(0, RUNNING, 1000):
            traces = [{"target": address} for address, _ in targets(RUNNING)[at : at + 1000]]
            assert client.request("submit", traces=traces)["op"] == "accepted"
        # Seven of eight to twelve hops: from then on silence holds what can be sent.
        stats = client.wait_until(lambda stats: probes_of(stats) >= 7 * RUNNING, TIMEOUT)
        assert stats["workers"][0]["running"] == RUNNING, stats
        return (resident_bytes(worker.pid) - before) / RUNNING
    finally:
        system.close()


def probes_of(stats):
    return stats["workers"][0].get("stats", {}).get("probes_sent", 0)


def cpu_ns(pid):
    """CPU time of all threads of a process: finer than the ticks of cpu_s()."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total


def idle():
    """{"broker": % of a core, "worker": the same with its mtr-packet}"""
    system = System()
    try:
        broker, (worker,) = start(system, system.simnet(*NET), 1)
        watched = {"broker": [broker.pid], "worker": [worker.pid, *worker.children()]}
        before = {name: sum(map(cpu_ns, pids)) for name, pids in watched.items()}
        ends = select.poll()  # that one of them ends is all that can happen
        fd = os.pidfd_open(worker.pid)
        ends.register(fd, select.POLLIN)
        started = time.monotonic()
        assert not ends.poll(IDLE_S * 1000), system.logs()
        span_ns = (time.monotonic() - started) * 1e9
        os.close(fd)
        return {
            name: (sum(map(cpu_ns, pids)) - before[name]) / span_ns * 100
            for name, pids in watched.items()
        }
    finally:
        system.close()


# ---- rows ----------------------------------------------------------------------------------------


def of(figures, name):
    return [f[name] for f in figures]


def against_the_floor(f):
    rate, floor_rate = of(f["one"], "rate"), of(f["floor_one"], "rate")
    each, floor_each = of(f["each"], "rate"), of(f["floor_each"], "rate")
    disk, cores = of(f["disk"], "rate"), os.cpu_count()
    probes = of(f["one"] + f["each"], "probes")
    perfect = "times a perfect sequential tracer's"
    cpu, floor_cpu = of(f["one"], "cpu"), of(f["floor_one"], "cpu")
    parts = ", ".join(
        f"{name} {median(part[name] for part in of(f['one'], 'parts')):.0f}"
        for name in f["one"][0]["parts"]
    )
    return [
        ratio("tracing, one worker", "traces/s", rate, floor_rate, "floor", 0.8),
        ratio(f"tracing, {cores} workers", "traces/s", each, floor_each, "floor", 0.75),
        ratio("tracing, one worker, file", "traces/s", disk, floor_rate, "floor", 0.8),
        ratio("CPU a trace, one worker", "us", cpu, floor_cpu, "floor", None, False, parts),
        alone("probes sent under full load", perfect, probes, 1.10),
        *(alone(f"  {p}", perfect, of(f[p], "probes"), None) for p in ("udp", "tcp")),
    ]


def against_peers(f):
    table = []
    rate, cpu = of(f["one"], "rate"), of(f["one"], "cpu")
    if "scamper" in f:
        s_rate, s_cpu = of(f["scamper"], "rate"), of(f["scamper"], "cpu")
        table.append(ratio("tracing, one worker", "traces/s", rate, s_rate, "scamper", 2))
        table.append(ratio("CPU a trace, one worker", "us", cpu, s_cpu, "scamper", 1, False))
    for name in [name for name in SINGLES if name in f]:
        table.append(ratio("tracing, one worker", "traces/s", rate, f[name], name, None))
    return table


def true_hops(f):
    """No round may have a false one."""
    false = sum(of(f, "false"), [])
    for line in false[:10]:
        print(f"FALSE {line}", flush=True)
    note = f"of {sum(of(f, 'answers')):,} answers; {sum(of(f, 'lost')):,} were lost"
    return [
        alone("false hops under full load", "hops", [len(false)], 0, note=note),
        alone("  times marked prober-lag", "% of the answers", of(f, "lag"), None),
    ]


def one_trace(what, rounds):
    each = sum(rounds, [])
    note = f"the worst {max(each):.2f}"
    return alone(what, "(time - 5 ms) / longest round trip", each, 1.2, note=note)


# mtr is none of them: what it takes are its timers, 6 s a trace with those that it has by default.
SINGLES = {"traceroute": ("traceroute", "-n", "-I", "-q", "1")}


def peers():
    """Those that are here, as sides of interleaved()."""
    sides = {name: functools.partial(single, *argv) for name, argv in SINGLES.items()}
    sides["scamper"] = scamper
    for name in list(sides):
        if shutil.which(name) is None:
            print(f"LEFT OUT {name}: not in PATH", flush=True)
            del sides[name]
    return sides


def rows(rounds):
    cores = os.cpu_count()
    f = interleaved(
        rounds,
        one=lambda: hopmq(1),
        floor_one=lambda: floor(1),
        each=lambda: hopmq(cores, count=EACH_TRACES),
        floor_each=lambda: floor(cores, EACH_TRACES),
        disk=lambda: hopmq(1, "results.db"),
        udp=lambda: hopmq(1, count=FEW_TRACES, protocol="udp"),
        tcp=lambda: hopmq(1, count=FEW_TRACES, protocol="tcp"),
        **peers(),
    )
    still = interleaved(
        rounds,
        one=lambda: one_by_one("--pps", "max"),
        paced=one_by_one,
        truth=truth,
        bytes=bytes_a_trace,
        idle=idle,  # after it, since what was sent to silent targets is out for 2 s more
    )
    return [
        *against_the_floor(f),
        *against_peers(f),
        *true_hops(still["truth"]),
        one_trace("one trace, idle system", still["one"]),
        one_trace("one trace, idle system, --pps 1000", still["paced"]),
        alone("worker's memory a running trace", "bytes", still["bytes"], 4096),
        alone("CPU of an idle worker", "% of a core", of(still["idle"], "worker"), 0.2),
        alone("CPU of an idle broker", "% of a core", of(still["idle"], "broker"), 0.2),
    ]
