"""How long a trace takes: not the sum of all round trips, and no longer for what is silent."""

import statistics

import pytest

from system import first_turn
from truth import destination

ATTEMPTS, TIMEOUT_US = 2, 2000000  # defaults
SLACK_US = 1000000


def duration_us(result):
    return result["finished_us"] - result["started_us"]


def start(system, *paths, pps="1000"):
    net = system.simnet("--seed", "5", "--hops", "15-15", *paths)
    system.broker()
    worker = system.worker(net, "--pps", pps, "--capacity", "1000")
    client = system.client()
    client.wait_until(lambda stats: len(stats["workers"]) == 1)
    first_turn(net, worker)
    return net, client


def silent_target(net):
    """A target, far from all others, whose path answers up to the target, which does not."""
    wanted = [("icmp", f"20.200.{i}.1") for i in range(200)]
    return next(dst for (_, dst), t in net.truth(wanted).items() if t["end"] == "silent")


@pytest.mark.parametrize("protocol", ["icmp", "udp"])
def test_trace_on_an_idle_worker_takes_its_longest_round_trip(system, capsys, protocol):
    _, client = start(system, "--rtt-us", "3000")
    times = []
    for i in range(9):  # each in a prefix of its own: nothing is known of its distance
        target = f"20.{i}.0.1"
        result = client.request("trace", target=target, id=target, protocol=protocol)
        assert (result["stop"], len(result["hops"])) == ("reached", 15)
        times.append(duration_us(result))
    with capsys.disabled():
        print(f"\n  {protocol}, 15 hops, 45 ms: a trace takes {[t // 1000 for t in times]} ms")
    assert statistics.median(times) <= 1.5 * 45000


@pytest.mark.parametrize("protocol", ["icmp", "udp", "tcp"])
def test_silent_target_costs_its_attempts_and_a_second(system, capsys, protocol):
    net, client = start(system, "--rtt-us", "3000", "--silent-target", "50")
    result = client.request("trace", target=silent_target(net), id="x", protocol=protocol)
    with capsys.disabled():
        print(f"\n  {protocol}, silent target: {duration_us(result) / 1e6:.2f} s")
    assert result["stop"] == "gap-limit"
    assert duration_us(result) <= ATTEMPTS * TIMEOUT_US + SLACK_US


def last_answer_us(result):
    probes = [p for hop in result["hops"] for p in hop["probes"] if p["addr"] is not None]
    return max(p["sent_us"] + p["rtt_us"] for p in probes)


def test_silent_target_costs_no_more_on_a_busy_worker(system, capsys):
    """Others' probes may delay the way to the last router that answers, not what comes then."""
    net, client = start(system, "--rtt-us", "20000", "--silent-target", "50", pps="5000")
    target = silent_target(net)
    others = [("icmp", destination(4, i)) for i in range(1, 1000)]
    answering = [dst for (_, dst), t in net.truth(others).items() if t["end"] == "reply"][:300]
    client.submit([{"id": dst, "target": dst, "probes": 2} for dst in answering])
    client.submit([{"id": "x", "target": target}])
    results = client.collect(301)
    busy_us = max(duration_us(results[dst]) for dst in answering)
    silent = results["x"]
    with capsys.disabled():
        print(
            f"\n  silent target beside 300 traces of up to {busy_us / 1e6:.2f} s: "
            f"{duration_us(silent) / 1e6:.2f} s, last answer at {last_answer_us(silent) / 1e6:.2f} s"
        )
    assert busy_us > 2000000, "it was not busy"
    assert silent["stop"] == "gap-limit"
    assert duration_us(silent) - last_answer_us(silent) <= ATTEMPTS * TIMEOUT_US + SLACK_US
