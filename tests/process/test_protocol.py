"""The client protocol as docs/protocol.md has it, with real brokers and, where a trace has to run,
real workers; where its course matters more than its truth, the worker is played by hand."""

import time

import msgpack
import pytest
import zmq

from fakeworker import FakeWorker, body
from system import PATIENCE, Client, program
from truth import Tally, destination

TARGET = "20.0.0.1"
SILENT = ["--seed", "3", "--hops", "4-4", "--silent-router", "100", "--silent-target", "100"]
PLAIN = ["--seed", "4", "--hops", "5-9", "--rtt-us", "2000"]
# Runs until it is ended.
ENDLESS = {"max_ttl": 255, "gap_limit": 0, "timeout_ms": 30000, "window": 1, "attempts": 32}
COUNTERS = """requests bad_requests too_large accepted repeated busy conflicts dispatched requeued
    returned results late_results hops hops_dropped shared deferred replays restored adopted workers_joined workers_lost leases_lost
    worker_messages bad_worker_messages rejected_workers dropped_to_clients dropped_to_workers
    publish_dropped connections_opened connections_closed""".split()


@pytest.fixture
def client(system):
    system.broker()
    return system.client()


@pytest.fixture
def fake(system):
    def make(name="fake", **changes):
        worker = FakeWorker(system.workers)
        system.clients.append(worker)
        assert worker.hello(name, **changes)["op"] == "welcome"
        return worker

    return make


def traces(*names, **fields):
    return [{"target": TARGET, "id": name, **fields} for name in names]


def joined(count=1):
    return lambda stats: len(stats["workers"]) == count


def published(topics, count, timeout=PATIENCE):
    """So many messages but `alive`, as (topic, map, bytes)."""
    got = []
    deadline = time.monotonic() + timeout
    while len(got) < count:
        left = max(0, deadline - time.monotonic())
        assert topics.poll(left * 1000), f"{len(got)} of {count}"
        topic, encoded = topics.recv_multipart()
        if topic != b"alive.":
            value = msgpack.unpackb(encoded, strict_map_key=False)  # a meta may have any keys
            got.append((topic.decode(), value, encoded))
    return got


# ---- submit, ids ---------------------------------------------------------------------------


def test_submit_and_notify(system, client):
    net = system.simnet(*PLAIN)
    system.worker(net)
    made = [{"target": destination(4, i)} for i in range(1, 51)]
    reply = client.request("submit", traces=made, notify=True, req="r-1")
    assert (reply["op"], reply["req"]) == ("accepted", "r-1") and len(reply["ids"]) == 50
    assert len(set(reply["ids"])) == 50 and all(1 <= len(i) <= 64 for i in reply["ids"])
    results = client.collect(50)
    assert set(results) == set(reply["ids"])
    assert {r["req"] for r in results.values()} == {"r-1"}
    truths = net.truth([("icmp", t["target"]) for t in made])
    found = Tally()
    for name, trace in zip(reply["ids"], made):
        assert results[name]["dst"] == results[name]["target"] == trace["target"]
        found.trace(results[name], truths[("icmp", trace["target"])])
    assert (found.wrong, found.lost) == ([], 0) and found.answered > 200
    # Without notify, only the answer.
    reply = client.request("submit", traces=made[:3])
    client.wait_until(lambda s: s["counters"]["results"] == 53)
    client.nothing_more()
    assert len(client.request("fetch", ids=reply["ids"])["results"]) == 3


def test_result_as_documented(system, client):
    net = system.simnet(*PLAIN)
    system.worker(net, name="ams1")
    client.request("ping")  # the broker has started
    before = time.time_ns() // 1000
    end = client.request(
        "trace", target=TARGET, protocol="udp", flow=7, first_ttl=2, max_ttl=20, req=7, meta="m"
    )
    after = time.time_ns() // 1000
    assert set(end) == set(
        """v op req seq stream stream_seq epoch id meta accepted_us worker run target dst src
        protocol flow constant_flow src_port first_ttl max_ttl started_us finished_us prober probes_sent stop hops""".split()
    )
    assert (end["req"], end["worker"], end["run"], end["stream"]) == (7, "ams1", 1, "default")
    assert (end["protocol"], end["flow"], end["first_ttl"], end["max_ttl"]) == ("udp", 7, 2, 20)
    assert (end["target"], end["dst"], end["src"]) == (TARGET, TARGET, "198.18.0.1")
    assert end["constant_flow"] is True and end["src_port"] == 10007
    assert end["epoch"] < before
    assert before <= end["accepted_us"] <= end["started_us"] <= end["finished_us"] <= after
    truth = net.truth([("udp", TARGET)])[("udp", TARGET)]
    assert [h["ttl"] for h in end["hops"]] == list(range(2, truth["distance"] + 1))
    for hop in end["hops"]:
        assert set(hop) == {"ttl", "probes"}
        (probe,) = hop["probes"]
        assert set(probe) - {"mpls", "flags"} == {"attempt", "addr", "rtt_us", "sent_us", "verdict"}
        assert probe["attempt"] == 1 and probe["addr"] in truth["hops"][hop["ttl"] - 1]["addrs"]
    assert end["probes_sent"] >= len(end["hops"])
    tcp = client.request("trace", target=TARGET, protocol="tcp")
    assert tcp["port"] == 80 and "flow" not in tcp and "constant_flow" not in tcp and "req" not in tcp and "meta" not in tcp


def test_same_id_again(client, fake):
    first = client.request("submit", traces=traces("one", meta=[1]), notify=True, req=1)
    again = client.request("submit", traces=traces("one", meta=[1], max_ttl=30), req=1)
    assert first == again, "a default that is said is the same trace"
    client.send("trace", **traces("one", meta=[1])[0], req=2)
    counters = client.counters()
    assert (counters["accepted"], counters["repeated"]) == (1, 2)
    for changes in ({"meta": [2]}, {"max_ttl": 29}, {"meta": [1], "progress": True}, {}):
        reply = client.request("submit", traces=traces("one", **changes))["ids"][0]
        assert (reply["code"], reply["field"]) == ("conflict", "id"), reply
        assert "one" in reply["message"]
    reply = client.request("trace", **traces("one")[0])
    assert (reply["op"], reply["code"]) == ("error", "conflict")
    assert client.counters()["conflicts"] == 5

    worker = fake()
    worker.result(worker.expect("trace")["lease"], body(traces("one")[0]))
    ends = [client.receive(), client.receive()]
    assert sorted(e["req"] for e in ends) == [1, 2]
    # Once it is done, the result comes again, and nothing runs.
    end = client.request("trace", **traces("one", meta=[1])[0], req=3)
    assert {**end, "req": 1} == next(e for e in ends if e["req"] == 1)
    reply = client.request("submit", traces=traces("one", meta=[1]), notify=True, req=4)
    assert reply["ids"] == ["one"]
    assert client.receive() == {**end, "req": 4}
    worker.expect("done")
    worker.silent()
    counters = client.counters()
    assert (counters["accepted"], counters["results"], counters["dispatched"]) == (1, 1, 1)


def test_same_id_twice_in_one_submit(client):
    made = traces("a") + traces("a", max_ttl=3) + traces("a")
    ids = client.request("submit", traces=made)["ids"]
    assert (ids[0], ids[1]["code"], ids[2]) == ("a", "conflict", "a")


def test_queue_that_is_full(system):
    system.broker("--max-queued", "3")
    client = system.client()
    ids = client.request("submit", traces=[{"target": TARGET}] * 5)["ids"]
    assert [i if isinstance(i, str) else i["code"] for i in ids[3:]] == ["busy", "busy"]
    assert "3" in ids[3]["message"] and all(isinstance(i, str) for i in ids[:3])
    reply = client.request("trace", target=TARGET)
    assert (reply["op"], reply["code"]) == ("error", "busy")
    stats = client.stats()
    assert stats["counters"]["busy"] == 3
    assert stats["queue"]["queued"] == stats["queue"]["max_queued"] == 3
    client.request("cancel", ids=ids[:1])
    assert isinstance(client.request("submit", traces=[{"target": TARGET}])["ids"][0], str)


# ---- status, queue -------------------------------------------------------------------------


def states(client, *names):
    return client.request("status", ids=list(names))["states"]


def test_states_and_positions(client, fake):
    for name, priority in (("d", 9), ("b", 4), ("c", 4), ("a", 0)):
        client.request("submit", traces=traces(name, priority=priority))
    assert states(client, "a", "b", "c", "d", "nobody") == [
        {"id": "a", "state": "queued", "position": 1},
        {"id": "b", "state": "queued", "position": 2},
        {"id": "c", "state": "queued", "position": 3},
        {"id": "d", "state": "queued", "position": 4},
        {"id": "nobody", "state": "unknown"},
    ]
    worker = fake("w", capacity=1)
    given = worker.expect("trace")
    assert states(client, "a", "b") == [
        {"id": "a", "state": "running", "worker": "w"},
        {"id": "b", "state": "queued", "position": 1},
    ]
    worker.result(given["lease"], body(TRACE := {"target": TARGET}))
    worker.expect("done")
    assert worker.expect("trace")["trace"]["id"] == "b"
    assert states(client, "a", "d") == [
        {"id": "a", "state": "done"},
        {"id": "d", "state": "queued", "position": 2},
    ]
    assert TRACE == {"target": TARGET}


def test_priority_order_with_one_slot(system, client):
    net = system.simnet(*PLAIN)
    order = [("x9", 9), ("x4", 4), ("y4", 4), ("x0", 0), ("x5", 5), ("y0", 0)]
    for name, priority in order:
        reply = client.request("submit", notify=True, traces=traces(name, priority=priority))
        assert reply["ids"] == [name]
    system.worker(net, "--capacity", "1")
    results = client.collect(6)
    by_seq = [r["id"] for r in sorted(results.values(), key=lambda r: r["seq"])]
    assert by_seq == ["x0", "y0", "x4", "y4", "x5", "x9"]
    starts = [results[name]["started_us"] for name in by_seq]
    ends = [results[name]["finished_us"] for name in by_seq]
    assert all(end <= start for end, start in zip(ends, starts[1:])), "two ran at once"


def test_trace_that_comes_back_keeps_its_place(client, fake):
    client.request("submit", traces=traces("a", "b", "c"))
    worker = fake("w", capacity=1)
    given = worker.expect("trace")
    assert (given["trace"]["id"], given["run"]) == ("a", 1)
    worker.send("return", lease=given["lease"], reason="not me")
    worker.silent()  # it gets nothing more until its next heartbeat, which this was
    given = worker.expect("trace")
    assert (given["trace"]["id"], given["run"]) == ("a", 1), "it was never started"
    worker.send("bye")
    client.wait_until(joined(0))
    assert states(client, "a")[0] == {"id": "a", "state": "queued", "position": 1}
    given = fake("v", capacity=1).expect("trace")
    assert (given["trace"]["id"], given["run"]) == ("a", 2)


def test_labels(system, client):
    net = system.simnet(*PLAIN)
    system.worker(net, "--label", "site=ams", "--label", "net=a", name="ams")
    client.wait_until(joined())
    assert client.stats()["workers"][0]["labels"] == {"site": "ams", "net": "a"}
    wanted = {"any": {}, "ams": {"site": "ams"}, "both": {"net": "a", "site": "ams"}}
    waiting = {"fra": {"site": "fra"}, "more": {"site": "ams", "net": "b"}, "rack": {"rack": "1"}}
    made = [t for n, w in (wanted | waiting).items() for t in traces(n, workers=w)]
    client.request("submit", traces=made, notify=True)
    assert set(client.collect(3)) == set(wanted)
    assert {s["state"] for s in states(client, *waiting)} == {"queued"}
    system.worker(net, "--label", "site=fra", name="fra")
    results = client.collect(1)
    assert results["fra"]["worker"] == "fra"
    assert {s["state"] for s in states(client, "more", "rack")} == {"queued"}


def test_several_workers_share_the_load(system, client):
    net = system.simnet(*PLAIN)
    for name in ("a", "b", "c"):
        system.worker(net, name=name)
    client.wait_until(joined(3))
    client.request("submit", notify=True, traces=[{"target": destination(4, i)} for i in range(1, 61)])
    shares = [r["worker"] for r in client.collect(60).values()]
    assert all(shares.count(name) >= 10 for name in ("a", "b", "c")), shares


# ---- the end: cancel, deadlines ------------------------------------------------------------


def test_cancel(system, client):
    net = system.simnet(*SILENT)
    system.worker(net, "--capacity", "1")
    client.wait_until(joined())
    made = traces("run", **{**ENDLESS, "window": 3}) + traces("wait")
    client.request("submit", traces=made, notify=True, req=5)
    client.wait_until(lambda s: s["workers"][0].get("stats", {}).get("probes_sent", 0) >= 3)
    client.send("cancel", ids=["wait", "run", "nobody", "run"], req=6)
    reply = client.receive()
    assert (reply["op"], reply["req"]) == ("cancelled", 6)
    assert reply["states"] == [
        {"id": "wait", "state": "queued", "position": 1},
        {"id": "run", "state": "running", "worker": "w1"},
        {"id": "nobody", "state": "unknown"},
        {"id": "run", "state": "running", "worker": "w1"},
    ]
    results = client.collect(2)
    assert {r["stop"] for r in results.values()} == {"cancelled"}
    assert {r["req"] for r in results.values()} == {5}
    assert (results["wait"]["run"], results["run"]["run"]) == (0, 1)
    assert "worker" not in results["wait"] and results["run"]["probes_sent"] == 3
    assert "error" not in results["run"] and "error" not in results["wait"]
    assert results["wait"]["dst"] is None and results["wait"]["hops"] == []
    # Done stays done.
    reply = client.request("cancel", ids=["run", "wait"])
    assert [s["state"] for s in reply["states"]] == ["done", "done"]
    assert client.counters()["results"] == 2
    client.nothing_more()


def test_cancel_keeps_the_hops_that_are_settled(system, client):
    net = system.simnet("--seed", "6", "--hops", "4-4", "--silent-target", "100", "--rtt-us", "1000")
    system.worker(net)
    client.wait_until(joined())
    slow = {"timeout_ms": 30000, "gap_limit": 0, "window": 4}
    client.request("submit", traces=traces("x", progress=True, **slow), notify=True)
    hops = [client.receive() for _ in range(3)]
    client.send("cancel", ids=["x"])
    end = client.collect(1)["x"]
    assert end["stop"] == "cancelled"
    assert end["hops"] == [{"ttl": h["ttl"], "probes": h["probes"]} for h in hops]


def test_worker_that_does_not_answer_a_cancel(client, fake):
    worker = fake()
    client.request("submit", traces=traces("x"), notify=True)
    lease = worker.expect("trace")["lease"]
    client.send("cancel", ids=["x"])
    assert worker.expect("cancel")["lease"] == lease
    end = client.collect(1)["x"]
    assert end["stop"] == "cancelled" and end["run"] == 1 and end["worker"] == "fake"
    assert worker.expect("done")["lease"] == lease
    worker.result(lease, body({"target": TARGET}))
    assert worker.expect("done")["lease"] == lease
    assert client.counters()["late_results"] == 1


def test_deadlines(system, client):
    # Nobody there.
    end = client.request("trace", target=TARGET, deadline_ms=100)
    assert end["finished_us"] - end["accepted_us"] >= 100_000
    assert (end["stop"], end["error"]["code"], end["run"]) == ("no-worker", "unavailable", 0)
    assert "worker" not in end and "prober" not in end and end["hops"] == []
    # Somebody there, but not for this one.
    net = system.simnet(*SILENT)
    system.worker(net, "--capacity", "1")
    client.wait_until(joined())
    end = client.request("trace", target=TARGET, deadline_ms=100, workers={"site": "x"})
    assert end["stop"] == "no-worker"
    # While it runs; and behind it, while it waits.
    client.send("trace", **traces("run", deadline_ms=2000, **ENDLESS)[0])
    client.send("trace", **traces("wait", deadline_ms=200)[0])
    results = client.collect(2)
    assert results["run"]["stop"] == results["wait"]["stop"] == "deadline"
    assert (results["run"]["run"], results["wait"]["run"]) == (1, 0)
    assert results["run"]["probes_sent"] == 1 and "error" not in results["run"]
    assert results["wait"]["seq"] + 1 == results["run"]["seq"]


def test_worker_that_sleeps_over_a_deadline(client, fake):
    worker = fake()
    client.send("trace", **traces("x", deadline_ms=300)[0])
    given = worker.expect("trace")
    assert 0 < given["deadline_ms"] <= 300
    end = client.collect(1)["x"]
    assert (end["stop"], end["run"], end["worker"]) == ("deadline", 1, "fake")
    assert worker.expect("done")["lease"] == given["lease"]


# ---- fetch, keep ---------------------------------------------------------------------------


def test_fetch_in_parts(client):
    names = [f"n{i}" for i in range(900)]
    made = [{"target": TARGET, "id": n, "meta": bytes(1000)} for n in names]
    assert client.request("submit", traces=made)["ids"] == names
    client.request("cancel", ids=names[:899])
    client.wait_until(lambda s: s["counters"]["results"] == 899)
    ask, got, parts = names, {}, 0
    while ask:
        reply = client.request("fetch", ids=ask, req="f")
        assert (reply["op"], reply["req"]) == ("results", "f")
        assert set(reply) == {"v", "op", "req", "results", "missing", "more"}
        assert sum(len(msgpack.packb(r)) for r in reply["results"]) <= 512 * 1024
        assert reply["missing"] == (["n899"] if parts == 0 else [])
        for r in reply["results"]:
            assert r["id"] not in got and r["meta"] == bytes(1000) and "req" not in r
            got[r["id"]] = r
        assert reply["results"], "no progress"
        ask, parts = reply["more"], parts + 1
    assert parts == 3 and list(got) == names[:899]
    reply = client.request("fetch", ids=["nobody", "n899"])
    assert (reply["results"], reply["missing"], reply["more"]) == ([], ["nobody", "n899"], [])


@pytest.mark.parametrize("keep", [0, 3])
def test_results_that_are_kept(system, keep):
    system.broker("--keep-results", str(keep))
    client = system.client()
    names = [str(i) for i in range(10)]
    client.request("submit", traces=traces(*names), notify=True)
    client.request("cancel", ids=names)
    assert len(client.collect(10)) == 10, "also those that are not kept are sent once"
    reply = client.request("fetch", ids=names)
    kept, gone = names[10 - keep :], names[: 10 - keep]
    assert [r["id"] for r in reply["results"]] == kept and reply["missing"] == gone
    assert [s["state"] for s in states(client, *names)] == ["unknown"] * len(gone) + ["done"] * keep
    stats = client.stats()
    assert stats["queue"]["keep_results"] == keep
    # What was forgotten is not known: the id can be used again.
    assert client.request("submit", traces=traces("0", max_ttl=3))["ids"] == ["0"]


# ---- results: the same everywhere, in order ------------------------------------------------


def test_progress(system, client):
    net = system.simnet("--seed", "8", "--hops", "9-9", "--loss", "20", "--rtt-us", "1000")
    system.worker(net)
    topics = system.subscriber("hop.s1.", "result.s1.")
    fields = {"target": TARGET, "id": "x", "stream": "s1", "probes": 2, "timeout_ms": 200}
    client.send("trace", progress=True, req="p", **fields)
    got = []
    while not got or got[-1]["op"] != "result":
        got.append(client.receive())
    hops, end = got[:-1], got[-1]
    assert end["stop"] in ("reached", "max-ttl", "gap-limit") and len(hops) >= 5
    assert [h["ttl"] for h in hops] == list(range(1, len(hops) + 1))
    for hop in hops:
        assert set(hop) == {"v", "op", "req", "id", "stream", "ttl", "probes"}
        assert (hop["op"], hop["req"], hop["id"], hop["stream"]) == ("hop", "p", "x", "s1")
    assert [{"ttl": h["ttl"], "probes": h["probes"]} for h in hops] == end["hops"]
    seen = published(topics, len(got))
    assert [t for t, _, _ in seen] == ["hop.s1.x"] * len(hops) + ["result.s1.x"]
    for (_, out, _), here in zip(seen, got):
        assert out == {k: v for k, v in here.items() if k != "req"}
    # Who did not ask for hops gets none.
    client.send("submit", traces=[{**fields, "id": "y"}], notify=True)
    assert [client.receive()["op"] for _ in range(2)] == ["accepted", "result"]
    assert client.counters()["hops"] == len(hops)
    # A REQ takes one reply.
    asker = system.client(zmq.REQ)
    assert asker.request("trace", progress=True, **{**fields, "id": "z"})["op"] == "result"
    assert asker.request("ping")["op"] == "pong"


def test_hops_begin_again_after_a_lost_worker(client, fake):
    client.request("submit", traces=traces("x", progress=True), notify=True)
    first, hop = fake("one"), body({"target": TARGET})["hops"][0]["probes"]
    lease = first.expect("trace")["lease"]
    for ttl in (1, 2):
        first.send("hop", lease=lease, ttl=ttl, probes=hop)
    first.send("bye")
    assert [client.receive()["ttl"] for _ in range(2)] == [1, 2]
    second = fake("two")
    given = second.expect("trace")
    assert given["run"] == 2
    second.send("hop", lease=given["lease"], ttl=1, probes=hop)
    second.result(given["lease"], body({"target": TARGET}))
    assert client.receive()["ttl"] == 1
    end = client.receive()
    assert (end["op"], end["run"], end["worker"]) == ("result", 2, "two")


METAS = [
    None,
    True,
    0,
    -1,
    2**63,
    1.5,
    float("inf"),
    "",
    "text \u00fc\u4e16\U0001f310",
    b"\x00\xff",
    [],
    {},
    {"a": [1, {"b": None}], "": b"x"},
    [[[[[[[[[]]]]]]]]],
    msgpack.ExtType(5, b"12345"),
    msgpack.Timestamp(1, 5),
    list(range(300)),
    "x" * 1021,
]


def test_meta_comes_back_byte_for_byte(system, client):
    topics = system.subscriber("result.")
    metas = [msgpack.packb(m) for m in METAS] + [b"\xca\x3f\xc0\x00\x00", b"\x82\xa1a\x01\xa1a\x02"]
    assert all(len(m) <= 1024 for m in metas)
    for i, meta in enumerate(metas):
        name = b"m%02d" % i
        head = b"\x85\xa1v\x01\xa2op\xa5trace\xa6target\xa820.0.0.1\xa2id\xa3" + name
        client.send_raw(head + b"\xa4meta" + meta)
        client.send("cancel", ids=[name.decode()])
        assert client.receive()["op"] == "cancelled"
        assert client.socket.poll(PATIENCE * 1000)
        encoded = client.socket.recv()
        assert b"\xa4meta" + meta + b"\xabaccepted_us" in encoded, (meta, encoded)
        assert published(topics, 1)[0][2] == encoded, "published as it was sent"


@pytest.mark.parametrize("op", ["trace", "submit"])
def test_meta_of_any_depth_that_is_accepted_can_be_run(client, fake, op):
    """What fits into a request must fit into what goes to the worker, and into the result."""
    worker = fake()
    for depth in range(1, 16):
        meta = b"\x91" * depth + b"\xc0"
        trace = b"\xa6target\xa820.0.0.1\xa4meta" + meta
        if op == "trace":
            # What has been refused is answered before a ping that comes after it.
            client.send_raw(b"\x84\xa1v\x01\xa2op\xa5trace" + trace)
            reply = client.request("ping")
            refused = reply if reply["op"] == "error" else None
            assert refused is None or client.receive()["op"] == "pong"
        else:
            client.send_raw(b"\x84\xa1v\x01\xa2op\xa6submit\xa6notify\xc3\xa6traces\x91\x82" + trace)
            reply = client.receive()
            refused = reply if reply["op"] == "error" else reply["ids"][0]
            refused = refused if isinstance(refused, dict) else None
        if refused is not None:
            assert refused["code"] in ("too-large", "bad-request") and depth > 12
            continue
        assert worker.socket.poll(PATIENCE * 1000), depth
        given = worker.socket.recv()
        assert nesting(given) <= 16, f"meta {depth} deep was accepted, and no worker can read it"
        worker.result(msgpack.unpackb(given)["lease"], body({"target": TARGET}))
        assert worker.expect("done")
        assert nesting(client.socket.recv()) <= 16


def test_meta_that_some_readers_cannot_read(client):
    """It is published to everybody, so it is refused."""
    bad = b"\xa2\xff\xfe", b"\xa3\xed\xa0\x80", b"\x81\x07\x01", b"\x91\x81\xc0\xc0", b"\x81\xa1\xff\x01"
    for meta in bad:
        client.send_raw(b"\x84\xa1v\x01\xa2op\xa5trace\xa6target\xa820.0.0.1\xa4meta" + meta)
        reply = client.receive()
        assert (reply["op"], reply["code"], reply["field"]) == ("error", "bad-request", "meta")


def nesting(encoded):
    def of(value):
        if isinstance(value, dict):
            return 1 + max((max(of(k), of(v)) for k, v in value.items()), default=0)
        return 1 + max(map(of, value), default=0) if isinstance(value, (list, tuple)) else 0

    return of(msgpack.unpackb(encoded, strict_map_key=False))


def test_sequences_over_two_streams(system, client):
    topics = system.subscriber("result.")
    epoch = client.request("ping")["epoch"]
    for i in range(30):
        made = traces(f"x{i}", stream="red" if i % 3 else "blue")
        client.request("submit", traces=made, notify=True)
    client.send("cancel", ids=[f"x{i}" for i in range(30)])
    results = list(client.collect(30).values())
    seen = [m for _, m, _ in published(topics, 30)]
    assert seen == results
    assert [m["seq"] for m in seen] == list(range(1, 31))
    for stream, count in (("red", 20), ("blue", 10)):
        numbers = [m["stream_seq"] for m in seen if m["stream"] == stream]
        assert numbers == list(range(1, count + 1))
    assert {m["epoch"] for m in seen} == {epoch}
    while True:
        topic, encoded = topics.recv_multipart()
        alive = msgpack.unpackb(encoded)
        if topic == b"alive." and alive["seq"] == 30:
            break
    streams = {"red": 20, "blue": 10}
    starts = {"epoch": epoch, "origin": epoch}  # a store in memory begins with the process
    assert alive == {"v": 1, "op": "alive", **starts, "seq": 30, "streams": streams}
    assert client.request("ping")["seq"] == 30


def test_alive_comes_again_and_again(system, client):
    topics = system.subscriber()
    for _ in range(3):
        assert topics.poll(PATIENCE * 1000)
        topic, encoded = topics.recv_multipart()
        assert topic == b"alive."
        alive = msgpack.unpackb(encoded)
        assert alive.pop("epoch") == alive.pop("origin")
        assert alive == {"v": 1, "op": "alive", "seq": 0, "streams": {}}
    client.nothing_more()


def test_topics(system, client):
    prefixes = ("result.red.x", "result.red.", "result.", "hop.")
    subscribed = [system.subscriber(prefix, wait=False) for prefix in prefixes]
    one, stream, every, hops = subscribed
    assert all(topics.poll(PATIENCE * 1000) for topics in subscribed), "no alive message"
    made = [t for s in ("red", "redder", "blue") for t in traces(f"x{s}", f"y{s}", stream=s)]
    client.request("submit", traces=made, notify=True)
    client.request("cancel", ids=[t["id"] for t in made])
    client.wait_until_message(lambda m: m["op"] == "stats", lambda: client.send("stats"))
    assert [t for t, _, _ in published(every, 6)] == [f"result.{t['stream']}.{t['id']}" for t in made]
    assert [t for t, _, _ in published(stream, 2)] == ["result.red.xred", "result.red.yred"]
    assert [t for t, _, _ in published(one, 1)] == ["result.red.xred"]
    quiet = (one, stream, hops)
    for topics in quiet:
        while topics.poll(0):
            assert topics.recv_multipart()[0] == b"alive."
    for topics in quiet:  # the next alive says that nothing else has come
        assert topics.poll(PATIENCE * 1000) and topics.recv_multipart()[0] == b"alive."


def test_one_result_for_all(system, client):
    """The same on the topic, to who waits and to who fetches, but for `req`."""
    net = system.simnet(*PLAIN, "--mpls", "50")
    topics = system.subscriber("result.")
    client.request("submit", traces=traces("x", meta={"a": [1]}), notify=True, req="r")
    other = system.client()
    other.send("trace", **traces("x", meta={"a": [1]})[0])
    other.request("ping")
    system.worker(net)
    mine = client.receive()
    assert mine.pop("req") == "r"
    _, out, encoded = published(topics, 1)[0]
    assert other.socket.recv() == encoded
    assert out == mine and len(mine["hops"]) >= 5
    assert client.request("fetch", ids=["x"])["results"] == [mine]
    assert encoded in raw_fetch(client, "x")


def raw_fetch(client, name):
    client.send("fetch", ids=[name])
    return client.socket.recv()


# ---- who waits -----------------------------------------------------------------------------


def test_ten_wait_for_one(system, client, fake):
    waiters = [system.client(zmq.REQ if i % 2 else zmq.DEALER) for i in range(10)]
    for i, waiter in enumerate(waiters):
        waiter.send("trace", **traces("x")[0], req=i)
    client.wait_until(lambda s: s["counters"]["repeated"] == 9)
    worker = fake()
    worker.result(worker.expect("trace")["lease"], body({"target": TARGET}))
    for i, waiter in enumerate(waiters):
        end = waiter.receive()
        assert (end["op"], end["id"], end["req"], end["seq"]) == ("result", "x", i, 1)
    assert client.counters()["dispatched"] == 1


def test_more_than_sixteen_do_not(system, client):
    waiters = [system.client() for _ in range(17)]
    for waiter in waiters[:16]:
        waiter.send("trace", **traces("x")[0])
    client.wait_until(lambda s: s["counters"]["accepted"] + s["counters"]["repeated"] == 16)
    reply = waiters[16].request("trace", **traces("x")[0])
    assert (reply["op"], reply["code"]) == ("error", "busy") and "16" in reply["message"]
    assert client.counters()["busy"] == 1
    # A submit that asks to be notified is told the same: it would wait in vain.
    reply = waiters[16].request("submit", traces=traces("x"), notify=True)
    assert isinstance(reply["ids"][0], dict) and reply["ids"][0]["code"] == "busy", reply
    client.request("cancel", ids=["x"])
    for waiter in waiters[:16]:
        assert waiter.receive()["stop"] == "cancelled"


def test_client_that_is_gone(system, client, fake):
    gone = system.client()
    gone.request("submit", traces=traces("x"), notify=True)
    gone.close()
    client.wait_until(lambda s: s["counters"]["connections_closed"] == 1)
    worker = fake()
    worker.result(worker.expect("trace")["lease"], body({"target": TARGET}))
    worker.expect("done")
    assert client.request("fetch", ids=["x"])["results"][0]["stop"] == "reached"
    assert client.counters()["dropped_to_clients"] == 1


def test_req_round_trip(system, client):
    net = system.simnet(*PLAIN)
    system.worker(net)
    asker = system.client(zmq.REQ)
    end = asker.request("trace", target=TARGET, req="q")
    assert (end["op"], end["stop"], end["req"]) == ("result", "reached", "q")
    assert asker.request("status", ids=[end["id"]])["states"][0]["state"] == "done"
    reply = asker.request("submit", traces=traces("y"), notify=True)
    assert reply["op"] == "accepted"
    client.wait_until(lambda s: s["counters"]["results"] == 2)
    assert asker.request("fetch", ids=["y"])["op"] == "results", "notify is ignored on a REQ"


# ---- stats, ping ---------------------------------------------------------------------------


def test_stats_as_documented(system, client):
    net = system.simnet(*PLAIN)
    system.worker(net, "--capacity", "7", "--label", "site=ams", name="ams1")
    client.wait_until(lambda s: s["workers"] and "stats" in s["workers"][0])
    first_s, first_ms = time.monotonic(), client.stats()["uptime_ms"]
    client.request("trace", target=TARGET)
    client.wait_until(lambda s: s["workers"][0]["stats"].get("traces_done") == 1)
    reply = client.request("stats", req=-1)
    assert (reply["op"], reply["req"], set(reply)) == ("stats", -1, {"v", "op", "req", "stats"})
    stats = reply["stats"]
    assert set(stats) == {"uptime_ms", "queue", "rates", "counters", "workers"}
    assert first_ms <= stats["uptime_ms"] <= first_ms + (time.monotonic() - first_s) * 1000 + 1
    assert stats["queue"] == {
        **{"queued": 0, "running": 0, "kept": 1, "max_queued": 1000000, "keep_results": 10000}
    }
    assert set(stats["rates"]) == {"accepted_per_s", "results_per_s"}
    # test_each_counter() has their values.
    assert set(stats["counters"]) == set(COUNTERS)
    (worker,) = stats["workers"]
    assert 0 <= worker.pop("seen_ms") <= stats["uptime_ms"]
    numbers = worker.pop("stats")
    assert numbers["traces_done"] == 1 and len(numbers) <= 32
    prober = worker.pop("prober")
    assert prober.startswith("mtr-packet ")
    assert {"icmp", "udp", "tcp"} <= set(worker.pop("protocols"))
    assert worker == {
        **{"name": "ams1", "labels": {"site": "ams"}, "capacity": 7, "running": 0, "af": [4, 6]},
        "draining": False,
    }


class Counted:
    """Holds all of a broker's counters against what a test has counted itself."""

    def __init__(self, client):
        self.client = client
        self.expected = dict.fromkeys(COUNTERS, 0)

    def __call__(self, requests=0, **changes):
        """These have grown by so much since the last time, and no other."""
        self.expected["requests"] += requests + 1  # this one
        for name, by in changes.items():
            self.expected[name] += by
        now = self.client.counters()
        if {"connections_opened", "connections_closed"} & set(changes):  # told by another thread
            end = ("connections_opened", "connections_closed")
            reached = self.client.wait_until(
                lambda s: all(s["counters"][name] >= self.expected[name] for name in end)
            )["counters"]
            self.expected["requests"] += reached["requests"] - now["requests"]
            now = reached
        differ = {n: (now[n], self.expected[n]) for n in COUNTERS if now[n] != self.expected[n]}
        assert differ == {}, f"as counted by the broker, and here: {differ}"


def test_each_counter(system):
    """Their values after a known sequence: what has happened is counted, and nothing else is."""
    broker = system.broker("--max-queued", "2", store="store")
    client = system.client()
    counted = Counted(client)
    counted(connections_opened=1)

    # Clients.
    client.send_raw(b"\xc1")
    assert client.receive()["code"] == "bad-request"
    counted(requests=1, bad_requests=1)
    client.send_raw(bytes(2**20 + 1))
    assert client.receive()["code"] == "too-large"
    counted(requests=1, too_large=1)
    client.request("submit", traces=traces("a", progress=True) + [{"target": ""}], notify=True)
    counted(requests=1, accepted=1, bad_requests=1, deferred=1)  # is there an `a` in the store?
    client.request("submit", traces=traces("a", progress=True) + traces("a", max_ttl=3))
    counted(requests=1, repeated=1, conflicts=1)
    ids = client.request("submit", traces=traces("b", "c"))["ids"]
    assert (ids[0], ids[1]["code"]) == ("b", "busy")
    counted(requests=1, accepted=1, busy=1, deferred=1)
    for op in ("status", "cancel"):
        client.request(op, ids=["nobody"])
    client.request("ping")
    counted(requests=3, deferred=2)
    client.request("fetch", ids=["nobody"])
    counted(requests=1, deferred=1)
    client.request("replay", after=0)
    counted(requests=1, replays=1, deferred=1)

    # A worker and its traces.
    worker, stranger = FakeWorker(system.workers), FakeWorker(system.workers)
    system.clients += [worker, stranger]
    assert worker.hello("w", capacity=1)["op"] == "welcome"
    lease = worker.expect("trace")["lease"]
    counted(connections_opened=2, worker_messages=1, workers_joined=1, dispatched=1)
    assert stranger.hello("v", versions=[3, 4])["op"] == "reject"
    counted(worker_messages=1, rejected_workers=1)
    worker.send_raw(b"\xc1")
    worker.silent()
    counted(worker_messages=2, bad_worker_messages=1)
    probes = body({"target": TARGET})["hops"][0]["probes"]
    worker.send("hop", lease=lease, ttl=1, probes=probes)
    assert client.receive()["op"] == "hop"
    counted(worker_messages=1, hops=1)
    worker.send("return", lease=lease, reason="not me")
    worker.send("heartbeat", leases=[])
    again = worker.expect("trace")
    counted(worker_messages=2, returned=1, requeued=1, dispatched=1)
    worker.result(lease, body({"target": TARGET}))  # its first lease is over
    worker.expect("done")
    counted(worker_messages=1, late_results=1)
    worker.result(again["lease"], body({"target": TARGET}))
    worker.expect("done")
    assert client.receive()["op"] == "result"
    lease = worker.expect("trace")["lease"]
    counted(worker_messages=1, results=1, dispatched=1)
    # It connects again and still has the trace.
    back = FakeWorker(system.workers)
    system.clients.append(back)
    assert back.hello("w", capacity=1, leases=[lease])["op"] == "welcome"
    counted(connections_opened=1, worker_messages=1, workers_joined=1, workers_lost=1)
    # It is gone.
    back.close()
    client.wait_until(joined(0))
    counted.expected["requests"] = client.counters()["requests"]
    counted(connections_closed=1, workers_lost=1, leases_lost=1, requeued=1)

    # A probe that is shared, and a client that is gone.
    client.request("cancel", ids=["b"])
    other = system.client()
    other.request("submit", traces=traces("d", "e", coalesce=True), notify=True)
    counted(requests=2, deferred=1, accepted=2, results=1, connections_opened=1)
    other.close()
    counted(connections_closed=1)
    assert stranger.hello("v", capacity=1)["op"] == "welcome"
    stranger.result(stranger.expect("trace")["lease"], body({"target": TARGET}))
    stranger.expect("done")
    client.request("status", ids=["nobody"])
    counted(
        **{"requests": 1, "deferred": 1, "worker_messages": 2, "workers_joined": 1},
        **{"dispatched": 1, "results": 2, "shared": 1, "dropped_to_clients": 2},
    )

    # A restart. Of the two traces that it finds, one runs on.
    client.request("submit", traces=traces("f", "g"))
    lease = stranger.expect("trace")["lease"]
    for peer in (client, worker, stranger):
        peer.close()
    broker.kill()
    system.broker("--max-queued", "2", store="store")
    client, again = system.client(), FakeWorker(system.workers)
    system.clients.append(again)
    counted = Counted(client)
    assert again.hello("v", capacity=1, leases=[lease])["op"] == "welcome"
    counted(connections_opened=2, restored=2, adopted=1, worker_messages=1, workers_joined=1)


def test_pong(system):
    before = time.time_ns() // 1000
    system.broker("--name", "b1", "--results", "ipc://" + system.path("more"))
    pong = system.client().request("ping", req=1)
    epoch = pong.pop("epoch")
    assert pong.pop("origin") == epoch
    assert before <= epoch <= time.time_ns() // 1000
    version = pong.pop("version")
    assert version.count(".") == 2
    assert pong == {
        **{"v": 1, "op": "pong", "req": 1, "broker": "b1", "versions": [1, 1], "seq": 0},
        "results": [system.results, "ipc://" + system.path("more")],
    }


# ---- two brokers ---------------------------------------------------------------------------


def test_two_brokers_share_a_worker(system, client):
    second = {n: f"ipc://{system.path('second-' + n)}" for n in ("submit", "results", "workers")}
    argv = [f"--{name}={endpoint}" for name, endpoint in second.items()]
    argv += ["--name", "second", "--store", "memory"]
    system.run([program("hopmq-broker"), *argv], "second")
    other = Client(second["submit"])
    system.clients.append(other)
    net = system.simnet(*PLAIN)
    worker = system.worker(net, "--broker", second["workers"], "--capacity", "20")
    clients = {"first": client, "second": other}
    for asker in clients.values():
        asker.wait_until(joined())
    made = [{"target": destination(4, i), "id": f"i{i}"} for i in range(1, 41)]
    for asker in clients.values():
        asker.send("submit", traces=made, notify=True)
    truths = net.truth([("icmp", t["target"]) for t in made])
    for asker in clients.values():
        found = Tally()
        for end in asker.collect(40).values():
            found.trace(end, truths[("icmp", end["dst"])])
        assert (found.wrong, found.lost) == ([], 0)
        counters = asker.counters()
        assert (counters["results"], counters["workers_lost"], counters["requeued"]) == (40, 0, 0)
    # One of them may end; the other does not notice.
    system.processes[0].kill()
    assert other.request("trace", target=TARGET)["stop"] == "reached"
    worker.send_signal(15)
    assert worker.wait() == 0
    assert other.wait_until(joined(0))


def test_a_flow_keeps_to_one_path(system):
    """Every hop is balanced over routers: one flow meets one of them, others and none meet others."""
    net = system.simnet("--seed", "5", "--hops", "9-9", "--balanced", "100", "--rtt-us", "200")
    system.broker()
    system.worker(net)
    client = system.client()
    client.wait_until(lambda stats: stats["workers"])

    def paths(**options):
        """The routers of each hop; the target is one."""
        end = client.request("trace", target=TARGET, protocol="udp", probes=8, attempts=16, **options)
        assert (end["stop"], end.get("constant_flow", False)) == ("reached", "flow" in options)
        return [{p["addr"] for p in hop["probes"]} - {None} for hop in end["hops"][:-1]]

    one = paths(flow=1)
    assert [len(routers) for routers in one] == [1] * 8
    assert paths(flow=1) == one
    assert any(paths(flow=flow) != one for flow in (2, 3, 4))
    assert any(len(routers) > 1 for routers in paths())
