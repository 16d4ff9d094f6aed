"""Log lines: what a peer says cannot pose as a line or a pair of one, level debug shows every
message, and under systemd lines have priorities."""

import os
import re

import msgpack

from fakeworker import FakeWorker
from system import program, until

STAMP = r"ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
PAIR = r'[a-z_]+=(?:[!#-<>-\[\]-~]+|"(?:[ !#-\[\]-~]|\\["\\]|\\u00[0-9a-f]{2})*")'
LINE = re.compile(rf"{STAMP} level=(error|warn|info|debug) event=([a-z-]+)((?: {PAIR})*)")


def events(log):
    """(level, event, pairs) of each whole line; fails on a line that is none."""
    found = []
    for line in log[: log.rfind("\n") + 1].splitlines():
        match = LINE.fullmatch(line)
        assert match, line
        pairs = re.findall(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|\S+)', match[3])
        bare = {k: v[1:-1] if v[0] == '"' else v for k, v in pairs}
        found.append((match[1], match[2], bare))
    return found


def named(log, name):
    return [pairs for _, event, pairs in events(log) if event == name]


def test_a_hostile_text_stays_a_value(system):
    broker = system.broker()
    fake = FakeWorker(system.workers)
    system.clients.append(fake)
    forged = 'x" level=error event=forged why="\\'
    fake.hello("w", trouble=forged)
    (pairs,) = until(lambda: named(broker.log(), "worker-trouble"), "no line")
    assert pairs == {"name": "w", "why": r"x\" level=error event=forged why=\"\\"}
    worse = forged + "\nts=1 level=error event=forged \x1b[2J\u0085"
    fake.send_raw(msgpack.packb(fake.hello_map("w", trouble=worse)))
    until(lambda: named(broker.log(), "bad-worker-message"), "no line")
    assert [event for _, event, _ in events(broker.log())].count("forged") == 0


def test_every_message_is_a_line_at_debug(system):
    env = system.fakemtr("hops 3\nrtt 1000\n")
    broker = system.broker("--log", "debug")
    worker = system.worker(None, "--log", "debug", env=env)
    client = system.client()
    count = 50  # more than the lines a second of one event at other levels
    client.submit([{"id": f"t{i}", "target": f"127.1.0.{i}"} for i in range(count)])
    client.collect(count)
    until(lambda: len(named(worker.log(), "from-broker")) >= 2 * count, "not all lines")
    said = [p["message"] for p in named(broker.log(), "from-client")]
    assert len(said) == 1 and said[0].startswith("{'v':1,'op':'submit','traces':[{'id':'t0',")
    assert not [line for line in broker.log().splitlines() if len(line) >= 4096]
    assert said[0].endswith("...") == (len(said[0]) > 3000)

    def published():
        return [p for p in named(broker.log(), "publish") if p["peer"].startswith("result.")]

    until(lambda: len(published()) >= count, "not all lines")
    results = published()
    assert len(results) == count and all(r["message"].startswith("{'v':1,") for r in results)
    for mine, theirs in (("to-worker", "from-broker"), ("from-worker", "to-broker")):
        here = [p["message"] for p in named(broker.log(), mine)]
        there = [p["message"] for p in named(worker.log(), theirs)]
        traces = [m for m in here if "'op':'trace'" in m or "'op':'result'" in m]
        assert len(traces) == count
        assert traces == [m for m in there if "'op':'trace'" in m or "'op':'result'" in m]
    assert all(re.fullmatch("[0-9a-f]{10}", p["peer"]) for p in named(broker.log(), "to-worker"))
    assert {p["peer"] for p in named(worker.log(), "to-broker")} == {system.workers}


def test_what_is_no_message_is_shown_in_bytes(system):
    broker = system.broker("--log", "debug")
    client = system.client()
    client.send_raw(b"\xc1\x00")
    assert client.receive()["op"] == "error"
    (pairs,) = until(lambda: named(broker.log(), "from-client"), "no line")
    assert pairs["message"] == "#c1 00#" and pairs["bytes"] == "2"


def test_no_message_is_shown_at_info(system):
    broker = system.broker()
    system.client().stats()
    broker.stop()
    assert {level for level, _, _ in events(broker.log())} == {"info"}
    assert not named(broker.log(), "from-client")


def test_priorities_for_the_journal(system):
    """Where standard error is the stream that JOURNAL_STREAM names, by device and inode."""

    def lines(name, journal):
        with open(system.path(name + ".log"), "ab") as log:
            at = os.fstat(log.fileno())
        env = {**os.environ, "JOURNAL_STREAM": journal.format(at.st_dev, at.st_ino)}
        endpoints = [f"ipc://{system.path(name)}-{i}" for i in range(3)]
        argv = [program("hopmq-broker"), "--log", "debug", "--submit", endpoints[0]]
        argv += ["--results", endpoints[1], "--workers", endpoints[2]]
        broker = system.run(argv, name, env=env)
        fake = FakeWorker(endpoints[2])
        system.clients.append(fake)
        fake.hello("w", trouble="t")  # a warning
        until(lambda: re.search("event=worker-trouble .*\n", broker.log()), "no line")
        return broker.log().splitlines()

    numbers = {"warn": "<4>", "info": "<6>", "debug": "<7>"}
    seen = set()
    for line in lines("with", "{}:{}"):
        match = LINE.fullmatch(line[3:])
        assert match and line.startswith(numbers[match[1]]), line
        seen.add(match[1])
    assert seen == set(numbers)
    assert all(LINE.fullmatch(line) for line in lines("other", "{}:1"))
