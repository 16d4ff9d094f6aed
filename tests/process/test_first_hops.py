"""Routers next to the worker that limit their ICMP errors: slowed down for, and for them only.

The first two routers answer 150 probes a second each, the worker may send 4,000, and every trace
asks both. A worker that does not learn takes them beyond that with every 200 traces it gets: nine
in ten of its probes to them are lost.
"""

from truth import tally, traces

LIMIT_PPS, PPS = 150, 4000
INTERNET = [
    *("--seed", "29", "--hops", "10-14", "--rtt-us", "3000"),
    *("--shared-hops", "2", "--icmp-limit", str(LIMIT_PPS)),
]
BATCH, BATCHES, LEARNING = 200, 8, 3


def first_two(results):
    """What answered the probes to the first two hops: addresses, or None where nobody did."""
    return [p["addr"] for r in results.values() for hop in r["hops"][:2] for p in hop["probes"]]


def passed_by(results):
    """How many traces asked a hop behind the first two before they had asked these for the last time:
    none, if they waited for them."""
    sent = [[[p["sent_us"] for p in hop["probes"]] for hop in r["hops"]] for r in results.values()]
    return sum(min(sum(hops[2:], [])) < max(sum(hops[:2], [])) for hops in sent)


def test_limit_of_near_routers_is_learnt(system, capsys):
    net = system.simnet(*INTERNET)
    system.broker()
    system.worker(net, "--pps", str(PPS))
    client = system.client()
    client.wait_until(lambda stats: len(stats["workers"]) == 1)
    batches = []
    for i in range(BATCHES):
        client.submit(traces(["icmp"], BATCH, first=1 + i * BATCH))
        results = client.collect(BATCH)
        assert tally(net, results).wrong == []
        batches.append(first_two(results))
        assert passed_by(results) > BATCH / 2, "the other hops have waited for the first two"
    with capsys.disabled():
        print(f"\n  lost at the first two hops: {[b.count(None) for b in batches]}, a batch each")
    assert all(len(b) >= 2 * BATCH for b in batches)
    stats = client.stats()["workers"][0]["stats"]
    assert stats["first_hop_waits"] > 0, stats
    # A worker that does not learn loses nine in ten; how few are lost is measured by make bench.
    learnt = batches[LEARNING:]
    assert sum(b.count(None) for b in learnt) < 0.5 * sum(len(b) for b in learnt)
