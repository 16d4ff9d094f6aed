"""A broker that is killed and started again with its store: what was accepted ends once, and what its
workers were running meanwhile is not run again."""

from figures import HERE, figures, until_figures
from system import until

SLOW = "version 0.95\nhops 5\nrtt 100000\n"  # a trace of window 1 takes 1.5 s
SILENT = "version 0.95\nhops 3\non probe: silent\n"
IN_TURN = {"window": 1, "progress": True}
# Runs until it is ended.
ENDLESS = {"target": "127.1.0.9", "timeout_ms": 30000, "window": 1, "max_ttl": 255, "gap_limit": 0}


def start_broker(system):
    return system.broker(store="store.db")


def joined(*names):
    return lambda stats: {w["name"] for w in stats["workers"]} == set(names)


def of(name, stats):
    return next((w for w in stats["workers"] if w["name"] == name), {})


def ended(client, ids):
    """The results of all these, by id, when they have ended."""
    reply = client.wait_until_answer(
        lambda reply: {s["state"] for s in reply["states"]} == {"done"}, "status", ids=ids
    )
    assert len(reply["states"]) == len(ids)
    reply = client.request("fetch", ids=ids)
    assert reply["missing"] == reply["more"] == []
    return {r["id"]: r for r in reply["results"]}


def test_running_traces_survive_the_broker(system):
    """Some have ended, some end while it is away, some were queued; none is probed twice."""
    broker = start_broker(system)
    env = system.fakemtr(SLOW)
    net = system.island()
    worker = system.worker(net, "--capacity", "10", "--metrics", HERE, env=env)
    client = system.client()
    client.wait_until(joined("w1"))
    ids = [f"t{i}" for i in range(30)]
    traces = [{"id": name, "target": f"127.1.0.{i + 1}", **IN_TURN} for i, name in enumerate(ids)]
    client.send("submit", traces=traces, notify=True)
    # At least ten have ended, and ten are at the worker, as it has always that many.
    seen = set()
    while len(seen) < 20:
        message = client.receive()
        if message["op"] == "hop":
            seen.add(message["id"])
    broker.kill()
    until_figures(worker, net, held_traces=10, probes_in_flight=0)
    before = figures(worker, net)["hopmq_traces_done_total"] - 10
    start_broker(system)
    again = system.client()
    again.wait_until(joined("w1"))
    found = ended(again, ids)
    assert {(r["stop"], r["run"], len(r["hops"])) for r in found.values()} == {("reached", 1, 5)}
    assert sorted(r["seq"] for r in found.values()) == list(range(1, 31))
    counters = again.counters()
    assert counters["leases_lost"] == counters["requeued"] == 0
    assert (counters["results"], counters["adopted"]) == (30 - before, 10)
    # Whatever is probed is in some result; the numbers come with the next heartbeat.
    sent = sum(r["probes_sent"] for r in found.values())
    again.wait_until(lambda s: of("w1", s).get("stats", {}).get("traces_done") == 30)
    assert of("w1", again.stats())["stats"]["probes_sent"] == sent
    # The same again is the same answer.
    assert again.request("submit", traces=traces)["ids"] == ids
    assert again.counters()["accepted"] == 0


def test_traces_of_a_worker_that_does_not_come_back(system):
    broker = start_broker(system)
    env = system.fakemtr(SILENT)
    worker = system.worker(system.island(), name="a", env=env)
    client = system.client()
    client.wait_until(joined("a"))
    client.request("submit", traces=[{"id": "t", **ENDLESS}])
    client.wait_until(lambda s: of("a", s)["running"] == 1)
    broker.kill()
    worker.kill()
    start_broker(system)
    system.worker(system.island(), name="b", env=env)
    again = system.client()
    again.wait_until(joined("b"))
    (state,) = again.request("status", ids=["t"])["states"]
    assert (state["state"], state.get("worker")) == ("running", "a"), "not waited for"
    again.wait_until(lambda s: of("b", s)["running"] == 1)
    again.request("cancel", ids=["t"])
    result = ended(again, ["t"])["t"]
    assert (result["worker"], result["run"], result["seq"]) == ("b", 2, 1)


def test_worker_that_was_started_again_too(system):
    """It says that it has nothing: nobody waits for it any longer, as for one that does not come."""
    broker = start_broker(system)
    env = system.fakemtr(SILENT)
    workers = {}
    for name in ("a", "b"):
        options = ["--label", f"at={name}"]
        workers[name] = system.worker(system.island(), *options, name=name, env=env)
    client = system.client()
    client.wait_until(joined("a", "b"))
    traces = [{"id": i, "workers": {"at": at}, **ENDLESS} for i, at in (("t", "a"), ("u", "b"))]
    client.request("submit", traces=traces)
    client.wait_until(lambda s: of("a", s)["running"] == of("b", s)["running"] == 1)
    broker.kill()
    for worker in workers.values():
        worker.kill()
    a = system.worker(system.island(), "--label", "at=a", name="a", env=env)
    until(lambda: a.log().count("event=prober-up") == 2, "no prober")  # the log is that of both
    start_broker(system)
    again = system.client()
    again.wait_until(lambda s: of("a", s).get("running") == 1)
    (state,) = again.request("status", ids=["u"])["states"]
    assert (state["state"], state.get("worker")) == ("running", "b"), "both were given up at once"
    again.request("cancel", ids=["t"])
    result = ended(again, ["t"])["t"]
    assert (result["worker"], result["run"]) == ("a", 2)


def test_broker_that_is_killed_again_and_again(system):
    """One worker, one long trace, and a broker that hardly comes up."""
    broker = start_broker(system)
    system.worker(system.island(), env=system.fakemtr(SILENT))
    client = system.client()
    client.wait_until(joined("w1"))
    client.request("submit", traces=[{"id": "t", **ENDLESS}])
    client.wait_until(lambda s: of("w1", s)["running"] == 1)
    for number in range(3):
        broker.kill()
        broker = start_broker(system)
        client = system.client()
        client.wait_until(lambda s: of("w1", s).get("running") == 1 and s["queue"]["running"] == 1)
    client.request("cancel", ids=["t"])
    result = ended(client, ["t"])["t"]
    assert (result["run"], result["seq"], result["stop"]) == (1, 1, "cancelled")
    assert client.counters()["dispatched"] == 0, "it was given again"
