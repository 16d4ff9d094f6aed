"""A prober that uses its sequence numbers again and again takes no late answer for a new one.

Late answers come while mtr-packet still waits, so that it reports them, or long after it has
forgotten the probe; repeated ones come at any time. The second worker does nothing but halve the
first one's numbers, so that they would come round long before that even on a slow machine: without
the worker's care some 70 hops of the full proof are false.
"""

import time

import pytest

from system import full_or_small
from truth import percentile, tally, traces

NUMBERS = 32536  # of mtr-packet up to 0.95; later ones have fewer
TIMEOUT_MS, LONGEST_TIMEOUT_MS = 1000, 1200
INTERNET = [
    *("--seed", "23", "--hops", "4-12", "--shared-hops", "0", "--rtt-us", "500"),
    *("--duplicate", "5", "--silent-router", "3"),
]
LIMIT_S = 1200


def work(count):
    """Half of the traces give up before mtr-packet does: it reports their late answers too, as
    its own time is in whole seconds."""
    made = traces(["icmp", "udp", "tcp"], count, timeout_ms=TIMEOUT_MS, workers={"for": "us"})
    for trace in made[::2]:
        trace["timeout_ms"] = LONGEST_TIMEOUT_MS
    return made


def counted(stats):
    return next(w["stats"] for w in stats["workers"] if w["name"] == "w1")


@pytest.mark.parametrize(
    "late_ms, count, reported",
    [(1900, full_or_small(2500, 1000), True), (4500, full_or_small(8500, 1500), False)],
)
def test_no_late_answer_is_taken_for_a_new_one(system, capsys, late_ms, count, reported):
    net = system.simnet(*INTERNET, "--late", f"1:{late_ms}", stats=True)
    system.broker("--keep-results", "100")
    system.worker(net, "--pps", "max", "--capacity", "1000", "--label", "for=us")
    client = system.client()
    client.wait_until(lambda stats: len(stats["workers"]) == 1)
    system.worker(net, "--label", "for=nobody", name="w2")
    client.wait_until(lambda stats: len(stats["workers"]) == 2)
    asked = work(count)
    started = time.monotonic()
    client.submit(asked)
    results = client.collect(len(asked), LIMIT_S)
    took = time.monotonic() - started
    done = client.wait_until(lambda s: counted(s)["traces_done"] == len(asked))
    stats = counted(done)
    found = tally(net, results)
    weather = net.stop()
    commands = stats["probes_sent"] + stats["numbers_skipped"]
    with capsys.disabled():
        print(
            f"\n  {stats['probes_sent']} probes in {took:.1f} s, {commands / NUMBERS:.1f} times round; "
            f"{weather['late']} answers late, {stats['late_replies']} of them reported by mtr-packet, "
            f"{weather['duplicates']} repeated\n"
            f"  {found.answered} answers, {found.lost} lost, {found.raced} raced, "
            f"{len(found.wrong)} false; time beyond the truth: p50 {percentile(found.excess_us, 0.5)} us, "
            f"p99 {percentile(found.excess_us, 0.99)} us, max {max(found.excess_us)} us"
        )
    assert found.wrong == [], found.wrong[:20]
    assert stats["probes_sent"] >= count * 200000 / 8500
    assert commands >= count * 6 * NUMBERS / 8500
    assert stats["prober_restarts"] == 0
    assert weather["late"] > count / 8.5 and weather["duplicates"] > count / 1.7
    assert not reported or stats["late_replies"] + stats["late_taken"] > count / 50
    # A time longer than any timeout is that of a late answer, or of one to a second SYN, and is
    # flagged as such.
    unmarked = [
        (name, hop["ttl"], probe)
        for name, result in results.items()
        for hop in result["hops"]
        for probe in hop["probes"]
        if (probe["rtt_us"] or 0) > LONGEST_TIMEOUT_MS * 1000 and not probe.get("flags")
    ]
    assert unmarked == [], unmarked[:20]
