"""What a worker owes its broker: results until they are acknowledged, traces that it cannot finish at
once; over a lost connection, a drain, and an upgrade of all workers one by one."""

import signal
import socket

from fakesessions import FakeSessions
from system import until

PROBER = "version 0.95\nhops 3\non probe ip-4=127.1.0.9: silent\n"
ENDLESS = {"timeout_ms": 1000, "window": 1, "max_ttl": 255, "gap_limit": 0}
HOURS = "3600"  # of --drain: what ends before a test gives up has not waited for it


def start(system, *options, heartbeat_ms=1000):
    """A worker with a session; the broker is in the hands of the test."""
    broker = FakeSessions(system)
    worker = system.worker(system.island(), *options, env=system.fakemtr(PROBER))
    assert broker.welcome(heartbeat_ms)["leases"] == []
    return broker, worker


def two_traces(broker):
    """1 has ended, and its result is not acknowledged; 2 goes on for long."""
    broker.trace(1, "127.1.0.1")
    broker.trace(2, "127.1.0.9", **ENDLESS)
    return broker.expect("result")


def returned(broker):
    """The next trace that comes back, as (lease, reason). Results are sent again until then."""
    while (message := broker.receive())["op"] != "return":
        assert message["op"] in ("heartbeat", "result"), message
    return message["lease"], message["reason"]


def test_drain_waits_for_traces_and_for_the_word_that_results_are_there(system):
    broker, worker = start(system, "--drain", HOURS)
    two_traces(broker)
    worker.send_signal(signal.SIGTERM)
    broker.expect("drain")
    broker.trace(3, "127.1.0.1")
    assert returned(broker) == (3, "draining")
    broker.say("cancel", lease=2)
    until(lambda: broker.receive().get("lease") == 2, "no result of the cancelled trace")
    # All traces have ended, and one result is acknowledged: it is still there for the other one.
    broker.say("done", lease=2)
    broker.trace(4, "127.1.0.1")
    assert returned(broker) == (4, "draining")
    broker.say("done", lease=1)
    until(lambda: broker.receive()["op"] == "bye", "no end")
    assert worker.wait() == 0


def test_drain_that_is_over_hands_back_what_runs(system):
    """It comes back in a message of its own, and the word for a result is not waited for for ever."""
    broker, worker = start(system, "--drain", "1", heartbeat_ms=100)
    two_traces(broker)
    worker.send_signal(signal.SIGTERM)
    broker.expect("drain")
    assert returned(broker) == (2, "draining")
    ops = [broker.receive()["op"]]
    while ops[-1] != "bye":
        ops.append(broker.receive()["op"])
    assert "heartbeat" in ops, "it did not wait for the word"
    assert set(ops) <= {"heartbeat", "result", "bye"}
    assert worker.wait() == 0


def test_second_signal_waits_for_nothing(system):
    broker, worker = start(system, "--drain", HOURS, heartbeat_ms=100)
    two_traces(broker)
    worker.send_signal(signal.SIGTERM)
    broker.expect("drain")
    worker.send_signal(signal.SIGTERM)
    assert returned(broker) == (2, "draining")
    assert broker.receive()["op"] == "bye", "it waits for the word that its result is there"
    assert worker.wait() == 0


def test_results_that_wait_take_the_place_of_traces(system):
    broker, _ = start(system, "--capacity", "2")
    for lease in (1, 2):
        broker.trace(lease, "127.1.0.1")
    results = set()
    while results != {1, 2}:  # either may be sent again before the other has come
        results.add(broker.expect("result")["lease"])
    broker.trace(3, "127.1.0.1")
    assert returned(broker) == (3, "no capacity")
    while (message := broker.receive())["op"] != "heartbeat":
        assert message["op"] == "result", message
    assert message["leases"] == [1, 2]
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
    broker.open(heartbeat_ms=100, dead_ms=1000)
    message = first
    while message["op"] in ("result", "heartbeat"):
        message = broker.receive()
    assert (message["op"], message["leases"]) == ("hello", [1, 2])
    broker.open()
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
        server.accept()[0].close()  # it goes on dialling, and says no more of it
        server.accept()[0].close()
        lines = [line for line in worker.log().splitlines() if "event=handshake-failed" in line]
        assert len(lines) == 1 and f"broker={endpoint} why=" in lines[0], lines
    assert broker.welcome()["leases"] == []
    worker.send_signal(signal.SIGTERM)
    broker.expect("drain")
    broker.expect("bye")
    assert worker.wait() == 0


def busy(client, watcher, name, submitted):
    """Waits until a worker is in the middle of its work. More traces are submitted whenever few are
    queued, so that there is a middle however long one looks away."""

    def is_busy(stats):
        if stats["queue"]["queued"] < 100:
            first = len(submitted)
            made = [f"127.1.{i % 250}.{i // 250 + 1}" for i in range(first, first + 200)]
            submitted.extend(made)
            client.submit([{"id": f"t{first + i}", "target": t} for i, t in enumerate(made)])
        return of(name, stats)["running"] > 5

    watcher.wait_until(is_busy)


def test_upgrade_of_one_worker_after_the_other(system):
    """Each is stopped and started again while all are busy: no trace is lost, none runs twice."""
    system.broker()
    env = system.fakemtr("version 0.95\nhops 12\nrtt 20000\n")
    names = ["a", "b", "c"]
    options = ["--capacity", "40", "--drain", HOURS]
    nets = {name: system.island() for name in names}
    workers = {n: system.worker(nets[n], *options, name=n, env=env) for n in names}
    client, watcher = system.client(), system.client()

    def here(stats):
        return [w["name"] for w in stats["workers"]] == names

    watcher.wait_until(here)
    submitted = []
    for name in names:
        busy(client, watcher, name, submitted)
        assert workers[name].stop() == 0
        workers[name] = system.worker(nets[name], *options, name=name, env=env)
        watcher.wait_until(lambda s: here(s) and not of(name, s)["draining"])
    total = len(submitted)
    results = client.collect(total)
    assert {(r["stop"], r["run"]) for r in results.values()} == {("reached", 1)}
    assert {r["worker"] for r in results.values()} == set(names)
    client.nothing_more()
    counters = watcher.counters()
    assert counters["leases_lost"] == counters["workers_lost"] == counters["late_results"] == 0
    assert counters["results"] == total
    assert counters["workers_joined"] == 6


def of(name, stats):
    return next(w for w in stats["workers"] if w["name"] == name)
