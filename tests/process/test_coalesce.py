"""Subscribers, replays, fanouts and shared probes at a real broker, through its restarts. The
workers are played by hand."""

import itertools
import signal

import pytest

from fakeworker import FakeWorker, body
from system import until

TARGET = "192.0.2.1"


@pytest.fixture
def fake(system):
    """A worker that takes one trace at a time, of a name that no other had."""
    numbers = itertools.count(1)

    def make(name=None, **changes):
        worker = FakeWorker(system.workers)
        system.clients.append(worker)
        name = name or f"w{next(numbers)}"
        assert worker.hello(name, **{"capacity": 1, **changes})["op"] == "welcome"
        return worker

    return make


def finish(worker, count):
    """Ends this many traces; the broker has the results when this returns."""
    for _ in range(count):
        given = worker.expect("trace")
        worker.result(given["lease"], body(given["trace"]))
        worker.expect("done")


def watch(system, *argv):
    process = system.start("watch", "--json", *argv)
    until(lambda: "watching" in process.log(), "no subscription")
    return process


def submit(system, count, first=1):
    """So many traces, named t1, t2, ..."""
    traces = [{"target": TARGET, "id": f"t{first + i}"} for i in range(count)]
    reply = system.client().request("submit", traces=traces)
    assert reply["ids"] == [trace["id"] for trace in traces], reply


def restart(system, broker, *options):
    """The broker dies without a word, and another one takes its file."""
    broker.kill()
    return system.broker(*options, store="store")


def seqs(lines):
    return [line["seq"] for line in lines]


def test_a_watch_that_slept_through_a_restart_misses_nothing(system, fake):
    broker = system.broker(store="store")
    watcher = watch(system)
    submit(system, 2)
    finish(fake(), 2)
    assert seqs(watcher.read_json(2)) == [1, 2]
    watcher.send_signal(signal.SIGSTOP)
    restart(system, broker)
    submit(system, 3, first=3)
    worker = fake()
    finish(worker, 3)
    watcher.send_signal(signal.SIGCONT)
    assert seqs(watcher.read_json(3)) == [3, 4, 5]
    submit(system, 1, first=6)
    finish(worker, 1)
    assert seqs(watcher.read_json(1)) == [6]
    watcher.stop(signal.SIGINT)
    assert "again" not in watcher.log() and "kept" not in watcher.log(), watcher.log()


def test_a_watch_that_does_not_read_misses_nothing(system, fake):
    """More than the broker's queue for it can take, so that what is published is dropped."""
    count = 15000
    system.broker("--keep-results", "50000")
    watcher = watch(system)
    watcher.send_signal(signal.SIGSTOP)
    worker, client = fake(capacity=1000), system.client()
    for first in range(0, count, 1000):
        submit(system, 1000, first=first)
        given = [worker.expect("trace") for _ in range(1000)]
        for each in given:
            worker.result(each["lease"], body(each["trace"]))
        for _ in given:
            worker.expect("done")
    watcher.send_signal(signal.SIGCONT)
    assert seqs(watcher.read_json(count)) == list(range(1, count + 1))
    assert client.counters()["replays"] > 0, "nothing was dropped"


def test_a_watch_of_one_stream_misses_nothing(system, fake):
    broker = system.broker(store="store")
    watcher = watch(system, "a")
    names = ["a", "b", "a", "b", "a", "a"]
    traces = [{"target": TARGET, "id": f"t{i}", "stream": name} for i, name in enumerate(names)]
    system.client().request("submit", traces=traces[:2])
    finish(fake(), 2)
    assert [line["id"] for line in watcher.read_json(1)] == ["t0"]
    watcher.send_signal(signal.SIGSTOP)
    restart(system, broker)
    system.client().request("submit", traces=traces[2:])
    finish(fake(), 4)
    watcher.send_signal(signal.SIGCONT)
    lines = watcher.read_json(3)
    assert [line["id"] for line in lines] == ["t2", "t4", "t5"]
    assert [line["stream_seq"] for line in lines] == [2, 3, 4]


def test_a_memory_that_is_gone_is_told(system, fake):
    broker = system.broker()
    watcher = watch(system, "-n", "3")
    submit(system, 1)
    finish(fake(), 1)
    assert seqs(watcher.read_json(1)) == [1]
    broker.kill()
    system.broker()
    submit(system, 2, first=2)
    finish(fake(), 2)
    assert [line["id"] for line in watcher.read_json(2)] == ["t2", "t3"]
    assert watcher.wait() == 1
    assert "begun to count again" in watcher.log()


def test_replay_after_a_restart(system, fake):
    broker = system.broker(store="store")
    submit(system, 5)
    finish(fake(), 5)
    before = system.hopmq("replay", "--json")
    assert (before.returncode, before.stderr) == (0, "")
    assert len(before.stdout.splitlines()) == 5
    restart(system, broker)
    assert system.hopmq("replay", "--json").stdout == before.stdout
    assert system.hopmq("replay", "--json", "2", "-n", "2").stdout.splitlines() == (
        before.stdout.splitlines()[2:4]
    )
    assert system.hopmq("replay", "--stream", "other").stdout == ""
    watcher = watch(system, "--after", "3", "-n", "2")
    assert seqs(watcher.read_json(2)) == [4, 5]
    assert watcher.wait() == 0


def test_replay_tells_what_is_no_longer_kept(system, fake):
    system.broker("--keep-results", "2")
    submit(system, 5)
    finish(fake(), 5)
    done = system.hopmq("replay")
    assert done.returncode == 1
    assert done.stderr == "hopmq: results 1 to 3 are no longer kept\n"
    assert [line.split()[2] for line in done.stdout.splitlines()] == ["t4", "t5"]


def test_more_than_one_page(system, fake):
    """A reply takes 512 KiB: with a meta of 1 KiB each, some hundred results."""
    system.broker()
    traces = [{"target": TARGET, "id": f"t{i}", "meta": "x" * 1000} for i in range(1200)]
    client = system.client()
    for at in (0, 600):
        client.request("submit", traces=traces[at : at + 600])
    worker = fake(capacity=1200)
    leases = [worker.expect("trace") for _ in traces]
    for given in leases:
        worker.result(given["lease"], body(given["trace"]))
    for _ in leases:
        worker.expect("done")
    done = system.hopmq("replay")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1200


def test_submit_waits_through_a_restart(system, fake):
    broker = system.broker(store="store")
    waiting = system.start("submit", "--wait", "--json", "--id", "one", TARGET)
    client = system.client()
    client.wait_until(lambda stats: stats["queue"]["queued"] == 1)
    restart(system, broker)
    # The new broker knows of the trace, and gets to know who waits for it.
    known = ("repeated", "accepted")  # it may have been killed before its answer left
    system.client().wait_until(lambda stats: sum(stats["counters"][c] for c in known) == 1)
    finish(fake(), 1)
    assert [line["id"] for line in waiting.read_json(1)] == ["one"]
    assert waiting.wait() == 0


# ---- fanout, coalesce, no-wait -----------------------------------------------------------------


def test_a_fanout_traces_from_each_place(system, fake):
    system.broker()
    workers = [fake("a"), fake("b")]
    process = system.start("trace", "--id", "one", "--fanout", "all", TARGET)
    for worker in workers:
        finish(worker, 1)
    lines = process.read_rest()
    assert sorted(line for line in lines if line.startswith("at ")) == ["at a:", "at b:"]
    assert lines[-1].startswith("2 parts: 2 reached, ")
    assert process.wait() == 0
    fetched = system.hopmq("fetch", "one/a", "one/b", "one")
    assert (fetched.returncode, len(fetched.stdout.splitlines())) == (0, 3)
    assert system.hopmq("status", "one/a").stdout.split() == ["one/a", "done"]
    # In the order of their ends, the summary last.
    replayed = system.hopmq("replay").stdout.splitlines()
    assert [line.split()[2] for line in replayed] == ["one/a", "one/b", "one"]


def test_places_that_ended_before_a_restart_are_fetched(system, fake):
    broker = system.broker(store="store")
    workers = [fake("a"), fake("b")]
    process = system.start("submit", "-wj", "--id", "one", "--fanout", "all", TARGET)
    given = workers[1].expect("trace")
    finish(workers[0], 1)
    assert [line["id"] for line in process.read_json(1)] == ["one/a"]
    process.send_signal(signal.SIGSTOP)
    restart(system, broker)
    back = fake("b", leases=[given["lease"]])
    back.result(given["lease"], body(given["trace"]))
    back.expect("done")
    process.send_signal(signal.SIGCONT)
    lines = process.read_json(2)
    assert [line["id"] for line in lines] == ["one/b", "one"]
    assert [member["id"] for member in lines[1]["members"]] == ["one/a", "one/b"]
    assert process.wait() == 0


def test_a_shared_probe(system, fake):
    system.broker()
    first = system.start("trace", "--coalesce", "--id", "first", TARGET)
    system.client().wait_until(lambda stats: stats["queue"]["queued"] == 1)
    second = system.start("trace", "--coalesce", "--id", "second", TARGET)
    system.client().wait_until(lambda stats: stats["queue"]["queued"] == 2)
    worker = fake()
    finish(worker, 1)
    assert "probed by" not in first.read_rest()[-1]
    assert second.read_rest()[-1].endswith(", worker w1, probed by first")
    third = system.hopmq("trace", "--coalesce", "--max-age", "60000", TARGET)
    assert third.returncode == 0 and "probed by" in third.stdout
    worker.silent()


def test_no_wait_is_refused_at_once(system, fake):
    system.broker()
    fake("site", labels={"site": "ams"})
    done = system.hopmq("trace", "--no-wait", "--label", "site=fra", TARGET)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no worker" in done.stderr
