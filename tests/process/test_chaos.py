"""Faults at random, while traces go through: nothing accepted is lost, nothing comes twice, no gap stays.

    HOPMQ_CHAOS_SEED=7 HOPMQ_CHAOS_FAULTS=1000 pytest -s tests/process/test_chaos.py

A seed gives the same faults at the same times; what they hit is up to the machine.
"""

import collections
import heapq
import os
import random
import signal

import zmq

from disk import Disk
from history import History
from peers import Submitter, Subscriber, now
from proxy import DOWN, UP, Proxy
from system import children, full_or_small, program

SEED = int(os.environ.get("HOPMQ_CHAOS_SEED", random.SystemRandom().randrange(1 << 32)))
FAULTS = int(os.environ.get("HOPMQ_CHAOS_FAULTS", full_or_small(300, 60)))
TRACES = full_or_small(20000, 4000)
CLIENTS = 4
STREAMS = 5
WORKERS = ("w1", "w2", "w3")
LINKS = ("submit", "results", "workers")
GAP_S = 0.22  # between two faults, on average; they overlap
STEP_S = 0.02  # the longest wait for messages
CANNOT_OPEN = 73  # the broker's exit status
SETTLE_S = 600  # after the last fault, until all is done
DISK_BYTES = 256 * 1024 * 1024  # the broker keeps 64 MiB in reserve and wants 32 more

# Traces take a tenth of a second, some more; a prober that does wrong now and then.
INTERNET = """hops 2..4
rtt 32000
on probe chance=0.01: silent
on probe chance=0.002: repeat 1
on probe chance=0.0005: garbage
on probe chance=0.0001: exit 1
"""


class Chaos:
    """The processes and the faults that they meet."""

    def __init__(self, system, rng):
        self.system, self.rng = system, rng
        self.disk = Disk(system.path("disk"), DISK_BYTES)
        self.proxy = Proxy()
        self.dialled = {}
        for link in LINKS:
            endpoint, self.dialled[link] = self.proxy.link(link)
            setattr(system, link, endpoint)
        self.prober_env = system.fakemtr(INTERNET)
        self.faulty = {"disk"} if self.disk.why else set()  # what has a fault: it gets no other one
        self.was_full = False  # the disk, since the broker's start
        self.running = {}
        for name in ("broker", *WORKERS):
            self.start(name)
        self.ends = []  # heap of (when, number, what is to be undone)
        self.done = collections.Counter()
        self.wrong = []
        # Every kind of fault comes once before any comes twice, so that no run goes without one.
        self.due = rng.sample([kind for _, kind, _ in self.KINDS], len(self.KINDS))
        if self.disk.why:
            self.due.remove("fill")

    def start(self, name):
        if name == "broker":
            self.was_full = "disk" in self.faulty
            argv = [program("hopmq-broker"), "--store", os.path.join(self.disk.path, "store")]
            argv += [word for link in LINKS for word in ("--" + link, getattr(self.system, link))]
            env = {}
        else:
            argv = [program("hopmq-worker"), "--broker", self.dialled["workers"], "--name", name]
            argv += ["--pps", "max", "--capacity", "50"]
            env = self.prober_env
        self.running[name] = self.system.run(self.disk.enter(argv), name, env={**os.environ, **env})

    def supervise(self):
        """Starts again what has ended by itself, which nothing may do but a broker that was started on
        a full disk, without even its reserve."""
        for name, process in list(self.running.items()):
            if name not in self.faulty and process.popen.poll() is not None:
                status = process.popen.returncode
                if name == "broker" and status == CANNOT_OPEN and self.was_full:
                    self.done["start with a full disk"] += 1
                else:
                    self.wrong.append(f"{name} ended with status {status}")
                self.start(name)

    # ---- faults: each is given its target and returns how to end it, and after how long ----

    def short(self, most):
        """Mostly short, for every time has its own way to go wrong."""
        return most * self.rng.random() ** 4

    def fault_kill(self, name):
        self.running[name].kill()
        return lambda: self.start(name), self.short(1.5)

    def fault_stop(self, name):
        process = self.running[name]
        process.send_signal(signal.SIGSTOP)
        return lambda: process.send_signal(signal.SIGCONT), self.short(7)

    def prober(self, name):
        return next(iter(children(self.running[name].pid)), None)

    def signal(self, pid, number):
        """A prober may have ended, or been replaced, by itself."""
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    def fault_kill_prober(self, name):
        pid = self.prober(name)
        if pid is None:
            return None
        self.signal(pid, signal.SIGKILL)
        return lambda: None, 0

    def fault_stop_prober(self, name):
        pid = self.prober(name)
        if pid is None:
            return None
        self.signal(pid, signal.SIGSTOP)
        return lambda: self.signal(pid, signal.SIGCONT), self.short(5)

    def fault_cut(self, link):
        if self.rng.random() < 0.5:
            self.proxy.cut(link)
        else:
            self.proxy.cut(link, lambda all_: self.rng.sample(all_, min(1, len(all_))))
        return lambda: None, 0

    def ways(self):
        return self.rng.choice([(UP,), (DOWN,), (UP, DOWN)])

    def fault_delay(self, link):
        for way in self.ways():
            self.proxy.delay(link, way, self.short(1))
        return lambda: self.proxy.repair(link), self.short(4)

    def fault_swallow(self, link):
        for way in self.ways():
            self.proxy.swallow(link, way)
        return lambda: self.proxy.repair(link), self.short(7)

    def fault_fill(self, _):
        self.disk.fill()
        self.was_full = True
        return self.disk.free, self.short(3)

    KINDS = [  # weight, kind, targets
        (10, "kill", ("broker",)),
        (5, "stop", ("broker",)),
        (12, "kill", WORKERS),
        (10, "stop", WORKERS),
        (8, "kill_prober", WORKERS),
        (8, "stop_prober", WORKERS),
        (18, "cut", LINKS),
        (10, "delay", LINKS),
        (10, "swallow", LINKS),
        (4, "fill", ("disk",)),
    ]

    def strike(self):
        """One fault, at what has none yet; False if there is nothing."""
        free = [
            (weight / len(targets), kind, target)
            for weight, kind, targets in self.KINDS
            for target in targets
            if target not in self.faulty and (not self.due or kind == self.due[-1])
        ]
        if not free:
            return False
        _, kind, target = self.rng.choices(free, [weight for weight, _, _ in free])[0]
        fault = getattr(self, "fault_" + kind)(target)
        if fault is None:
            return False
        undo, lasts_s = fault
        if self.due:
            self.due.pop()
        self.faulty.add(target)
        self.done[f"{kind} {target}"] += 1
        heapq.heappush(self.ends, (now() + lasts_s, self.done.total(), target, undo))
        return True

    def heal(self, everything=False):
        """Ends the faults that have had their time."""
        while self.ends and (everything or self.ends[0][0] <= now()):
            _, _, target, undo = heapq.heappop(self.ends)
            undo()
            self.faulty.remove(target)

    def close(self):
        self.heal(True)
        self.proxy.close()
        self.disk.close()


def traces_of(client):
    """What this client submits; some are watched, or cancelled, ride on others, or run everywhere."""
    for i in range(TRACES // CLIENTS):
        number = client * (TRACES // CLIENTS) + i
        trace = {
            "id": f"c{client}-{i}",
            "target": f"127.1.{number % 4000 // 250}.{1 + number % 250}",
            "stream": f"s{number % STREAMS}",
            "priority": i % 10,
            "timeout_ms": 400,
            "max_ttl": 6,
            "progress": i % 20 == 3,
            "meta": {"number": number, **({"cancel": True} if i % 50 == 7 else {})},
        }
        if i % 10 == 5:
            trace.update(coalesce=True, target=f"127.2.0.{1 + number % 4}")
        if i % 100 == 50:
            trace.update(fanout="all")
        yield trace


def allowed(share):
    """How many of its traces a client may have submitted."""
    return min(TRACES // CLIENTS, int(share * TRACES / CLIENTS))


class Peers:
    """All clients and subscribers, in turn."""

    def __init__(self, chaos, history, rng):
        submit, results = chaos.dialled["submit"], chaos.dialled["results"]
        self.history = history
        self.clients = [
            Submitter(submit, f"client {i}", list(traces_of(i)), history, random.Random(rng.random()))
            for i in range(CLIENTS)
        ]
        self.all = Subscriber(results, submit, "all", history, random.Random(rng.random()))
        self.one = Subscriber(results, submit, "s1", history, random.Random(rng.random()), "s1")

    def step(self, share, until):
        """Waits for messages, no later than `until`, and lets everybody go on."""
        poller = zmq.Poller()
        for each in [c.asker.socket for c in self.clients] + self.all.sockets() + self.one.sockets():
            poller.register(each, zmq.POLLIN)
        poller.poll(max(0, min(until - now(), STEP_S)) * 1000)
        for client in self.clients:
            client.step(allowed(share))
        self.all.step()
        self.one.step()

    def done(self):
        return (
            all(client.done() for client in self.clients)
            and not self.history.unfinished
            and self.all.last == self.history.counts.total()
            and self.one.last == self.history.counts[self.one.stream]
        )

    def close(self):
        for each in (*self.clients, self.all, self.one):
            each.close()


def read_all_again(chaos, history):
    """A reader that comes last and replays everything, from a broker that has been killed again."""
    chaos.fault_kill("broker")[0]()
    client = chaos.system.client()
    after, more = 0, True
    while more:
        answer = client.request("replay", after=after)
        for result in answer["results"]:
            history.result("last", result)
            after = result["seq"]
        more = answer["more"]
    ids = sorted(history.accepted)
    while ids:
        answer = client.request("fetch", ids=ids[:1000])
        history.wrong += [f"{i} cannot be fetched" for i in answer["missing"]]
        for result in answer["results"]:
            history.result("fetch", result)
        ids = answer["more"] + ids[1000:]


def lacks_traces(history, share, since):
    """A fault waits until it meets traces in flight, while there are any left to submit."""
    return share < 1 and not history.unfinished and now() < since + SETTLE_S


def test_chaos(system, capsys):
    rng = random.Random(SEED)
    history = History()
    chaos = Chaos(system, rng)
    peers = Peers(chaos, history, rng)
    try:
        started, faults, in_flight, share = now(), 0, 0, 0
        following = started + 1
        while faults < FAULTS:
            share = max(share, (faults + 1) / FAULTS)
            while now() < following or lacks_traces(history, share, following):
                if now() >= following and len(history.accepted) >= allowed(share) * CLIENTS:
                    share = min(1, share + 1 / FAULTS)
                first = min([max(following, now() + STEP_S), *(when for when, *_ in chaos.ends[:1])])
                peers.step(share, first)
                chaos.heal()
                chaos.supervise()
            if chaos.strike():
                faults += 1
                in_flight += bool(history.unfinished)
            following += rng.expovariate(1 / GAP_S)
        faults_s = now() - started
        finished = len(history.by_id)
        chaos.heal(True)
        until = now() + SETTLE_S
        while not peers.done() and now() < until:
            peers.step(1, until)
            chaos.supervise()
        settle_s = now() - started - faults_s
        wrong = chaos.wrong
        if not peers.done():
            wrong += [f"{len(history.unfinished)} not done {SETTLE_S} s after the last fault"]
        read_all_again(chaos, history)
        wrong += history.check(whole=["all", "last"], streams=[("s1", "s1")])
        wrong += [w for client in peers.clients for w in client.wrong]
        with capsys.disabled():
            report(chaos, peers, history, faults_s, settle_s, in_flight, finished)
        assert wrong == [], f"HOPMQ_CHAOS_SEED={SEED}: {len(wrong)} wrong: " + "\n".join(wrong[:20])
        assert len(history.accepted) == TRACES == len(history.by_id) - len(history.members)
        assert in_flight > FAULTS * 0.9, "faults that met no traces"
        assert chaos.due == [], f"faults that did not come: {chaos.due}"
        assert not chaos.disk.why or os.geteuid() != 0, f"no full disk: {chaos.disk.why}"
    finally:
        peers.close()
        chaos.close()


def report(chaos, peers, history, faults_s, settle_s, in_flight, finished):
    everyone = [c.asker for c in peers.clients]
    print(
        f"\nchaos: HOPMQ_CHAOS_SEED={SEED}, {FAULTS} faults in {faults_s:.0f} s, {in_flight} of them with "
        f"traces in flight, {finished} of {TRACES} traces done by then, all {settle_s:.1f} s later\n"
        f"       {dict(sorted(chaos.done.items()))}, connections ended {chaos.proxy.cuts}\n"
        f"       requests sent again {sum(a.resent for a in everyone)}, busy "
        f"{sum(c.busy for c in peers.clients)}, gaps {peers.all.gaps} and {peers.one.gaps}, replayed "
        f"{peers.all.replayed} and {peers.one.replayed}, stops {dict(history.stops)}"
    )
    if chaos.disk.why:
        print(f"       SKIPPED the full disk: {chaos.disk.why}")
