"""Every hop and every time of 8,000 traces agrees with the simulated truth."""

import time

OPTIONS = [
    *("--seed", "7", "--hops", "8-16", "--rtt-us", "2000", "--loss", "5"),
    *("--silent-router", "10", "--silent-target", "10", "--unreachable", "5"),
    *("--mpls", "20", "--balanced", "20"),
]
KINDS = [("icmp", 4), ("udp", 4), ("tcp", 4), ("icmp", 6)]
COUNT = 2000
LIMIT_S = 120


def destination(af, i):
    return f"20.{i >> 16}.{i >> 8 & 255}.{i & 255}" if af == 4 else f"2001:db8:1::{i:x}"


def hop_truth(truth, ttl):
    """What answers at a ttl: beyond the last hop it is that hop again."""
    return truth["hops"][min(ttl, len(truth["hops"])) - 1]


def expected_verdict(truth, ttl):
    if ttl < len(truth["hops"]):
        return "ttl-expired"
    return {"reply": "reply", "silent": None, "unreachable": "unreachable"}[truth["end"]]


class Tally:
    def __init__(self):
        self.answered = self.lost = self.silent = 0
        self.excess_us = []
        self.wrong = []

    def probe(self, result, truth, hop, probe):
        ttl, hop_is = hop["ttl"], hop_truth(truth, hop["ttl"])
        where = f"{result['protocol']} {result['dst']} ttl {ttl}"
        if probe["addr"] is None:
            assert probe["verdict"] == "no-reply", (where, probe)
            if hop_is["silent"]:
                self.silent += 1
            else:
                self.lost += 1
            return
        self.answered += 1
        excess = probe["rtt_us"] - hop_is["rtt_us"]
        self.excess_us.append(excess)
        if hop_is["silent"] or probe["addr"] not in hop_is["addrs"]:
            self.wrong.append(f"{where}: {probe['addr']}, truth {hop_is}")
        elif probe["verdict"] != expected_verdict(truth, ttl):
            self.wrong.append(f"{where}: {probe['verdict']}, {truth['end']}")
        elif excess < 0:
            self.wrong.append(f"{where}: {probe['rtt_us']} us, before the answer was sent")
        elif probe.get("mpls", []) != hop_is["mpls"]:
            self.wrong.append(f"{where}: mpls {probe.get('mpls')}, truth {hop_is['mpls']}")

    def trace(self, result, truth):
        for hop in result["hops"]:
            for probe in hop["probes"]:
                self.probe(result, truth, hop, probe)
        ttls = [hop["ttl"] for hop in result["hops"]]
        assert ttls == list(range(1, len(ttls) + 1)), result
        stop = result["stop"]
        last = result["hops"][-1]["probes"][-1]["verdict"]
        if truth["end"] == "silent":
            right = stop == "gap-limit"
        elif stop == "gap-limit":  # five hops lost, or silent, in a row before the end
            right = all(p["addr"] is None for h in result["hops"][-5:] for p in h["probes"])
        else:
            right = (stop, last) == (
                ("reached", "reply") if truth["end"] == "reply" else ("unreachable", "unreachable")
            )
        if not right:
            self.wrong.append(f"{result['protocol']} {result['dst']}: {stop}, {truth['end']}")


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
