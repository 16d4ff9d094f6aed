"""Programs of neighbouring versions work together: sessions of older ones, as they were recorded,
are played to the worker and to the broker of today; and peers that are further off are told so."""

import os
import signal

import msgpack
import pytest

from fakesessions import FakeSessions
from fakeworker import FakeWorker
from system import until

RECORDED = os.path.join(os.path.dirname(__file__), "recorded")
PROBER = "version 0.95\nhops 3\non probe ip-4=127.1.0.9: silent\n"  # as in record.py
NEW_EACH_TIME = {"epoch", "lease", "deadline_ms", "stats"}
HERE = {"127.0.0.1", "::1"}


def recorded(name):
    """[(who, bytes, or what happened)]"""
    with open(os.path.join(RECORDED, name + ".txt"), encoding="utf-8") as f:
        lines = [line.split() for line in f if not line.startswith("#")]
    return [(who, what if who == "event" else bytes.fromhex(what)) for who, what in lines]


def same(message, old):
    """All that the old one said, but for what differs each time; new keys may have come."""
    assert message["op"] == old["op"], (message, old)
    for key in set(old) - NEW_EACH_TIME:
        assert message[key] == old[key], (key, message, old)


@pytest.mark.parametrize("version", ["version-1"])
def test_old_worker_and_new_broker(system, version):
    system.broker()
    client = system.client()
    worker = FakeWorker(system.workers)
    system.clients.append(worker)
    leases = {}  # as recorded: as given now
    for who, what in recorded(version):
        if who == "client":
            assert client.request(**{**msgpack.unpackb(what)})["op"] != "error"
        elif who == "worker":
            for old, new in leases.items():
                what = what.replace(msgpack.packb(old), msgpack.packb(new))
            worker.send_raw(what)
        elif who == "broker":
            old, message = msgpack.unpackb(what), worker.receive()
            assert message is not None, f"nothing came, but {old}"
            same(message, old)
            leases.setdefault(old.get("lease"), message.get("lease"))
            assert message.get("lease") == leases[old.get("lease")]
            assert message.get("version", 1) == 1
        elif what == "reconnect":
            worker.close()
            worker = FakeWorker(system.workers)
            system.clients.append(worker)
    stats = client.wait_until(lambda s: s["workers"] == [])
    counters = stats["counters"]
    assert (stats["queue"]["queued"], counters["returned"], counters["requeued"]) == (1, 1, 1)
    assert counters["bad_worker_messages"] == counters["late_results"] == 0
    assert counters["leases_lost"] == 0
    reply = client.request("fetch", ids=["one", "two"])
    one, two = reply["results"]
    assert (one["stop"], two["stop"]) == ("reached", "cancelled")
    assert [hop["probes"][0]["addr"] for hop in one["hops"]] == ["10.0.0.1", "10.0.0.2", "127.1.0.1"]
    assert (one["worker"], one["run"], two["run"]) == ("w1", 1, 1)


def check_result(message, old):
    """It tells the same of the same trace, but for times."""
    made, then = msgpack.unpackb(message["body"]), msgpack.unpackb(old["body"])
    for key in set(then) - {"started_us", "finished_us", "probes_sent", "hops"}:
        assert made[key] == then[key], (key, made, then)
    hops = [
        [(probe["addr"], probe["rtt_us"], probe["verdict"]) for hop in r["hops"] for probe in hop["probes"]]
        for r in (made, then)
    ]
    assert hops[0] == hops[1]


@pytest.mark.parametrize("version", ["version-1"])
def test_new_worker_and_old_broker(system, version):
    broker = FakeSessions(system)
    options = ["--label", "site=ams", "--capacity", "10", "--drain", "1"]
    worker = system.worker(system.island(), *options, env=system.fakemtr(PROBER))
    for who, what in recorded(version):
        if who == "broker":
            broker.send(what)
        elif who == "event" and what == "SIGTERM":
            worker.send_signal(signal.SIGTERM)
        elif who == "worker":
            old = msgpack.unpackb(what)
            if old["op"] == "heartbeat":
                continue  # they come when they come, and expect() answers them
            message = broker.expect(old["op"])
            assert message.get("lease") == old.get("lease")
            if old["op"] == "hello":
                same(message, {**old, "versions": message["versions"]})
                low, high = message["versions"]
                assert low <= old["versions"][1] <= high
                assert message["flows"] == [4] and set(message["sources"]) >= {"127.0.0.1"}
            elif old["op"] == "result":
                check_result(message, old)
            elif old["op"] == "hop":
                assert message["ttl"] == old["ttl"]
    assert worker.wait() == 0
    assert "event=session-open" in worker.log() and "version=1" in worker.log()
    assert "event=bad-message" not in worker.log()


@pytest.mark.parametrize("versions, chosen", [([3, 4], None), ([0, 0], None), ([2, 5], 2), ([1, 1], 1)])
def test_a_peer_from_further_off(system, versions, chosen):
    system.broker()
    worker = FakeWorker(system.workers)
    system.clients.append(worker)
    reply = worker.hello("w1", versions=versions)
    if chosen is None:
        assert (reply["op"], reply["code"]) == ("reject", "unsupported-version")
        low, high = versions
        assert reply["message"] == f"versions: {low}..{high}: this broker speaks 1..2"
        return
    assert (reply["op"], reply["version"]) == ("welcome", chosen)
    client = system.client()
    client.send("trace", id="t", target="192.0.2.1")
    lease = worker.expect("trace")["lease"]
    worker.send("return", lease=lease, reason="")
    worker.send("heartbeat", leases=[])  # until then it gets nothing more
    assert worker.expect("trace")["lease"] != lease


def test_broker_that_chooses_what_was_not_offered(system):
    """It is no session: the worker goes on saying hello."""
    broker = FakeSessions(system)
    worker = system.worker(system.island(), env=system.fakemtr(PROBER))
    assert broker.expect("hello")["versions"] == [1, 2]
    broker.say("welcome", epoch=1, heartbeat_ms=1000, dead_ms=5000, version=3)
    assert broker.receive()["op"] == "hello"
    assert "version: 3: must be 1..2" in worker.log()
    broker.say("welcome", epoch=1, heartbeat_ms=1000, dead_ms=5000, version=2)
    broker.expect("heartbeat")
    assert "detail=\"w1 version=2\"" in worker.log()


def test_addresses_of_a_worker(system):
    """Those of its interfaces that are up; loopback's too, IPv6 link-local ones not."""
    net = system.island()
    broker = FakeSessions(system)
    ip = lambda *args: system.run(net.enter(["ip", *args]), "ip").wait()  # noqa: E731
    for name, number, state in (("up0", 3, "up"), ("down0", 5, "down")):
        assert ip("tuntap", "add", name, "mode", "tap") == 0
        assert ip("link", "set", name, state) == 0
        for address in (f"192.0.2.{number}/24", f"2001:db8::{number}/64", f"fe80::{number}/64"):
            assert ip("addr", "add", address, "dev", name) == 0
    system.worker(net, env=system.fakemtr(PROBER))
    hello = broker.expect("hello")
    assert set(hello["sources"]) == {*HERE, "192.0.2.3", "2001:db8::3"}
    # Each hello lists the sources. If there are too many, it lists none.
    assert ip("addr", "del", "192.0.2.3/24", "dev", "up0") == 0
    until(lambda: set(broker.expect("hello")["sources"]) == {*HERE, "2001:db8::3"}, "told")
    for i in range(62):
        assert ip("addr", "add", f"198.51.100.{i + 1}/32", "dev", "up0") == 0
    until(lambda: "sources" not in broker.expect("hello"), "too many")
    assert ip("addr", "del", "198.51.100.1/32", "dev", "up0") == 0
    listed = until(lambda: broker.expect("hello").get("sources"), "no sources")
    assert len(set(listed)) == len(listed) == 64
