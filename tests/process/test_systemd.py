"""What systemd is told, over a datagram socket that plays systemd."""

import os
import select
import signal
import socket

import pytest

from system import PATIENCE, program

ENDLESS = {"max_ttl": 255, "gap_limit": 0, "timeout_ms": 30000, "attempts": 32}


class Manager:
    """Listens at a path or (with @) an abstract name."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name[0] == "@" else name)

    def env(self, **more):
        return {"NOTIFY_SOCKET": self.name, **more}

    def receive(self, timeout=PATIENCE):
        """The next message, or None when the time is over."""
        self.socket.settimeout(timeout)
        try:
            return self.socket.recv(4096).decode()
        except TimeoutError:
            return None

    def expect(self, *messages):
        for message in messages:
            assert self.receive() == message

    def waiting(self):
        return bool(select.select([self.socket], [], [], 0)[0])

    def close(self):
        self.socket.close()


@pytest.fixture
def manager(system):
    made = Manager(system.path("notify"))
    yield made
    made.close()


def broker(system, env, *options):
    argv = [program("hopmq-broker"), "--submit", system.submit, "--results", system.results]
    argv += ["--workers", system.workers, *options]
    return system.run(argv, "broker", env={**os.environ, **env})


def a_second_passes(alive):
    """For the broker's loop: its `alive` messages are so far apart."""
    for _ in range(2):
        assert alive.poll(PATIENCE * 1000), "no alive message"
        alive.recv_multipart()


def test_a_broker_tells_what_it_does(system, manager):
    process = broker(system, manager.env())
    manager.expect("READY=1", "STATUS=serving")
    system.client().request("ping")  # it is indeed
    system.worker(None, env=system.fakemtr("on probe: drop\n"))
    client = system.client()
    client.request("submit", traces=[{"id": "t", "target": "127.1.0.1", **ENDLESS}])
    client.wait_until_answer(lambda r: r["states"][0]["state"] == "running", "status", ids=["t"])
    process.send_signal(signal.SIGTERM)  # what runs was no news
    manager.expect("STOPPING=1", "STATUS=draining")
    client.send("cancel", ids=["t"])
    assert process.wait() == 0
    assert not manager.waiting()


def test_a_worker_tells_what_it_does(system):
    manager = Manager(f"@hopmq-test-{os.getpid()}")
    worker = system.worker(None, env={**system.fakemtr("hops 2\n"), **manager.env()})
    assert manager.receive() == "READY=1"
    message = manager.receive()
    if message == "STATUS=no prober":
        message = manager.receive()
    assert message == "STATUS=no session with a broker"
    system.broker()
    manager.expect("STATUS=serving")
    worker.send_signal(signal.SIGTERM)
    manager.expect("STOPPING=1")
    assert worker.wait() == 0
    manager.close()


def test_the_watchdog_is_told_by_the_loop(system, manager):
    """Nothing else is: what is told is what is so. test_metrics.py has a loop that stands still."""
    broker(system, manager.env(WATCHDOG_USEC="800000"))
    manager.expect("READY=1", "STATUS=serving", *["WATCHDOG=1"] * 4)


@pytest.mark.parametrize(
    "env", [{}, {"WATCHDOG_PID": "1", "WATCHDOG_USEC": "400000"}, {"WATCHDOG_USEC": "x"}]
)
def test_no_watchdog_that_is_not_ours(system, manager, env):
    broker(system, manager.env(**env), "--metrics", "127.0.0.1:0")
    manager.expect("READY=1", "STATUS=serving")
    a_second_passes(system.subscriber())
    assert not manager.waiting()


def test_a_manager_that_does_not_read_stops_nobody(system, manager):
    """Its queue is full after a while: net.unix.max_dgram_qlen messages."""
    with open("/proc/sys/net/unix/max_dgram_qlen", encoding="ascii") as f:
        room = int(f.read())
    filler = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    filler.setblocking(False)
    sent = 0
    with pytest.raises(BlockingIOError):
        while sent <= 2 * room + 1000:
            filler.sendto(b"X=1", manager.name)
            sent += 1
    broker(system, manager.env(WATCHDOG_USEC="400000"))
    a_second_passes(system.subscriber())
    for _ in range(sent):
        manager.expect("X=1")
    manager.expect("WATCHDOG=1")
    filler.close()


@pytest.mark.parametrize("name", ["", "relative", "/" + "x" * 200, "/no/such/socket"])
def test_sockets_that_cannot_be_had(system, name):
    process = broker(system, {"NOTIFY_SOCKET": name})
    system.client().request("ping")
    assert process.popen.poll() is None
