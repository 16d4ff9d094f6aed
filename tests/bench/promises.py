"""How long what is promised in a time takes: each row is a time to the constant that promises it.

The tests order these events, and the cores' unit tests hold the constants on clocks of their own.
Here the programs run on the clock of the machine. A row takes the best of a few runs, since what
else runs on the machine only ever adds to a time.
"""

import os
import signal
import sys
import time
from contextlib import closing

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "process"))

from fakeworker import FakeWorker  # noqa: E402
from measure import Row  # noqa: E402
from system import System, children, until  # noqa: E402

SILENT = ("--seed", "3", "--hops", "4-4", "--silent-router", "100", "--silent-target", "100")
# A trace that runs until it is ended: each of its probes waits 30 s.
ENDLESS = {"max_ttl": 255, "gap_limit": 0, "timeout_ms": 30000, "window": 3, "attempts": 32}
CANCEL_S, GRACE_S, DEAD_S, ABSENT_S, ALIVE_S = 0.25, 1, 5, 10, 1  # broker/core/core.h, session.h
PROBER_GONE_S = 15  # the longest timeout in the scene, and mtr-packet's own end
TARGET = "20.0.0.1"


class Scene:
    """A broker, a worker in a simulated internet where all is silent, and a client."""

    def __init__(self, *options, workers=1, store="memory", broker=()):
        self.system, self.store, self.broker_options = System(), store, broker
        self.net = self.system.simnet(*SILENT)
        self.start_broker()
        self.client = self.system.client()
        self.workers = [self.system.worker(self.net, *options, name=f"w{i}")
                        for i in range(workers)]
        self.client.wait_until(lambda stats: len(stats["workers"]) == workers)

    def start_broker(self):
        self.broker = self.system.broker(*self.broker_options, store=self.store)

    def close(self):
        self.system.close()

    def run_endless(self, name="x", **fields):
        """Submits a trace and waits until its probes are out. The result will come to the client."""
        trace = {"id": name, "target": TARGET, **ENDLESS, **fields}
        self.client.request("submit", traces=[trace], notify=True)
        self.client.wait_until(
            lambda stats: any(w.get("stats", {}).get("probes_sent", 0) >= 3
                              for w in stats["workers"]))

    def result_s(self):
        """Seconds from now to the next result."""
        started = time.monotonic()
        while self.client.receive()["op"] != "result":
            pass
        return time.monotonic() - started


def cancel(scene):
    scene.run_endless()
    scene.client.send("cancel", ids=["x"])
    return scene.result_s() / CANCEL_S


def cancel_without_answer():
    """At a worker that does not answer."""
    with closing(System()) as system:
        system.broker()
        client, worker = system.client(), FakeWorker(system.workers)
        system.clients.append(worker)
        worker.hello()
        client.request("submit", traces=[{"id": "x", "target": TARGET}], notify=True)
        worker.expect("trace")
        started = time.monotonic()
        client.send("cancel", ids=["x"])
        client.collect(1)
        return (time.monotonic() - started) / CANCEL_S


def deadline(scene):
    """Of a trace that runs, from acceptance: a second is in its deadline."""
    started = time.monotonic()
    scene.run_endless(deadline_ms=1000)
    scene.result_s()
    return time.monotonic() - started


def deadline_of_a_sleeper(scene):
    """Of a trace whose worker was stopped: the broker ends it."""
    scene.run_endless(deadline_ms=1000)
    started = time.monotonic()
    scene.workers[0].send_signal(signal.SIGSTOP)
    scene.result_s()
    return (time.monotonic() - started) / (1 + GRACE_S)


def lost(scene):
    """A worker that was stopped, until the broker counts it as lost."""
    started = time.monotonic()
    scene.workers[0].send_signal(signal.SIGSTOP)
    scene.client.wait_until(lambda stats: stats["counters"]["workers_lost"] == 1)
    return (time.monotonic() - started) / DEAD_S


def found_again(scene):
    """A broker that was killed and started again, until its worker is there."""
    scene.broker.kill()
    scene.start_broker()
    started = time.monotonic()
    scene.client.wait_until(lambda stats: len(stats["workers"]) == 1)
    return (time.monotonic() - started) / ABSENT_S


def second_signal(scene):
    """A worker that drains, until it exits after a second SIGTERM."""
    scene.run_endless()
    scene.workers[0].send_signal(signal.SIGTERM)
    until(lambda: "event=drain" in scene.workers[0].log(), "drain")
    started = time.monotonic()
    scene.workers[0].stop(signal.SIGTERM)
    return time.monotonic() - started


def drain(scene):
    """With --drain 1: until the worker has handed its trace back and exits."""
    scene.run_endless()
    started = time.monotonic()
    scene.workers[0].stop(signal.SIGTERM)
    return time.monotonic() - started


def prober_gone(scene):
    """After kill -9 of its worker, until mtr-packet ends."""
    scene.run_endless(timeout_ms=2000)
    (prober,) = children(scene.workers[0].pid)
    started = time.monotonic()
    scene.workers[0].kill()
    until(lambda: not os.path.exists(f"/proc/{prober}"), "the end of mtr-packet")
    return (time.monotonic() - started) / PROBER_GONE_S


def alive_gap(scene):
    subscriber = scene.system.subscriber()
    times = []
    for _ in range(5):
        subscriber.recv_multipart()
        times.append(time.monotonic())
    return max(b - a for a, b in zip(times[1:], times[2:])) / ALIVE_S


def of_scene(measure, *options, **scene):
    with closing(Scene(*options, **scene)) as made:
        return measure(made)


# What, the time that it is a share of, how it is measured, and the most that it may be.
ROWS = [
    ("cancel of a running trace", "CORE_CANCEL_US", lambda: of_scene(cancel), 1.1),
    ("cancel at a worker that does not answer", "CORE_CANCEL_US", cancel_without_answer, 2),
    ("deadline of a running trace", "deadline_ms", lambda: of_scene(deadline), 1.5),
    ("deadline at a worker that was stopped", "deadline and CORE_GRACE_US",
     lambda: of_scene(deadline_of_a_sleeper), 1.5),
    ("a stopped worker is lost", "SESSION_DEAD_MS", lambda: of_scene(lost), 1.3),
    ("a worker finds its broker again", "CORE_ABSENT_US",
     lambda: of_scene(found_again, store="results.db"), 1),
    ("a second SIGTERM ends a worker", "1 s", lambda: of_scene(second_signal), 1),
    ("a worker's drain", "--drain 1, and the last messages",
     lambda: of_scene(drain, "--drain", "1") / 4, 1),
    ("mtr-packet ends after its killed worker", "15 s", lambda: of_scene(prober_gone), 1),
    ("gap between alive messages", "CORE_ALIVE_US", lambda: of_scene(alive_gap), 1.5),
]


def rows(rounds):
    found = []
    for what, unit, measure, bound in ROWS:
        best = min(measure() for _ in range(min(rounds, 2)))
        found.append(Row(what, f"of {unit}", best, None, "", best, bound, False))
    return found
