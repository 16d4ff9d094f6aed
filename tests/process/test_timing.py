"""How near the reported times are to the true ones.

What else runs on the machine only ever adds to a time, and never takes from one. So what is
measured gets the first turn, and a bound may be met by the best of several short runs; all of them
are printed.
"""

import pytest

from system import first_turn
from truth import percentile, tally, traces

PATHS = ["--seed", "7", "--hops", "15-15"]
RUNS, MOST_RUNS = 6, 12
LIMIT_S = 60


def stolen_ticks():
    """What the hypervisor has given to others, of all cores, in hundredths of a second."""
    with open("/proc/stat", encoding="ascii") as f:
        return int(f.readline().split()[8])


class Bench:
    """One simulated internet, and one worker at a time in it."""

    def __init__(self, system, rtt_us):
        self.system = system
        self.net = system.simnet(*PATHS, "--rtt-us", str(rtt_us), stats=True)
        self.client = system.client()
        self.worker = None
        self.next = 1
        system.broker()

    def start(self, pps):
        if self.worker is not None:
            self.worker.stop()
        self.worker = self.system.worker(
            self.net, "--pps", str(pps), "--capacity", "1000", name=f"w-{pps}"
        )
        self.client.wait_until(lambda stats: [w["name"] for w in stats["workers"]] == [f"w-{pps}"])
        first_turn(self.net, self.worker)

    def run(self, protocol, count):
        """The excess of all times over the truth, and how many probes were sent a second."""
        self.client.submit(traces([protocol], count, first=self.next, timeout_ms=1000))
        self.next += count
        results = self.client.collect(count, LIMIT_S)
        found = tally(self.net, results)
        assert found.wrong == [], found.wrong[:20]
        since = min(r["started_us"] for r in results.values())
        until = max(r["finished_us"] for r in results.values())
        probes = sum(r["probes_sent"] for r in results.values())
        return found.excess_us, probes / (until - since) * 1e6

    def measure(self, protocol, pps, p50_us, p99_us):
        """Runs of two seconds until one is within both bounds. One in which the machine's own host
        took time from it does not count; where all are so, nothing was measured."""
        self.start(pps)
        quiet = 0
        for _ in range(MOST_RUNS):
            before = stolen_ticks()
            excess_us, rate = self.run(protocol, pps * 2 // 15)
            stolen = stolen_ticks() - before
            quiet += stolen == 0
            p50, p99 = percentile(excess_us, 0.5), percentile(excess_us, 0.99)
            print(
                f"\n  {protocol} at {pps} probes/s, sent {rate:.0f}: time beyond the truth "
                f"p50 {p50} us, p99 {p99} us, max {max(excess_us)} us; {stolen} ticks stolen",
                end="",
            )
            if 0.9 * pps < rate < 1.1 * pps and p50 <= p50_us and p99 <= p99_us:
                break
            assert quiet < RUNS, f"none of {RUNS} runs within {p50_us} us and {p99_us} us"
        else:
            pytest.skip(f"the host of this machine took time in all but {quiet} of {MOST_RUNS} runs")
        lag = self.net.stop()
        print(f"; simnet's share p50 {lag['lag_p50_us']} us, p99 {lag['lag_p99_us']} us")


@pytest.mark.parametrize("protocol", ["icmp", "udp"])
def test_times_are_true_at_5000_probes_a_second(system, capsys, protocol):
    with capsys.disabled():
        Bench(system, rtt_us=3000).measure(protocol, 5000, p50_us=150, p99_us=500)


def test_times_are_true_at_half_of_the_top_rate(system, capsys):
    bench = Bench(system, rtt_us=1000)
    bench.start("max")
    top = max(bench.run("icmp", 3000)[1] for _ in range(3))
    with capsys.disabled():
        print(f"\n  top rate {top:.0f} probes/s", end="")
        bench.measure("icmp", int(top / 2), p50_us=200, p99_us=2000)
