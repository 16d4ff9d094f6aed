"""A prober that does not stay up costs its worker the traces, not the broker: they run elsewhere, and
stats say why. And how a prober ends with its worker: by the end of its input, once it is idle."""

import os
import re
import shutil
import signal
import sys

import pytest

from system import until
from truth import destination

OPEN = ["--seed", "5", "--hops", "3-3", "--rtt-us", "2000"]
SILENT = ["--seed", "3", "--hops", "2-2", "--silent-router", "100", "--silent-target", "100"]
# A trace that runs until it is ended, with its probes out.
ENDLESS = {"max_ttl": 255, "gap_limit": 0, "timeout_ms": 30000, "window": 64, "attempts": 32}

HOURS = "3600"  # of --drain: what ends before a test gives up has not waited for it

# Does as its mode file says at the time of its start, and notes each start.
PROBER = """#!/bin/sh
mode=$(cat {dir}/mode)
echo "$mode" >>{dir}/starts
case $mode in
dies) exit 3 ;;
garbage) exec yes garbage ;;
hangs) exec sleep 1000 ;;
no-rights-once) echo hangs >{dir}/mode && mode=no-rights ;;
well) exec {real} ;;
esac
while read -r token word what rest; do
    case $word:$what:$token in
    check-support:*:1) echo "$token feature-support support 0.95" ;;
    check-support:*) echo "$token feature-support support ok" ;;
    *:*:8) [ "$mode" = no-rights ] && echo 8 no-reply || echo 8 reply ip-4 127.0.0.1 round-trip-time 9 ;;
    *) exit 4 ;;
    esac
done
[ "$mode" != stays ] || exec sleep 1000 # past the end of its input
"""


class Prober:
    """A prober that the test can make better or worse."""

    def __init__(self, system, mode):
        self.dir = system.path("prober")
        os.mkdir(self.dir)
        self.path = os.path.join(self.dir, "mtr-packet")
        self.become(mode)
        with open(self.path, "w", encoding="ascii") as f:
            f.write(PROBER.format(dir=self.dir, real=shutil.which("mtr-packet")))
        os.chmod(self.path, 0o755)
        self.env = {"MTR_PACKET": self.path}

    def become(self, mode):
        with open(os.path.join(self.dir, "mode.new"), "w", encoding="ascii") as f:
            f.write(mode)
        os.replace(f.name, os.path.join(self.dir, "mode"))

    def starts(self):
        try:
            with open(os.path.join(self.dir, "starts"), encoding="ascii") as f:
                return len(f.readlines())
        except FileNotFoundError:
            return 0


def pauses(worker):
    """The worker's pauses before it starts a prober again, in milliseconds, as it says them."""
    return [int(ms) for ms in re.findall(r"event=prober-ended .*restart_ms=(\d+)\n", worker.log())]


def of(name, stats):
    return next((w for w in stats["workers"] if w["name"] == name), {})


def in_trouble(name, reason):
    return lambda stats: reason in of(name, stats).get("trouble", "")


def well(*names):
    return lambda stats: all(
        of(n, stats).get("af") and "trouble" not in of(n, stats) for n in names
    )


def trace(client, number, **fields):
    return client.request("trace", target=destination(4, number), **fields)


@pytest.mark.parametrize(
    "mode, reason",
    [
        ("dies", "mtr-packet: ended with status 3"),
        ("garbage", "mtr-packet: too many lines that are no answers"),
        ("no-rights", "mtr-packet: has no raw sockets"),
    ],
)
def test_prober_that_never_comes_up(system, mode, reason):
    net = system.simnet(*OPEN)
    system.broker()
    prober = Prober(system, mode)
    worker = system.worker(net, name="a", env=prober.env)
    client = system.client()
    stats = client.wait_until(in_trouble("a", reason))
    a = of("a", stats)
    assert (a["af"], a["protocols"], a["prober"]) == ([], [], "mtr-packet")
    assert a["capacity"] == 500
    assert f"  takes no traces: {reason}\n" in system.hopmq("stats").stdout
    end = trace(client, 1, deadline_ms=100)
    assert (end["stop"], end["run"]) == ("no-worker", 0)

    b = system.worker(net, name="b")
    client.wait_until(well("b"))
    for i in range(1, 11):
        assert trace(client, i)["worker"] == "b"
    until(lambda: len(pauses(worker)) >= 5, "no starts")
    assert pauses(worker)[:5] == [100, 200, 400, 800, 1600]

    prober.become("well")
    client.wait_until(well("a", "b"))
    assert b.stop() == 0
    end = trace(client, 1)
    assert (end["worker"], end["stop"]) == ("a", "reached")
    counters = client.counters()
    assert counters["workers_lost"] == 0
    assert counters["returned"] == 0, "it was given traces while it was in trouble"


def test_prober_without_rights_is_trouble_at_once(system):
    """The next one will have none either. Here it hangs, which would be another reason."""
    system.broker()
    prober = Prober(system, "no-rights-once")
    system.worker(None, env=prober.env)
    system.client().wait_until(in_trouble("w1", "has no raw sockets"))


@pytest.mark.parametrize("gone", [False, True])
def test_prober_that_does_not_come_up_again(system, gone):
    """What the worker was given before goes to another one, and counts no run."""
    net = system.simnet(*SILENT)
    system.broker()
    prober = Prober(system, "well")
    a = system.worker(net, name="a", env=prober.env)
    client = system.client()
    client.wait_until(well("a"))
    traces = [{"target": destination(4, i), "id": f"t{i}", **ENDLESS} for i in range(1, 7)]
    client.request("submit", traces=traces)
    client.wait_until(lambda s: of("a", s).get("stats", {}).get("probes_in_flight", 0) > 100)
    system.worker(net, name="b")
    client.wait_until(well("a", "b"))

    prober.become("dies")
    if gone:
        os.rename(prober.path, prober.path + ".away")
    os.kill(until(a.children, "no mtr-packet")[0], signal.SIGKILL)
    reason = "No such file or directory" if gone else "ended with status 3"
    stats = client.wait_until(in_trouble("a", "mtr-packet: " + reason))
    assert of("a", stats)["prober"].startswith("mtr-packet 0."), "that is not news"
    stats = client.wait_until(lambda s: of("b", s)["running"] == 6)
    assert of("a", stats)["running"] == 0
    counters = stats["counters"]
    assert (counters["returned"], counters["requeued"], counters["leases_lost"]) == (6, 6, 0)

    if gone:
        os.rename(prober.path + ".away", prober.path)
    prober.become("well")
    client.wait_until(well("a", "b"))
    client.request("cancel", ids=[t["id"] for t in traces])
    client.wait_until(lambda s: s["queue"]["kept"] == 6)
    ends = client.request("fetch", ids=[t["id"] for t in traces])["results"]
    assert {(r["worker"], r["run"], r["stop"]) for r in ends} == {("b", 1, "cancelled")}


def test_prober_that_dies_of_its_first_probe(system):
    """It comes up each time, and is idle for as long as it has no traces: no proof that it works."""
    net = system.simnet(*OPEN)
    system.broker()
    prober = Prober(system, "first-probe")
    worker = system.worker(net, name="a", env=prober.env)
    client, watcher = system.client(), system.client()
    watcher.wait_until(well("a"))
    # A trace with which it dies twice, the second time alone, is taken for what kills it.
    end = trace(client, 1)
    assert (end["stop"], end["error"]["code"]) == ("prober-error", "internal")
    client.send("trace", target=destination(4, 3), id="x")
    watcher.wait_until(in_trouble("a", "mtr-packet: ended with status 4"))
    # It is up again after its pause, is given the trace again, and dies again; but not more often.
    stats = watcher.wait_until(lambda s: s["counters"]["returned"] >= 3)
    until(lambda: len(pauses(worker)) >= 5, "no starts")
    assert pauses(worker)[:5] == [100, 200, 400, 800, 1600]
    assert worker.log().count("event=prober-up") >= 5
    assert stats["counters"]["leases_lost"] == 0

    b = system.worker(net, name="b")
    end = client.receive()
    assert (end["stop"], end["worker"], end["run"]) == ("reached", "b", 1)
    prober.become("well")
    assert b.stop() == 0
    watcher.wait_until(lambda stats: [w["name"] for w in stats["workers"]] == ["a"])
    end = trace(client, 2)
    assert (end["stop"], end["worker"], end["run"]) == ("reached", "a", 1)


def test_prober_that_stays_up_is_forgiven(system):
    """Three deaths in a row are trouble; one after ten good seconds is the first of a new row."""
    net = system.simnet(*OPEN)
    broker = system.broker()
    worker = system.worker(net, name="a")
    client = system.client()

    def ups():
        return worker.log().count("event=prober-up")

    for i in range(1, 5):
        until(lambda: ups() == i, "not up")
        if i == 4:  # by the broker's clock, which goes like the worker's
            good_ms = client.stats()["uptime_ms"] + 10_100
            client.wait_until(lambda s: s["uptime_ms"] > good_ms)
        os.kill(worker.children()[0], signal.SIGKILL)
    until(lambda: ups() == 5, "not up")
    lines = [line for line in worker.log().splitlines() if "event=prober-ended" in line]
    assert pauses(worker) == [100, 200, 400, 100]
    assert all('or was killed"' in line for line in lines)
    client.wait_until(well("a"))
    assert broker.log().count("event=worker-trouble") == 1
    assert broker.log().count("event=worker-well") == 1


# ---- the end -------------------------------------------------------------------------------

# Passes all on, and writes how many probes were out when its input ended.
PROXY = """#!{python}
import os, re, subprocess, sys, threading
real = subprocess.Popen(["{real}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
out = set()
def answers():
    for line in real.stdout:
        out.discard(line.split()[0])
        os.write(1, line)
reader = threading.Thread(target=answers)
reader.start()
for line in os.fdopen(0, "rb"):
    if b" send-probe " in line:
        out.add(line.split()[0])
    real.stdin.write(line)
    real.stdin.flush()
with open("{count}", "w") as f:
    f.write(str(len(out)))
real.stdin.close()
reader.join()
sys.exit(real.wait())
"""


def reaped(worker):
    """How the prober ended, as waitpid() has it."""
    (line,) = [line for line in worker.log().splitlines() if "event=prober-reaped" in line]
    return int(line.split("status=")[1])


def test_drain_waits_for_probes_whose_trace_has_ended(system):
    net = system.simnet(*SILENT)
    system.broker()
    proxy, count = system.path("proxy"), system.path("count")
    with open(proxy, "w", encoding="ascii") as f:
        real = shutil.which("mtr-packet")
        f.write(PROXY.format(python=sys.executable, real=real, count=count))
    os.chmod(proxy, 0o755)
    worker = system.worker(net, "--log", "debug", env={"MTR_PACKET": proxy})
    client = system.client()
    client.wait_until(well("w1"))
    end = trace(client, 1, **{**ENDLESS, "timeout_ms": 4000, "deadline_ms": 500})
    assert end["stop"] == "deadline"
    client.wait_until(
        lambda s: of("w1", s)["running"] == 0 and of("w1", s)["stats"]["probes_in_flight"] > 0
    )
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    with open(count, encoding="ascii") as f:
        assert f.read() == "0"
    assert reaped(worker) == 0
    client.wait_until(lambda s: s["workers"] == [])
    assert client.counters()["workers_lost"] == 0


@pytest.mark.parametrize("cancelled", [False, True])
def test_drain_that_ends_with_probes_out_kills_the_prober(system, cancelled):
    """A running trace has the time of --drain, a probe that nobody waits for has less."""
    net = system.simnet(*SILENT)
    system.broker()
    worker = system.worker(net, "--log", "debug", "--drain", HOURS if cancelled else "1")
    client = system.client()
    client.wait_until(well("w1"))
    client.request("submit", traces=[{"target": destination(4, 1), "id": "x", **ENDLESS}])
    client.wait_until(lambda s: of("w1", s).get("stats", {}).get("probes_in_flight", 0) > 50)
    if cancelled:
        client.request("cancel", ids=["x"])
        client.wait_until(lambda s: of("w1", s)["running"] == 0)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert reaped(worker) == signal.SIGKILL, "it has waited for the probes"
    stats = client.wait_until(lambda s: s["workers"] == [])
    assert stats["counters"]["returned"] == stats["queue"]["queued"] == (0 if cancelled else 1)


@pytest.mark.parametrize("drain", [HOURS, "0"])
def test_prober_that_does_not_end_with_its_input(system, drain):
    system.broker()
    prober = Prober(system, "stays")
    options = ["--log", "debug", "--drain", drain]
    worker = system.worker(None, *options, env=prober.env)
    system.client().wait_until(well("w1"))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert reaped(worker) == signal.SIGKILL
