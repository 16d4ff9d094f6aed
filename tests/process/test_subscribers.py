"""Subscribers that do not read lose results; the broker and everybody else are not affected."""

import time
from datetime import datetime, timedelta

import msgpack
import pytest
import zmq

from system import PATIENCE, until

QUEUE = 10000  # messages that the broker keeps for one subscriber


def memory(pid):
    """Resident bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))


def publish(client, count):
    """So many results, of traces that are cancelled as they wait for a worker."""
    for _ in range(count // 1000):
        ids = client.request("submit", traces=[{"target": "192.0.2.1"}] * 1000)["ids"]
        client.request("cancel", ids=ids)


def take(socket, got):
    """Adds the number of the next message, if it is a result."""
    topic, message = socket.recv_multipart()
    if topic.startswith(b"result."):
        got.append(msgpack.unpackb(message)["seq"])


def seqs(socket, count):
    """The numbers of the next `count` results."""
    got = []
    deadline = time.monotonic() + PATIENCE
    while len(got) < count:
        left = deadline - time.monotonic()
        assert left > 0 and socket.poll(left * 1000), f"{len(got)} of {count} results"
        take(socket, got)
    return got


@pytest.fixture
def stuck(system):
    """A subscriber that takes a few messages, and no others unless a test reads them."""
    socket = zmq.Context.instance().socket(zmq.SUB)
    socket.linger = 0
    socket.rcvhwm = 100
    socket.connect(system.results)
    socket.subscribe("")
    system.clients.append(socket)
    return socket


def test_a_subscriber_that_does_not_read(system, stuck):
    broker = system.broker("--keep-results", "0")
    client = system.client()
    reader = system.subscriber("result.")
    assert stuck.poll(PATIENCE * 1000)
    publish(client, 2 * QUEUE)
    assert seqs(reader, 2 * QUEUE) == list(range(1, 2 * QUEUE + 1))
    until(lambda: broker.log().count("event=subscriber-full") == 1, "no line")
    assert client.counters()["publish_dropped"] == 1
    # its queue has its bound, and costs nobody time: the rest needs no more memory
    before = memory(broker.pid)
    publish(client, 2 * QUEUE)
    assert seqs(reader, 2 * QUEUE) == list(range(2 * QUEUE + 1, 4 * QUEUE + 1))
    assert memory(broker.pid) < before + 4 * 1024 * 1024
    # what it has is in order and without repetition, and when it has read that, it gets new ones
    got = seqs(stuck, QUEUE // 2)
    deadline = time.monotonic() + PATIENCE
    while got[-1] <= 4 * QUEUE:
        assert time.monotonic() < deadline, "it gets nothing new"
        publish(client, 1000)
        while stuck.poll(20):
            take(stuck, got)
    assert got[: QUEUE // 2] == list(range(1, QUEUE // 2 + 1))
    assert got == sorted(set(got))
    # each loss is counted, and told once a minute at most
    deadline = time.monotonic() + PATIENCE
    while client.counters()["publish_dropped"] == 1:
        assert time.monotonic() < deadline, "its next loss is not seen"
        publish(client, 1000)
    told = [line for line in broker.log().splitlines() if "event=subscriber-full" in line]
    times = [datetime.fromisoformat(line.split()[0].removeprefix("ts=")) for line in told]
    assert all(later - time >= timedelta(minutes=1) for time, later in zip(times, times[1:]))


def test_no_line_where_all_read(system):
    broker = system.broker("--keep-results", "0")
    client = system.client()
    reader = system.subscriber("result.")
    for first in range(1, 2 * QUEUE, 1000):
        publish(client, 1000)
        assert seqs(reader, 1000) == list(range(first, first + 1000))
    assert "event=subscriber-full" not in broker.log()
    assert client.counters()["publish_dropped"] == 0
