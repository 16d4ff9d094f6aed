"""Every hop and every time of 8,000 traces agrees with the simulated truth."""

import time

from truth import Tally, destination

OPTIONS = [
    *("--seed", "7", "--hops", "8-16", "--rtt-us", "2000", "--loss", "5"),
    *("--silent-router", "10", "--silent-target", "10", "--unreachable", "5"),
    *("--mpls", "20", "--balanced", "20"),
]
KINDS = [("icmp", 4), ("udp", 4), ("tcp", 4), ("icmp", 6)]
COUNT = 2000
LIMIT_S = 120


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def test_every_hop_agrees_with_the_truth(system, capsys):
    net = system.simnet(*OPTIONS, stats=True)
    system.broker("--keep-results", "100")
    system.worker(net, "--pps", "6000", "--capacity", "400")
    client = system.client()
    pairs = [(p, af, destination(af, i)) for p, af in KINDS for i in range(1, COUNT + 1)]
    started = time.monotonic()
    for at in range(0, len(pairs), 1000):
        part = pairs[at : at + 1000]
        traces = [
            {"target": dst, "protocol": p, "timeout_ms": 1000, "id": f"{p}{af}-{dst}"}
            for p, af, dst in part
        ]
        client.send("submit", traces=traces, notify=True)
    results = client.collect(len(pairs), LIMIT_S)
    took = time.monotonic() - started
    assert len(results) == len(pairs)
    truths = net.truth([(p, dst) for p, _, dst in pairs])
    tally = Tally()
    for protocol, af, dst in pairs:
        result = results[f"{protocol}{af}-{dst}"]
        tally.trace(result, truths[(protocol, result["dst"])])
    counters = client.counters()
    lag = net.stop()
    probes = sum(r["probes_sent"] for r in results.values())
    stops = {}
    for r in results.values():
        stops[r["stop"]] = stops.get(r["stop"], 0) + 1
    with capsys.disabled():
        print(
            f"\n  {len(pairs)} traces in {took:.1f} s, {probes / len(pairs):.1f} probes each; "
            f"{tally.answered} answers, {tally.lost} lost, {tally.silent} from silent routers; "
            f"{len(tally.wrong)} false\n"
            f"  time beyond the truth: p50 {percentile(tally.excess_us, 0.5)} us, "
            f"p99 {percentile(tally.excess_us, 0.99)} us, max {max(tally.excess_us)} us\n"
            f"  stops: {stops}\n  simnet: {lag}"
        )
    assert tally.wrong == [], tally.wrong[:20]
    # What is missing was lost by the network, not by us; and no time is longer than what the
    # machine's two queues, ours and the simulation's, explain.
    assert tally.lost <= lag["lost"] * 1.02 + 10
    assert percentile(tally.excess_us, 0.5) <= lag["lag_p50_us"] + 2000
    assert percentile(tally.excess_us, 0.99) <= lag["lag_p99_us"] + 20000
    assert max(tally.excess_us) <= lag["lag_max_us"] + 250000
    assert counters["results"] == counters["accepted"] == len(pairs)


def test_workers_of_one_namespace_take_no_hops_from_each_other(system, capsys):
    """Three workers share the sequence numbers; without that a third of the answers is false."""
    net = system.simnet("--seed", "11", "--hops", "8-16", "--rtt-us", "10000", "--silent-router", "10")
    system.broker()
    client = system.client()
    for name in ("tcp", "icmp", "mixed"):
        system.worker(net, "--pps", "1500", "--label", f"for={name}", name=name)
    client.wait_until(lambda stats: len(stats["workers"]) == 3)
    work = [("tcp", "tcp"), ("icmp", "icmp"), ("mixed", "udp"), ("mixed", "tcp")]
    pairs = [(w, p, destination(4, i)) for i in range(1, 401) for w, p in work]
    for at in range(0, len(pairs), 1000):
        traces = [
            {"target": d, "protocol": p, "timeout_ms": 1000, "id": f"{w}-{p}-{d}", "workers": {"for": w}}
            for w, p, d in pairs[at : at + 1000]
        ]
        client.send("submit", traces=traces, notify=True)
    results = client.collect(len(pairs), LIMIT_S)
    truths = net.truth({(p, d) for _, p, d in pairs})
    tally = Tally()
    for w, p, d in pairs:
        tally.trace(results[f"{w}-{p}-{d}"], truths[(p, d)])
    skipped = [w["stats"]["numbers_skipped"] for w in client.stats()["workers"]]
    with capsys.disabled():
        print(f"\n  3 workers, {tally.answered} answers, {len(tally.wrong)} false; skipped {skipped}")
    assert tally.wrong == [], tally.wrong[:20]
    assert tally.answered > 15000
