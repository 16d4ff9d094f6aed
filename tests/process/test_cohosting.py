"""Workers of one network namespace take no hops from each other; without protection they do.

Four of eight workers live in pid namespaces of their own, as in containers on a host's network:
their probers have equal pids there, and so, unprotected, equal ICMP ids.
"""

import time

from system import children, full_or_small, until
from truth import tally, traces

# No hop is shared by two paths, so that every answer that is not a probe's own is seen as false.
# The hops that nobody answers are there to be taken: their probes are out for the whole timeout.
INTERNET = [
    *("--seed", "11", "--hops", "4-10", "--shared-hops", "0", "--rtt-us", "5000"),
    *("--silent-router", "10", "--silent-target", "5", "--unreachable", "5", "--mpls", "10"),
]
NAMES = [f"w{i}" for i in range(8)]
CONTAINED = NAMES[:4]
LIMIT_S = 1200
TRACES = full_or_small(13334, 1200)  # of each protocol
ANSWERS = 15  # at least, of three traces

REST_S = 12  # what free slices rest before a worker uses them


def start(system, net, kind):
    """Eight workers; their processes by name, when all are ready for traces: the fourth equal pid
    is trouble for a moment."""
    options = ["--pps", "1500", "--capacity", "250"]
    workers = {
        name: system.worker(net, *options, name=name, kind=kind, own_pids=name in CONTAINED)
        for name in NAMES
    }
    client = system.client()
    client.wait_until(lambda s: sum("trouble" not in w for w in s["workers"]) == len(NAMES))
    return workers


def pid_inside(pid):
    """What a process takes as its own pid, whose lower half is the ICMP id."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("NSpid:")).split()[-1])


def prober_pids(workers):
    """The pids of the contained workers' probers, as these see them."""
    contained = [children(workers[name].pid)[0] for name in CONTAINED]  # unshare's child
    return [pid_inside(children(worker)[0]) for worker in contained]


def run(system, kind, count):
    """The tally of `count` traces of each protocol, and the pids of the contained probers."""
    net = system.simnet(*INTERNET, stats=True)
    system.broker("--keep-results", "100")
    workers = start(system, net, kind)
    pids = prober_pids(workers)
    client = system.client()
    started = time.monotonic()
    client.submit(traces(["icmp", "udp", "tcp"], count, timeout_ms=1000))
    results = client.collect(3 * count, LIMIT_S)
    took = time.monotonic() - started
    found = tally(net, results)
    probes = sum(r["probes_sent"] for r in results.values())
    assert {r["worker"] for r in results.values()} == set(NAMES)
    stats = [w["stats"] for w in client.stats()["workers"]]
    print(
        f"\n  {kind}: {len(results)} traces, {probes} probes in {took:.1f} s; {found.answered} answers, "
        f"{found.lost} lost, {found.silent} from silent routers, {found.raced} raced; "
        f"{len(found.wrong)} false; skipped {sum(s['numbers_skipped'] for s in stats)}; pids {pids}\n"
        f"  simnet: {net.stop()}"
    )
    return found, pids


def test_eight_workers_take_no_hops_from_each_other(system, capsys):
    with capsys.disabled():
        found, pids = run(system, "hopmq-worker", TRACES)
    assert found.wrong == [], found.wrong[:20]
    assert len(set(pids)) == len(CONTAINED)
    assert found.answered > ANSWERS * TRACES


def test_unprotected_workers_take_hops_from_each_other(system, capsys):
    """It is no luck that they do: all eight begin at the same sequence number, and get traces when
    all are there, so that the first probes of all, many of which are out for a second, bear the
    same numbers."""
    with capsys.disabled():
        found, pids = run(system, "tests/hopmq-worker-unprotected", 1000)
    assert len(set(pids)) == 1, pids
    assert len(found.wrong) > 1000, found.wrong


def test_slices_of_a_worker_that_has_gone_are_taken(system):
    """They rest first: answers to the probes that it left behind may still come."""
    net = system.island()
    first = system.worker(net, name="first")
    until(lambda: "event=slices have=8 of=8" in first.log(), "all slices")
    second = system.worker(net, name="second")
    until(lambda: "event=slices have=4 of=8" in second.log(), "half of them")
    first.kill()
    gone = time.monotonic()
    until(lambda: "event=slices have=8 of=8" in second.log(), "the others")
    assert time.monotonic() - gone >= REST_S
    assert second.log().count("event=slices ") == 2
