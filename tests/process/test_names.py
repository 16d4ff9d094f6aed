"""Targets by name, and the names of those that answer, with a real name server."""

import json
import os
import resource
import signal

from nameserver import NameServer, raw_ptr, record, reverse
from system import until
from truth import destination

OPTIONS = ("--seed", "5", "--hops", "6-10", "--rtt-us", "1000")
TARGET, TARGET6 = destination(4, 1), destination(6, 1)


def routers(net, *targets):
    """The addresses on the paths to targets, which are their last ones."""
    truths = net.truth([("icmp", target) for target in targets])
    return [[hop["addrs"][0] for hop in truths[("icmp", t)]["hops"]] for t in targets]


def name_of(addr):
    return "r-" + addr.replace(".", "-").replace(":", "-") + ".example"


def started(system, *lines, net=None, capacity=500):
    """Broker, name server and worker; a client for it."""
    net = net or system.simnet(*OPTIONS)
    server = NameServer(system, net, lines)
    system.broker()
    worker = system.worker(server, "--pps", "max", "--capacity", str(capacity))
    client = system.client()
    client.wait_until(lambda stats: stats["workers"])
    return server, worker, client


def stat(client, name, condition):
    """A number of the worker's, from the first heartbeat in which it is as wanted."""
    def number(stats):
        return stats["workers"][0]["stats"].get(name, -1)
    return number(client.wait_until(lambda stats: condition(number(stats))))


def test_targets(system):
    _, _, client = started(
        system,
        record("four.example", TARGET),
        record("six.example", TARGET6),
        record("both.example", TARGET, TARGET6),
        "cname=alias.example,both.example",
    )
    for name, af, dst in (
        ("four.example", 0, TARGET),
        ("FOUR.example.", 4, TARGET),
        ("six.example", 0, TARGET6),
        ("six.example", 6, TARGET6),
        ("both.example", 0, TARGET),
        ("both.example", 6, TARGET6),
        ("alias.example", 0, TARGET),
        ("alias.example", 6, TARGET6),
    ):
        end = client.request("trace", target=name, af=af)
        assert (end["stop"], end["dst"], end["target"]) == ("reached", dst, name), end
        assert "names" not in end


def test_unresolved(system):
    _, _, client = started(system, record("four.example", TARGET), record("multi.example", "224.0.0.1"))
    for name, af, code in (
        ("nowhere.example", 0, "not-found"),
        ("nowhere.example", 6, "not-found"),
        ("four.example", 6, "not-found"),
        ("multi.example", 0, "bad-request"),
        ("not.ours.test", 0, "unavailable"),  # refused: this server asks no other
    ):
        end = client.request("trace", target=name, af=af, names=True)
        assert (end["stop"], end["hops"], end["probes_sent"]) == ("unresolved", [], 0), end
        assert end["error"]["code"] == code and name in end["error"]["message"], end
        assert end["names"] == {}


def test_the_family_that_has_a_route(system):
    """On an island 127.0.0.0/8 and ::1 are all that can be reached."""
    _, worker, client = started(
        system,
        record("six.example", "192.0.2.1", "::1"),
        record("neither.example", "192.0.2.1", "2001:db8::1"),
        net=system.island(),
    )
    # A worker that may open nothing more does not know whether there is one.
    files = {int(fd) for fd in os.listdir(f"/proc/{worker.pid}/fd")}
    free = next(fd for fd in range(len(files) + 1) if fd not in files)
    soft, hard = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (free, hard))
    end = client.request("trace", target="192.0.2.1")
    assert (end["stop"], end["error"]["code"]) == ("prober-error", "internal"), end
    assert "Too many open files" in end["error"]["message"]
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (soft, hard))
    end = client.request("trace", target="six.example")
    assert (end["stop"], end["dst"]) == ("reached", "::1"), end
    assert "error" not in end
    for name, af in (("six.example", 4), ("neither.example", 0)):
        end = client.request("trace", target=name, af=af)
        assert (end["stop"], end["dst"]) == ("no-route", "192.0.2.1"), end
        assert "no route to 192.0.2.1" in end["error"]["message"]


def test_a_silent_server_costs_only_those_that_need_it(system):
    server, _, client = started(system, record("four.example", TARGET))
    server.send_signal(signal.SIGSTOP)
    client.send("submit", notify=True, traces=[
        {"id": "name", "target": "four.example"},
        {"id": "late", "target": "four.example", "deadline_ms": 500},
        {"id": "address", "target": TARGET},
    ])
    ends = []
    while len(ends) < 3:
        message = client.receive()
        if message["op"] == "result":
            ends.append((message["id"], message["stop"]))
    assert sorted(ends[:2]) == [("address", "reached"), ("late", "deadline")]
    assert ends[2] == ("name", "unresolved")
    server.send_signal(signal.SIGCONT)
    assert client.request("trace", target="four.example")["stop"] == "reached"


def test_names_of_both_families(system):
    net = system.simnet(*OPTIONS)
    four, six = routers(net, TARGET, TARGET6)
    nameless = four[2], six[2]
    expected = {addr: name_of(addr) for addr in four + six if addr not in nameless}
    _, _, client = started(system, *(record(n, a) for a, n in expected.items()), net=net)
    for target, path in ((TARGET, four), (TARGET6, six)):
        end = client.request("trace", target=target, names=True)
        assert [hop["probes"][0]["addr"] for hop in end["hops"]] == path
        assert end["names"] == {addr: expected[addr] for addr in path if addr not in nameless}
    assert stat(client, "names_cached", lambda n: n > 0) == len(four) + len(six)
    assert stat(client, "name_failures", lambda n: n >= 0) == 0
    # The command line: name and address, in columns; and JSON as it is.
    printed = system.hopmq("trace", "--names", TARGET).stdout.splitlines()
    width = max(len(name_of(a)) + len(a) + 3 for a in four)
    for at, addr in enumerate(four):
        named = f"{name_of(addr)} ({addr})" if addr != nameless[0] else addr
        assert printed[1 + at].startswith(f"{at + 1:2}  {named:<{width}}  "), printed
    end = json.loads(system.hopmq("trace", "--names", "--json", TARGET).stdout)
    assert end["names"] == {addr: expected[addr] for addr in four if addr != nameless[0]}
    assert "names" not in json.loads(system.hopmq("trace", "--json", TARGET).stdout)


def test_a_name_is_kept_for_its_time_to_live(system):
    net = system.simnet(*OPTIONS)
    (path,) = routers(net, TARGET)
    brief = path[1]
    server, _, client = started(
        system, *(record(name_of(a), a, ttl=2 if a == brief else 3600) for a in path[:-1]), net=net
    )
    names = client.request("trace", target=TARGET, names=True)["names"]
    assert names == {a: name_of(a) for a in path[:-1]}
    first = server.asked()
    assert first == {reverse(a): 1 for a in path}  # the target's too, that it has none

    def asked_again():
        assert client.request("trace", target=TARGET, names=True)["names"] == names
        return server.asked().get(reverse(brief)) == 2

    until(asked_again, "never asked again")
    # What lasts longer was not asked for again, however many traces there were.
    assert server.asked() == {**first, reverse(brief): 2}
    assert stat(client, "name_queries", lambda n: n > len(path)) == len(path) + 1


def test_a_silent_server_costs_names_but_no_trace(system):
    server, worker, client = started(system, record(name_of(TARGET), TARGET))
    server.send_signal(signal.SIGSTOP)
    # It waits for names, but not as long as one that needs the server waits for its target.
    client.submit([
        {"id": "names", "target": TARGET, "names": True},
        {"id": "name", "target": "some.example"},
    ])
    assert client.receive()["op"] == "accepted"
    end = client.receive()
    assert (end["id"], end["stop"], end["names"]) == ("names", "reached", {})
    end = client.receive()
    assert (end["id"], end["stop"]) == ("name", "unresolved")
    assert stat(client, "name_failures", lambda n: n > 0) > 0
    # Whoever waits for names only is drained with what there is.
    client.send("trace", target=destination(4, 2), names=True, progress=True, probes=1)
    while True:
        message = client.receive()
        assert message is not None and message["op"] == "hop"
        if message["probes"][0]["verdict"] == "reply":
            break
    worker.send_signal(signal.SIGTERM)
    end = client.receive()
    assert (end["op"], end["stop"], end["names"]) == ("result", "reached", {})
    assert worker.wait() == 0


def labels(*parts):
    return b"".join(bytes([len(p)]) + p for p in parts) + b"\0"


HOSTILE = [
    labels(b"a\x1b[2J", b"example"),  # would steer a terminal
    labels(b"a b", b"example"),
    labels(b"new\nline", b"example"),
    labels(b"\xc3\xa9", b"example"),
    labels(b"10", b"0", b"0", b"1"),  # would pass for an address
]


def test_hostile_names(system):
    net = system.simnet("--seed", "5", "--hops", "10-10", "--rtt-us", "1000")
    (path,) = routers(net, TARGET)
    longest = labels(b"x" * 63, b"y" * 63, b"z" * 63, b"w" * 61)
    lines = [raw_ptr(addr, data) for addr, data in zip(path, HOSTILE)]
    lines += [raw_ptr(path[-2], longest), record("good.example", path[-1])]
    _, _, client = started(system, *lines, net=net)
    end = client.request("trace", target=TARGET, names=True)
    dotted = ".".join(c * n for c, n in (("x", 63), ("y", 63), ("z", 63), ("w", 61)))
    assert end["names"] == {path[-2]: dotted, path[-1]: "good.example"}
    assert stat(client, "names_refused", lambda n: n > 0) == len(HOSTILE)


def many(system):
    """Paths to 300 targets, with a name for everyone on them, and traces to them."""
    net = system.simnet(*OPTIONS, "--shared-hops", "3")
    targets = [destination(4, i) for i in range(1, 301)]
    paths = dict(zip(targets, routers(net, *targets)))
    everyone = {addr for path in paths.values() for addr in path}
    server, _, client = started(system, *(record(name_of(a), a) for a in everyone), net=net)
    return paths, everyone, server, client, [{"id": t, "target": t, "names": True} for t in targets]


def test_questions_to_a_silent_server_are_bounded(system):
    _, everyone, server, client, traces = many(system)
    server.send_signal(signal.SIGSTOP)
    client.send("submit", notify=True, traces=traces)
    results = client.collect(len(traces))
    assert {(r["stop"], len(r["names"])) for r in results.values()} == {("reached", 0)}
    # 64 at a time: others are asked for when one is given up, and that counts as a failure.
    assert len(everyone) > 64
    stats = client.wait_until(lambda s: s["workers"][0]["stats"].get("name_queries", 0) >= 64)
    worker = stats["workers"][0]["stats"]
    assert worker["name_queries"] - worker["name_failures"] <= 64, worker


def test_many_traces_share_their_questions(system):
    paths, everyone, server, client, traces = many(system)
    client.send("submit", notify=True, traces=traces)
    results = client.collect(len(traces))
    for target, path in paths.items():
        answered = {p["addr"] for hop in results[target]["hops"] for p in hop["probes"]}
        assert results[target]["names"] == {a: name_of(a) for a in answered if a is not None}
        assert answered <= {*path, None}
    asked = server.asked()
    assert set(asked) <= {reverse(a) for a in everyone}
    assert sum(asked.values()) <= len(everyone)
    assert stat(client, "name_queries", lambda n: n >= len(asked)) == len(asked)
