"""Times on the simulated internet: how near reported ones are to the true ones, how long a trace
takes where something is silent, and what the limits of the first routers cost.

What else runs on the machine only ever adds to a time. So what is measured gets the first turn, and
each row takes the best of a few short runs.
"""

import os
import sys
from contextlib import closing

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "process"))

from measure import Row, ratio  # noqa: E402
from system import System, first_turn  # noqa: E402
from truth import destination, hop_truth, percentile, tally, traces  # noqa: E402

PATHS = ("--seed", "7", "--hops", "15-15")
TIMEOUT = 90  # seconds, of anything
ATTEMPTS, TIMEOUT_US = 2, 2000000  # defaults
LIMITED = ("--seed", "29", "--hops", "10-14", "--rtt-us", "3000", "--shared-hops", "2",
           "--icmp-limit", "150")
BATCH, BATCHES, LEARNING = 200, 8, 3
BUSY_TRACES = 300


def start(system, net, *options):
    system.broker()
    worker = system.worker(net, *options, "--capacity", "1000")
    client = system.client()
    client.wait_until(lambda stats: len(stats["workers"]) == 1)
    first_turn(net, worker)
    return client


def ratios_to_truth(net, results):
    """Of each reported time, how many times the true one it is."""
    truths = net.truth({(r["protocol"], r["dst"]) for r in results.values()})
    return [
        probe["rtt_us"] / hop_truth(truths[(r["protocol"], r["dst"])], hop["ttl"])["rtt_us"]
        for r in results.values()
        for hop in r["hops"]
        for probe in hop["probes"]
        if probe["rtt_us"] is not None
    ]


def duration_us(result):
    return result["finished_us"] - result["started_us"]


class Reported:
    """Reported times at a rate: medians and 99th percentiles of their ratio to the true times."""

    def __init__(self, rtt_us, pps):
        self.rtt_us, self.pps = rtt_us, pps

    def measure(self, protocol, seconds=2):
        with closing(System()) as system:
            net = system.simnet(*PATHS, "--rtt-us", str(self.rtt_us), stats=True)
            client = start(system, net, "--pps", str(self.pps))
            count = int(6000 if self.pps == "max" else self.pps * seconds / 15)
            client.submit(traces([protocol], count, timeout_ms=1000))
            results = client.collect(count, TIMEOUT)
            found = tally(net, results)
            assert found.wrong == [], found.wrong[:20]
            spent_us = max(r["finished_us"] for r in results.values()) - min(
                r["started_us"] for r in results.values())
            self.sent_pps = sum(r["probes_sent"] for r in results.values()) / spent_us * 1e6
            ratios = ratios_to_truth(net, results)
            return percentile(ratios, 0.5), percentile(ratios, 0.99)


def reported_rows(what, protocol, reported, rounds, p50, p99):
    runs, sent_pps = [], []
    for _ in range(rounds):
        runs.append(reported.measure(protocol))
        sent_pps.append(reported.sent_pps)
    found = [
        Row(f"{what}, {share}", "of the true time", best, None, "", best, bound, False)
        for share, best, bound in (
            ("median", min(run[0] for run in runs), p50),
            ("99th percentile", min(run[1] for run in runs), p99),
        )
    ]
    # Times that are near the truth say little where probes were not sent at that rate.
    found.append(ratio(f"{what}, sent", "probes/s", [max(sent_pps)], [reported.pps], "--pps", 0.9))
    return found


def silent_target(net):
    """A target, far from all others, whose path answers up to the target, which does not."""
    wanted = [("icmp", f"20.200.{i}.1") for i in range(200)]
    return next(dst for (_, dst), t in net.truth(wanted).items() if t["end"] == "silent")


def silent(protocol):
    """How long a trace of a silent target takes, to what its attempts have to wait."""
    with closing(System()) as system:
        net = system.simnet("--seed", "5", "--hops", "15-15", "--rtt-us", "3000",
                            "--silent-target", "50")
        client = start(system, net, "--pps", "1000")
        result = client.request("trace", target=silent_target(net), id="x", protocol=protocol)
        assert result["stop"] == "gap-limit", result
        return duration_us(result) / (ATTEMPTS * TIMEOUT_US)


def last_answer_us(result):
    probes = [p for hop in result["hops"] for p in hop["probes"] if p["addr"] is not None]
    return max(p["sent_us"] + p["rtt_us"] for p in probes)


def silent_beside_many():
    """The same behind the last answer, on a worker that others keep busy."""
    with closing(System()) as system:
        net = system.simnet("--seed", "5", "--hops", "15-15", "--rtt-us", "20000",
                            "--silent-target", "50")
        client = start(system, net, "--pps", "5000")
        others = [("icmp", destination(4, i)) for i in range(1, 1000)]
        answering = [dst for (_, dst), t in net.truth(others).items() if t["end"] == "reply"]
        client.submit([{"id": d, "target": d, "probes": 2} for d in answering[:BUSY_TRACES]])
        client.submit([{"id": "x", "target": silent_target(net)}])
        result = client.collect(BUSY_TRACES + 1, TIMEOUT)["x"]
        assert result["stop"] == "gap-limit", result
        return (duration_us(result) - last_answer_us(result)) / (ATTEMPTS * TIMEOUT_US)


def limited():
    """Where the first two routers limit their answers: the share of the probes to them that was
    lost once the limit was known, and the time of the probes to all others against theirs."""
    with closing(System()) as system:
        net = system.simnet(*LIMITED)
        client = start(system, net, "--pps", "4000")
        lost = sent = 0
        shares = []
        for i in range(BATCHES):
            client.submit(traces(["icmp"], BATCH, first=1 + i * BATCH))
            results = client.collect(BATCH, TIMEOUT)
            if i < LEARNING:
                continue
            probes = [(r["started_us"] + p["sent_us"], hop["ttl"], p["addr"])
                      for r in results.values() for hop in r["hops"] for p in hop["probes"]]
            since = min(r["started_us"] for r in results.values())
            near = [(at - since, addr) for at, ttl, addr in probes if ttl <= 2]
            far = [at - since for at, ttl, _ in probes if ttl > 2]
            sent, lost = sent + len(near), lost + sum(addr is None for _, addr in near)
            shares.append(percentile(far, 0.95) / percentile([at for at, _ in near], 0.95))
        return 100 * lost / sent, percentile(shares, 0.5)


def most(what, unit, figures, bound):
    """A row of the best of some figures, which must not be greater than the bound."""
    return Row(what, unit, min(figures), None, "", min(figures), bound, False)


def rows(rounds):
    top = Reported(1000, "max")
    top.measure("icmp")
    found = []
    for protocol in ("icmp", "udp"):
        what = f"times at 5,000 probes/s, {protocol}"
        found += reported_rows(what, protocol, Reported(3000, 5000), rounds, 1.02, 1.2)
    half = Reported(1000, int(top.sent_pps / 2))
    found += reported_rows("times at half of the top rate", "icmp", half, rounds, 1.1, 2)
    for protocol in ("icmp", "udp", "tcp"):
        what = f"trace of a silent target, {protocol}"
        found.append(most(what, "of attempts x timeout", [silent(protocol)], 1.25))
    found.append(most("trace of a silent target beside 300 others", "of attempts x timeout",
                      [silent_beside_many() for _ in range(rounds)], 1.25))
    runs = [limited() for _ in range(rounds)]
    found.append(most("probes lost at first hops with a limit", "%", [r[0] for r in runs], 10))
    found.append(most("  time of the probes to all others", "of theirs", [r[1] for r in runs], 0.75))
    return found
