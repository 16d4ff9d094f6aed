"""What no honest peer sends: each is answered where somebody can be answered, counted, and the
next peer is served as before."""

import random
import socket
import struct

import msgpack
import pytest
import zmq

from fakeworker import FakeWorker, body
from system import PATIENCE, until

MIB = 1024 * 1024
TARGET = "20.0.0.1"


def memory(pid):
    """Resident bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))


def pack(**fields):
    return msgpack.packb(fields)


def trace(**fields):
    return pack(v=1, op="trace", target=TARGET, **fields)


@pytest.fixture
def broker(system):
    return system.broker()


@pytest.fixture
def client(system, broker):
    return system.client()


def ask(client, *frames):
    client.send_raw(*frames)
    reply = client.receive()
    assert reply is not None, f"no answer to {frames[0][:40]!r}"
    assert reply["v"] == 1
    return reply


def refused(client, bytes_, code, field=None):
    reply = ask(client, bytes_)
    assert (reply["op"], reply["code"]) == ("error", code), reply
    assert reply.get("field") == field, reply
    assert reply["message"].isprintable() and reply["message"].isascii()
    if field is not None:
        assert reply["message"].startswith(field + ": "), reply
    return reply


# ---- submit: what is not a request ---------------------------------------------------------

ARRAY_BOMB = b"\xdd\xff\xff\xff\xff"
NOT_MSGPACK = [
    b"",
    b"\xc1",
    b"hello, broker\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x81\xa1v",  # a map that ends early
    b"\xda\xff\xff" + b"x" * 10,  # a string that does
    b"\xc6\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01",
    ARRAY_BOMB,
    ARRAY_BOMB + bytes(100),
    b"\xdf\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff" + bytes(100),
    b"\x81\xa6traces" + ARRAY_BOMB,
    b"\x82\xa1v\x01\xa3ids\xdd\x80\x00\x00\x00",
    b"\xdd\x03\xd0\x90\x00" * 30,  # arrays in arrays, each of 64 million
    b"\xdf\x03\xd0\x90\x00" * 30,
    pack(v=1, op="ping") + b"\x00",  # trailing bytes
    pack(v=1, op="ping") * 2,
]
NOT_A_MAP = [b"\x01", b"\xc0", b"\x90", b"\xa4ping", msgpack.packb([1, "ping"]), b"\xcb" + bytes(8)]
TOO_LARGE = [
    b"\x91" * 17 + b"\xc0",
    b"\x91" * 100000,
    b"\x81\xc0" * 50000,
    pack(v=1, op="ping", x=[0] * 131072),
    b"\x81\xa1x\xc6" + struct.pack(">I", MIB) + bytes(MIB),
    b"\xc0" * (MIB + 1),
    bytes(2 * MIB - 1),
]


def test_not_a_request(client):
    for wrong in NOT_MSGPACK + NOT_A_MAP:
        refused(client, wrong, "bad-request")
    for wrong in TOO_LARGE:
        refused(client, wrong, "too-large")
    counters = client.counters()
    assert counters["bad_requests"] == len(NOT_MSGPACK + NOT_A_MAP)
    assert counters["too_large"] == len(TOO_LARGE)
    assert counters["requests"] == len(NOT_MSGPACK + NOT_A_MAP + TOO_LARGE) + 1


def test_limits_that_are_just_kept(client):
    deep = msgpack.packb({"v": 1, "op": "ping", "x": 0})[:-1] + b"\x91" * 15 + b"\xc0"
    assert ask(client, deep)["op"] == "pong"
    refused(client, deep[:-1] + b"\x91\xc0", "too-large")
    wide = pack(v=1, op="ping", x=[0] * (131072 - 7))
    assert ask(client, wide)["op"] == "pong"
    refused(client, pack(v=1, op="ping", x=[0] * (131072 - 6)), "too-large")
    room = MIB - len(pack(v=1, op="ping", x=b"")) - 3
    assert ask(client, pack(v=1, op="ping", x=bytes(room)))["op"] == "pong"
    refused(client, pack(v=1, op="ping", x=bytes(room + 1)), "too-large")
    assert ask(client, pack(v=1, op="status", ids=["x"] * 1000))["op"] == "status"


HEADS = [
    ({"op": "ping"}, "unsupported-version", "v"),
    ({"v": None, "op": "ping"}, "unsupported-version", "v"),
    ({"v": "1", "op": "ping"}, "unsupported-version", "v"),
    ({"v": 1.0, "op": "ping"}, "unsupported-version", "v"),
    ({"v": 2, "op": "ping"}, "unsupported-version", "v"),
    ({"v": 0, "op": "ping"}, "unsupported-version", "v"),
    ({"v": -1, "op": "ping"}, "unsupported-version", "v"),
    ({"v": 2**64 - 1, "op": "ping"}, "unsupported-version", "v"),
    ({"v": 2}, "unsupported-version", "v"),
    ({"v": 1}, "bad-request", "op"),
    ({}, "unsupported-version", "v"),
    ({"v": 1, "op": "pong"}, "bad-request", "op"),
    ({"v": 1, "op": "result"}, "bad-request", "op"),
    ({"v": 1, "op": ""}, "bad-request", "op"),
    ({"v": 1, "op": "PING"}, "bad-request", "op"),
    ({"v": 1, "op": "p" * 5000}, "bad-request", "op"),
    ({"v": 1, "op": 7}, "bad-request", "op"),
    ({"v": 1, "op": ["ping"]}, "bad-request", "op"),
    ({"v": 1, "op": b"ping"}, "bad-request", "op"),
    ({"v": 1, "op": "ping", "req": "x" * 65}, "bad-request", "req"),
    ({"v": 1, "op": "ping", "req": [1]}, "bad-request", "req"),
    ({"v": 1, "op": "ping", "req": 1.5}, "bad-request", "req"),
    ({"v": 1, "op": "ping", "req": None}, "bad-request", "req"),
    ({"v": 1, "op": "trace"}, "bad-request", "target"),
    ({"v": 1, "op": "submit"}, "bad-request", "traces"),
    ({"v": 1, "op": "submit", "traces": {}}, "bad-request", "traces"),
    ({"v": 1, "op": "submit", "traces": []}, "bad-request", "traces"),
    ({"v": 1, "op": "submit", "traces": [{"target": TARGET}] * 1001}, "bad-request", "traces"),
    ({"v": 1, "op": "submit", "traces": [{"target": TARGET}], "notify": 1}, "bad-request", "notify"),
]
for op in ("status", "fetch", "cancel"):
    HEADS += [
        ({"v": 1, "op": op}, "bad-request", "ids"),
        ({"v": 1, "op": op, "ids": "x"}, "bad-request", "ids"),
        ({"v": 1, "op": op, "ids": []}, "bad-request", "ids"),
        ({"v": 1, "op": op, "ids": ["x"] * 1001}, "bad-request", "ids"),
        ({"v": 1, "op": op, "ids": ["x", 7]}, "bad-request", "ids[1]"),
        ({"v": 1, "op": op, "ids": ["x", "y", ""]}, "bad-request", "ids[2]"),
        ({"v": 1, "op": op, "ids": ["x" * 65]}, "bad-request", "ids[0]"),
        ({"v": 1, "op": op, "ids": ["a b"]}, "bad-request", "ids[0]"),
        ({"v": 1, "op": op, "ids": ["a\0"]}, "bad-request", "ids[0]"),
    ]


def test_wrong_heads_and_lists(client):
    for fields, code, field in HEADS:
        reply = ask(client, msgpack.packb(fields))
        assert (reply["op"], reply["code"]) == ("error", code), (fields, reply)
        assert reply["field"] == field, (fields, reply)
    assert client.counters()["bad_requests"] == len(HEADS)


def test_errors_echo_req(client):
    for req in (7, -7, 2**63 - 1, "", "x" * 64):
        reply = ask(client, pack(v=1, op="nonsense", req=req))
        assert (reply["op"], reply["req"]) == ("error", req)
        assert ask(client, pack(v=2, op="ping", req=req))["req"] == req
        assert ask(client, trace(req=req, port=0))["req"] == req
    assert "req" not in ask(client, pack(v=1, op="nonsense"))


# ---- submit: wrong fields of a trace -------------------------------------------------------

RANGES = {
    "first_ttl": (1, 255),
    "max_ttl": (1, 255),
    "probes": (1, 16),
    "attempts": (1, 32),
    "timeout_ms": (100, 30000),
    "gap_limit": (0, 255),
    "window": (0, 64),
    "flow": (0, 1023),
    "size": (28, 1500),
    "tos": (0, 255),
    "bit_pattern": (0, 255),
    "priority": (0, 9),
    "deadline_ms": (100, 86400000),
    "port": (1, 65535),
    "af": (0, 6),
}
BEYOND = {  # what a field needs beside it, to be wrong for itself alone
    "port": {"protocol": "udp"},
    "flow": {"protocol": "udp"},
    "first_ttl": {"max_ttl": 255},
    "probes": {"attempts": 32},
}
OTHER_TYPES = [None, True, 1.5, "7", b"7", [7], {"x": 7}, msgpack.ExtType(5, b"x")]
WRONG_TEXTS = {
    "target": ["", "x" * 254, "a b", "a/b", "ho\0st", "h\u00f6st", "host\n", "1.2.3.4;ls", ":", "1::2::"],
    "id": ["", "x" * 65, "a b", "a/b", "\u00e9", "a\0", "a\x1b[2J"],
    "stream": ["", "x" * 65, "a.b", "a:b", "a b", "a\n"],
    "protocol": ["", "ICMP", "icmp6", "x" * 300, "\x07"],
    "source": ["", "x", "localhost", "1.2.3", "0.0.0.0", "224.0.0.1", "x" * 100, "::1\x01"],
}
NOT_TARGETS = [
    *("0.0.0.0", "255.255.255.255", "224.0.0.1", "239.255.255.255", "::", "ff02::1"),
]


def test_every_number_out_of_range(client):
    for field, (low, high) in RANGES.items():
        for value in (low - 1, high + 1, -1, -(2**63), 2**63, 2**64 - 1):
            if low <= value <= high:
                continue
            reply = refused(
                client, trace(**{**BEYOND.get(field, {}), field: value}), "bad-request", field
            )
            assert str(value) in reply["message"], reply
        bounds = {"af": (0, 4)}.get(field, (low, high))
        for value in bounds:
            more = {"attempts": {"probes": 1}, "max_ttl": {"first_ttl": 1}}.get(field, {})
            fields = {"target": TARGET, **BEYOND.get(field, {}), **more, field: value}
            ids = client.request("submit", traces=[fields])["ids"]
            assert isinstance(ids[0], str), (fields, ids)
    reply = refused(client, trace(size=1501), "bad-request", "size")
    assert "28..1500" in reply["message"]


def test_every_field_of_another_type(client):
    for field in [*RANGES, *WRONG_TEXTS, "workers", "progress"]:
        for value in OTHER_TYPES:
            right = (
                (field in WRONG_TEXTS and isinstance(value, str) and field != "protocol")
                or (field == "progress" and value is True)
                or (field == "workers" and isinstance(value, dict))
            )
            if not right:
                fields = {"target": TARGET, **BEYOND.get(field, {}), field: value}
                refused(client, pack(v=1, op="trace", **fields), "bad-request", field)
    for wrong in ({"a": 1}, {1: "a"}, {"": "a"}, {"a": "b c"}, {"x" * 65: "a"}, {"a": "b" * 65}):
        refused(client, trace(workers=wrong), "bad-request", "workers")
    refused(client, trace(workers={str(i): "a" for i in range(17)}), "bad-request", "workers")
    for i, wrong in enumerate(OTHER_TYPES):
        traces = [{"target": TARGET}] * i + [wrong]
        ids = ask(client, pack(v=1, op="submit", traces=traces))["ids"]
        assert [isinstance(x, str) for x in ids] == [True] * i + [False], ids
        assert ids[i]["code"] == "bad-request" and ids[i]["field"].startswith(f"traces[{i}]"), ids


def test_wrong_texts_and_combinations(client):
    for field, texts in WRONG_TEXTS.items():
        for text in texts:
            fields = {"target": TARGET, field: text}
            refused(client, pack(v=1, op="trace", **fields), "bad-request", field)
    for target in NOT_TARGETS:
        refused(client, pack(v=1, op="trace", target=target), "bad-request", "target")
    for fields, field in (
        ({"af": 5}, "af"),
        ({"af": 6}, "af"),
        ({"target": "::1", "af": 4}, "af"),
        ({"source": "::1"}, "source"),
        ({"target": "host.example", "af": 6, "source": "10.0.0.1"}, "source"),
        ({"first_ttl": 31}, "first_ttl"),
        ({"first_ttl": 9, "max_ttl": 8}, "first_ttl"),
        ({"probes": 3, "attempts": 2}, "attempts"),
        ({"port": 80}, "port"),
        ({"flow": 1}, "flow"),
        ({"flow": 1, "protocol": "tcp"}, "flow"),
        ({"target": "::1", "size": 47}, "size"),
    ):
        packed = pack(v=1, op="trace", **{"target": TARGET, **fields})
        refused(client, packed, "bad-request", field)


def raw(text):
    """A msgpack str of any bytes."""
    return b"\xda" + struct.pack(">H", len(text)) + text


def test_bytes_that_are_no_text(client):
    """Invalid UTF-8 and control characters are refused, and the refusal can be shown."""
    for junk in (b"\xff\xfe", b"a\xc3", b"\x00", b"\x1b]0;owned\x07", b"\xed\xa0\x80", b"%s%n"):
        for field in ("target", "id", "stream", "protocol", "source"):
            fields = b"" if field == "target" else raw(b"target") + raw(TARGET.encode())
            count = 3 if field == "target" else 4
            packed = bytes([0x80 + count]) + raw(b"v") + b"\x01" + raw(b"op") + raw(b"trace")
            refused(client, packed + fields + raw(field.encode()) + raw(junk), "bad-request", field)
        packed = b"\x82" + raw(b"v") + b"\x01" + raw(b"op") + raw(junk)
        refused(client, packed, "bad-request", "op")
        packed = b"\x83" + raw(b"v") + b"\x01" + raw(b"op") + raw(b"status") + raw(b"ids")
        refused(client, packed + b"\x91" + raw(junk), "bad-request", "ids[0]")


def test_keys(client):
    ping = raw(b"op") + raw(b"ping")
    odd = b"\x01\x02" + b"\xc0\xc0" + b"\x90\x80" + b"\xc4\x01v\x02" + raw(b"\xff") + b"\x03"
    reply = ask(client, b"\x87" + odd + raw(b"v") + b"\x01" + ping)
    assert reply["op"] == "pong"
    other = b"\x83" + raw(b"v\0") + b"\x01" + ping + raw(b"V") + b"\x01"
    refused(client, other, "unsupported-version", "v")


def test_keys_that_stand_twice(client):
    """Both must be well-formed, and the last one counts."""
    twice = b"\x83" + raw(b"v") + b"\x02" + raw(b"op") + raw(b"ping") + raw(b"v")
    assert ask(client, twice + b"\x01")["op"] == "pong"
    refused(client, twice + b"\x03", "unsupported-version", "v")
    twice = b"\x83" + raw(b"v") + b"\x01" + raw(b"op") + raw(b"stats") + raw(b"op")
    assert ask(client, twice + raw(b"ping"))["op"] == "pong"
    refused(client, twice + raw(b"x"), "bad-request", "op")
    head = b"\x86" + raw(b"v") + b"\x01" + raw(b"op") + raw(b"trace") + raw(b"id") + raw(b"x")
    head += raw(b"target") + raw(TARGET.encode()) + raw(b"max_ttl")
    for first, last in ((b"\x09", b"\x00"), (b"\x00", b"\x09")):
        refused(client, head + first + raw(b"max_ttl") + last, "bad-request", "max_ttl")
    client.send_raw(head + b"\x03" + raw(b"max_ttl") + b"\x09")
    client.send("cancel", ids=["x"])
    assert client.receive()["op"] == "cancelled"
    assert client.receive()["max_ttl"] == 9


def test_meta_of_any_size(client):
    for size in (1021, 1022):  # with the three bytes of its head, 1,024 and 1,025
        reply = client.request("submit", traces=[{"target": TARGET, "meta": bytes(size)}])["ids"][0]
        if size == 1021:
            assert isinstance(reply, str), reply
        else:
            assert reply["field"] == "traces[0].meta", reply


def test_numbers_of_frames(client):
    ping = pack(v=1, op="ping")
    for frames in ([ping] * 2, [ping] * 10, [b"x"] * 100):
        reply = ask(client, *frames)
        assert (reply["op"], reply["code"], reply["field"]) == ("error", "bad-request", "frames")
    for rest in ([], [ping, ping], [b"", ping], [ping] * 9):
        client.send_raw(b"", *rest)
        assert client.socket.poll(PATIENCE * 1000)
        frames = client.socket.recv_multipart()
        reply = msgpack.unpackb(frames[-1])
        assert reply["op"] == "error" and reply["code"] == "bad-request", (rest, reply)
        # One empty frame alone is no envelope, but a request that is not msgpack.
        assert frames[:-1] == ([b""] if rest else []), (rest, frames)
    assert ask(client, ping)["op"] == "pong"


def test_req_with_bad_content(system, broker):
    asker = system.client(zmq.REQ)
    assert ask(asker, b"\xc1")["code"] == "bad-request"
    assert ask(asker, b"")["code"] == "bad-request"
    assert ask(asker, bytes(MIB + 1))["code"] == "too-large"
    assert ask(asker, pack(v=1, op="ping"), pack(v=1, op="ping"))["field"] == "frames"
    assert ask(asker, pack(v=1, op="ping"))["op"] == "pong"


def test_frame_of_ten_megabytes(system, broker, client):
    rogue = system.client()
    ask(rogue, pack(v=1, op="ping"))
    before = client.counters()
    rogue.send_raw(bytes(10 * MIB))
    stats = client.wait_until(
        lambda s: s["counters"]["connections_closed"] > before["connections_closed"]
    )
    assert stats["counters"]["bad_requests"] == stats["counters"]["too_large"] == 0
    assert ask(system.client(), pack(v=1, op="ping"))["op"] == "pong"
    assert ask(client, pack(v=1, op="ping"))["op"] == "pong"
    assert broker.popen.poll() is None


def test_memory_stays_small(system, broker, client):
    """Everything of the lists above, a hundred times over, leaves nothing behind."""
    for wrong in NOT_MSGPACK + NOT_A_MAP + TOO_LARGE:
        ask(client, wrong)
    before = memory(broker.pid)
    bombs = NOT_MSGPACK + NOT_A_MAP + TOO_LARGE[:4]
    for _ in range(100):
        for wrong in bombs:
            client.send_raw(wrong)
        for wrong in bombs:
            assert client.receive()["op"] == "error"
    for _ in range(10):
        for wrong in TOO_LARGE:
            ask(client, wrong)
        client.send_raw(bytes(10 * MIB))
        client.close()
        client = system.client()
    assert ask(client, pack(v=1, op="ping"))["op"] == "pong"
    assert memory(broker.pid) - before < 64 * MIB
    counters = client.counters()
    whole = len(NOT_MSGPACK + NOT_A_MAP)
    assert counters["bad_requests"] == 101 * whole
    assert counters["too_large"] == 100 * 4 + 11 * len(TOO_LARGE)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_raw_bytes_at_a_tcp_endpoint(system):
    system.submit = f"tcp://127.0.0.1:{free_port()}"
    port = int(system.submit.rsplit(":", 1)[1])
    broker = system.broker()
    client = system.client()
    assert ask(client, pack(v=1, op="ping"))["op"] == "pong"
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16 + 32)
    for garbage in (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00" * 5000,
        b"\xff" * 5000,
        random.Random(1).randbytes(65536),
        greeting[:20],
        greeting + b"\x02\xff\xff\xff\xff\xff\xff\xff\xff" + b"x" * 5000,
        greeting + b"\x04\xff" + b"\x05READY" + b"\xff" * 300,
        b"",
    ):
        with socket.create_connection(("127.0.0.1", port)) as s:
            try:
                s.sendall(garbage)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it was cut before the end
    stats = client.wait_until(lambda s: s["counters"]["connections_closed"] >= 8)
    assert stats["counters"]["connections_opened"] >= 9
    # What reads as a message of an older ZeroMQ is a bad request; nothing else reaches the broker.
    assert stats["counters"]["accepted"] == stats["counters"]["too_large"] == 0
    assert broker.popen.poll() is None
    assert ask(client, pack(v=1, op="ping"))["op"] == "pong"


# ---- workers: what is not a message --------------------------------------------------------


@pytest.fixture
def fake(system, broker):
    made = []

    def make(*hello, **changes):
        worker = FakeWorker(system.workers)
        system.clients.append(worker)
        made.append(worker)
        if hello:
            assert worker.hello(*hello, **changes)["op"] == "welcome"
        return worker

    return make


WRONG_HELLOS = [
    {"name": ...},
    {"name": ""},
    {"name": "x" * 65},
    {"name": "a b"},
    {"name": 7},
    {"versions": ...},
    {"versions": 1},
    {"versions": [1]},
    {"versions": [1, 1, 1]},
    {"versions": [2, 1]},
    {"versions": ["1", "1"]},
    {"versions": [-1, 1]},
    {"prober": ...},
    {"prober": ""},
    {"prober": "x" * 65},
    {"prober": 7},
    {"capacity": ...},
    {"capacity": 0},
    {"capacity": 100001},
    {"capacity": -1},
    {"capacity": "9"},
    {"labels": ...},
    {"labels": []},
    {"labels": {"a": 1}},
    {"labels": {str(i): "x" for i in range(17)}},
    {"af": ...},
    {"af": 4},
    {"af": [5]},
    {"af": ["4"]},
    {"protocols": ...},
    {"protocols": "icmp"},
    {"protocols": [1]},
    {"leases": ...},
    {"leases": 1},
    {"leases": ["x"]},
    {"leases": [-1]},
    {"leases": [2**63]},
    {"trouble": ""},
    {"trouble": "x" * 201},
    {"trouble": "two\nlines"},
    {"trouble": 7},
]


def test_not_a_worker_message(fake, client):
    wrong = [*NOT_MSGPACK, *NOT_A_MAP, b"\x91" * 17 + b"\xc0", b"\x91" * 100000]
    wrong += [pack(v=1, op="ping", x=[0] * 1048576)]
    wrong += [pack(v=1, op=op) for op in ("", "ping", "trace ", 7, None)]
    wrong += [pack(v=1), pack(op="bye"), pack(v=2, op="bye"), pack(v="1", op="bye")]
    stranger = fake()
    for message in wrong:
        reply = ask(stranger, message)
        assert reply["op"] == "reject", (message[:40], reply)
        assert reply["message"].isprintable()
    for changes in WRONG_HELLOS:
        reply = stranger.hello(**changes)
        assert (reply["op"], reply["code"]) == ("reject", "bad-request"), (changes, reply)
        assert reply["message"].startswith(next(iter(changes))), (changes, reply)
    stats = client.stats()
    assert stats["counters"]["bad_worker_messages"] == len(wrong) + len(WRONG_HELLOS)
    assert stats["workers"] == []

    # A session goes on through all of them, without a word.
    member = fake("w")
    before = client.counters()["bad_worker_messages"]
    for message in wrong:
        member.send_raw(message)
    own = [{"op": "hop", "lease": 1}, {"op": "hop", "lease": 1, "ttl": 0, "probes": []}]
    own += [{"op": "hop", "lease": 1, "ttl": 1, "probes": p} for p in (0, [], [7], [{}], [{}] * 33)]
    own += [{"op": "result"}, {"op": "result", "lease": 1}, {"op": "result", "lease": 1, "body": {}}]
    own += [{"op": "result", "lease": lease, "body": b""} for lease in (0, -1, 2**63, "1", None)]
    own += [{"op": "return", "lease": 1}, {"op": "return", "lease": 1, "reason": "x" * 201}]
    own += [{"op": "heartbeat", "leases": [], "stats": s} for s in (7, {"a": "b"}, {1: 1})]
    own += [{"op": "heartbeat", "leases": [], "stats": {str(i): i for i in range(33)}}]
    own += [{"op": "heartbeat", "leases": 7}]
    own += [{"op": "heartbeat", "leases": [], "trouble": t} for t in ("", "x" * 201, 7, b"x")]
    own += [{"op": op, "lease": 1} for op in ("cancel", "done", "who")]
    for fields in own:
        member.send(**fields)
    member.send_raw(b"", pack(v=1, op="bye"))
    member.send_raw(*[pack(v=1, op="bye")] * 10)
    member.silent()
    stats = client.stats()
    assert [w["name"] for w in stats["workers"]] == ["w"]
    assert stats["counters"]["bad_worker_messages"] == before + len(wrong) + len(own) + 2
    assert stats["counters"]["workers_lost"] == 0


def test_frames_of_a_stranger_worker(fake, client):
    """Not one frame: does not fit, so reject where no session exists."""
    stranger = fake()
    stranger.send_raw(pack(v=1, op="bye"), pack(v=1, op="bye"))
    client.wait_until(lambda s: s["counters"]["bad_worker_messages"] == 1)
    reply = stranger.receive()
    assert reply is not None and reply["op"] == "reject"


def test_versions_of_a_worker(fake, client):
    for versions in ([3, 4], [0, 0], [3, 3]):
        reply = fake().hello("w", versions=versions)
        assert (reply["op"], reply["code"]) == ("reject", "unsupported-version")
        assert "1..2" in reply["message"] and f"{versions[0]}..{versions[1]}" in reply["message"]
    assert client.counters()["rejected_workers"] == 3
    for versions, chosen in (([0, 9], 2), ([1, 1], 1), ([2, 5], 2), ([1, 2], 2)):
        reply = fake().hello(f"w-{versions[0]}-{versions[1]}", versions=versions)
        assert (reply["op"], reply["version"]) == ("welcome", chosen)


def test_worker_without_session(fake):
    stranger = fake()
    for fields in (
        {"op": "heartbeat", "leases": [], "stats": {}},
        {"op": "result", "lease": 7, "body": b"\x80"},
        {"op": "return", "lease": 7, "reason": "x"},
        {"op": "drain"},
    ):
        stranger.send(**fields)
        assert stranger.receive() == {"v": 1, "op": "who"}


def test_leases_that_are_not_there(fake, client):
    worker = fake("w")
    for lease in (1, 2**63 - 1):
        worker.result(lease, body({"target": TARGET}))
        assert worker.receive() == {"v": 1, "op": "done", "lease": lease}
    worker.result(5, b"not msgpack at all")
    assert worker.receive()["op"] == "done"
    worker.send("return", lease=9, reason="x")
    worker.send("hop", lease=9, ttl=1, probes=body({"target": TARGET})["hops"][0]["probes"])
    worker.silent()
    counters = client.counters()
    assert counters["late_results"] == 3
    assert counters["returned"] == counters["results"] == counters["hops"] == 0
    # What a hello or heartbeat lists beyond what the broker gave is to be forgotten.
    worker.send("heartbeat", leases=[11, 12])
    assert [worker.receive() for _ in range(2)] == [
        {"v": 1, "op": "done", "lease": 11},
        {"v": 1, "op": "done", "lease": 12},
    ]


def test_lease_of_another_session(fake, client):
    owner, thief = fake("owner"), None
    client.send("trace", target=TARGET, id="x", progress=True)
    given = owner.expect("trace")
    thief = fake("thief")
    lease = given["lease"]
    assert lease > 1 << 20, "easy to guess"
    thief.result(lease, body({"target": TARGET}, stop="gap-limit"))
    assert thief.receive() == {"v": 1, "op": "done", "lease": lease}
    thief.send("return", lease=lease, reason="mine")
    thief.send("hop", lease=lease, ttl=9, probes=body({"target": TARGET})["hops"][0]["probes"])
    thief.send("heartbeat", leases=[lease])
    assert thief.expect("done")["lease"] == lease
    thief.send_raw(msgpack.packb(thief.hello_map("thief", leases=[lease])))
    assert thief.expect("welcome")
    assert thief.expect("done")["lease"] == lease
    owner.result(lease, body({"target": TARGET}))
    assert owner.expect("done")["lease"] == lease
    end = client.receive()
    assert (end["op"], end["id"], end["stop"], end["worker"]) == ("result", "x", "reached", "owner")
    assert client.counters()["late_results"] == 1
    # Twice, and then by the thief again: acknowledged and dropped.
    owner.result(lease, body({"target": TARGET}, stop="max-ttl"))
    assert owner.expect("done")["lease"] == lease
    kept = client.request("fetch", ids=["x"])["results"]
    assert [r["stop"] for r in kept] == ["reached"]
    counters = client.counters()
    assert (counters["late_results"], counters["results"], counters["returned"]) == (2, 1, 0)


TRACE = {"target": TARGET}
HOP = body(TRACE)["hops"][0]
PROBE = HOP["probes"][0]
WRONG_BODIES = [
    b"",
    b"\xc1",
    b"\x80\x80",
    msgpack.packb([1]),
    b"\xdf\xff\xff\xff\xff",
    b"\x91" * 20,
    {},
    *({key: value} for key, value in (("x", 1), ("hops", []))),
    *(body(TRACE, **{key: 7}) for key in ("seq", "id", "stream", "stream_seq", "epoch", "run")),
    *(body(TRACE, **{key: 7}) for key in ("worker", "accepted_us", "meta", "req", "v", "op")),
    *(body(TRACE, **{key: ...}) for key in ("target", "dst", "stop", "hops", "started_us")),
    body(TRACE, stop="nonsense"),
    body(TRACE, stop=7),
    body(TRACE, dst=7),
    body(TRACE, probes_sent=-1),
    body(TRACE, error="text"),
    body(TRACE, error={"code": "x"}),
    body(TRACE, names=["x"]),
    body(TRACE, names={"nowhere": "x"}),
    body(TRACE, names={TARGET: "a\x1b[2J"}),
    body(TRACE, names={TARGET: "x" * 254}),
    body(TRACE, names={f"10.0.{i >> 8}.{i & 255}": "x" for i in range(257)}),
    body(TRACE, hops={}),
    body(TRACE, hops=[7]),
    body(TRACE, hops=[HOP, HOP]),
    body(TRACE, hops=[{**HOP, "ttl": 2}]),
    body(TRACE, hops=[{**HOP, "ttl": 0}]),
    body(TRACE, hops=[{"ttl": 1}]),
    body(TRACE, hops=[{"ttl": 1, "probes": []}]),
    body(TRACE, hops=[{"ttl": 1, "probes": [PROBE] * 33}]),
    body(TRACE, hops=[{"ttl": i + 1, "probes": [PROBE]} for i in range(256)]),
    *(
        body(TRACE, hops=[{"ttl": 1, "probes": [{**PROBE, **change}]}])
        for change in (
            {"addr": "nowhere"},
            {"addr": None},
            {"rtt_us": -5},
            {"attempt": 0},
            {"verdict": 7},
            {"sent_us": "x"},
            {"mpls": [[1, 2, 3]]},
            {"mpls": [[1 << 20, 0, 0, 0]]},
            {"mpls": [[1, 0, 1, 1]] * 9},
            {"flags": [1]},
        )
    ),
]


def test_bodies_that_are_no_result(fake, client):
    """A bad one is counted, and its trace goes on: elsewhere, as the worker forgets its lease."""
    worker = fake("w")
    names = [f"b{i}" for i in range(len(WRONG_BODIES))]
    for name, wrong in zip(names, WRONG_BODIES):
        client.send("submit", traces=[{"target": TARGET, "id": name}], notify=True)
        lease = worker.expect("trace")["lease"]
        worker.result(lease, wrong)
        assert worker.expect("done")["lease"] == lease
        again = worker.expect("trace")
        assert again["run"] == 2 and again["lease"] != lease and again["trace"]["id"] == name
        worker.result(again["lease"], body(TRACE))
        worker.expect("done")
    results = client.collect(len(names))
    assert {(r["run"], r["stop"]) for r in results.values()} == {(2, "reached")}
    counters = client.counters()
    assert counters["bad_worker_messages"] == len(names)
    assert counters["results"] == len(names)


def test_worker_that_sends_only_bad_results(fake, client):
    """It cannot keep a trace for ever: after three starts it ends."""
    worker = fake("w")
    client.send("trace", target=TARGET, id="x")
    for run in (1, 2, 3):
        given = worker.expect("trace")
        assert given["run"] == run
        worker.result(given["lease"], b"")
    end = client.receive()
    assert (end["stop"], end["run"], end["error"]["code"]) == ("worker-lost", 3, "unavailable")


def test_name_in_use(fake, client):
    """A worker that connects again takes its name over. Two that use one name do not take turns:
    the one that has it keeps it for as long as the other goes on asking."""
    first, second = fake("same"), fake("same")
    first.send("heartbeat", leases=[])
    assert first.receive()["op"] == "who", "the older session has ended"
    for _ in range(5):
        reply = first.hello("same")
        assert (reply["op"], reply["code"]) == ("reject", "conflict")
        assert "same" in reply["message"]
    second.silent()
    stats = client.stats()
    assert [w["name"] for w in stats["workers"]] == ["same"]
    assert stats["counters"]["workers_joined"] == 2
    assert stats["counters"]["workers_lost"] == 1
    assert stats["counters"]["rejected_workers"] == 5
    second.send("bye")
    assert first.hello("same")["op"] == "welcome", "free again"


@pytest.mark.parametrize("held", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("forgot", [0, 1])
def test_leases_move_with_their_worker(system, fake, client, held, forgot):
    """A worker that connects again keeps the leases that it lists, and the work goes on there and
    at its neighbours."""
    watcher = system.client()
    old = fake("w", capacity=8)
    traces = [{"target": TARGET, "id": f"t{i}"} for i in range(held)]
    client.request("submit", notify=True, traces=traces)
    leases = [old.expect("trace")["lease"] for _ in traces]
    for i in range(3):
        fake(f"n{i}", capacity=8)
    new = fake("w", capacity=8, leases=leases[forgot:])
    stats = watcher.stats()
    assert stats["counters"]["leases_lost"] == forgot
    assert stats["queue"]["queued"] == 0 and stats["queue"]["running"] == held
    running = {w["name"]: w["running"] for w in stats["workers"]}
    assert set(running) == {"w", "n0", "n1", "n2"} and running["w"] == held - forgot
    # All four have room for eight: 32 traces run at once, and not one more.
    more = [{"target": TARGET, "id": f"m{i}"} for i in range(33 - held)]
    client.request("submit", traces=more)
    stats = watcher.stats()
    assert {w["name"]: w["running"] for w in stats["workers"]} == {
        name: 8 for name in ("w", "n0", "n1", "n2")
    }
    assert stats["queue"]["queued"] == 1
    for lease in leases[forgot:]:
        new.result(lease, body(TRACE))
        while new.expect("done")["lease"] != lease:
            pass
    results = client.collect(held - forgot)
    assert {(r["worker"], r["run"]) for r in results.values()} <= {("w", 1)}
    assert old.hello("w")["code"] == "conflict"


def test_frame_of_five_megabytes_of_a_worker(fake, client, broker):
    worker, other = fake("w"), fake("other")
    before = client.counters()
    worker.send_raw(bytes(5 * MIB))
    client.wait_until(
        lambda s: s["counters"]["connections_closed"] > before["connections_closed"]
    )
    other.silent()
    assert client.counters()["bad_worker_messages"] == 0
    # It comes back as the same worker: with a new connection, so with a new session.
    until(lambda: worker.hello("w")["op"] == "welcome", "no welcome")
    client.send("trace", target=TARGET, workers={"no": "where"}, id="x")
    assert broker.popen.poll() is None


def test_memory_stays_small_at_the_workers(fake, client, broker):
    worker = fake("w")
    worker.silent()
    bombs = [*NOT_MSGPACK, *NOT_A_MAP, b"\x91" * 100000, pack(v=1, op="ping", x=[0] * 1048576)]
    for bomb in bombs:
        worker.send_raw(bomb)
    worker.silent()
    before = memory(broker.pid)
    for _ in range(20):
        for bomb in bombs:
            worker.send_raw(bomb)
        worker.silent()
    assert client.counters()["bad_worker_messages"] == 21 * len(bombs)
    assert memory(broker.pid) - before < 64 * MIB


def test_a_flood_of_dear_messages_holds_nobody_up(system, client):
    """Each takes some 50 ms to refuse. Others are heard, and answered, in between."""
    good, flood = FakeWorker(system.workers), FakeWorker(system.workers)
    assert good.hello("good")["op"] == "welcome"
    count = 80
    dear = msgpack.packb({"v": 1, "op": "heartbeat", "leases": [], "x": [None] * 1048500})
    for _ in range(count):
        flood.send_raw(dear)
    taken, asked = 0, 0
    while taken < count:
        good.send("heartbeat", leases=[])
        asked += 1
        stats = client.request("stats")["stats"]
        taken = stats["counters"]["worker_messages"] - 1 - asked
        assert good.expect("heartbeat")
    assert asked > 3, "the whole flood was taken before anybody else"
    assert stats["counters"]["workers_lost"] == 0, stats


def test_text_of_a_worker_can_be_decoded_by_clients(fake, client):
    """What a worker says of itself reaches every client that asks for stats; a str that is not
    UTF-8 makes their decoders fail."""
    worker = fake()
    hello = msgpack.packb(worker.hello_map("w", prober="PROBER")).replace(b"PROBER", b"\xff\xfe\xff\xfe\xff\xfe")
    worker.send_raw(hello)
    reply = worker.receive()
    assert (reply["op"], reply["code"]) == ("reject", "bad-request"), reply
    client.send("stats")
    assert client.socket.poll(PATIENCE * 1000)
    assert msgpack.unpackb(client.socket.recv())["op"] == "stats"


def test_meta_cannot_poison_the_subscribers(system, client):
    """The same with what a client hangs on a trace, which is published to everybody."""
    topics = system.subscriber("result.")
    head = b"\x85" + raw(b"v") + b"\x01" + raw(b"op") + raw(b"trace") + raw(b"target")
    rest = raw(TARGET.encode()) + raw(b"deadline_ms") + b"\x64" + raw(b"meta") + raw(b"\xff\xfe")
    refused(client, head + rest, "bad-request", "meta")
    # The next one that is published is of a trace that was accepted after it.
    client.request("trace", target=TARGET, deadline_ms=100, id="good", meta="\u00fc")
    topic = b"alive."
    while topic == b"alive.":
        assert topics.poll(PATIENCE * 1000), "no result"
        topic, encoded = topics.recv_multipart()
    assert (topic, msgpack.unpackb(encoded)["meta"]) == (b"result.default.good", "\u00fc")
