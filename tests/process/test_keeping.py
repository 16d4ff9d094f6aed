"""The broker and its store: where it is, that nobody sees what is not in it, and how it ends."""

import os
import signal
import sqlite3
import subprocess

import msgpack
import pytest
import zmq

from fakeworker import FakeWorker, body
from system import PATIENCE, program, until

TARGET = "192.0.2.1"
PENDING_BYTES = 32 * 1024 * 1024  # STORE_MAX_PENDING_BYTES: what waits for the disk, at most
PLACES = ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME")


def environment(**places):
    return {**{k: v for k, v in os.environ.items() if k not in PLACES}, **places}


def refused(*argv, env=None):
    """Runs a broker that does not start; its status and what it says."""
    done = subprocess.run(
        [program("hopmq-broker"), *argv], capture_output=True, text=True, timeout=PATIENCE, env=env
    )
    assert done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr


def endpoints(system, prefix=""):
    return [f"--{name}=ipc://{system.path(prefix + name)}" for name in ("submit", "results", "workers")]


@pytest.fixture
def fake(system):
    worker = FakeWorker(system.workers)
    system.clients.append(worker)
    return worker


class Lock:
    """Keeps the broker from writing to its store, as a disk does that takes long."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("BEGIN IMMEDIATE")

    def release(self):
        self.db.close()


# ---- where it is -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "places,directory",
    [
        ({"HOME": "h", "XDG_STATE_HOME": "x", "STATE_DIRECTORY": "s:t"}, "s"),
        ({"HOME": "h", "XDG_STATE_HOME": "x"}, "x/hopmq"),
        ({"HOME": "h"}, "h/.local/state/hopmq"),
    ],
)
def test_default_place(system, places, directory):
    """Named after the first endpoint; what is missing of the directory is made, for its owner."""
    os.mkdir(system.path("h"))
    made = {k: ":".join(map(system.path, v.split(":"))) for k, v in places.items()}
    argv = [program("hopmq-broker"), "--submit=tcp://127.0.0.1:17701", *endpoints(system)]
    broker = system.run(system.island().enter(argv), "broker", env=environment(**made))
    assert system.client().request("ping")["op"] == "pong"
    path = os.path.join(system.path(directory), "tcp-127.0.0.1-17701.db")
    assert f" store={path}\n" in broker.log()
    assert os.path.exists(path)
    while directory != "h":
        assert os.stat(system.path(directory)).st_mode & 0o7777 == 0o700
        directory = os.path.dirname(directory) or "h"


@pytest.mark.parametrize("home", [None, "", "relative", "/proc/nowhere"])
def test_no_place(system, home):
    env = environment(**({} if home is None else {"HOME": home}))
    status, says = refused(*endpoints(system), env=env)
    assert status == 73 and says.startswith("hopmq-broker: --store: ")
    assert says.endswith("; give --store PATH or --store memory\n")
    assert home != "/proc/nowhere" or "/proc/nowhere/.local/state/hopmq: cannot be created: " in says


def test_a_store_that_cannot_be_had(system):
    os.mkdir(system.path("directory"))
    for path, says in (
        (system.path("nowhere/store"), "No such file or directory"),
        (system.path("directory"), ""),
    ):
        status, said = refused(*endpoints(system), "--store", path)
        assert status == 73 and f"--store {path}" in said and says in said, said


def test_a_store_is_one_brokers(system):
    system.broker(store="store")
    client = system.client()
    epoch = client.request("ping")["epoch"]
    status, says = refused(*endpoints(system, "other-"), "--store", system.path("store"))
    assert status == 73 and f"--store {system.path('store')}: " in says, says
    assert client.request("ping")["epoch"] == epoch


def test_a_link_to_a_store_is_that_store(system):
    system.broker(store="store")
    system.client().request("ping")
    os.symlink("store", system.path("link"))
    status, says = refused(*endpoints(system, "other-"), "--store", system.path("link"))
    assert status == 73 and f"--store {system.path('store')}: " in says, says


# ---- what is in it ---------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_goes_on_where_it_stopped(system, fake, number):
    broker = system.broker("--drain", "0", store="store")
    client = system.client()
    first = client.request("ping")
    ids = client.request("submit", traces=[{"target": TARGET}] * 10)["ids"]
    client.request("cancel", ids=ids[:2])
    fake.hello(capacity=3)
    given = [fake.expect("trace") for _ in range(3)]
    broker.stop(number)
    system.broker(store="store")
    pong = client.request("ping")
    assert pong["epoch"] > first["epoch"] and pong["origin"] == first["origin"] == first["epoch"]
    assert pong["seq"] == 2
    states = [s["state"] for s in client.request("status", ids=ids)["states"]]
    assert states == ["done"] * 2 + ["running"] * 3 + ["queued"] * 5
    fake.hello(capacity=3, leases=[g["lease"] for g in given])
    fake.result(given[0]["lease"], body(given[0]["trace"]))
    fake.expect("done")
    assert [r["seq"] for r in client.request("replay", after=0)["results"]] == [1, 2, 3]


def test_all_that_had_ended_is_asked_for_again(system, fake):
    """More results than one answer of the store may have: no trace is left without its result."""
    broker = system.broker(store="store")
    client = system.client()
    traces = [{"target": TARGET, "id": f"t{i}", "meta": 900 * "x"} for i in range(1000)]
    fake.hello(capacity=1000)
    client.request("submit", traces=traces)
    for _ in traces:
        given = fake.expect("trace")
        fake.result(given["lease"], body(given["trace"]))
    for _ in traces:
        fake.expect("done")
    broker.stop()
    system.broker(store="store")
    left, seen = traces, []
    while left:
        ids = client.request("submit", notify=True, traces=left)["ids"]
        later = [i for i, said in enumerate(ids) if isinstance(said, dict)]
        assert all(ids[i]["code"] == "busy" and ids[i]["reason"] == "reads" for i in later)
        seen += [client.receive()["id"] for _ in range(len(ids) - len(later))]
        left = [left[i] for i in later]
    assert sorted(seen) == sorted(trace["id"] for trace in traces)


def test_an_id_that_is_fetched_twice(system, fake):
    """Its result does not fit into one answer twice; it comes once at least."""
    broker = system.broker(store="store")
    client = system.client()
    assert fake.hello()["op"] == "welcome"
    client.submit([{"id": "t", "target": TARGET}])
    probe = {"attempt": 1, "addr": "10.0.0.1", "rtt_us": 1, "sent_us": 0, "verdict": "ttl-expired"}
    hops = [{"ttl": ttl, "probes": [probe] * 16} for ttl in range(1, 256)]
    given = fake.expect("trace")
    fake.result(given["lease"], body(given["trace"], hops=hops, max_ttl=255))
    client.collect(1)
    broker.stop()
    system.broker(store="store")
    client = system.client()
    for count in range(1, 6):
        reply = client.request("fetch", ids=["t"] * count)
        assert len(reply["results"]) + len(reply["more"]) == count and reply["results"], reply["more"]


def test_memory_ends_with_its_broker(system):
    broker = system.broker()
    client = system.client()
    first = client.request("ping")
    client.request("submit", traces=[{"target": TARGET, "id": "x"}], notify=True)
    broker.send_signal(signal.SIGTERM)
    end = client.receive()
    assert (end["id"], end["stop"], end["seq"]) == ("x", "cancelled", 1)
    assert broker.wait() == 0
    system.broker()
    pong = client.request("ping")
    assert pong["origin"] == pong["epoch"] > first["epoch"] and pong["seq"] == 0
    assert client.request("status", ids=["x"])["states"] == [{"id": "x", "state": "unknown"}]


@pytest.mark.parametrize("age,goes", [("1s", True), ("1m", False), ("1h", False), ("1d", False)])
def test_results_are_kept_for_their_age(system, age, goes):
    """The newest always stays."""
    system.broker("--keep", age, store="store")
    client = system.client()
    ids = client.request("submit", traces=[{"target": TARGET}] * 3)["ids"]
    assert client.request("cancel", ids=ids)["op"] == "cancelled"
    kept = client.request("replay", after=0)
    assert [r["id"] for r in kept["results"]] == ids and "lost" not in kept
    if goes:
        until(lambda: client.request("replay", after=0).get("lost") == [1, 2], "kept for ever")
        return
    # The next one sees what may go.
    ids += client.request("submit", traces=[{"target": TARGET}])["ids"]
    client.request("cancel", ids=ids[3:])
    assert [r["id"] for r in client.request("replay", after=0)["results"]] == ids


def test_nobody_sees_what_is_not_on_disk(system, fake):
    broker = system.broker(store="store")
    client, other = system.client(), system.client()
    epoch = client.request("ping")["epoch"]
    topics = system.subscriber("result.")
    fake.hello()
    client.request("submit", traces=[{"target": TARGET, "id": "x"}])
    given = fake.expect("trace")
    lock = Lock(system.path("store"))
    client.send("submit", traces=[{"target": TARGET, "id": "y"}])
    # Before the result: else what is known of its id waits for the disk as well.
    other.wait_until(lambda s: s["counters"]["accepted"] == 2)
    fake.result(given["lease"], body(given["trace"]))
    # Heartbeats and stats depend on nothing that is kept.
    client.wait_until(lambda s: s["counters"]["accepted"] == 2 and s["counters"]["results"] == 1)
    fake.send("heartbeat", leases=[given["lease"]])
    assert fake.receive()["op"] == "heartbeat"
    # Even a question about it waits.
    other.send("status", ids=["x", "y"])
    assert other.request("stats")["op"] == "stats"
    broker.kill()
    lock.release()
    system.broker(store="store")
    # What the first broker published has come before the first message of the second.
    alive = {"epoch": epoch}
    while alive["epoch"] == epoch:
        assert topics.poll(PATIENCE * 1000), "no alive message"
        topic, encoded = topics.recv_multipart()
        assert topic == b"alive."
        alive = msgpack.unpackb(encoded)
    states = client.request("status", ids=["x", "y"])["states"]
    assert [s["state"] for s in states] == ["running", "unknown"]
    # The worker has the result still, and the client asks again.
    fake.hello(leases=[given["lease"]])
    fake.result(given["lease"], body(given["trace"]))
    assert fake.expect("done")["lease"] == given["lease"]
    assert client.request("submit", traces=[{"target": TARGET, "id": "y"}])["ids"] == ["y"]


def test_what_waited_comes_in_order(system):
    system.broker(store="store")
    client = system.client()
    topics = system.subscriber("result.")
    lock = Lock(system.path("store"))
    for i in range(20):
        client.send("submit", traces=[{"target": TARGET, "id": f"{i}"}], notify=True, req=i)
        client.send("cancel", ids=[f"{i}"], req=i)
    assert client.request("stats")["op"] == "stats", "it does not wait"
    lock.release()
    for i in range(20):
        replies = [client.receive() for _ in range(3)]
        assert [r["op"] for r in replies] == ["accepted", "cancelled", "result"], replies
        assert [r["req"] for r in replies] == [i] * 3
    seen = []
    while len(seen) < 20:
        assert topics.poll(PATIENCE * 1000)
        topic, _ = topics.recv_multipart()
        seen += [topic.decode()] * (topic != b"alive.")
    assert seen == [f"result.default.{i}" for i in range(20)]


def test_a_disk_that_does_not_keep_up(system):
    """What waits for it has a bound; past it the answer is busy, until it has caught up."""
    broker = system.broker(store="store")
    client, other = system.client(), system.client()
    assert client.request("ping")["op"] == "pong"
    lock = Lock(system.path("store"))
    traces = [{"target": TARGET, "meta": "x" * 700}] * 1000
    for _ in range(100):
        client.send("submit", traces=traces)
    other.wait_until(lambda stats: stats["counters"]["requests"] > 100)
    other.send("trace", target=TARGET)
    busy = other.receive()
    assert (busy["op"], busy["code"], busy["reason"]) == ("error", "busy", "store"), busy
    assert busy["retry_ms"] > 0
    with open(f"/proc/{broker.pid}/status", encoding="ascii") as f:
        assert next(int(s.split()[1]) for s in f if s.startswith("VmHWM")) < 300 * 1024
    lock.release()
    taken = 0
    for _ in range(100):
        reply = client.receive()
        if reply["op"] == "accepted":
            taken += sum(isinstance(i, str) for i in reply["ids"])
    # Each takes between 700 bytes, of its meta, and 1,000; the last thousand may go beyond the bound.
    assert PENDING_BYTES // 1000 <= taken <= PENDING_BYTES // 700 + 1000
    until(lambda: other.request("submit", traces=traces[:1])["op"] == "accepted", "busy for ever")


def test_who_does_not_read_while_the_disk_is_waited_for(system):
    """Replies that depend on nothing kept do not pile up behind what does."""
    system.broker(store="store")
    client, deaf = system.client(), zmq.Context.instance().socket(zmq.DEALER)
    deaf.rcvhwm, deaf.sndhwm, deaf.linger = 1, 0, 0
    system.clients.append(deaf)
    deaf.connect(system.submit)
    assert client.request("ping")["op"] == "pong"
    lock = Lock(system.path("store"))
    client.send("submit", traces=[{"target": TARGET}])
    for _ in range(60_000):
        deaf.send(msgpack.packb({"v": 1, "op": "ping"}))
    until(lambda: client.counters()["dropped_to_clients"] > 0, "all of them are kept")
    lock.release()
    assert client.receive()["op"] == "accepted"


# ---- how it ends -----------------------------------------------------------------------------


def test_a_file_that_is_taken_away_ends_it(system):
    broker = system.broker(store="store")
    assert system.client().request("ping")["op"] == "pong"
    os.unlink(system.path("store"))
    assert broker.wait() == 74
    assert "event=store-dead" in broker.log() and "event=stopped" not in broker.log()


def test_drain_waits_for_the_disk(system):
    """What was accepted before the signal is committed and answered, however slow the disk."""
    broker = system.broker(store="store")
    client = system.client()
    assert client.request("ping")["op"] == "pong"
    lock = Lock(system.path("store"))
    client.send("submit", traces=[{"target": TARGET}])
    assert client.counters()["accepted"] == 1
    broker.send_signal(signal.SIGTERM)
    until(lambda: "event=drain" in broker.log(), "no drain")
    lock.release()
    ids = client.receive()["ids"]
    assert broker.wait() == 0
    system.broker(store="store")
    assert client.request("status", ids=ids)["states"][0]["state"] == "queued"
