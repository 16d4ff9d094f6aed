"""What the broker promises to clients that vanish or ask again, to subscribers that were away, and
to all, while networks are cut, disks are full, clocks are set and programs are replaced."""

import os
import signal
import struct
import time

import msgpack
import pytest

from disk import Disk
from fakeworker import FakeWorker, body
from proxy import DOWN, UP, Proxy
from system import PATIENCE, program, until

TARGET = "192.0.2.1"
DISK_BYTES = 192 * 1024 * 1024  # the broker keeps 64 MiB in reserve and wants 32 more


def traces(*names, **fields):
    return [{"id": name, "target": TARGET, **fields} for name in names]


@pytest.fixture
def proxy():
    made = Proxy()
    yield made
    made.close()


@pytest.fixture
def fake(system):
    def new(name="fake", **changes):
        worker = FakeWorker(system.workers)
        system.clients.append(worker)
        assert worker.hello(name, **changes)["op"] == "welcome"
        return worker

    return new


def joined(*names):
    return lambda stats: {w["name"] for w in stats["workers"]} == set(names)


def run_all(worker, count):
    """Runs this many traces, until each has been acknowledged."""
    while count > 0:
        message = worker.receive()
        assert message is not None, f"{count} traces to go"
        if message["op"] == "trace":
            worker.result(message["lease"], body(message["trace"]))
        count -= message["op"] == "done"


def published(topics, count):
    """So many results, in their order."""
    results = []
    while len(results) < count:
        assert topics.poll(PATIENCE * 1000), f"{len(results)} of {count} results"
        message = msgpack.unpackb(topics.recv_multipart()[1])
        results += [message] if message["op"] == "result" else []
    return results


# ---- clients ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [UP, DOWN])
def test_client_that_vanishes_before_the_answer(system, proxy, fake, lost):
    """It was not accepted, or once; to send it again tells which."""
    system.submit, dialled = proxy.link("submit")
    system.broker()
    watcher, names = system.client(), ["a", "b", "c"]
    direct, system.submit = system.submit, dialled
    client = system.client()
    assert client.request("ping")["op"] == "pong"
    proxy.swallow("submit", lost)
    client.send("submit", traces=traces(*names))
    if lost == DOWN:
        watcher.wait_until(lambda s: s["counters"]["accepted"] == 3)
    until(lambda: proxy.links["submit"].swallowed_bytes > 0, "nothing swallowed")
    client.close()
    proxy.repair("submit")

    system.submit = direct
    client = system.client()
    assert client.request("submit", traces=traces(*names), notify=True)["ids"] == names
    worker = fake()
    run_all(worker, 3)
    assert set(client.collect(3)) == set(names)
    worker.silent()
    counters = watcher.counters()
    assert (counters["accepted"], counters["repeated"]) == (3, 3 if lost == DOWN else 0)
    assert counters["dispatched"] == counters["results"] == 3


def test_client_that_waits_over_restarts(system, fake):
    """It asks again under the same id: for what waits, for what runs, and for what is done."""
    broker = system.broker(store="store")
    client = system.client()
    request = {"id": "x", "target": TARGET, "meta": {"mine": 1}}

    def again():
        nonlocal broker
        broker.kill()
        broker = system.broker(store="store")
        system.clients.append(system.client())
        return system.clients[-1]

    client.request("submit", traces=[request])
    client = again()
    client.send("trace", **request)
    worker = fake()
    given = worker.expect("trace")
    client = again()
    client.send("trace", **request)
    worker = fake(leases=[given["lease"]])
    worker.result(given["lease"], body(given["trace"]))
    worker.expect("done")
    end = client.receive()
    assert (end["op"], end["id"], end["run"], end["seq"]) == ("result", "x", 1, 1)
    assert end["meta"] == {"mine": 1}

    client = again()
    assert client.request("trace", **request) == end
    assert client.request("fetch", ids=["x"])["results"] == [end]
    (conflict,) = client.request("submit", traces=traces("x"))["ids"]
    assert conflict["code"] == "conflict"
    # The worker had no answer to its result, for all it knows, and sends it again.
    worker = fake(leases=[given["lease"]])
    assert worker.expect("done")["lease"] == given["lease"]
    worker.result(given["lease"], body(given["trace"], stop="max-ttl"))
    assert worker.expect("done")["lease"] == given["lease"]
    worker.silent()
    counters = client.counters()
    assert (counters["late_results"], counters["results"], counters["dispatched"]) == (1, 0, 0)
    assert client.request("fetch", ids=["x"])["results"] == [end]
    assert client.request("ping")["seq"] == 1


# ---- subscribers -----------------------------------------------------------------------------


def test_subscriber_that_was_away(system, fake):
    """It sees the gap by `alive.`, without any result, and has it filled, or is told what is lost."""
    system.broker("--keep-results", "5", store="store")
    client, worker = system.client(), fake()
    topics = system.subscriber("result.s.")

    def run(*names):
        client.request("submit", traces=traces(*names, stream="s"))
        run_all(worker, len(names))

    run("1", "2")
    client.request("submit", traces=traces("other"))
    run_all(worker, 1)
    here = published(topics, 2)
    topics.close()
    system.clients.remove(topics)
    run("3", "4", "5")
    topics = system.subscriber("result.s.")
    alive = msgpack.unpackb(topics.recv_multipart()[1])
    assert (alive["op"], alive["seq"]) == ("alive", 6)
    assert alive["streams"]["s"] == 5 > here[-1]["stream_seq"] == 2
    filled = client.request("replay", after=here[-1]["seq"], stream="s")
    assert [r["stream_seq"] for r in filled["results"]] == [3, 4, 5]
    assert "lost" not in filled and not filled["more"]
    assert filled["results"] == client.request("fetch", ids=["3", "4", "5"])["results"]

    run(*(str(n) for n in range(6, 26)))
    gone = client.wait_until_answer(
        lambda reply: len(reply["results"]) == 5, "replay", after=here[-1]["seq"]
    )
    assert gone["lost"] == [3, 21] and [r["seq"] for r in gone["results"]] == list(range(22, 27))


# ---- the network between broker and worker ---------------------------------------------------


def test_partition_longer_than_the_heartbeat(system, proxy):
    """Both sides go on: the traces run elsewhere, and what the worker has found meanwhile is dropped."""
    direct, dialled = proxy.link("workers")
    system.workers = direct
    system.broker()
    slow = system.fakemtr("hops 1\nrtt 100000\non probe: late 3900\n")
    system.workers = dialled
    a = system.worker(None, name="a", env=slow)
    client, watcher = system.client(), system.client()
    watcher.wait_until(joined("a"))
    names = [f"t{i}" for i in range(20)]
    made = [{"id": n, "target": f"127.1.0.{1 + i}"} for i, n in enumerate(names)]
    client.send("submit", traces=[{**t, "timeout_ms": 9000, "attempts": 1} for t in made], notify=True)
    watcher.wait_until(lambda s: s["queue"]["running"] == 20)
    for way in (UP, DOWN):
        proxy.swallow("workers", way)
    system.workers = direct
    system.worker(None, name="b", env=slow)
    stats = watcher.wait_until(lambda s: s["counters"]["workers_lost"] == 1)
    assert stats["counters"]["leases_lost"] == 20 and stats["counters"]["late_results"] == 0
    watcher.wait_until(lambda s: [w["running"] for w in s["workers"] if w["name"] == "b"] == [20])
    proxy.repair("workers")
    stats = watcher.wait_until(lambda s: s["counters"]["late_results"] >= 20)
    results = client.collect(20)
    assert {(r["worker"], r["run"], r["stop"]) for r in results.values()} == {("b", 2, "reached")}
    client.nothing_more()
    watcher.wait_until(joined("a", "b"))
    assert a.popen.poll() is None
    counters = watcher.counters()
    assert (counters["results"], counters["dispatched"], counters["workers_lost"]) == (20, 40, 1)


# ---- clocks ----------------------------------------------------------------------------------


def test_wall_clock_that_is_set(system):
    """An hour forth and two back, for broker and worker: no lease, deadline or time of a hop ends by
    it, and seq goes on after a restart in the past."""
    clock = system.path("clock")
    offset = os.open(clock, os.O_RDWR | os.O_CREAT)

    def set_clock(offset_s):
        os.pwrite(offset, struct.pack("=q", offset_s), 0)

    set_clock(0)
    fake_env = {"LD_PRELOAD": program("tests/wallclock.so"), "WALLCLOCK": clock}
    broker = system.broker(store="store", env=fake_env)
    prober = system.fakemtr("hops 3\nrtt 300000\n")
    system.worker(None, name="a", env={**prober, **fake_env})
    client, watcher = system.client(), system.client()
    watcher.wait_until(joined("a"))
    epochs, done = [], 0
    for offset_s in (3600, -3600):
        made = [{"id": f"t{offset_s}.{i}", "target": f"127.1.0.{1 + i}"} for i in range(20)]
        slow = {"window": 1, "timeout_ms": 5000, "deadline_ms": 60000}
        client.send("submit", traces=[{**t, **slow} for t in made], notify=True)
        watcher.wait_until(lambda s: s["queue"]["running"] == 20)
        set_clock(offset_s)
        results = client.collect(20)
        done += 20
        for result in results.values():
            assert (result["stop"], result["run"], len(result["hops"])) == ("reached", 1, 3), result
            for hop in result["hops"]:
                times = [p["rtt_us"] for p in hop["probes"] if p["rtt_us"] is not None]
                assert times and all(0 < t < 2_000_000 for t in times), hop
        shift_s = max(r["finished_us"] for r in results.values()) / 1e6 - time.time()
        assert abs(shift_s - offset_s) < 1800, "the clock was not set"
        pong = client.request("ping")
        epochs.append(pong["epoch"])
        assert pong["seq"] == done
        broker.kill()
        broker = system.broker(store="store", env=fake_env)
        client.close()
        client = system.client()
        watcher = system.client()
        watcher.wait_until(joined("a"))
    pong = client.request("ping")
    assert pong["seq"] == done and pong["epoch"] > epochs[1] > epochs[0] == pong["origin"]
    assert client.counters()["workers_lost"] == 0
    os.close(offset)


# ---- disks -----------------------------------------------------------------------------------


def test_disk_that_is_full_for_a_while(system, fake):
    """Nothing new is accepted, what is there goes on, and when there is room so does the rest."""
    disk = Disk(system.path("disk"), DISK_BYTES)
    try:
        if disk.why:
            pytest.skip("no small disk here: " + disk.why)
        broker = system.broker(store=os.path.join(disk.path, "store"), enter=disk.enter)
        client, other, worker = system.client(), system.client(), fake(capacity=2)
        names = [f"t{i}" for i in range(4)]
        assert client.request("submit", traces=traces(*names), notify=True)["ids"] == names
        disk.fill()
        busy = other.wait_until_answer(
            lambda reply: reply["op"] == "error", "trace", target=TARGET, deadline_ms=100
        )
        assert (busy["code"], busy["reason"]) == ("busy", "disk") and busy["retry_ms"] > 0
        run_all(worker, 4)
        results = client.collect(4)
        assert client.request("fetch", ids=["t0"])["results"] == [
            {k: v for k, v in results["t0"].items() if k != "req"}
        ]
        disk.free()
        client.wait_until_answer(
            lambda reply: reply["ids"] == ["new"], "submit", traces=traces("new")
        )
        run_all(worker, 1)
        assert client.request("ping")["seq"] >= 5
        assert broker.popen.poll() is None
    finally:
        disk.close()


# ---- programs that are replaced --------------------------------------------------------------


def test_drained_broker_leaves_the_rest_to_the_next(system, fake):
    broker = system.broker(store="store")
    client, worker = system.client(), fake(capacity=1)
    client.request("submit", traces=traces("a", "b", "c"))
    given = worker.expect("trace")
    broker.send_signal(signal.SIGTERM)
    busy = client.wait_until_answer(
        lambda reply: reply["op"] == "error", "trace", target=TARGET, deadline_ms=100
    )
    assert (busy["code"], busy["reason"]) == ("busy", "draining") and busy["retry_ms"] > 0
    assert broker.popen.poll() is None, "it waits for what runs"
    worker.result(given["lease"], body(given["trace"]))
    worker.expect("done")
    assert broker.wait() == 0
    broker = system.broker(store="store")
    client, worker = system.client(), fake()
    states = client.request("status", ids=["a", "b", "c"])["states"]
    assert [s["state"] for s in states][0] == "done"
    run_all(worker, 2)
    ends = client.request("fetch", ids=["a", "b", "c"])["results"]
    assert [(r["id"], r["seq"], r["run"]) for r in ends] == [("a", 1, 1), ("b", 2, 1), ("c", 3, 1)]
