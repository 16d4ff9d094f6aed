"""mtr-packet takes other numbers than it was told where ports are in use; the worker knows it."""

import subprocess
import sys

from truth import Tally, destination

FIRST = 33000  # of mtr-packet's numbers up to 0.95
COUNT = 65536 - FIRST
GUARD = 64  # SEQUENCE_GUARD
LISTENS = 9080

# Another program of the namespace: holds ports, and tells from which ones LISTENS is connected to.
HOLDER = f"""
import random, resource, socket, sys
files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
held, draw = [], random.Random(4)
while len(held) < int(sys.argv[1]):
    s = socket.socket()
    try:
        s.bind(("", draw.randrange({FIRST}, 65536)))
        held.append(s)
    except OSError:
        s.close()
listener = socket.socket()
listener.bind(("127.0.0.1", {LISTENS}))
listener.listen()
print("ready", flush=True)
while True:
    peer, (_, port) = listener.accept()
    peer.close()
    print(port, flush=True)
"""

# A local user who connects to where sequence checks go, from addresses and ports of his choice.
STRANGER = f"""
import socket, time
def listeners():
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f][1:]
    ports = [int(r[1].split(":")[1], 16) for r in rows if r[1].startswith("0100007F") and r[3] == "0A"]
    return [p for p in ports if 10000 <= p < {FIRST}]
deadline = time.monotonic() + 180
while not listeners() and time.monotonic() < deadline:
    pass
for i in range(500):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((f"127.0.0.{{1 + i % 9}}", 40000 + i))
            s.connect(("127.0.0.1", listeners()[0]))
            s.recv(1)
        except OSError:
            pass
"""


def hold_ports(system, net, count):
    argv = net.enter([sys.executable, "-c", HOLDER, str(count)])
    holder = system.run(argv, "holder", stdout=subprocess.PIPE)
    assert holder.popen.stdout.readline() == b"ready\n", holder.log()
    return holder


def submit(client, traces):
    for at in range(0, len(traces), 1000):
        client.send("submit", traces=traces[at : at + 1000], notify=True)


def tcp(target, **options):
    return {"target": target, "protocol": "tcp", "timeout_ms": 1000, **options}


def test_the_number_of_the_prober_is_known(system, capsys):
    net = system.simnet("--seed", "5", "--hops", "8-16", "--rtt-us", "1000")
    holder = hold_ports(system, net, 600)
    system.broker()
    client = system.client()
    system.worker(net, "--pps", "6000")
    submit(client, [tcp(destination(4, i)) for i in range(1, 901)])
    stranger = system.run(net.enter([sys.executable, "-c", STRANGER]), "stranger")
    client.collect(900)
    assert stranger.wait() == 0
    submit(client, [tcp("127.0.0.1", port=LISTENS, max_ttl=1, id="last")])
    sent = client.collect(1)["last"]["probes_sent"]
    number = [int(holder.popen.stdout.readline()) for _ in range(sent)][-1] - FIRST
    client.wait_until(lambda s: s["workers"][0]["stats"]["traces_done"] == 901)
    s = client.stats()["workers"][0]["stats"]
    # the first number was the shell's
    counted = s["probes_sent"] + s["seq_checks"] + s["numbers_skipped"] + s["sequence_drift"]
    unknown = (number - counted) % COUNT
    with capsys.disabled():
        print(
            f"\n  {s['probes_sent']} probes, {s['seq_checks']} sequence checks: mtr-packet took "
            f"{s['sequence_drift']} numbers untold, and {unknown} since; "
            f"{s['seq_check_strangers']} strangers"
        )
    assert s["sequence_drift"] > 2 * GUARD
    assert unknown <= GUARD
    assert s["seq_checks_failed"] == 0
    assert s["seq_check_strangers"] > 100


def test_workers_take_no_hops_from_each_other_where_ports_are_in_use(system, capsys):
    """Without sequence checks some 25 of 26,000 answers are false here."""
    net = system.simnet("--seed", "12", "--hops", "8-16", "--rtt-us", "10000", "--silent-router", "10")
    hold_ports(system, net, 6000)
    system.broker()
    client = system.client()
    # The fast one's numbers sweep over the slow one's, if it does not know where it is.
    traces = {"a": 2000, "b": 400}
    system.worker(net, "--pps", "4000", "--label", "for=a", name="a")
    system.worker(net, "--pps", "800", "--label", "for=b", name="b")
    client.wait_until(lambda stats: len(stats["workers"]) == 2)
    pairs = [(name, destination(4, i)) for name in traces for i in range(1, traces[name] + 1)]
    submit(client, [tcp(d, id=f"{name}-{d}", workers={"for": name}) for name, d in pairs])
    results = client.collect(len(pairs))
    truths = net.truth({("tcp", d) for _, d in pairs})
    tally = Tally()
    for name, d in pairs:
        tally.trace(results[f"{name}-{d}"], truths[("tcp", d)])
    drifts = [w["stats"]["sequence_drift"] for w in client.stats()["workers"]]
    with capsys.disabled():
        print(f"\n  2 workers, {tally.answered} answers, {len(tally.wrong)} false; drift {drifts}")
    assert tally.wrong == [], tally.wrong[:20]
    assert min(drifts) > 0
