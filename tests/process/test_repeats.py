"""An answer that comes once more, when its sequence number has a newer probe, is not taken for that
one's. An idle worker leaves the busy one half of the numbers, so that they come round in less time
than that: if it took all, more than a hundred hops would be false."""

from system import full_or_small
from truth import tally, traces

NUMBERS = 32536  # of mtr-packet up to 0.95; later ones have fewer
INTERNET = ["--seed", "29", "--hops", "8-16", "--rtt-us", "3000", "--duplicate", "20:1000"]
TRACES = full_or_small(6000, 2000)
LIMIT_S = 900


def test_no_repeated_answer_is_taken_for_a_new_one(system, capsys):
    net = system.simnet(*INTERNET, stats=True)
    system.broker()
    client = system.client()
    for i in range(2):
        system.worker(
            net, "--pps", "max", "--capacity", "900", "--label", f"busy={i == 0}", name=f"w{i}"
        )
        client.wait_until(lambda stats, up=i + 1: len(stats["workers"]) == up)
    asked = traces(["icmp", "udp"], TRACES // 2, workers={"busy": "True"})
    client.submit(asked)
    results = client.collect(len(asked), LIMIT_S)
    found = tally(net, results)
    done = client.wait_until(lambda s: sum(w["stats"]["traces_done"] for w in s["workers"]) == TRACES)
    stats = next(w["stats"] for w in done["workers"] if w["name"] == "w0")
    weather = net.stop()
    with capsys.disabled():
        print(
            f"\n  {stats['probes_sent']} probes, {stats['numbers_skipped'] / NUMBERS:.1f} times round; "
            f"{weather['duplicates']} answers repeated, {stats['duplicates_suspected']} suspected; "
            f"{found.answered} answers, {found.lost} lost, {len(found.wrong)} false"
        )
    assert found.wrong == [], found.wrong[:20]
    assert weather["duplicates"] > TRACES
    assert stats["duplicates_suspected"] > TRACES / 100
    assert stats["probes_sent"] + stats["numbers_skipped"] > 3 * NUMBERS * TRACES / 6000
