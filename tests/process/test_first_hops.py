"""Routers next to the worker that limit their ICMP errors: slowed down for, and for them only.

The first two routers answer 150 probes a second each, the worker may send 4,000, and every trace
asks both. A worker that does not learn takes them beyond that with every 200 traces it gets: nine
in ten of its probes to them are lost.
"""

from truth import percentile, tally, traces

LIMIT_PPS, PPS = 150, 4000
INTERNET = [
    *("--seed", "29", "--hops", "10-14", "--rtt-us", "3000"),
    *("--shared-hops", "2", "--icmp-limit", str(LIMIT_PPS)),
]
BATCH, BATCHES, LEARNING = 200, 8, 3
LIMIT_S = 60


class Batch:
    """What became of the probes to the first two hops, and when those to the others were sent."""

    def __init__(self, results):
        probes = [
            (r["started_us"] + p["sent_us"], hop["ttl"], p["addr"])
            for r in results.values()
            for hop in r["hops"]
            for p in hop["probes"]
        ]
        since = min(r["started_us"] for r in results.values())
        near = [addr for _, ttl, addr in probes if ttl <= 2]
        self.sent, self.lost = len(near), near.count(None)
        self.near_us = percentile([at - since for at, ttl, _ in probes if ttl <= 2], 0.95)
        self.far_us = percentile([at - since for at, ttl, _ in probes if ttl > 2], 0.95)
        self.far_count = sum(ttl > 2 for _, ttl, _ in probes)


def test_limit_of_near_routers_is_learnt(system, capsys):
    net = system.simnet(*INTERNET)
    system.broker()
    system.worker(net, "--pps", str(PPS))
    client = system.client()
    client.wait_until(lambda stats: len(stats["workers"]) == 1)
    batches = []
    with capsys.disabled():
        print()
        for i in range(BATCHES):
            client.submit(traces(["icmp"], BATCH, first=1 + i * BATCH))
            results = client.collect(BATCH, LIMIT_S)
            assert tally(net, results).wrong == []
            b = Batch(results)
            batches.append(b)
            print(
                f"  first two hops: {b.lost} of {b.sent} lost, 95 % sent within {b.near_us / 1e6:.2f} s; "
                f"{b.far_count} to the others, 95 % within {b.far_us / 1e6:.2f} s"
            )
    learnt = batches[LEARNING:]
    assert sum(b.lost for b in learnt) < 0.1 * sum(b.sent for b in learnt)
    # The others have not waited for these two.
    assert percentile([b.far_us for b in learnt], 0.5) < 1000000
    assert percentile([b.near_us for b in learnt], 0.5) > 1000000
