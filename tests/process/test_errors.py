"""What cannot be done is said clearly, by the first that can know: the broker what it can tell
from the request, the worker what only its host knows, the programs what is wrong on their command
line."""

import os
import re
import shutil
import socket
import subprocess
import tempfile

import pytest

from system import BUILD, PATIENCE, Island, program, until

WRONG_FIELDS = [  # the request, the field of the answer, and what its message says
    ({"protocol": "udp", "port": 0}, "port", "0: must be 1..65535"),
    ({"protocol": "tcp", "port": 99999}, "port", "99999: must be 1..65535"),
    ({"first_ttl": 0}, "first_ttl", "0: must be 1..255"),
    ({"max_ttl": 0}, "max_ttl", "0: must be 1..255"),
    ({"max_ttl": 256}, "max_ttl", "256: must be 1..255"),
    ({"port": 53}, "port", "icmp has no ports"),
    ({"flow": 1}, "flow", "only with protocol udp"),
    ({"source": "2001:db8::9"}, "source", "2001:db8::9: is IPv6, the trace is IPv4"),
    ({"target": "2001:db8::1", "source": "10.0.0.9"}, "source", "is IPv4, the trace is IPv6"),
    ({"target": "2001:db8::1", "af": 4}, "af", "2001:db8::1 is IPv6"),
    ({"target": "0.0.0.0"}, "target", "0.0.0.0: no trace can go there"),
    ({"target": "224.0.0.1"}, "target", "224.0.0.1: no trace can go there"),
    ({"target": "ff02::1"}, "target", "ff02::1: no trace can go there"),
    ({"target": "no such/name"}, "target", "no such/name"),
    ({"target": "::1::2"}, "target", "neither an address nor a host name"),
    ({"target": ""}, "target", "0 bytes: must be 1..253"),
    ({"protocol": "gre"}, "protocol", "gre: must be one of icmp, udp, tcp, sctp"),
]


def test_the_broker_refuses_what_it_can_know(system):
    """No worker is there, and none is needed to say so."""
    system.broker()
    client = system.client()
    for fields, field, says in WRONG_FIELDS:
        reply = client.request("trace", **{"target": "20.0.0.1", **fields})
        assert (reply["op"], reply["code"]) == ("error", "bad-request"), (fields, reply)
        assert reply["field"] == field, (fields, reply)
        assert reply["message"].startswith(field + ": ") and says in reply["message"], reply
    # The same, each beside traces that are right.
    traces = []
    for fields, _, _ in WRONG_FIELDS:
        traces += [{"target": "20.0.0.1"}, {"target": "20.0.0.1", **fields}]
    ids = client.request("submit", traces=traces)["ids"]
    for i, (_, field, _) in enumerate(WRONG_FIELDS):
        assert isinstance(ids[2 * i], str)
        assert ids[2 * i + 1]["field"] == f"traces[{2 * i + 1}].{field}"
    assert client.stats()["queue"]["queued"] == len(WRONG_FIELDS)


def fails(client, stop, code, says, **fields):
    """A trace ends without a probe and without hops, for a reason that it tells: at the worker, or
    at the broker where no worker could run it."""
    end = client.request("trace", **fields)
    assert end["op"] == "result", end
    assert (end["stop"], end["error"]["code"]) == (stop, code), end
    for part in (says,) if isinstance(says, str) else says:
        assert part in end["error"]["message"], end
    assert end["error"]["message"].isprintable()
    assert end["hops"] == [] and end["probes_sent"] == 0
    assert end["run"] == (0 if stop == "no-worker" else 1)
    assert 0 < end["accepted_us"] <= end["finished_us"] and end["started_us"] <= end["finished_us"]
    return end


@pytest.fixture
def traced(system):
    """A client of a broker with a worker in the simulated internet."""
    net = system.simnet("--seed", "5", "--hops", "3-3", "--rtt-us", "1000")
    system.broker()
    system.worker(net)
    client = system.client()
    client.wait_until(lambda s: len(s["workers"]) == 1)
    return client


def test_what_the_prober_cannot_do(traced):
    v4, v6 = {"target": "20.0.0.1"}, {"target": "2001:db8:1::1"}
    how = {"stop": "prober-error", "client": traced}
    end = fails(**how, code="bad-request", says=("port: 40000", "33000"), protocol="udp", port=40000, **v4)
    assert end["port"] == 40000 and end["protocol"] == "udp"
    assert end["dst"] == "20.0.0.1" and end["src"] == "198.18.0.1"
    fails(**how, code="bad-request", says="33000", protocol="udp", port=33000, **v4)
    # What no worker can do waits for one that can, or does not wait.
    nobody = {"client": traced, "stop": "no-worker", "code": "unavailable", "says": "no worker that fits was there: "}
    fails(**nobody, protocol="sctp", deadline_ms=300, **v4)
    reply = traced.request("trace", protocol="sctp", wait=False, **v4)
    assert (reply["op"], reply["code"], reply["field"]) == ("error", "unavailable", "workers")
    version = traced.stats()["workers"][0]["prober"].split()[1]
    if version.startswith("0.95"):
        end = fails(**nobody, protocol="udp", flow=3, deadline_ms=300, **v6)
        assert end["flow"] == 3
    # Just inside, all of this works.
    for fields in (
        {"protocol": "udp", "port": 32999, **v4},
        {"protocol": "udp", "flow": 1023, **v4},
        {"protocol": "udp", **v6},
        {"protocol": "tcp", "port": 65535, **v4},
        {"size": 28, **v4},
        {"size": 48, **v6},
    ):
        assert traced.request("trace", **fields)["stop"] == "reached", fields


def test_sources(traced):
    nobody = {"client": traced, "stop": "no-worker", "code": "unavailable", "says": "no worker that fits was there: "}
    fails(**nobody, target="20.0.0.1", source="203.0.113.9", deadline_ms=300)
    fails(**nobody, target="2001:db8:1::1", source="2001:db8::9", deadline_ms=300)
    # Of a name only the worker knows the family.
    end = fails(traced, "no-route", "bad-request", ("source: 2001:db8:ffff::1", "family"),
                target="localhost", af=0, source="2001:db8:ffff::1")
    assert end["dst"] == "127.0.0.1"
    end = traced.request("trace", target="20.0.0.1", source="198.18.0.1")
    assert (end["stop"], end["src"]) == ("reached", "198.18.0.1")


def test_names(traced):
    # No name server answers in the simulation; a.onion needs none to be refused (RFC 7686).
    names = {"no-such-host.invalid": "unavailable", "a.onion": "not-found"}
    for name, code in names.items():
        end = fails(traced, "unresolved", code, f"target: {name}", target=name)
        assert end["target"] == name and end["dst"] is None and end["src"] is None
    for af, address in ((0, "127.0.0.1"), (4, "127.0.0.1"), (6, "::1")):
        end = traced.request("trace", target="localhost", af=af, max_ttl=2)
        assert (end["stop"], end["dst"], end["target"]) == ("reached", address, "localhost"), end
        assert len(end["hops"]) == 1


def test_name_that_is_no_name(traced):
    """What no resolver can be asked: labels over 63 bytes, empty labels."""
    for name in ("x" * 64 + ".example", "a..b", ".", "-", "1.2.3"):
        reply = traced.request("trace", target=name, deadline_ms=20000)
        if reply["op"] == "error":
            assert reply["field"] == "target"
        else:
            assert reply["stop"] == "unresolved" and name in reply["error"]["message"], reply


def test_families_and_routes_that_the_worker_has_not(system):
    """On an island: loopback, and no way out of it."""
    net = system.island()
    system.broker()
    system.worker(net)
    client = system.client()
    client.wait_until(lambda s: len(s["workers"]) == 1)
    how = {"client": client, "stop": "no-route", "code": "unavailable"}
    for target in ("2001:db8::1", "20.0.0.1"):
        end = fails(**how, says=(target, "this worker"), target=target)
        assert end["dst"] == target and end["src"] is None
        assert "unreachable" in end["error"]["message"] or "reach" in end["error"]["message"]
    end = client.request("trace", target="127.0.0.1", max_ttl=1)
    assert (end["stop"], end["src"]) == ("reached", "127.0.0.1")


# ---- the prober is not there ---------------------------------------------------------------


def run(name, *argv, timeout=PATIENCE, **env):
    """Runs a program to its end; it must end by itself."""
    return subprocess.run(
        [program(name), *argv],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **env},
        check=False,
    )


def test_prober_that_is_not_there(system):
    endpoint = ["--broker", system.workers]
    done = run("hopmq-worker", *endpoint, MTR_PACKET="/nowhere/mtr-packet")
    assert done.returncode == 69
    assert "MTR_PACKET=/nowhere/mtr-packet: No such file or directory" in done.stderr
    done = run("hopmq-worker", *endpoint, MTR_PACKET=__file__)
    assert done.returncode == 69 and "Permission denied" in done.stderr
    done = run("hopmq-worker", *endpoint, MTR_PACKET="", PATH=system.dir)
    assert done.returncode == 69
    assert "mtr-packet: not found in PATH" in done.stderr and "apt-get install" in done.stderr


def test_prober_that_ends_at_once(system):
    """It is started again, with pauses that grow; the worker takes no trace before it can run it."""
    system.broker()
    worker = system.worker(None, env={"MTR_PACKET": "/bin/false"})
    client = system.client()
    client.send("trace", target="20.0.0.1", id="x", deadline_ms=1500)
    end = client.receive()
    assert (end["stop"], end["run"]) == ("no-worker", 0)

    def pauses():
        return [int(ms) for ms in re.findall(r"event=prober-ended .*restart_ms=(\d+)\n", worker.log())]

    until(lambda: len(pauses()) >= 4, "no restarts")
    assert pauses()[:4] == [100, 200, 400, 800]
    why = "mtr-packet: ended with status 1"
    client.wait_until(lambda s: s["workers"] and s["workers"][0].get("trouble") == why)
    worker.send_signal(15)
    assert worker.wait() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="to give up rights, one must have them: needs root")
def test_prober_without_raw_sockets(system):
    """mtr-packet falls back to unprivileged sockets, which report wrong hops: it is not used."""
    with tempfile.TemporaryDirectory() as shared:  # readable by nobody, unlike the system's own
        os.chmod(shared, 0o755)
        copy = os.path.join(shared, "mtr-packet")
        shutil.copyfile(shutil.which("mtr-packet"), copy)  # without its file capabilities
        os.chmod(copy, 0o755)
        own = shutil.copy(program("hopmq-worker"), shared)
        range_file = "/proc/sys/net/ipv4/ping_group_range"
        argv = ["sh", "-c", f"echo 0 2147483647 >{range_file}; exec \"$@\"", "sh", "setpriv"]
        argv += ["--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"]
        argv += ["--bounding-set=-all", own, "--broker", system.workers]
        island = Island(system.path("island.log"))
        try:
            worker = system.run(island.enter(argv), "w1", env={**os.environ, "MTR_PACKET": copy})
            until(
                lambda: re.search("event=prober-without-rights .*\n", worker.log()),
                "no word of the rights",
            )
            assert f"setcap cap_net_raw+ep {copy}" in worker.log()
            worker.stop()
            assert "event=prober-up" not in worker.log()
        finally:
            island.stop()


# ---- command lines -------------------------------------------------------------------------

USAGE = [
    ("hopmq-worker", ["--pps", "0"], "--pps 0: must be 1..1000000"),
    ("hopmq-worker", ["--pps", "1000001"], "--pps 1000001: must be 1..1000000"),
    ("hopmq-worker", ["--pps", "-1"], "--pps -1: must be 1..1000000"),
    ("hopmq-worker", ["--pps", "1k"], "--pps 1k: must be 1..1000000"),
    ("hopmq-worker", ["--pps", ""], "--pps : must be 1..1000000"),
    ("hopmq-worker", ["--capacity", "0"], "--capacity 0: must be 1..100000"),
    ("hopmq-worker", ["--capacity", "100001"], "--capacity 100001: must be 1..100000"),
    ("hopmq-worker", ["--drain", "3601"], "--drain 3601: must be 0..3600"),
    ("hopmq-worker", ["--name", "a b"], "--name a b: must be 1..64 of A-Za-z0-9._:-"),
    ("hopmq-worker", ["--name", ""], "--name : must be 1..64 of A-Za-z0-9._:-"),
    ("hopmq-worker", ["--name", "x" * 65], "must be 1..64 of A-Za-z0-9._:-"),
    ("hopmq-worker", ["--label", "site"], "--label site: must be NAME=VALUE"),
    ("hopmq-worker", ["--label", "=x"], "--label =x: must be NAME=VALUE"),
    ("hopmq-worker", ["--label", "a=b c"], "--label a=b c: must be NAME=VALUE"),
    ("hopmq-worker", [f"--label=l{i}=x" for i in range(17)], "at most 16 labels"),
    ("hopmq-worker", ["--log", "loud"], "--log loud: must be error, warn, info or debug"),
    ("hopmq-worker", ["--broker", "nonsense"], "--broker nonsense: must be tcp://HOST:PORT or ipc://PATH"),
    ("hopmq-worker", ["--broker=tcp://127.0.0.1:1"] * 9, "at most 8 brokers"),
    ("hopmq-worker", ["ams1"], "ams1: takes options only"),
    ("hopmq-worker", ["--nonsense"], "unrecognized option"),
    ("hopmq-worker", ["--pps"], "requires an argument"),
    ("hopmq-broker", ["--max-queued", "0"], "--max-queued 0: must be 1..100000000"),
    ("hopmq-broker", ["--keep-results", "-1"], "--keep-results -1: must be 0..100000000"),
    ("hopmq-broker", ["--store", ""], "--store: must be a path or memory, not empty"),
    ("hopmq-broker", ["--keep", "0s"], "--keep 0s: must be 1s..3650d, such as 90s, 15m, 12h or 7d"),
    ("hopmq-broker", ["--keep", "3651d"], "--keep 3651d: must be 1s..3650d"),
    ("hopmq-broker", ["--keep", "99999999999999999999s"], "must be 1s..3650d"),
    ("hopmq-broker", ["--keep", "7"], "--keep 7: must be 1s..3650d"),
    ("hopmq-broker", ["--keep", "d"], "--keep d: must be 1s..3650d"),
    ("hopmq-broker", ["--keep=-1d"], "--keep -1d: must be 1s..3650d"),
    ("hopmq-broker", ["--keep", "1d2h"], "--keep 1d2h: must be 1s..3650d"),
    ("hopmq-broker", ["--drain", "x"], "--drain x: must be 0..3600"),
    ("hopmq-broker", ["--name", "a/b"], "--name a/b: must be 1..64 of A-Za-z0-9._:-"),
    ("hopmq-broker", ["--log", ""], "--log : must be error, warn, info or debug"),
    ("hopmq-broker", ["--submit=tcp://127.0.0.1:1"] * 9, "at most 8 endpoints"),
    ("hopmq-broker", ["x"], "x: takes options only"),
    ("hopmq-broker", ["--insecure=yes"], "doesn't allow an argument"),
]


@pytest.mark.parametrize("name,argv,says", USAGE, ids=lambda x: x if isinstance(x, str) else None)
def test_wrong_command_lines(name, argv, says):
    done = run(name, *argv)
    assert done.returncode == 64, done.stderr
    assert says in done.stderr and done.stdout == ""
    assert done.stderr.removeprefix(BUILD + "/").startswith(name + ": "), done.stderr


@pytest.mark.parametrize("name", ["hopmq-broker", "hopmq-worker"])
def test_help_and_version(name):
    done = run(name, "--help")
    assert done.returncode == 0 and "Exit status" in done.stdout and done.stderr == ""
    done = run(name, "--version")
    assert done.returncode == 0 and done.stdout.startswith(name + " ")


def endpoints(system, **changes):
    made = {"submit": system.submit, "results": system.results, "workers": system.workers, **changes}
    return [f"--{name}={endpoint}" for name, endpoint in made.items()] + ["--store=memory"]


@pytest.mark.parametrize("which", ["submit", "results", "workers"])
def test_endpoint_in_use(system, which):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        done = run("hopmq-broker", *endpoints(system, **{which: endpoint}))
    assert done.returncode == 69
    assert f"--{which} {endpoint}: cannot listen there: Address already in use" in done.stderr


def test_ipc_endpoint_in_use(system):
    """A second broker on the same path must not take it from the first."""
    system.broker()
    client = system.client()
    first = client.request("ping")["epoch"]
    second = system.broker()
    until(
        lambda: second.popen.poll() is not None or second.log().count("event=start") == 2,
        "neither started nor ended",
    )
    assert second.popen.poll() == 69, "both run, and the second has taken the path"
    assert system.client().request("ping")["epoch"] == first


def test_ipc_endpoint_that_was_left_behind(system):
    """One whose broker was killed is not in use."""
    system.broker().kill()
    system.broker()
    assert system.client().request("ping")["op"] == "pong"


@pytest.mark.parametrize("which", ["submit", "results", "workers"])
@pytest.mark.parametrize("endpoint", ["tcp://*:7799", "tcp://0.0.0.0:7799", "tcp://192.0.2.1:7701", "tcp://[::]:7799"])
def test_other_endpoints_than_loopback(system, which, endpoint):
    done = run("hopmq-broker", *endpoints(system, **{which: endpoint}))
    assert done.returncode in (64, 69)
    assert f"--{which} {endpoint}: not a loopback or ipc endpoint" in done.stderr
    assert "--insecure" in done.stderr


def test_insecure(system):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    # Bound on an island, where nobody else is.
    net = system.island()
    argv = [program("hopmq-broker"), *endpoints(system, submit=f"tcp://*:{port}"), "--insecure"]
    broker = system.run(net.enter(argv), "broker")
    until(lambda: "event=start" in broker.log() or broker.popen.poll() is not None, "no start")
    broker.send_signal(15)
    assert broker.wait() == 0


def test_endpoints_that_are_none(system):
    for endpoint in ("", "nonsense", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:x", "ipc://"):
        done = run("hopmq-broker", *endpoints(system, submit=endpoint))
        assert done.returncode in (64, 69), (endpoint, done.stderr)
        assert f"--submit {endpoint}:" in done.stderr, (endpoint, done.stderr)
    done = run("hopmq-broker", *endpoints(system, workers="ipc:///nowhere/at/all"))
    assert done.returncode == 69 and "No such file or directory" in done.stderr


@pytest.mark.parametrize("port", [99999, -1])
def test_port_of_an_endpoint_out_of_range(system, port):
    """libzmq takes such a number modulo 65,536, and would listen, or dial, elsewhere."""
    endpoint = f"tcp://127.0.0.1:{port}"
    done = run("hopmq-broker", *endpoints(system, submit=endpoint))
    assert done.returncode in (64, 69) and endpoint in done.stderr
    done = run("hopmq-worker", "--broker", endpoint)
    assert done.returncode == 64 and endpoint in done.stderr
