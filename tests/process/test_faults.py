"""What dies, hangs or stops in the middle of its work costs no trace, doubles none, falsifies none.

Two workers share the simulated internet of these tests. Probers in one network namespace may take
each other's TCP hops (mtr-packet's search for the probe of an ICMP error goes by sequence number
alone), so they are given ICMP and UDP only.
"""

import os
import signal

import msgpack
import pytest

from system import PATIENCE, until
from truth import Tally, destination

HOURS = "3600"  # of --drain: what ends before a test gives up has not waited for it
INTERNET = [
    *("--seed", "11", "--hops", "6-12", "--rtt-us", "3000"),
    *("--silent-router", "10", "--silent-target", "10", "--unreachable", "5"),
    *("--mpls", "20", "--balanced", "20"),
]
# Nothing is lost by this network, so that a hop which answers and is reported as silent is false.
# A trace that runs until it is ended: each of its probes waits 30 s, one after the other.
ENDLESS = {"max_ttl": 255, "gap_limit": 0, "timeout_ms": 30000, "window": 1, "attempts": 32}
SILENT = ["--seed", "3", "--hops", "2-2", "--silent-router", "100", "--silent-target", "100"]


def submit(client, count, first=1, **fields):
    """So many traces in one go, half of them ICMP, half UDP, to destinations from `first` on;
    {id: (protocol, destination)}."""
    pairs = [(p, destination(4, first + i)) for i in range(count // 2) for p in ("icmp", "udp")]
    traces = [
        {"id": f"{p}-{dst}", "target": dst, "protocol": p, "timeout_ms": 1000, **fields}
        for p, dst in pairs
    ]
    client.send("submit", traces=traces, notify=True)
    return {trace["id"]: pair for trace, pair in zip(traces, pairs)}


def tally(net, results, pairs):
    truths = net.truth(pairs.values())
    made = Tally()
    for name, pair in pairs.items():
        made.trace(results[name], truths[pair])
    return made


def ended_once(client, results, count):
    """Nobody got a second result, and the broker counts as many."""
    client.nothing_more()
    counters = client.counters()
    assert counters["accepted"] == counters["results"] == count == len(results)
    return counters


def prober_of(worker):
    """The mtr-packet of a worker: its only child."""
    return until(worker.children, "no mtr-packet")[0]


def command(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            name, state = f.read().split("(", 1)[1].rsplit(")", 1)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state.split()[0] == "Z" else name


def worker_stats(stats, name):
    return next((w for w in stats["workers"] if w["name"] == name), None)


class Supply:
    """Traces that do not run out, so that workers are busy however long one looks away."""

    def __init__(self, client):
        self.client, self.pairs = client, {}

    def until(self, watcher, condition):
        def holds(stats):
            if stats["queue"]["queued"] < 100:
                first = 1 + len(self.pairs) // 2
                self.pairs.update(submit(self.client, 200, first))
            return condition(stats)

        return watcher.wait_until(holds)


def joined(*names):
    return lambda stats: {w["name"] for w in stats["workers"]} == set(names)


def test_killed_prober_and_killed_worker(system):
    net = system.simnet(*INTERNET)
    system.broker()
    limits = ["--pps", "800", "--capacity", "60"]
    workers = {n: system.worker(net, *limits, name=n) for n in ("a", "b")}
    client, watcher = system.client(), system.client()
    watcher.wait_until(joined("a", "b"))
    supply = Supply(client)

    supply.until(watcher, lambda s: worker_stats(s, "a").get("stats", {}).get("probes_in_flight", 0))
    old = prober_of(workers["a"])
    assert command(old) == "mtr-packet"
    os.kill(old, signal.SIGKILL)

    def restarted(stats):
        w = worker_stats(stats, "a")
        return w is not None and w["stats"]["prober_restarts"] == 1

    stats = supply.until(watcher, restarted)
    assert worker_stats(stats, "a")["stats"]["probes_lost"] > 0, "killed while it was idle"
    assert prober_of(workers["a"]) != old
    assert worker_stats(stats, "b")["stats"]["prober_restarts"] == 0

    supply.until(watcher, lambda s: worker_stats(s, "b")["running"] > 10)
    workers["b"].kill()

    pairs, count = supply.pairs, len(supply.pairs)
    results = client.collect(count)
    counters = ended_once(client, results, count)
    again = [r for r in results.values() if r["run"] == 2]
    assert {r["run"] for r in results.values()} == {1, 2}
    assert all(r["worker"] == "a" for r in again)
    assert len(again) == counters["leases_lost"] == counters["requeued"] > 0
    assert counters["dispatched"] == count + len(again)
    assert counters["workers_lost"] == 1
    assert counters["late_results"] == 0
    found = tally(net, results, pairs)
    assert found.wrong == [], found.wrong[:20]
    assert {r["stop"] for r in results.values()} == {"reached", "unreachable", "gap-limit"}
    assert found.lost == 0, f"{found.lost} hops that answer are reported as silent"
    assert found.answered > 4 * count


def test_stopped_worker_is_lost_and_its_late_results_dropped(system):
    net = system.simnet(*SILENT)
    system.broker()
    workers = {n: system.worker(net, name=n) for n in ("a", "b")}
    client, watcher = system.client(), system.client()
    watcher.wait_until(joined("a", "b"))
    # Two probes each, which nobody answers: all of them are out when the worker is stopped, and
    # have all come to their end when it goes on.
    submit(client, 40, timeout_ms=4000, max_ttl=2, attempts=1)
    until(lambda: sent_packets(net.pid) == 80, "probes sent")
    workers["b"].send_signal(signal.SIGSTOP)
    stats = watcher.wait_until(lambda s: s["counters"]["workers_lost"] == 1)
    assert stats["counters"]["leases_lost"] == 20
    results = client.collect(40)
    assert [r["worker"] for r in results.values() if r["run"] == 2] == ["a"] * 20
    assert {r["stop"] for r in results.values()} == {"max-ttl"}

    workers["b"].send_signal(signal.SIGCONT)
    watcher.wait_until(
        lambda s: s["counters"]["late_results"] >= 20
        and joined("a", "b")(s)
        and worker_stats(s, "b").get("stats", {}).get("traces_done", 0) >= 20
    )
    counters = ended_once(client, results, 40)
    assert counters["workers_joined"] == 3

    # It is a worker like any other again.
    workers["a"].stop(signal.SIGTERM)
    watcher.wait_until(joined("b"))
    end = client.request("trace", target="20.0.0.9", id="x", timeout_ms=100, max_ttl=1, attempts=1)
    assert (end["worker"], end["run"], end["stop"]) == ("b", 1, "max-ttl")


def busy_worker(system):
    """A worker that takes some seconds for 30 traces: (net, worker, client, watcher)."""
    net = system.simnet(*INTERNET)
    system.broker()
    worker = system.worker(net, "--pps", "200", name="a")
    client, watcher = system.client(), system.client()
    watcher.wait_until(joined("a"))
    return net, worker, client, watcher


def all_true(net, client, pairs):
    results = client.collect(len(pairs))
    ended_once(client, results, len(pairs))
    found = tally(net, results, pairs)
    assert found.wrong == [], found.wrong[:20]
    assert found.lost == 0, f"{found.lost} hops that answer are reported as silent"


def test_pause_of_a_worker_makes_no_hop_silent(system):
    """The answers came in time: they stand in the pipe while the worker does not look."""
    net, worker, client, watcher = busy_worker(system)
    alive = system.subscriber()
    pairs = submit(client, 30)
    watcher.wait_until(lambda s: s["counters"]["results"] > 5)
    worker.send_signal(signal.SIGSTOP)
    while alive.poll(0):
        alive.recv_multipart()
    for _ in range(3):  # longer than a probe may take, shorter than the worker may be silent
        assert alive.poll(PATIENCE * 1000), "no alive message"
        alive.recv_multipart()
    worker.send_signal(signal.SIGCONT)
    all_true(net, client, pairs)
    stats = watcher.wait_until(lambda s: s["workers"] and s["workers"][0]["stats"]["traces_done"] == 30)
    assert stats["counters"]["workers_lost"] == 0
    assert "prober-ended" not in worker.log(), "the prober was replaced for our own pause"


def test_hanging_prober_makes_no_hop_silent(system):
    """Probes that a prober holds while it hangs are lost with it, not unanswered."""
    net, worker, client, watcher = busy_worker(system)
    pairs = submit(client, 30)
    watcher.wait_until(lambda s: s["counters"]["results"] > 5)
    prober = prober_of(worker)
    os.kill(prober, signal.SIGSTOP)
    watcher.wait_until(lambda s: s["workers"][0]["stats"]["prober_restarts"] == 1)
    until(lambda: command(prober) is None, "the old prober is there")
    all_true(net, client, pairs)


def test_new_broker_after_kill(system):
    net = system.simnet(*SILENT)
    broker = system.broker()
    worker = system.worker(net, "--drain", HOURS)
    client = system.client()
    client.wait_until(joined("w1"))
    before = client.request("ping")["epoch"]
    traces = [{"target": destination(4, i), "id": f"old{i}", **ENDLESS, "timeout_ms": 1000} for i in range(1, 6)]
    client.request("submit", traces=traces)
    client.wait_until(lambda s: worker_stats(s, "w1").get("stats", {}).get("probes_sent", 0) >= 5)

    broker.kill()
    system.broker()
    client.close()
    client = system.client()
    stats = client.wait_until(joined("w1"))
    assert client.request("ping")["epoch"] > before
    assert stats["counters"]["workers_joined"] == 1
    states = client.request("status", ids=["old1"])["states"]
    assert states == [{"id": "old1", "state": "unknown"}]

    # The old leases are forgotten at the worker too: it has nothing in flight for them, and its
    # place for new traces is free.
    def forgotten(stats):
        w = worker_stats(stats, "w1")
        return w["running"] == 0 and "stats" in w

    client.wait_until(forgotten)
    new = client.request(
        "trace", target=destination(4, 7), id="new", timeout_ms=100, gap_limit=1, max_ttl=1
    )
    assert (new["stop"], new["run"], new["seq"]) == ("gap-limit", 1, 1)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0, "it holds old leases, and waits for them"
    counters = client.counters()
    assert (counters["late_results"], counters["results"]) == (0, 1)


def test_sigterm_drains_a_worker(system):
    net = system.simnet(*INTERNET)
    system.broker()
    worker = system.worker(net, "--pps", "200", "--capacity", "20", "--drain", HOURS)
    client, watcher = system.client(), system.client()
    watcher.wait_until(joined("w1"))
    # One runs until it is cancelled, so that the drain is not over before it was seen.
    nowhere = next(d for d in map(destination, [4] * 100, range(1000, 1100))
                   if net.truth([("icmp", d)])[("icmp", d)]["end"] == "silent")
    watcher.request("submit", traces=[{"target": nowhere, "id": "x", **ENDLESS, "timeout_ms": 1000}])
    pairs = submit(client, 60)
    watcher.wait_until(lambda s: s["queue"]["running"] == 20 and s["counters"]["results"] > 0)
    worker.send_signal(signal.SIGTERM)
    watcher.wait_until(lambda s: s["workers"][0]["draining"])
    assert watcher.request("status", ids=["x"])["states"][0]["state"] == "running"
    watcher.request("cancel", ids=["x"])
    assert worker.wait() == 0
    stats = watcher.wait_until(lambda s: s["workers"] == [])
    # What ran has ended, what had not begun waits for another.
    assert stats["queue"]["running"] == 0
    assert stats["counters"]["leases_lost"] == stats["counters"]["workers_lost"] == 0
    assert stats["queue"]["queued"] == 61 - stats["counters"]["results"] > 0
    (end,) = watcher.request("fetch", ids=["x"])["results"]
    assert (end["stop"], end["run"]) == ("cancelled", 1) and "error" not in end
    system.worker(net, name="w2")
    results = client.collect(60)
    client.nothing_more()
    assert client.counters()["results"] == 61
    assert {r["run"] for r in results.values()} == {1}
    assert {r["worker"] for r in results.values()} == {"w1", "w2"}
    found = tally(net, results, pairs)
    assert found.wrong == [] and found.lost == 0, (found.wrong[:20], found.lost)


def test_second_sigterm_of_a_worker_hands_its_traces_back(system):
    net = system.simnet(*SILENT)
    system.broker()
    worker = system.worker(net, "--drain", HOURS)
    client = system.client()
    client.wait_until(joined("w1"))
    client.request("submit", traces=[{"target": destination(4, 1), "id": "x", **ENDLESS}])
    # The broker has given it away; that the worker has it shows when it probes.
    client.wait_until(lambda s: s["workers"][0].get("stats", {}).get("probes_sent", 0) > 0)
    worker.send_signal(signal.SIGTERM)
    client.wait_until(lambda s: s["workers"][0]["draining"])
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    stats = client.wait_until(lambda s: s["workers"] == [])
    assert stats["queue"]["queued"] == 1
    assert stats["counters"]["returned"] == 1 and stats["counters"]["leases_lost"] == 0


def full_broker(system):
    """A broker with one trace running until it is ended and two queued, all with somebody who
    waits."""
    net = system.simnet(*SILENT)
    broker = system.broker("--drain", HOURS)
    system.worker(net, "--capacity", "1")
    client, other = system.client(), system.client()
    other.wait_until(joined("w1"))
    traces = [{"target": destination(4, i), "id": str(i), **ENDLESS} for i in (1, 2, 3)]
    assert client.request("submit", traces=traces, notify=True)["ids"] == ["1", "2", "3"]
    other.wait_until(lambda s: s["queue"]["running"] == 1 and s["queue"]["queued"] == 2)
    return broker, client, other


def test_sigterm_drains_a_broker(system):
    broker, client, other = full_broker(system)
    topics = system.subscriber("result.")
    broker.send_signal(signal.SIGTERM)
    busy = other.wait_until_answer(
        lambda reply: reply["op"] == "error", "trace", target="20.0.0.9", deadline_ms=100
    )
    assert busy["code"] == "busy" and "draining" in busy["message"]
    ids = other.request("submit", traces=[{"target": "20.0.0.8"}])["ids"]
    assert ids[0]["code"] == "busy"
    states = other.request("status", ids=["1", "2"])["states"]
    assert [s["state"] for s in states] == ["running", "queued"]
    other.request("cancel", ids=["1"])
    results = client.collect(3)
    assert broker.wait() == 0
    assert (results["1"]["stop"], results["1"]["worker"]) == ("cancelled", "w1")
    assert "error" not in results["1"]
    for name in ("2", "3"):
        assert results[name]["stop"] == "cancelled"
        assert results[name]["error"]["code"] == "unavailable"
        assert results[name]["run"] == 0 and "worker" not in results[name]
    published = []
    while len(published) < 3 or topics.poll(0):
        assert topics.poll(PATIENCE * 1000), published
        topic, body = topics.recv_multipart()
        if topic != b"alive.":
            published.append(msgpack.unpackb(body)["id"])
    assert published == ["1", "2", "3"]


def test_second_sigterm_of_a_broker_is_fast(system):
    broker, client, other = full_broker(system)
    broker.send_signal(signal.SIGTERM)
    other.wait_until_answer(lambda reply: reply["op"] == "error", "trace", target="20.0.0.9")
    broker.send_signal(signal.SIGTERM)
    results = client.collect(3)
    assert broker.wait() == 0
    assert {r["stop"] for r in results.values()} == {"cancelled"}
    assert {r["error"]["code"] for r in results.values()} == {"unavailable"}


def test_drain_of_a_broker_ends_with_its_time(system):
    net = system.simnet(*SILENT)
    broker = system.broker("--drain", "1")
    system.worker(net)
    client = system.client()
    client.wait_until(joined("w1"))
    client.send("trace", target=destination(4, 1), id="x", **ENDLESS)
    system.client().wait_until(lambda s: s["queue"]["running"] == 1)
    broker.send_signal(signal.SIGTERM)
    assert client.collect(1)["x"]["stop"] == "cancelled"
    assert broker.wait() == 0


@pytest.mark.parametrize("busy", [False, True])
def test_prober_ends_with_its_worker(system, busy):
    net = system.simnet(*SILENT)
    system.broker()
    worker = system.worker(net)
    client = system.client()
    client.wait_until(joined("w1"))
    if busy:  # mtr-packet stays until the probes that it has out are over
        wide = {**ENDLESS, "window": 64, "timeout_ms": 2000}
        client.request("submit", traces=[{"target": destination(4, 1), **wide}])
        client.wait_until(
            lambda s: s["workers"][0].get("stats", {}).get("probes_in_flight", 0) > 50
        )
    prober = prober_of(worker)
    assert command(prober) == "mtr-packet"
    worker.kill()
    until(lambda: command(prober) != "mtr-packet", "mtr-packet still there")


def waiting_bytes(pid):
    """What waits in the raw IPv4 sockets of a process's network namespace."""
    with open(f"/proc/{pid}/net/raw", encoding="ascii") as f:
        return sum(int(line.split()[4].split(":")[1], 16) for line in f.readlines()[1:])


def sent_packets(pid):
    """What has gone out into the simulated internet."""
    with open(f"/proc/{pid}/net/dev", encoding="ascii") as f:
        return next(int(line.split()[10]) for line in f if "sim0:" in line)


def test_answers_wait_for_a_prober_that_has_no_turn(system):
    """More than the 277 that the kernel's default holds, in a pause that is no death yet."""
    net = system.simnet("--hops", "8-8", "--rtt-us", "700000")
    system.broker()
    worker = system.worker(net, "--pps", "max", "--capacity", "900")
    client = system.client()
    client.wait_until(joined("w1"))
    prober = prober_of(worker)
    if "receive_bytes=0" in worker.log():
        pytest.skip("this worker may not reach into its mtr-packet")
    options = {"max_ttl": 1, "timeout_ms": 3000, "attempts": 1}
    names = [destination(4, i) for i in range(1, 801)]
    client.request("submit", traces=[{"target": n, "id": n, **options} for n in names], notify=True)
    until(lambda: sent_packets(prober) >= len(names), "probes sent")
    os.kill(prober, signal.SIGSTOP)
    until(lambda: waiting_bytes(prober) > 300000, "answers that wait")
    os.kill(prober, signal.SIGCONT)
    results = client.collect(len(names))
    silent = [r["id"] for r in results.values() if r["hops"][0]["probes"][0]["addr"] is None]
    assert silent == []
