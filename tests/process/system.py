"""A hopmq of its own for one test: a simulated internet, a broker, workers, clients.

Everything lives in a temporary directory on ipc endpoints; only workers (or what a test asks for)
run inside the simulated internet. Waiting is always for an event, with a deadline.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

import msgpack
import pytest
import zmq

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.join(SOURCE, os.environ.get("HOPMQ_BUILD", "build"))
FAKE_MTR = os.path.join(SOURCE, "tests", "fakemtr", "fake-mtr-packet")
PATIENCE = 180  # seconds; what a loaded machine may take for what takes a moment
PROOF = os.environ.get("HOPMQ_PROOF") == "1"  # set by `make proof`


def full_or_small(full, small):
    """The size of a long proof: `make proof` runs it in full, `make test` in small."""
    return full if PROOF else small


def program(name):
    return os.path.join(BUILD, name)


def children(pid):
    """Pids of a process's children, from the kernel."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(child) for child in f.read().split()]


class Process:
    """A child that is ended by its pid when the test ends; its stderr goes to a file."""

    def __init__(self, argv, log, **kwargs):
        self.log_path = log
        self.argv = argv
        with open(log, "ab") as stderr:
            self.popen = subprocess.Popen(argv, stderr=stderr, **kwargs)
        self.pid = self.popen.pid
        self.unread = b""

    def send_signal(self, number):
        self.popen.send_signal(number)

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def wait(self, timeout=PATIENCE):
        return self.popen.wait(timeout)

    def stop(self, number=signal.SIGTERM):
        if self.popen.poll() is None:
            self.popen.send_signal(number)
            try:
                self.popen.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.popen.returncode

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def children(self):
        return children(self.pid)

    def read_json(self, count, timeout=PATIENCE):
        """So many lines of JSON from its standard output, a pipe without buffer, as they come."""
        lines = []
        deadline = time.monotonic() + timeout
        while len(lines) < count:
            line, end, rest = self.unread.partition(b"\n")
            if end:
                lines.append(json.loads(line))
                self.unread = rest
                continue
            wait_s = max(0, deadline - time.monotonic())
            ready, _, _ = select.select([self.popen.stdout], [], [], wait_s)
            assert ready, f"{len(lines)} of {count} lines in {timeout} s: {lines}\n{self.log()}"
            more = os.read(self.popen.stdout.fileno(), 65536)
            assert more, f"ended after {len(lines)} of {count} lines\n{self.log()}"
            self.unread += more
        return lines

    def read_rest(self):
        """What else it prints until it ends, as lines."""
        return (self.unread + self.popen.communicate(timeout=PATIENCE)[0]).decode().splitlines()


class Simnet:
    """A simulated internet that is held open; enter() prefixes a command to run inside it."""

    def __init__(self, options, log, stats=None):
        probe = subprocess.run([program("simnet"), "--probe"], capture_output=True, text=True)
        if probe.returncode == 77:
            pytest.skip("no simulated internet here: " + probe.stderr.strip())
        assert probe.returncode == 0, probe.stderr
        self.options = [str(o) for o in options]
        self.stats_path = stats
        extra = ["--stats", stats] if stats else []
        self.process = Process(
            [program("simnet"), *self.options, *extra],
            log,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        line = self.process.popen.stdout.readline().decode()
        assert line.startswith("ready "), self.process.log()
        self.pid = int(line.split()[1])

    def enter(self, argv):
        user = [] if os.geteuid() == 0 else ["-U", "--preserve-credentials"]
        return ["nsenter", "-t", str(self.pid), *user, "-n", *argv]

    def truth(self, pairs):
        """{(protocol, destination): truth} for pairs of them."""
        lines = "".join(f"{protocol} {dst}\n" for protocol, dst in pairs)
        out = subprocess.run(
            [program("simnet"), "--truth", *self.options],
            input=lines,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        truths = [json.loads(line) for line in out.splitlines()]
        return {(t["protocol"], t["dst"]): t for t in truths}

    def stop(self):
        self.process.popen.stdin.close()
        self.process.stop()
        if self.stats_path:
            with open(self.stats_path, encoding="ascii") as f:
                return json.load(f)
        return None


class Island:
    """A network namespace with loopback and nothing else: no address, no route, no IPv6 route."""

    def __init__(self, log):
        self.user = os.geteuid() != 0
        rights = ["-r"] if self.user else []
        held = "ip link set lo up && echo ready && exec cat"
        self.process = Process(
            ["unshare", *rights, "-n", "sh", "-c", held],
            log,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        line = self.process.popen.stdout.readline().decode()
        if line != "ready\n":
            self.process.wait()
            pytest.skip("no network namespace here: " + self.process.log().strip())

    def enter(self, argv):
        user = ["-U", "--preserve-credentials"] if self.user else []
        return ["nsenter", "-t", str(self.process.pid), *user, "-n", *argv]

    def stop(self):
        self.process.popen.stdin.close()
        self.process.stop()


class Client:
    """Speaks the client protocol over a DEALER (or REQ)."""

    def __init__(self, endpoint, kind=zmq.DEALER):
        self.socket = zmq.Context.instance().socket(kind)
        self.socket.linger = 0
        self.socket.sndhwm = 0
        self.socket.rcvhwm = 0
        self.socket.connect(endpoint)

    def send(self, op, **fields):
        self.send_raw(msgpack.packb({"v": 1, "op": op, **fields}))

    def send_raw(self, *frames):
        self.socket.send_multipart(frames)

    def receive(self, timeout=PATIENCE):
        """The next message, or None when the time is over."""
        if not self.socket.poll(timeout * 1000):
            return None
        frames = self.socket.recv_multipart()
        assert len(frames) == 1, frames
        return msgpack.unpackb(frames[0])

    def request(self, op, timeout=PATIENCE, **fields):
        self.send(op, **fields)
        reply = self.receive(timeout)
        assert reply is not None, f"no answer to {op}"
        return reply

    def submit(self, traces):
        """In messages of a thousand; their results will come here, see collect()."""
        for at in range(0, len(traces), 1000):
            self.send("submit", traces=traces[at : at + 1000], notify=True)

    def stats(self):
        return self.request("stats")["stats"]

    def counters(self):
        return self.stats()["counters"]

    def collect(self, count, timeout=PATIENCE):
        """So many results, by id; fails if one comes twice."""
        results = {}
        deadline = time.monotonic() + timeout
        while len(results) < count:
            message = self.receive(max(0, deadline - time.monotonic()))
            assert message is not None, f"{len(results)} of {count} results in {timeout} s"
            if message["op"] != "result":
                continue
            assert message["id"] not in results, f"{message['id']} ended twice"
            results[message["id"]] = message
        return results

    def nothing_more(self):
        """Nothing has come that was not read. What the broker says of traces waits for the store, as
        results do, so the answer to `status` comes after any result that there was."""
        reply = self.request("status", ids=["nobody"])
        assert reply["op"] == "status", reply

    def wait_until(self, condition, timeout=PATIENCE, **fields):
        """Asks for stats until condition(stats) holds; each answer is the event waited for."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            stats = self.stats()
            if condition(stats):
                return stats
            select.select([], [], [], 0.01)
        raise AssertionError(f"not so within {timeout} s: {stats}")

    def wait_until_answer(self, condition, op, timeout=PATIENCE, **fields):
        """Asks until condition(reply) holds; such as for the moment when a signal has arrived."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            reply = self.request(op, **fields)
            if condition(reply):
                return reply
        raise AssertionError(f"{op}: not so within {timeout} s: {reply}")

    def wait_until_message(self, condition, ask, timeout=PATIENCE):
        """Asks, and passes over what else comes until a message fulfils the condition."""
        ask()
        deadline = time.monotonic() + timeout
        while True:
            message = self.receive(max(0, deadline - time.monotonic()))
            assert message is not None, f"no such message in {timeout} s"
            if condition(message):
                return message

    def close(self):
        self.socket.close()


class System:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="hopmq-test-")
        self.submit = f"ipc://{self.dir}/submit"
        self.results = f"ipc://{self.dir}/results"
        self.workers = f"ipc://{self.dir}/workers"
        self.processes = []
        self.clients = []
        self.nets = []

    def path(self, name):
        return os.path.join(self.dir, name)

    def run(self, argv, name, **kwargs):
        process = Process(argv, self.path(name + ".log"), **kwargs)
        self.processes.append(process)
        return process

    def broker(self, *options, store="memory", env=None, enter=list):
        """A broker; `store` is `memory` or the name of a file in the directory of the test."""
        argv = [program("hopmq-broker"), "--submit", self.submit, "--results", self.results]
        argv += ["--workers", self.workers]
        argv += ["--store", store if store == "memory" else self.path(store), *options]
        return self.run(enter(argv), "broker", env={**os.environ, **(env or {})})

    def simnet(self, *options, stats=False):
        number = len(self.nets)
        net = Simnet(
            options,
            self.path(f"simnet-{number}.log"),
            self.path(f"simnet-{number}.json") if stats else None,
        )
        self.nets.append(net)
        return net

    def island(self):
        net = Island(self.path(f"island-{len(self.nets)}.log"))
        self.nets.append(net)
        return net

    def worker(self, net, *options, name="w1", env=None, kind="hopmq-worker", own_pids=False):
        argv = [program(kind), "--broker", self.workers, "--name", name, *options]
        if own_pids:  # as in a container that shares its host's network
            argv = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *argv]
        if net is not None:
            argv = net.enter(argv)
        return self.run(argv, name, env={**os.environ, **(env or {})})

    def fakemtr(self, script, name="fakemtr"):
        """The environment in which a worker drives the fake mtr-packet, by this script."""
        with open(self.path(name), "w", encoding="ascii") as f:
            f.write(script)
        return {"MTR_PACKET": FAKE_MTR, "FAKE_MTR_SCRIPT": self.path(name)}

    def client(self, kind=zmq.DEALER):
        client = Client(self.submit, kind)
        self.clients.append(client)
        return client

    def subscriber(self, *topics, wait=True):
        """A SUB that has been subscribed: it has seen an alive message, or will be waited for."""
        socket = zmq.Context.instance().socket(zmq.SUB)
        socket.linger = 0
        socket.rcvhwm = 0
        socket.connect(self.results)
        for topic in ("alive.", *topics):
            socket.subscribe(topic)
        self.clients.append(socket)
        assert not wait or socket.poll(PATIENCE * 1000), "no alive message"
        return socket

    def hopmq(self, *argv, timeout=PATIENCE, **kwargs):
        """Runs the command line to its end."""
        env = {**os.environ, "HOPMQ_BROKER": self.submit}
        return subprocess.run(
            [program("hopmq"), *argv],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=env,
            **kwargs,
        )

    def start(self, *argv):
        """Starts the command line; Process.read_json() takes what it prints."""
        env = {**os.environ, "HOPMQ_BROKER": self.submit}
        argv = [program("hopmq"), *argv]
        return self.run(argv, argv[1], env=env, stdout=subprocess.PIPE, bufsize=0)

    def logs(self):
        by_path = {p.log_path: p for p in self.processes}  # those of one name write into one
        return "".join(f"--- {p.argv[0]} {path}\n{p.log()}" for path, p in by_path.items())

    def close(self):
        for client in self.clients:
            client.close()
        for process in reversed(self.processes):
            process.stop(signal.SIGKILL)
        for net in self.nets:
            if net.process.popen.poll() is None:
                net.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


def asleep(pid):
    """True while the kernel has the process wait: for an event, or stopped. One that spins is always
    running or about to."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return f.read().rsplit(")", 1)[1].split()[0] in "ST"


def until(condition, what, timeout=PATIENCE):
    """Polls for what has no event to wait for, such as an entry in /proc."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        select.select([], [], [], 0.01)
    raise AssertionError(f"{what}: not within {timeout} s")


def first_turn(net, worker):
    """Simulation, worker and prober come before whatever else runs on this machine, so that a test
    of times measures them. Without the right to that it measures as well as it can."""
    for pid in (net.pid, worker.pid, *children(worker.pid)):
        try:
            os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))
        except PermissionError:
            return
