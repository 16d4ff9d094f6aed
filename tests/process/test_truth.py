"""Every hop and every time of 8,000 traces agrees with the simulated truth."""

import time

from system import first_turn
from truth import Tally, destination, percentile

OPTIONS = [
    *("--seed", "7", "--hops", "8-16", "--rtt-us", "2000", "--loss", "5"),
    *("--silent-router", "10", "--silent-target", "10", "--unreachable", "5"),
    *("--mpls", "20", "--balanced", "20"),
]
KINDS = [("icmp", 4), ("udp", 4), ("tcp", 4), ("icmp", 6)]
COUNT = 2000
LIMIT_S = 120


def test_every_hop_agrees_with_the_truth(system, capsys):
    net = system.simnet(*OPTIONS, stats=True)
    system.broker("--keep-results", "100")
    worker = system.worker(net, "--pps", "6000", "--capacity", "400")
    client = system.client()
    client.wait_until(lambda stats: len(stats["workers"]) == 1)
    first_turn(net, worker)
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
    assert tally.raced == 0
    # What is missing was lost by the network, not by us; and no time is longer than what the
    # machine's two queues, ours and the simulation's, explain.
    assert tally.lost <= lag["lost"] * 1.02 + 10
    assert percentile(tally.excess_us, 0.5) <= lag["lag_p50_us"] + 2000
    assert percentile(tally.excess_us, 0.99) <= lag["lag_p99_us"] + 20000
    assert max(tally.excess_us) <= lag["lag_max_us"] + 250000
    assert counters["results"] == counters["accepted"] == len(pairs)
