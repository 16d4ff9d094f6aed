"""What a worker owes its broker: results until they are acknowledged, traces that it cannot finish at
once; over a lost connection, a drain, and an upgrade of all workers one by one."""

import signal
import socket
import time

import pytest

from fakesessions import FakeSessions
from system import until

PROBER = "version 0.95\nhops 3\non probe ip-4=127.1.0.9: silent\n"
ENDLESS = {"timeout_ms": 30000, "window": 1, "max_ttl": 255, "gap_limit": 0}
DONE_S = 3  # how long a drain waits for the broker's word when its own time is over


def start(system, *options):
    """A worker with a session; the broker is in the hands of the test."""
    broker = FakeSessions(system)
    worker = system.worker(system.island(), *options, env=system.fakemtr(PROBER))
    assert broker.welcome()["leases"] == []
    return broker, worker


def two_traces(broker):
    """1 has ended, and its result is not acknowledged; 2 goes on for long."""
    broker.trace(1, "127.1.0.1")
    broker.trace(2, "127.1.0.9", **ENDLESS)
    return broker.expect("result")


@pytest.mark.parametrize("acknowledged", [True, False])
def test_drain_waits_for_the_word_that_results_are_there(system, acknowledged):
    broker, worker = start(system, "--drain", "1")
    two_traces(broker)
    since = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    broker.expect("drain")
    broker.trace(3, "127.1.0.1")
    assert broker.expect("return")["lease"] == 3
    # What has not ended in time is handed back at once, in a message of its own.
    message = broker.expect("return")
    assert (message["lease"], message["reason"]) == (2, "draining")
    assert 0.9 < time.monotonic() - since < 1.5
    if acknowledged:
        broker.say("done", lease=1)
        broker.expect("bye")
        assert time.monotonic() - since < 1 + DONE_S - 0.5
    else:
        while (message := broker.receive())["op"] != "bye":
            assert message["op"] in ("heartbeat", "result")
        assert 1 + DONE_S - 0.1 < time.monotonic() - since < 1 + DONE_S + 2
    assert worker.wait() == 0


def test_second_signal_waits_for_nothing(system):
    broker, worker = start(system)
    two_traces(broker)
    worker.send_signal(signal.SIGTERM)
    broker.expect("drain")
    since = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert broker.expect("return")["lease"] == 2
    broker.expect("bye")
    assert worker.wait() == 0
    assert time.monotonic() - since < 1


def test_results_that_wait_take_the_place_of_traces(system):
    broker, _ = start(system, "--capacity", "2")
    for lease in (1, 2):
        broker.trace(lease, "127.1.0.1")
    results = [broker.expect("result")["lease"] for _ in range(2)]
    assert sorted(results) == [1, 2]
    broker.trace(3, "127.1.0.1")
    message = broker.expect("return")
    assert (message["lease"], message["reason"]) == (3, "no capacity")
    assert broker.receive()["leases"] == [1, 2]
    broker.say("done", lease=1)
    broker.trace(4, "127.1.0.1")
    until(lambda: broker.expect("result")["lease"] == 4, "no result")


def test_lost_connection_loses_neither_trace_nor_result(system):
    broker, worker = start(system)
    first = two_traces(broker)
    broker.bind()
    message = broker.receive()
    if message["op"] != "hello":  # it has not noticed: any message of a stranger is answered so
        broker.say("who")
    assert broker.welcome()["leases"] == [1, 2]
    again = broker.expect("result")
    assert again == first, "the trace was run again, or told otherwise"
    broker.say("done", lease=1)
    broker.say("cancel", lease=2)
    until(lambda: broker.expect("result")["lease"] == 2, "not ended")
    assert worker.log().count("event=session-open") == 2


def test_silent_broker_gets_hello_and_keeps_its_traces(system):
    """As when it hangs: the connection stays, and nothing comes any more."""
    broker, _ = start(system)
    first = two_traces(broker)
    message = first
    while message["op"] in ("result", "heartbeat"):
        message = broker.receive()
    assert (message["op"], message["leases"]) == ("hello", [1, 2])
    broker.say("welcome", epoch=1, heartbeat_ms=1000, dead_ms=5000)
    until(lambda: broker.receive() == first, "no result")


def test_endpoint_that_is_no_broker(system):
    """It takes connections, and ends each: only a monitor tells. Another broker is not disturbed."""
    broker = FakeSessions(system)
    path = system.path("other")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        endpoint = f"ipc://{path}"
        env = system.fakemtr(PROBER)
        worker = system.worker(system.island(), "--broker", endpoint, env=env)
        for _ in range(5):
            server.accept()[0].close()
        until(lambda: "event=handshake-failed" in worker.log(), "nothing in the log")
        lines = [line for line in worker.log().splitlines() if "event=handshake-failed" in line]
        assert len(lines) == 1 and f"broker={endpoint} why=" in lines[0], lines
    assert broker.welcome()["leases"] == []
    worker.send_signal(signal.SIGTERM)
    broker.expect("drain")
    broker.expect("bye")
    assert worker.wait() == 0


def test_upgrade_of_one_worker_after_the_other(system):
    """Each is stopped and started again while all are busy: no trace is lost, none runs twice."""
    system.broker()
    env = system.fakemtr("version 0.95\nhops 12\nrtt 20000\n")
    names = ["a", "b", "c"]
    options = ["--capacity", "40", "--drain", "20"]
    nets = {name: system.island() for name in names}
    workers = {n: system.worker(nets[n], *options, name=n, env=env) for n in names}
    client, watcher = system.client(), system.client()

    def here(stats):
        return [w["name"] for w in stats["workers"]] == names

    watcher.wait_until(here)
    total = 1200
    traces = [{"id": f"t{i}", "target": f"127.1.{i % 250}.{i // 250 + 1}"} for i in range(total)]
    client.submit(traces)
    for name in names:
        watcher.wait_until(lambda s: of(name, s)["running"] > 5)
        assert workers[name].stop() == 0
        workers[name] = system.worker(nets[name], *options, name=name, env=env)
        stats = watcher.wait_until(lambda s: here(s) and not of(name, s)["draining"])
    assert stats["queue"]["queued"] > 0, "too late to be in the middle"
    results = client.collect(total)
    assert {(r["stop"], r["run"]) for r in results.values()} == {("reached", 1)}
    assert {r["worker"] for r in results.values()} == set(names)
    assert client.receive(0) is None
    counters = watcher.counters()
    assert counters["leases_lost"] == counters["workers_lost"] == counters["late_results"] == 0
    assert counters["results"] == total
    assert counters["workers_joined"] == 6


def of(name, stats):
    return next(w for w in stats["workers"] if w["name"] == name)
