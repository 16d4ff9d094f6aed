"""A trace waits for its hops together, not for one after the other, and no longer for silent ones.

All of this is told from the order of its events; how long it takes is measured by make bench.
"""

import pytest

from truth import destination

ATTEMPTS = 2  # the default
GAP_LIMIT = 5  # the default
MOST_WAITS = 5  # in a row, of a trace of 15 hops; it is one or two where nothing is delayed


def start(system, *paths, pps="1000"):
    net = system.simnet("--seed", "5", "--hops", "15-15", *paths)
    system.broker()
    system.worker(net, "--pps", pps, "--capacity", "1000")
    client = system.client()
    client.wait_until(lambda stats: len(stats["workers"]) == 1)
    return net, client


def silent_target(net):
    """A target, far from all others, whose path answers up to the target, which does not."""
    wanted = [("icmp", f"20.200.{i}.1") for i in range(200)]
    return next(dst for (_, dst), t in net.truth(wanted).items() if t["end"] == "silent")


def waits_in_a_row(result):
    """The longest chain of answered probes each of which was sent after the answer to the one before:
    15 where a tracer asks one hop after the other."""
    probes = [p for hop in result["hops"] for p in hop["probes"] if p["rtt_us"] is not None]
    count, answered_us = 0, 0
    for probe in sorted(probes, key=lambda p: p["sent_us"] + p["rtt_us"]):
        if probe["sent_us"] >= answered_us:
            count, answered_us = count + 1, probe["sent_us"] + probe["rtt_us"]
    return count


def check_silent(result):
    """The fourteen routers answer; the target and four ttls behind it are asked, and end the trace.
    All five are asked once before any of them is asked again, so that their timeouts pass together.
    """
    assert result["stop"] == "gap-limit"
    assert [hop["ttl"] for hop in result["hops"]] == list(range(1, 15 + GAP_LIMIT))
    assert all(hop["probes"][-1]["addr"] is not None for hop in result["hops"][:14])
    for hop in result["hops"][14:]:
        assert [p["verdict"] for p in hop["probes"]] == ["no-reply"] * ATTEMPTS, hop
    sent_us = [[p["sent_us"] for p in hop["probes"]] for hop in result["hops"][14:]]
    assert max(first for first, _ in sent_us) < min(again for _, again in sent_us), sent_us


@pytest.mark.parametrize("protocol", ["icmp", "udp"])
def test_trace_on_an_idle_worker_asks_its_hops_together(system, protocol):
    _, client = start(system, "--rtt-us", "50000")  # each hop adds much more than a worker's delay
    for i in range(9):  # each in a prefix of its own: nothing is known of its distance
        target = f"20.{i}.0.1"
        result = client.request(
            "trace", target=target, id=target, protocol=protocol, timeout_ms=10000
        )
        assert (result["stop"], len(result["hops"])) == ("reached", 15)
        assert [len(hop["probes"]) for hop in result["hops"]] == [1] * 15
        assert waits_in_a_row(result) <= MOST_WAITS, result


@pytest.mark.parametrize("protocol", ["icmp", "udp", "tcp"])
def test_silent_target_costs_its_attempts(system, protocol):
    net, client = start(system, "--rtt-us", "3000", "--silent-target", "50")
    check_silent(client.request("trace", target=silent_target(net), id="x", protocol=protocol))


def test_silent_target_costs_no_more_on_a_busy_worker(system):
    net, client = start(system, "--rtt-us", "20000", "--silent-target", "50", pps="5000")
    target = silent_target(net)
    others = [("icmp", destination(4, i)) for i in range(1, 1000)]
    answering = [dst for (_, dst), t in net.truth(others).items() if t["end"] == "reply"][:300]
    client.submit([{"id": dst, "target": dst, "probes": 2} for dst in answering])
    # Others' probes may delay the first attempts, which must all be out before a timeout is over.
    client.submit([{"id": "x", "target": target, "timeout_ms": 10000}])
    results = client.collect(301)
    silent = results["x"]
    check_silent(silent)
    asked_us = silent["started_us"] + silent["hops"][14]["probes"][0]["sent_us"]
    running = sum(results[dst]["finished_us"] > asked_us for dst in answering)
    assert running > len(answering) / 2, "the worker was not busy"
    assert {results[dst]["stop"] for dst in answering} == {"reached"}
