"""An answer that comes again, when its sequence number has a newer probe, is not taken for that
one's. Three idle workers leave the busy one an eighth of the numbers, so that these come round in
less time than that, on a slow machine too."""

from system import full_or_small, until
from truth import tally, traces

NUMBERS = 32536  # of mtr-packet up to 0.95; later ones have fewer
REPEATED_MS = 1000  # after the answer
INTERNET = [
    *("--seed", "29", "--hops", "8-16", "--rtt-us", "3000"),
    *("--duplicate", f"20:{REPEATED_MS}"),
]
TRACES = full_or_small(6000, 2000)
WORKERS = ("idle1", "idle2", "idle3", "busy")
BUSY = WORKERS[-1]
LIMIT_S = 900


def test_no_repeated_answer_is_taken_for_a_new_one(system, capsys):
    net = system.simnet(*INTERNET, stats=True)
    system.broker()
    client = system.client()
    for name in WORKERS:  # each gets half of the numbers of the one before
        worker = system.worker(
            net, "--pps", "max", "--capacity", "900", "--label", f"name={name}", name=name
        )
        until(lambda log=worker.log: "event=slices have=" in log(), f"numbers for {name}")
    assert "event=slices have=1 of=8" in worker.log(), worker.log()
    client.wait_until(lambda stats: sum("trouble" not in w for w in stats["workers"]) == len(WORKERS))
    asked = traces(["icmp", "udp"], TRACES // 2, workers={"name": BUSY})
    client.submit(asked)
    results = client.collect(len(asked), LIMIT_S)
    found = tally(net, results)
    done = client.wait_until(lambda s: sum(w["stats"]["traces_done"] for w in s["workers"]) == TRACES)
    stats = next(w["stats"] for w in done["workers"] if w["name"] == BUSY)
    weather = net.stop()
    with capsys.disabled():
        print(
            f"\n  {stats['probes_sent']} probes, {stats['numbers_skipped'] / NUMBERS:.1f} times round; "
            f"{weather['duplicates']} answers repeated, {stats['duplicates_suspected']} suspected; "
            f"{found.answered} answers, {found.lost} lost, {len(found.wrong)} false"
        )
    assert found.wrong == [], found.wrong[:20]
    assert weather["duplicates"] > TRACES
    commands = stats["probes_sent"] + stats["numbers_skipped"]
    assert commands > 3 * NUMBERS * TRACES / 6000  # several times round its own numbers
    assert stats["duplicates_suspected"] > TRACES / 20
