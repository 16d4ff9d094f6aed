"""The HTTP endpoint: metrics that Prometheus reads and that move as they should; is it healthy, and
ready."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time

import pytest

from fakeworker import FakeWorker
from figures import HERE, figures, get, port, until_figures, until_status
from held import Held
from system import BUILD, PATIENCE, SOURCE, program, until
from test_systemd import Manager

PROMTOOL = shutil.which("promtool", path=os.environ["PATH"] + os.pathsep + BUILD)
# Probes of this one are never answered, and it ends only when it is ended.
ENDLESS = {"max_ttl": 255, "gap_limit": 0, "timeout_ms": 30000, "attempts": 32}


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool; make build/promtool fetches it")
def test_promtool_has_nothing_to_say(system):
    env = system.fakemtr("hops 3\n")
    broker = system.broker("--metrics", HERE)
    worker = system.worker(None, "--metrics", HERE, env=env)
    system.client().request("trace", target="127.1.0.1")
    until_figures(worker, traces_done_total=1)
    for process in (broker, worker):
        status, text = get(process, "/metrics")
        assert status == 200 and text.count("# TYPE") > 30
        done = subprocess.run(
            [PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=b"a_total 1\n", check=False)
    assert done.returncode != 0  # it does check


def test_figures_move_with_traces(system):
    env = system.fakemtr("hops 4\nrtt 1000\non probe ttl=2: silent\n")
    before = time.time()
    broker = system.broker("--metrics", HERE)
    worker = system.worker(None, "--metrics", HERE, "--capacity", "7", env=env)
    client = system.client()
    until_figures(broker, workers=1)
    until_figures(broker, **{'worker_capacity_traces{worker="w1"}': 7})
    traces = [{"target": f"127.1.0.{i}", "timeout_ms": 1000, "attempts": 2} for i in range(20)]
    client.submit([*traces, {"target": "no.such.name.invalid"}])
    client.submit([{"target": "127.1.0.1", "priority": 2, "workers": {"site": "none"}}])
    client.collect(21)
    until_figures(
        broker,
        accepted_total=22,
        dispatched_total=21,
        running_traces=0,
        result_seq=21,
        **{
            'results_total{stop="reached"}': 20,
            'results_total{stop="unresolved"}': 1,
            'queued_traces{priority="2"}': 1,
            'queued_traces{priority="4"}': 0,
        },
    )
    until_figures(
        worker,
        traces_done_total=21,
        held_traces=0,
        prober_up=1,
        **{
            'probes_total{verdict="reply"}': 20,
            'probes_total{verdict="ttl-expired"}': 40,
            'probes_total{verdict="no-reply"}': 40,
            f'session_open{{broker="{system.workers}"}}': 1,
        },
    )
    # Every probe has come to an end, and is counted by it.
    until_figures(worker, probes_in_flight=0)
    seen = figures(worker)
    ends = ("probe_replies", "probe_no_replies", "probes_lost")
    assert seen["hopmq_probes_lost_total"] == 0
    assert seen["hopmq_probes_sent_total"] == sum(seen[f"hopmq_{end}_total"] for end in ends)
    lags = [value for name, value in seen.items() if name.startswith("hopmq_loop_lag_seconds_bucket")]
    assert lags == sorted(lags) and lags[-1] == seen["hopmq_loop_lag_seconds_count"] > 0
    assert before <= seen["process_start_time_seconds"] <= time.time()


def ticks(pid):
    """The CPU time that a process has used, in the kernel's ticks."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_figures_of_the_process_are_the_kernels(system):
    broker = system.broker("--metrics", HERE)
    until_status(broker, "/readyz", 200, "ready")
    tick_s, page = 1 / os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGESIZE")

    def agrees():
        """The kernel's figures change meanwhile, but not each time."""
        seen = figures(broker)
        with open(f"/proc/{broker.pid}/statm", encoding="ascii") as f:
            total, resident = (int(pages) * page for pages in f.read().split()[:2])
        files = len(os.listdir(f"/proc/{broker.pid}/fd"))
        return (
            seen["process_virtual_memory_bytes"] == total
            and seen["process_resident_memory_bytes"] == resident
            and seen["process_open_fds"] == files + 1  # that of the connection
        )

    until(agrees, "the kernel's figures")
    soft, _ = resource.prlimit(broker.pid, resource.RLIMIT_NOFILE)
    low_s = ticks(broker.pid) * tick_s
    seen = figures(broker)
    assert seen["process_max_fds"] == soft
    assert low_s - 2 * tick_s <= seen["process_cpu_seconds_total"] <= (ticks(broker.pid) + 2) * tick_s


def test_lost_workers_show(system):
    broker = system.broker("--metrics", HERE)
    fake = FakeWorker(system.workers)
    system.clients.append(fake)
    fake.hello("f")
    client = system.client()
    client.submit([{"target": "192.0.2.1"}])
    lease = fake.expect("trace")["lease"]
    until_figures(broker, running_traces=1, **{'worker_running_traces{worker="f"}': 1})
    fake.send("heartbeat", leases=[], trouble="broken")
    until_figures(broker, **{'worker_serves{worker="f"}': 0})
    fake.send("bye")
    until_figures(broker, workers=0, requeued_total=1, **{'queued_traces{priority="4"}': 1})
    assert lease > 0


def test_paths_and_methods(system):
    broker = system.broker("--metrics", "[::1]:0")
    until(lambda: get(broker, "/readyz", "::1") == (200, "ready\n"), "not ready")
    assert get(broker, "/healthz", "::1") == (200, "healthy\n")
    assert get(broker, "/metrics?x=1", "::1")[0] == 200
    assert get(broker, "/metrics", "::1", "HEAD") == (200, "")
    for path in ("/", "/metric", "/metrics/", "/../metrics", "/%00"):
        assert get(broker, path, "::1")[0] == 404
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "metrics"):
        assert get(broker, "/metrics", "::1", method)[0] == 405


# ---- ready ------------------------------------------------------------------------------------


def test_a_broker_that_drains_is_not_ready(system):
    broker = system.broker("--metrics", HERE)
    system.worker(None, env=system.fakemtr("on probe: drop\n"))
    client = system.client()
    client.request("submit", traces=[{"id": "t", "target": "127.1.0.1", **ENDLESS}])
    client.wait_until_answer(lambda r: r["states"][0]["state"] == "running", "status", ids=["t"])
    until_status(broker, "/readyz", 200, "ready")
    broker.send_signal(signal.SIGTERM)
    until_status(broker, "/readyz", 503, "draining")
    assert get(broker, "/healthz") == (200, "healthy\n")
    client.send("cancel", ids=["t"])
    assert broker.wait() == 0


def test_a_worker_is_ready_with_session_and_prober(system):
    script = "on probe: drop\non probe ip-4=127.1.0.9: exit 1\n"
    worker = system.worker(None, "--metrics", HERE, env=system.fakemtr(script))
    until_status(worker, "/readyz", 503, "no session with a broker")
    assert get(worker, "/healthz") == (200, "healthy\n")
    system.broker()
    until_status(worker, "/readyz", 200, "ready")
    client = system.client()
    client.request("submit", traces=[{"id": "t", "target": "127.1.0.1", **ENDLESS}])
    client.wait_until_answer(lambda r: r["states"][0]["state"] == "running", "status", ids=["t"])
    worker.send_signal(signal.SIGTERM)
    until_status(worker, "/readyz", 503, "draining")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0


def test_a_worker_without_prober_says_why(system):
    system.broker()
    worker = system.worker(None, "--metrics", HERE, env=system.fakemtr("on start: exit 3\n"))
    until_status(worker, "/readyz", 503, "mtr-packet: ended with status 3")


def test_a_broker_whose_disk_is_full_is_not_ready(system):
    mount = system.path("disk")
    os.mkdir(mount)
    script = 'mount -t tmpfs -o size=120m none "$0" && exec "$@"'
    inside = ["unshare", "--mount", "sh", "-c", script, mount]
    if subprocess.run([*inside, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        pytest.skip("may not mount a small disk in a mount namespace here")
    argv = [*inside, program("hopmq-broker"), "--submit", system.submit, "--metrics", HERE]
    argv += ["--results", system.results, "--workers", system.workers]
    broker = system.run([*argv, "--store", os.path.join(mount, "hopmq.db")], "broker")
    until_status(broker, "/readyz", 200, "ready")
    theirs = f"/proc/{broker.pid}/root{mount}/theirs"
    with open(theirs, "wb") as f:
        room = os.statvfs(f.fileno())
        os.posix_fallocate(f.fileno(), 0, room.f_bavail * room.f_frsize - 10 * 1024 * 1024)
    until_status(broker, "/readyz", 503, "the disk is full")
    client = system.client()
    assert client.request("trace", target="127.1.0.1")["code"] == "busy"
    os.remove(theirs)
    until_status(broker, "/readyz", 200, "ready")
    client.request("submit", traces=[{"target": "127.1.0.1"}])
    until_figures(broker, busy_total=1, store_commit_seconds_count=1, store_batch_max_records=1)
    assert figures(broker)["hopmq_store_file_bytes"] > 4096


# ---- healthy ----------------------------------------------------------------------------------

def test_a_loop_that_stands_still_is_not_healthy(system):
    """And systemd is not told that it is well, though other threads go on."""
    manager = Manager(system.path("notify"))
    env = manager.env(WATCHDOG_USEC="800000")
    broker = system.broker("--metrics", HERE, env=env)
    until_status(broker, "/healthz", 200, "healthy")
    manager.expect("READY=1", "STATUS=serving", *["WATCHDOG=1"] * 3)
    held = Held(broker.pid)
    try:
        while manager.waiting():
            manager.expect("WATCHDOG=1")
        until_status(broker, "/healthz", 503, "the main loop does not run")
        assert not manager.waiting()
        assert get(broker, "/readyz") == (503, "the main loop does not run\n")
        assert get(broker, "/metrics")[0] == 200
    finally:
        held.release()
    manager.expect("WATCHDOG=1")
    until_status(broker, "/healthz", 200, "healthy")
    until_status(broker, "/readyz", 200, "ready")
    on_time, count = 'hopmq_loop_lag_seconds_bucket{le="2.5"}', "hopmq_loop_lag_seconds_count"
    # The page is rendered once a second, the first time perhaps before what was due then is done.
    until(lambda: (seen := figures(broker))[on_time] < seen[count], "the lag")
    manager.close()


# ---- who may, and who should not --------------------------------------------------------------


def run(*argv):
    return subprocess.run(
        [program(argv[0]), *argv[1:]], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


WRONG = ["7704", "localhost:7704", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1"]
WRONG += ["127.0.0.1:1x", "::1:7704", "[::1]", "[::1:7704", "[127.0.0.1]:1", ":7704", "x" * 300 + ":1"]


@pytest.mark.parametrize("kind", ["hopmq-broker", "hopmq-worker"])
def test_wrong_addresses(system, kind):
    for wrong in WRONG:
        done = run(kind, "--metrics", wrong)
        assert done.returncode == 64, wrong
        assert f"{kind}: --metrics {wrong}: must be ADDRESS:PORT" in done.stderr
    ends = ["--broker", system.workers]
    if kind == "hopmq-broker":
        ends = ["--submit", system.submit, "--results", system.results, "--workers", system.workers]
    for far in ("0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:127.0.0.1]:0"):
        done = run(kind, *ends, "--metrics", far)
        assert done.returncode == 69
        assert f"{kind}: --metrics {far}: not a loopback address" in done.stderr
        assert "--insecure" in done.stderr
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        done = run(kind, *ends, "--metrics", taken)
        assert done.returncode == 69
        why = "cannot listen there: Address already in use"
        assert f"{kind}: --metrics {taken}: {why}" in done.stderr


def test_insecure_may_be_anywhere(system):
    broker = system.broker("--insecure", "--metrics", "0.0.0.0:0")
    until_status(broker, "/healthz", 200, "healthy")
    worker = system.worker(
        None, "--insecure", "--metrics", "127.0.0.2:0", env=system.fakemtr("hops 1\n")
    )
    until(lambda: get(worker, "/healthz", "127.0.0.2")[0] == 200, "no endpoint")


def test_bad_readers_bother_nobody_else(system):
    """Connections that say nothing, nonsense, or too much: the broker serves, and, when their time
    is over, so does the endpoint."""
    broker = system.broker("--metrics", HERE)
    at = ("127.0.0.1", port(broker))
    client = system.client()
    sockets = [socket.create_connection(at) for _ in range(25)]
    try:
        for i, each in enumerate(sockets):
            if i % 5 == 1:
                each.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
            elif i % 5 == 2:
                each.sendall(b"\x00\xff" * 1000 + b"\r\n\r\n")
            elif i % 5 == 3:
                each.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 60000)
            elif i % 5 == 4:
                each.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n")
        for _ in range(20):
            assert client.request("ping")["op"] == "pong"
        until_status(broker, "/healthz", 200, "healthy")
        assert broker.popen.poll() is None
    finally:
        for each in sockets:
            each.close()


# ---- what docs/metrics.md says ----------------------------------------------------------------


def document():
    with open(os.path.join(SOURCE, "docs", "metrics.md"), encoding="utf-8") as f:
        return f.read()


def test_every_metric_is_described_and_no_other(system):
    env = system.fakemtr("hops 3\n")
    broker = system.broker("--metrics", HERE)
    worker = system.worker(None, "--metrics", HERE, env=env)
    until_status(broker, "/readyz", 200, "ready")
    until_status(worker, "/readyz", 200, "ready")
    families = set()
    for process in (broker, worker):
        families |= set(re.findall(r"^# TYPE (\S+)", get(process, "/metrics")[1], re.M))
    rows = [line.split("|")[1] for line in document().splitlines() if line.startswith("| `")]
    named = re.findall(r"`((?:hopmq|process)_[a-z_]+)", "".join(rows))
    assert sorted(named) == sorted(families)


WAITS, LIMIT = 'hopmq_queued_traces{priority="4"', "hopmq_max_queued_traces{"
SERVES, STOPS = 'hopmq_worker_serves{worker="w"', "hopmq_results_total{stop="
COMMIT = "hopmq_store_commit_seconds_"
LAG = "hopmq_loop_lag_seconds_bucket{le="
# What is seen for half an hour, a value a minute, and the alert that comes of it, if any.
SEEN = [
    ({WAITS: "81x30", LIMIT: "100x30", SERVES: "1x30"}, "QueueFills"),
    ({WAITS: "79x30", LIMIT: "100x30", SERVES: "1x30"}, None),
    ({WAITS: "1x30"}, "NobodyServes"),
    ({WAITS: "1x30", SERVES: "0x30"}, "NobodyServes"),
    ({"hopmq_busy_total{": "0+1x30"}, "Refuses"),
    ({"hopmq_busy_total{": "9x30"}, None),
    ({"hopmq_workers_lost_total{": "0+1x30"}, "WorkersAreLost"),
    ({STOPS + '"reached"': "0+90x30", STOPS + '"no-worker"': "0+10x30"}, "TracesFail"),
    ({STOPS + '"reached"': "0+99x30", STOPS + '"no-worker"': "0+1x30"}, None),
    ({LAG + '"0.25"': "0+1x30", LAG + '"1"': "0+9x30", LAG + '"+Inf"': "0+9x30"}, "LoopLags"),
    ({LAG + '"0.25"': "0+9x30", LAG + '"1"': "0+9x30", LAG + '"+Inf"': "0+9x30"}, None),
    ({COMMIT + "sum{": "0+2x30", COMMIT + "count{": "0+10x30"}, "StoreIsSlow"),
    ({COMMIT + "sum{": "0+2x30", COMMIT + "count{": "0+30x30"}, None),
    ({"hopmq_store_damaged_total{": "0+1x30"}, "StoreIsDamaged"),
    ({"hopmq_prober_up{": "0x30"}, "NoProber"),
    ({"hopmq_prober_lag_seconds{": "0.02x30"}, "ProberLags"),
]


def rule_test(seen, comes, summaries):
    """As promtool wants it: these series, and each alert with whether it comes of them."""
    labels = {"job": "j", "instance": "i"}
    return {
        "interval": "1m",
        "input_series": [
            {"series": f'{name}{"" if name[-1] == "{" else ","}job="j",instance="i"}}', "values": v}
            for name, v in seen.items()
        ],
        "alert_rule_test": [
            {
                "eval_time": "29m",
                "alertname": "Hopmq" + alert,
                "exp_alerts": [{"exp_labels": labels, "exp_annotations": {"summary": summary}}]
                if alert == comes
                else [],
            }
            for alert, summary in summaries.items()
        ],
    }


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool; make build/promtool fetches it")
def test_the_alerts_are_rules(system):
    (rules,) = re.findall(r"```yaml\n# hopmq.rules.yml\n(.*?)```", document(), re.S)
    with open(system.path("rules.yml"), "w", encoding="utf-8") as f:
        f.write(rules)
    known = re.findall(r"hopmq_[a-z_]+?(?=_bucket\b|_sum\b|_count\b|\b)", rules)
    assert known and all(f"`{name}" in document() for name in known)
    pattern = 'alert: Hopmq(.*)\n(?:.*\n)*?.*summary: "{{ .labels.instance }}(.*?)"'
    found = re.findall(pattern, rules)
    summaries = {alert: "i" + text for alert, text in found}
    assert set(summaries) == {alert for _, alert in SEEN if alert}
    tests = [rule_test(seen, comes, summaries) for seen, comes in SEEN]
    with open(system.path("test.yml"), "w", encoding="utf-8") as f:
        json.dump({"rule_files": [system.path("rules.yml")], "tests": tests}, f)
    for what, path in (("check", "rules.yml"), ("test", "test.yml")):
        argv = [PROMTOOL, what, "rules", system.path(path)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
