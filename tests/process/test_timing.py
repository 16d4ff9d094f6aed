"""No reported time is shorter than the true one, nor longer than the trace, at any rate.

How near reported times are to the true ones is measured by make bench.
"""

import pytest

from truth import tally, traces

PATHS = ["--seed", "7", "--hops", "15-15"]
TRACES = 660


@pytest.mark.parametrize(
    "protocol, pps, rtt_us", [("icmp", "5000", 3000), ("udp", "5000", 3000), ("icmp", "max", 1000)]
)
def test_times_are_within_what_is_true(system, protocol, pps, rtt_us):
    net = system.simnet(*PATHS, "--rtt-us", str(rtt_us))
    system.broker()
    system.worker(net, "--pps", pps, "--capacity", "1000")
    client = system.client()
    client.wait_until(lambda stats: len(stats["workers"]) == 1)
    client.submit(traces([protocol], TRACES, timeout_ms=10000))
    results = client.collect(TRACES)
    found = tally(net, results)
    assert found.wrong == [], found.wrong[:20]  # shorter times are among it
    for result in results.values():
        assert (result["stop"], len(result["hops"])) == ("reached", 15), result
        ends_us = [p["sent_us"] + p["rtt_us"] for h in result["hops"] for p in h["probes"]
                   if p["rtt_us"] is not None]
        assert len(ends_us) >= 15, result
        assert max(ends_us) <= result["finished_us"] - result["started_us"], result
