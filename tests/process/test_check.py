"""`hopmq-worker --check`: a line for each thing that a worker needs, and how to fix it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

from system import PATIENCE, program, until

LINE = re.compile(r"(ok  |WARN|FAIL)  (\S.{13})  (\S.*)\n")
NAMES = ["mtr-packet", "protocols", "raw sockets", "open files", "receive buffer", "ports"]
NAMES += ["ICMP id", "slices", "IPv4 route", "IPv6 route"]
UNAVAILABLE = 69


def check(*options, enter=lambda argv: argv, worker=None, **env):
    """{name: (verdict, text)}; the exit status is that of the verdicts."""
    done = subprocess.run(
        enter([worker or program("hopmq-worker"), "--check", *options]),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, **env},
        check=False,
    )
    lines = [LINE.fullmatch(line) for line in done.stdout.splitlines(keepends=True)]
    assert lines and all(lines), done.stdout + done.stderr
    found = {line[2].strip(): (line[1].strip(), line[3]) for line in lines}
    assert len(found) == len(lines)
    assert list(found) == [name for name in NAMES if name in found]
    assert all(("fix" in text) == (verdict != "ok") for verdict, text in found.values())
    failed = any(verdict == "FAIL" for verdict, _ in found.values())
    assert done.returncode == (UNAVAILABLE if failed else 0)
    return found


def fake(system, script):
    """An MTR_PACKET of one's own."""
    path = system.path("mtr-packet")
    with open(path, "w", encoding="ascii") as f:
        f.write("#!/bin/sh\n" + script)
    os.chmod(path, 0o755)
    return path


def setting(name, value):
    return ["sh", "-c", f'echo "{value}" >/proc/sys/net/{name}']


def test_here():
    """Whatever is right or wrong on this machine, it is told in the same form."""
    found = check("--pps", "20000")
    assert found["mtr-packet"][1].startswith(shutil.which("mtr-packet"))
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        assert " ".join(f.read().split()) in found["ports"][1]
    assert "--pps 20000" in found["receive buffer"][1]


def test_no_routes(system):
    net = system.island()
    found = check(enter=net.enter)
    assert list(found) == NAMES
    assert found["raw sockets"][0] == "ok"
    assert found["slices"] == ("ok", "8 of 8 are free; other workers here: 0")
    for name, fix in [("IPv4 route", "ip route add"), ("IPv6 route", "ip -6 route add")]:
        assert found[name][0] == "FAIL"
        assert "only this host itself can be traced" in found[name][1]
        assert found[name][1].endswith(f"fix: {fix} default via GATEWAY")


def test_what_is_fixed_is_right(system):
    """A network without default route, then with one; a port range out of the way."""
    net = system.island()
    lab = "ip tuntap add lab mode tun && ip addr add 10.0.0.1/24 dev lab && ip link set lab up"
    made = subprocess.run(net.enter(["sh", "-c", lab]), capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip("no tun device here: " + made.stderr)
    subprocess.run(net.enter(setting("ipv4/ip_local_port_range", "32768 60999")), check=True)
    found = check(enter=net.enter)
    assert found["IPv4 route"][0] == found["IPv6 route"][0] == "WARN"
    assert "only the networks of this host's interfaces" in found["IPv4 route"][1]
    assert found["ports"][0] == "WARN"
    fix = found["ports"][1].split("fix: ")[1]
    subprocess.run(net.enter(["sh", "-c", fix]), capture_output=True, check=True)
    subprocess.run(net.enter(["ip", "route", "add", "default", "dev", "lab"]), check=True)
    found = check(enter=net.enter)
    assert found["IPv4 route"] == ("ok", "from 10.0.0.1")
    assert found["ports"][0] == "ok"


def test_a_worker_that_starts_tells_what_is_not_right(system):
    """In the words of the check, and nothing of what it did not look at."""
    net = system.island()
    subprocess.run(net.enter(setting("ipv4/ip_local_port_range", "32768 60999")), check=True)
    found = check(enter=net.enter)
    worker = system.worker(net)

    def lines():
        return re.findall(r'level=(\w+) event=check name="(.+)" text="([^"]+)"\n', worker.log())

    until(lambda: "event=prober-up" in worker.log(), "no prober")
    until(lambda: len(lines()) >= 3, "no word of what is not right")
    worker.stop()
    told = lines()
    levels = {"WARN": "warn", "FAIL": "error"}
    names = ["ports", "IPv4 route", "IPv6 route"]
    assert told == [(levels[found[name][0]], name, found[name][1]) for name in names]
    assert {level for level, _, _ in told} == {"warn", "error"}
    assert worker.log().count("event=check") == len(told)


def test_one_probe_is_sent(system):
    """What goes over loopback, and there is nothing else: the probe, and port unreachable."""
    net = system.island()

    def packets():
        argv = net.enter(["cat", "/proc/net/dev"])
        lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
        assert lines[2].split()[0] == "lo:" and len(lines) == 3
        return int(lines[2].split()[2])

    before = packets()
    assert check(enter=net.enter)["raw sockets"][0] == "ok"
    assert packets() - before == 2


def test_no_loopback(system):
    """Where it never was up, mtr-packet says so; where it was, it waits in vain."""
    net = system.island()
    verdict, text = check(enter=lambda argv: net.enter(["unshare", "-n", *argv]))["raw sockets"]
    assert verdict == "WARN" and text.endswith("fix: ip link set lo up")
    subprocess.run(net.enter(["ip", "link", "set", "lo", "down"]), check=True)
    verdict, text = check(enter=net.enter)["raw sockets"]
    assert verdict == "FAIL" and text.endswith("loopback is down; fix: ip link set lo up")


# ---- mtr-packet ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, text",
    [
        ("/nowhere/mtr-packet", "MTR_PACKET=/nowhere/mtr-packet: No such file or directory; fix:"),
        ("/tmp", "MTR_PACKET=/tmp: Is a directory; fix: set it to the path of mtr-packet"),
        (__file__, f"MTR_PACKET={__file__}: Permission denied; fix:"),
    ],
)
def test_prober_that_cannot_be_used(path, text):
    found = check(MTR_PACKET=path)
    assert found["mtr-packet"][0] == "FAIL" and text in found["mtr-packet"][1]
    assert set(NAMES) - set(found) == {"protocols", "raw sockets", "open files", "ICMP id"}


def test_prober_that_is_not_there(system):
    verdict, text = check(MTR_PACKET="", PATH=system.dir)["mtr-packet"]
    assert verdict == "FAIL" and "not found in PATH; fix: install it (Debian: apt-get" in text


def test_prober_that_is_no_program(system):
    path = system.path("mtr-packet")
    with open(path, "wb") as f:
        f.write(b"\x7fELF, not really\n")
    os.chmod(path, 0o755)
    verdict, text = check(MTR_PACKET=path)["mtr-packet"]
    assert verdict == "FAIL" and f"{path} cannot be started: Exec format error; fix:" in text


@pytest.mark.parametrize(
    "script, end",
    [
        ("exit 3\n", "ended with status 3"),
        ("read line; echo 1 feature-support support 0.95; exit 0\n", "ended with status 0"),
        ("read line; kill -ABRT $$\n", "ended by signal 6"),
    ],
)
def test_prober_that_ends(system, script, end):
    path = fake(system, script)
    found = check(MTR_PACKET=path)
    verdict, text = found["mtr-packet"]
    assert verdict == "FAIL" and f"{path} {end} before it had answered; fix:" in text
    assert "protocols" not in found


def test_prober_that_hangs(system):
    """Neither does the check, and it takes the child with it."""
    own = system.path("pid")
    path = fake(system, f"echo $$ >{own}; echo garbage; exec sleep 600\n")
    found = check(MTR_PACKET=path)
    verdict, text = found["mtr-packet"]
    assert verdict == "FAIL" and f"{path} did not answer within 5 s; fix:" in text
    with open(own, encoding="ascii") as f:
        assert not os.path.exists("/proc/" + f.read().strip())


ANSWERS = """echo 1 feature-support support {version}
for token in 2 3 4 5 6; do echo $token feature-support support ok; done
echo 7 feature-support support no
echo 8 {word}
exec cat >/dev/null
"""


def test_prober_without_raw_sockets(system):
    path = fake(system, ANSWERS.format(version="0.95", word="no-reply"))
    found = check(MTR_PACKET=path)
    assert found["mtr-packet"][0] == "ok"
    assert found["raw sockets"][0] == "FAIL"


def test_prober_of_a_version_with_trouble(system):
    reply = "reply ip-4 127.0.0.1 round-trip-time 50"
    found = check(MTR_PACKET=fake(system, ANSWERS.format(version="0.93", word=reply)))
    assert found["mtr-packet"][0] == "WARN"
    assert "version 0.93: UDP over IPv6 does not work; fix:" in found["mtr-packet"][1]
    assert found["protocols"] == ("ok", "mtr-packet has icmp udp tcp ip-4 ip-6")
    assert found["raw sockets"][0] == "ok"


# ---- rights --------------------------------------------------------------------------------


@pytest.fixture
def nobody():
    """check() as nobody, with what else setpriv is told."""
    if os.geteuid() != 0:
        pytest.skip("to give up rights, one must have them: needs root")
    with tempfile.TemporaryDirectory() as shared:
        os.chmod(shared, 0o755)
        worker = shutil.copy(program("hopmq-worker"), shared)
        user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]

        def run(*options, before=(), **env):
            return check(
                enter=lambda argv: [*before, *user, *options, *argv], worker=worker, **env
            )

        run.shared = shared
        yield run


@pytest.fixture
def with_file_right(nobody):
    path = os.path.join(nobody.shared, "mtr-packet")
    shutil.copyfile(shutil.which("mtr-packet"), path)
    os.chmod(path, 0o755)
    # version 2, effective; permitted: bit 13, CAP_NET_RAW
    right = bytes.fromhex("01000002" "00200000" "00000000" "00000000" "00000000")
    try:
        os.setxattr(path, "security.capability", right)
    except OSError as e:
        pytest.skip(f"no file capabilities here: {e}")
    return path


def test_file_capability(nobody, with_file_right):
    found = nobody(MTR_PACKET=with_file_right)
    assert found["raw sockets"][0] == "ok"
    assert found["raw sockets"][1].endswith("mtr-packet's file has the capability")


def test_no_new_privileges(nobody, with_file_right):
    found = nobody("--no-new-privs", MTR_PACKET=with_file_right)
    verdict, text = found["raw sockets"]
    assert verdict == "FAIL" and text.startswith("none: NoNewPrivileges defeats file capabilities")
    assert "AmbientCapabilities=CAP_NET_RAW" in text
    assert found["mtr-packet"][0] == "FAIL"
    assert found["mtr-packet"][1].endswith("fix: see raw sockets")

    ambient = ["--inh-caps", "+net_raw", "--ambient-caps", "+net_raw"]
    found = nobody("--no-new-privs", *ambient, MTR_PACKET=with_file_right)
    assert found["raw sockets"][0] == "ok"
    assert found["raw sockets"][1].endswith("CAP_NET_RAW is ambient")


def test_no_file_capability(nobody):
    path = os.path.join(nobody.shared, "mtr-packet")
    shutil.copyfile(shutil.which("mtr-packet"), path)
    os.chmod(path, 0o755)
    verdict, text = nobody(MTR_PACKET=path)["raw sockets"]
    assert (verdict, text) == ("FAIL", f"none: no file capability; fix: setcap cap_net_raw+ep {path}")
    subprocess.run(["sh", "-c", text.split("fix: ")[1]], check=True)
    assert nobody(MTR_PACKET=path)["raw sockets"][0] == "ok"


def test_bounding_set(nobody, with_file_right):
    found = nobody("--bounding-set=-net_raw", MTR_PACKET=with_file_right)
    verdict, text = found["raw sockets"]
    assert verdict == "FAIL" and "CAP_NET_RAW is not in this process's bounding set" in text
    assert "cannot be started: Operation not permitted" in found["mtr-packet"][1]


def test_nosuid_mount(nobody, with_file_right):
    argv = ["unshare", "-m", "sh", "-c"]
    shared = nobody.shared
    argv += [f'mount --bind {shared} {shared} && mount -o remount,bind,nosuid {shared} && exec "$@"']
    verdict, text = nobody(before=[*argv, "sh"], MTR_PACKET=with_file_right)["raw sockets"]
    assert verdict == "FAIL" and "nosuid mount" in text
    assert text.endswith(f'mount -o remount,suid "$(findmnt -no TARGET -T {with_file_right})"')


def test_few_files(nobody, with_file_right):
    """The number is what mtr-packet has got."""
    found = nobody(before=["prlimit", "--nofile=100"], MTR_PACKET=with_file_right)
    assert found["open files"][0] == "WARN" and found["open files"][1].startswith("100,")
    found = nobody(before=["prlimit", "--nofile=20"], MTR_PACKET=with_file_right)
    assert found["open files"][0] == "FAIL"
    found = nobody(before=["prlimit", "--nofile=4096"], MTR_PACKET=with_file_right)
    assert found["open files"][0] == "ok"


# ---- other workers -------------------------------------------------------------------------

# Binds the abstract names of its arguments until its standard input ends, and says how many were
# connected to.
HOLDER = """
import socket, sys
held = []
for name in sys.argv[1:]:
    held.append(socket.socket(socket.AF_UNIX))
    held[-1].bind("\\0hopmq/" + name)
    held[-1].listen()
    held[-1].setblocking(False)
print("ready", flush=True)
sys.stdin.read()
asked = 0
for s in held:
    try:
        s.accept()
        asked += 1
    except BlockingIOError:
        pass
print(asked)
"""


class Holder:
    def __init__(self, net, names):
        argv = net.enter([sys.executable, "-c", HOLDER, *names])
        pipe = subprocess.PIPE
        self.popen = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)
        assert self.popen.stdout.readline() == "ready\n"

    def end(self):
        return int(self.popen.communicate(timeout=PATIENCE)[0])


def test_eight_workers(system):
    net = system.island()
    slices = [f"slice/{i}" for i in range(8)]
    ids = [f"icmp-id/{60000 + i}" for i in range(8)]
    holder = Holder(net, slices + ids)
    verdict, text = check(enter=net.enter)["slices"]
    assert verdict == "FAIL" and "8 workers run in this network namespace already" in text
    assert "ip netns add" in text
    assert holder.end() == 0, "it asked for a slice"
    holder = Holder(net, slices[1:] + ids[1:])
    assert check(enter=net.enter)["slices"] == ("ok", "1 of 8 are free; other workers here: 7")
    assert holder.end() == 0


def test_icmp_id_of_another(system):
    """In a pid namespace of its own the check is process 1, and its mtr-packet 2."""
    net = system.island()
    holder = Holder(net, ["icmp-id/2"])
    alone = ["unshare", "--pid", "--fork", "--mount-proc"]
    found = check(enter=lambda argv: net.enter([*alone, *argv]))
    assert found["ICMP id"][0] == "WARN"
    assert found["ICMP id"][1].startswith("2 is used by another worker")
    holder.end()
    found = check(enter=lambda argv: net.enter([*alone, *argv]))
    assert found["ICMP id"] == ("ok", "2 is used by no other worker")


def test_beside_a_running_worker(system):
    """It keeps all of its slices, and the check sees it."""
    net = system.island()
    worker = system.worker(net)
    until(lambda: "event=prober-up" in worker.log(), "no prober")
    verdict, text = check(enter=net.enter)["slices"]
    assert verdict == "ok" and text.startswith("none is free; other workers here: 1,")
    worker.stop()
    assert "event=slices-leave" not in worker.log()
    assert check(enter=net.enter)["slices"][1].startswith("8 of 8 are free")
