"""What a trace sends to what is silent: its attempts, and no more; also beside many other traces.

How long it takes is measured by make bench."""

import pytest

from truth import destination

ATTEMPTS = 2  # the default
GAP_LIMIT = 5  # the default


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


def check_silent(result):
    """The fourteen routers answer; the target and four ttls behind it are asked, and end the trace."""
    assert result["stop"] == "gap-limit"
    assert [hop["ttl"] for hop in result["hops"]] == list(range(1, 15 + GAP_LIMIT))
    assert all(hop["probes"][-1]["addr"] is not None for hop in result["hops"][:14])
    for hop in result["hops"][14:]:
        assert [p["verdict"] for p in hop["probes"]] == ["no-reply"] * ATTEMPTS, hop


@pytest.mark.parametrize("protocol", ["icmp", "udp"])
def test_trace_on_an_idle_worker_asks_each_hop_once(system, protocol):
    _, client = start(system, "--rtt-us", "3000")
    for i in range(9):  # each in a prefix of its own: nothing is known of its distance
        target = f"20.{i}.0.1"
        result = client.request(
            "trace", target=target, id=target, protocol=protocol, timeout_ms=10000
        )
        assert (result["stop"], len(result["hops"])) == ("reached", 15)
        assert [len(hop["probes"]) for hop in result["hops"]] == [1] * 15


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
    client.submit([{"id": "x", "target": target}])
    results = client.collect(301)
    check_silent(results["x"])
    assert {results[dst]["stop"] for dst in answering} == {"reached"}
