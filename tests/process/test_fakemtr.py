"""Workers whose prober does wrong, as the fake mtr-packet of tests/fakemtr is told: no trace is
lost, none ends twice, no hop is false; what was wrong is counted, and the worker goes on.

All workers of the table run at once, each in a network namespace of its own, so that the whole of
it takes as long as the slowest.
"""

import pytest

from system import System, asleep, until

HOPS = 8  # of the fake's internet, to every target
AT_ONCE = 4  # workers that start; a prober has 5 s for it
TRACES = 12  # a worker, so some 100 probes
MORE_RESTARTS = 3  # than the script asks for: a loaded machine may make a new prober slow to start
ONCE = "n=1..20"  # a fault for some of the probes
FIRST = "n=30 run=1"  # a fault in the middle of the first prober's work


class Fault:
    """A script, and what its worker is to show.

    restarts: how often the prober is replaced; 0: it must not be.
    counters: of the worker's stats: the least value, or a set of the only one.
    whole: every trace reaches its target, and each hop on the way has answered.
    """

    def __init__(self, *script, restarts=0, whole=True, says=None, trace=None, **counters):
        self.script = "\n".join(script) + "\n"
        self.restarts, self.whole, self.says = restarts, whole, says
        self.trace = {"timeout_ms": 3000, **(trace or {})}
        self.counters = counters


FAULTS = {
    "none": Fault("version 0.95"),
    # Lines that are no answers.
    "garbage": Fault(f"on probe {ONCE}: garbage 60", bad_lines=20),
    "overlong": Fault(f"on probe {ONCE}: overlong 70000", bad_lines={20}),
    "token 0": Fault(f"on probe {ONCE}: say 0 command-parse-error", bad_lines={20}),
    "empty lines": Fault(f"on probe {ONCE}: say", bad_lines={20}),
    "shell token": Fault(f"on probe {ONCE}: say 5 feature-support support ok", bad_lines={20}),
    "negative token": Fault(f"on probe {ONCE}: say -{{token}} no-reply", bad_lines={20}),
    "huge token": Fault(f"on probe {ONCE}: say 99999999999 no-reply", bad_lines={20}),
    "nul bytes": Fault(rf"on probe {ONCE}: say {{token}}\x00 no-reply", bad_lines={20}),
    # Lines that answer nothing that was asked.
    "unknown token": Fault(
        f"on probe {ONCE}: say 2000000000 reply ip-4 10.9.9.9 round-trip-time 1", bad_tokens={20}
    ),
    "repeated": Fault(f"on probe {ONCE}: repeat 3", bad_tokens={60}),
    # Lines that come otherwise than they should.
    "out of order": Fault("on probe chance=0.3: lag 20"),
    "in pieces": Fault("pieces 20"),
    "late packets": Fault(
        "on probe ttl=3 n=..200: late 900", whole=False, trace={"timeout_ms": 100}, late_replies=1
    ),
    "features twice": Fault("on check-support n=1..7: repeat 2"),
    "slow start": Fault("on check-support n=7: lag 700", "on loopback: lag 700"),
    # Lines that cannot be true, or are not whole; their probes are lost with the prober.
    "impossible time": Fault(
        f"on probe {ONCE}: answer ttl-expired ip-4 10.9.9.9 round-trip-time 3000000000",
        impossible_times={20},
    ),
    "negative time": Fault(
        f"on probe {ONCE}: answer ttl-expired ip-4 10.9.9.9 round-trip-time -5",
        impossible_times={20},
    ),
    "overflowing time": Fault(
        "on probe n=5 run=1: answer reply ip-4 10.9.9.9 round-trip-time 99999999999999999999",
        restarts=1, bad_lines=1,
    ),
    "no address": Fault(
        "on probe n=5 run=1: answer reply ip-4 nowhere round-trip-time 5",
        restarts=1, bad_lines=1,
    ),
    "answer lost": Fault("on probe n=5 run=1: drop", restarts=1, says="hangs"),
    # Probers that are replaced, once; what they had was lost with them.
    "hang": Fault(f"on probe {FIRST}: hang", restarts=1, says="hangs", probes_lost=1),
    "freeze": Fault(f"on probe {FIRST}: freeze", restarts=1, says="hangs", probes_lost=1),
    "unread": Fault(f"on probe {FIRST}: deaf", restarts=1, says="hangs", probes_lost=1),
    "exit": Fault(f"on probe {FIRST}: exit 1", restarts=1, probes_lost=1),
    "crash": Fault(f"on probe {FIRST}: kill SEGV", restarts=1, probes_lost=1),
    "end in a line": Fault(
        f"on probe {FIRST}: write {{token}} reply ip-4 10.9.9.9 round-trip-time 1",
        f"on probe {FIRST}: exit 0",
        restarts=1,
        probes_lost=1,
    ),
    "closed input": Fault(f"on probe {FIRST}: close stdin", restarts=1),
    "closed output": Fault(f"on probe {FIRST}: close stdout", restarts=1, probes_lost=1),
    "flood": Fault(f"on probe {FIRST}: flood garbage", restarts=1, bad_lines=100),
    "flood of tokens": Fault(f"on probe {FIRST}: flood 2000000000 no-reply", restarts=1, bad_tokens=100),
    "features unanswered": Fault("on check-support run=1: drop", restarts=1),
    "dies at start": Fault("on start run=1..3: exit 1", restarts=3),
    "dies in its start": Fault("on check-support n=3 run=1: exit 0", restarts=1),
    "question unanswered": Fault(
        "on check-support n=8.. run=1: drop", "on probe ttl=3 run=1: drop",
        restarts=1, says="hangs", probes_lost=1,
    ),
    # The last ones, since the start of others would wait for them.
    "mute at start": Fault("on start run=1: hang", restarts=1, says="did not say what it supports"),
    "unread at start": Fault("on start run=1: freeze", restarts=1, says="did not say what it supports"),
    "no rights": Fault("on loopback run=1: silent", restarts=1, says="prober-without-rights"),
}


class Trial:
    """One worker and the traces that only it may run."""

    def __init__(self, system, number, fault):
        self.fault, self.label = fault, f"t{number}"
        self.worker = system.worker(
            system.island(), "--label", f"trial={self.label}", name=self.label,
            env=system.fakemtr(fault.script, self.label + ".fake"),
        )
        self.client = system.client()
        self.targets = {f"{self.label}-{i}": f"127.1.{number}.{i}" for i in range(TRACES)}

    def submit(self, **changes):
        fields = {"workers": {"trial": self.label}, **changes}
        traces = [{"id": i, "target": t, **fields} for i, t in self.targets.items()]
        self.client.send("submit", traces=traces, notify=True)

    def counters(self):
        """What the worker said of itself last, once it has said anything."""
        for worker in self.client.stats()["workers"]:
            if worker["name"] == self.label:
                return worker.get("stats", {})
        return {}

    def check_hops(self, result, whole):
        assert [hop["ttl"] for hop in result["hops"]] == list(range(1, HOPS + 1)), result
        assert result["stop"] == "reached", result
        assert result["prober"] == "mtr-packet 0.95", result
        for hop in result["hops"]:
            on_path = f"10.0.0.{hop['ttl']}" if hop["ttl"] < HOPS else result["target"]
            answers = [p["addr"] for p in hop["probes"] if p["addr"] is not None]
            assert set(answers) <= {on_path}, (hop, result)
            assert answers or not whole, (hop, result)

    def healthy_again(self):
        end = self.client.request(
            "trace", target=self.targets[self.label + "-0"], workers={"trial": self.label}
        )
        self.check_hops(end, True)


@pytest.fixture(scope="module")
def trials():
    system = System()
    try:
        system.broker()
        made, starting = {}, []
        for number, (name, fault) in enumerate(FAULTS.items()):
            made[name] = trial = Trial(system, number, fault)
            trial.submit(**fault.trace)
            starting.append(trial.worker)
            if len(starting) == AT_ONCE:
                first = starting.pop(0)
                until(lambda: "event=prober-" in first.log(), "no prober")
        yield made
    finally:
        system.close()


@pytest.mark.parametrize("name", FAULTS)
def test_fault(trials, name):
    trial = trials[name]
    fault, log = trial.fault, trial.worker.log
    try:
        results = trial.client.collect(TRACES)
        for result in results.values():
            trial.check_hops(result, fault.whole)

        def shown(stats):
            return stats.get("prober_restarts", -1) >= fault.restarts and all(
                stats[counter] >= (max(value) if isinstance(value, set) else value)
                for counter, value in fault.counters.items()
            )

        until(lambda: shown(trial.counters()), f"counters: {fault.counters}")
        trial.healthy_again()
        exact = {c: v for c, v in fault.counters.items() if isinstance(v, set)}
        last = trial.counters()
        assert {c: {last[c]} for c in exact} == exact
        trial.client.nothing_more()  # none has ended twice
        most = fault.restarts + MORE_RESTARTS if fault.restarts > 0 else 0
        until(lambda: log().count("event=prober-ended") >= fault.restarts, "prober-ended in the log")
        assert log().count("event=prober-ended") <= most
        until(lambda: fault.says is None or fault.says in log(), f"{fault.says} in the log")
        assert trial.worker.popen.poll() is None
        until(lambda: asleep(trial.worker.pid), "a time when it does nothing: it spins")
    except AssertionError:
        print(trial.counters(), log())
        raise


# ---- probers that never do right -------------------------------------------------------------


def stops(worker):
    worker.send_signal(15)
    assert worker.wait() == 0


def test_prober_that_says_nothing_it_should(system):
    """Garbage, and then silence: counted as restarts, never taken for answers."""
    script = ["on start: say garbage", "on start: say 1 feature-support support 0.95"]
    script += ["on start: overlong 70000", "on start: exit 0"]
    system.broker()
    worker = system.worker(None, env=system.fakemtr("\n".join(script)))
    until(lambda: worker.log().count("event=prober-ended") >= 3, "no restarts")
    assert worker.popen.poll() is None
    until(lambda: "prober-bad-line" in worker.log(), "no line of what it said")


def test_prober_that_floods_with_garbage(system):
    """After a hundred lines that are no answers a child is replaced; its log lines are limited."""
    system.broker()
    worker = system.worker(None, env=system.fakemtr("on start: flood garbage"))
    why = 'why="too many lines that are no answers"'
    until(lambda: worker.log().count(why) >= 2, "not replaced")
    assert worker.log().count("prober-bad-line") <= 20 * (1 + worker.log().count(why) * 2)
    stops(worker)


# ---- words -----------------------------------------------------------------------------------

WORDS = {  # what the prober says of the probe to hop 3: the trace's stop, the verdict of that hop
    "no-route": ("no-route", None),
    "no-route-host": ("no-route", None),
    "no-route-network": ("no-route", None),
    "network-down": ("no-route", None),
    "host-down": ("no-route", None),
    "permission-denied": ("denied", None),
    "invalid-argument": ("prober-error", None),
    "invalid-argument reason protocol-not-supported": ("prober-error", None),
    "no-reply": ("reached", "no-reply"),
    "wait-tcp-respone-timeout": ("reached", "no-reply"),
    "probes-exhausted": ("reached", "probes-exhausted"),
    "address-in-use": ("reached", "address-in-use"),
    "address-not-available": ("no-route", None),
    "unexpected-error errno 90": ("prober-error", None),
    "unexpected-error errno 105": ("reached", "unexpected-error"),
    "unknown-command": ("reached", "unknown-command"),
    "feature-support support no": ("reached", "feature-support"),
    "a-word-of-tomorrow with argument": ("reached", "a-word-of-tomorrow"),
    "reply": ("reached", "answer-without-address"),
    "ttl-expired ip-4 {addr}": ("reached", "answer-without-address"),
    "no-route ip-4 {addr} round-trip-time {rtt}": ("unreachable", "unreachable"),
    "no-route-host ip-4 {addr} round-trip-time {rtt} mpls 16001,0,1,1": ("unreachable", "unreachable"),
    "host-down ip-4 {addr} round-trip-time {rtt} new-name new-value": ("unreachable", "unreachable"),
}


def test_every_word(system):
    """Whatever a prober may say of a probe ends or marks the trace; the prober stays."""
    system.broker()
    rules = [f"on probe ttl=3 ip-4=127.1.0.{i}: answer {word}" for i, word in enumerate(WORDS)]
    system.worker(None, env=system.fakemtr("\n".join(rules)))
    client = system.client()
    traces = [{"id": f"w{i}", "target": f"127.1.0.{i}"} for i in range(len(WORDS))]
    client.send("submit", traces=traces, notify=True)
    results = client.collect(len(WORDS))
    for i, (word, (stop, verdict)) in enumerate(WORDS.items()):
        end = results[f"w{i}"]
        assert end["stop"] == stop, (word, end)
        assert (verdict is None) == ("error" in end), (word, end)
        if verdict is not None:
            hop = end["hops"][2]
            assert {p["verdict"] for p in hop["probes"]} == {verdict}, (word, hop)
            assert {p["addr"] for p in hop["probes"]} <= {None, "10.0.0.3"}, (word, hop)
    client.wait_until(lambda s: s["workers"][0].get("stats", {}).get("traces_done", 0) >= len(WORDS))
    assert client.stats()["workers"][0]["stats"]["prober_restarts"] == 0


# ---- versions --------------------------------------------------------------------------------

VERSIONS = ["0.88", "0.92", "0.93", "0.94", "0.95", "0.96", "HEAD"]


@pytest.mark.parametrize("version", VERSIONS)
def test_traces_with_every_version(system, version):
    minor = 96 if version == "HEAD" else int(version[2:])
    system.broker()
    script = [f"version {version}", "on probe ttl=5.. ip-4=127.2.0.1: unreachable"]
    script += ["on probe ip-4=127.2.0.2: no-route"]
    system.worker(None, env=system.fakemtr("\n".join(script)))
    client = system.client()

    def trace(target="127.1.0.1", **fields):
        end = client.request("trace", target=target, timeout_ms=1000, **fields)
        answered = [h["ttl"] for h in end["hops"] if any(p["addr"] for p in h["probes"])]
        return end, end["stop"], answered

    to_target = list(range(1, HOPS + 1))
    for fields in ({}, {"protocol": "udp"}, {"protocol": "tcp"}, {"protocol": "sctp"}, {"size": 1400}):
        end, stop, answered = trace(**fields)
        assert (stop, answered) == ("reached", to_target), end
    assert end["prober"].startswith("mtr-packet 0." + str(minor))
    # Both ports fixed: the checksum of such probes was wrong once, so that only routers answered.
    end, stop, answered = trace(protocol="udp", flow=1, deadline_ms=60000 if minor >= 93 else 300)
    assert (stop, answered) == (("reached", to_target) if minor >= 93 else ("no-worker", [])), end
    # An ICMP unreachable is heard since 0.93, under two names.
    end, stop, answered = trace("127.2.0.1")
    if minor >= 93:
        assert (stop, answered) == ("unreachable", [1, 2, 3, 4, 5]), end
    else:
        assert (stop, answered) == ("gap-limit", [1, 2, 3, 4]), end
    end, stop, answered = trace("127.2.0.2")
    word = "no-route-host" if minor >= 96 else "no-route"
    assert (stop, answered) == ("no-route", []), end
    assert f"mtr-packet says {word} for 127.2.0.2" in end["error"]["message"]


def test_the_trace_that_kills_its_prober_ends_alone(system):
    """The others had probes out too when it died; they are tried one by one, and go on."""
    system.broker()
    env = system.fakemtr("version 0.95\nhops 8\nrtt 100000\non probe ip-4=127.1.9.9: kill SEGV\n")
    worker = system.worker(system.island(), env=env)
    client = system.client()
    client.wait_until(lambda stats: stats["workers"])
    targets = ["127.1.9.9"] + [f"127.1.1.{i}" for i in range(1, 6)]
    client.send("submit", traces=[{"id": t, "target": t} for t in targets], notify=True)
    results = client.collect(len(targets))
    stops = {name: (result["stop"], result["run"]) for name, result in results.items()}
    assert stops.pop("127.1.9.9") == ("prober-error", 1)
    assert set(stops.values()) == {("reached", 1)}
    assert worker.log().count("event=prober-ended") == 2
    (stats,) = client.stats()["workers"]
    assert "trouble" not in stats
