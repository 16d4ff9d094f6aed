"""What a person types first: make trace, run, demo, install."""

import glob
import json
import os
import re
import signal
import subprocess

from system import BUILD, PATIENCE, SOURCE, program, until

MAKE = ["make", "-s", "--no-print-directory", "-C", SOURCE, "BUILD=" + os.path.relpath(BUILD, SOURCE)]


def inside(net):
    """Pids of all processes in a namespace but the simulation's own."""
    space = os.readlink(f"/proc/{net.pid}/ns/net")
    found = []
    for path in glob.glob("/proc/[0-9]*"):
        try:
            if os.readlink(path + "/ns/net") == space and int(path[6:]) != net.pid:
                found.append(int(path[6:]))
        except OSError:
            pass  # it has ended meanwhile
    return found


def nothing_runs(net):
    """What has ended may be there until it has been waited for."""
    until(lambda: inside(net) == [], f"processes left behind: {inside(net)}")


def make(net, *argv, **kwargs):
    """Runs make inside the simulated internet, as if that were the world."""
    return subprocess.run(
        net.enter([*MAKE, *argv]), capture_output=True, text=True, timeout=PATIENCE, **kwargs
    )


def test_make_trace_traces_and_leaves_nothing_running(system):
    net = system.simnet("--seed", "4", "--hops", "12-12")
    done = make(net, "trace", "TARGET=20.0.0.7")
    assert done.returncode == 0, done.stdout + done.stderr
    truth = net.truth([("icmp", "20.0.0.7")])[("icmp", "20.0.0.7")]
    hops = re.findall(r"^ *(\d+) +([0-9.]+) +[0-9.]+ ms", done.stdout, re.M)
    assert hops == [(str(h["ttl"]), h["addrs"][0]) for h in truth["hops"]], done.stdout
    assert re.search(r"^reached", done.stdout, re.M), done.stdout
    nothing_runs(net)


def test_make_trace_tells_when_the_target_is_not_reached(system):
    net = system.simnet("--seed", "4", "--unreachable", "100")
    done = make(net, "trace", "TARGET=20.0.0.7")
    assert done.returncode != 0
    assert re.search(r"^unreachable", done.stdout, re.M), done.stdout
    nothing_runs(net)


def test_make_run_serves_until_ctrl_c_and_drains(system):
    net = system.simnet("--seed", "4", "--hops", "12-12")
    # As a terminal starts it: what is begun in the background ignores Ctrl-C, and so do its children.
    argv = net.enter(["env", "--default-signal=INT", *MAKE, "run"])
    run = system.run(argv, "make-run", start_new_session=True)
    ask = [program("hopmq"), "trace", "--wait-broker", "30", "20.0.0.9"]
    done = subprocess.run(net.enter(ask), capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr + run.log()
    cores = len(os.sched_getaffinity(0))

    def all_joined():
        argv = net.enter([program("hopmq"), "stats", "--json"])
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        joined = len(json.loads(done.stdout)["workers"])
        # One a core; a network namespace has room for eight.
        return joined == min(cores, 8)

    until(all_joined, f"{cores} workers")
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    # make itself ends by the signal, as a shell's command does.
    assert run.wait() in (0, -signal.SIGINT), run.log()
    assert "event=drain" in run.log()
    nothing_runs(net)


def test_make_demo_shows_fifteen_hops_and_a_stream(system):
    system.simnet().stop()  # skips where there can be none
    done = subprocess.run([*MAKE, "demo"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^15 +203\.0\.113\.9 ", done.stdout, re.M), done.stdout
    for i in range(1, 21):
        assert f"198.51.100.{i} " in done.stdout


def test_make_install(tmp_path):
    argv = [*MAKE, "install", f"DESTDIR={tmp_path}", "PREFIX=/usr"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    for name in ("hopmq", "hopmq-broker", "hopmq-worker"):
        version = subprocess.run(
            [tmp_path / "usr/bin" / name, "--version"], capture_output=True, text=True, check=True
        )
        assert version.stdout.startswith(name + " "), version.stdout
    share = tmp_path / "usr/share/man"
    for page in ("man1/hopmq.1", "man8/hopmq-broker.8", "man8/hopmq-worker.8"):
        assert (share / page).is_file()
    for unit in ("hopmq-broker.service", "hopmq-worker@.service"):
        text = (tmp_path / "usr/lib/systemd/system" / unit).read_text()
        assert "ExecStart=/usr/bin/hopmq-" in text and "@PREFIX@" not in text
    assert subprocess.run([*MAKE, "uninstall", *argv[-2:]], timeout=PATIENCE).returncode == 0
    left = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert left == []
