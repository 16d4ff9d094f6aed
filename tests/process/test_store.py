"""The broker's store: what it keeps through faults, and what people see in its file."""

import os
import re
import select
import shutil
import sqlite3
import subprocess
import tempfile
import time

import pytest

from system import PATIENCE, SOURCE, program, until

FAULTS = ["full", "quota", "stuck", "error", "sync", "kill", "power", "truncate", "flip"]
MIB = 1024 * 1024
ALL = 1 << 30  # bytes of an answer


@pytest.fixture(name="path")
def fixture_path():
    """A store's file on a disk that syncs fast, where there is one."""
    shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="hopmq-store-", dir=shm) as directory:
        yield os.path.join(directory, "hopmq.store")


class Drive:
    """tests/store/drive.c, one line in, one line out."""

    def __init__(self, path, keep_s=10**6, keep=1000, prefix=()):
        argv = [*prefix, program("tests/store-drive"), path, str(keep_s), str(keep)]
        self.popen = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.read = b""
        self.first = self.line()
        self.log = ""
        opened = re.match(r"open (\d+) (\d+) (\d+) (\d+)$", self.first)
        if opened is not None:
            self.epoch, self.origin, self.seq, self.number = map(int, opened.groups())

    def send(self, command):
        self.popen.stdin.write(command + "\n")
        self.popen.stdin.flush()

    def answers(self, seconds):
        """True if there is a line now, or within some time."""
        out = self.popen.stdout.fileno()
        while b"\n" not in self.read and select.select([out], [], [], seconds)[0]:
            more = os.read(out, 65536)
            if not more:
                break
            self.read += more
        return b"\n" in self.read

    def line(self):
        assert self.answers(PATIENCE), "no answer"
        line, self.read = self.read.split(b"\n", 1)
        return line.decode()

    def __call__(self, *commands):
        """The answer to the last of them."""
        for command in commands:
            self.send(command)
            answer = self.line()
        return answer

    def loaded(self):
        self.send("loaded")
        lines = []
        while not lines or lines[-1] != "end":
            lines.append(self.line())
        return lines[:-1]

    def rows(self, command):
        words = self(command).split()
        assert words[0] == "rows"
        return [int(seq) for seq in words[3:]]

    def counters(self):
        return {name: int(value) for name, value in re.findall(r" (\w+)=(\d+)", self("counters"))}

    def counter(self, name):
        return self.counters()[name]

    def until(self, condition):
        """Polls the store's threads, which say nothing of what they do in between."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            self("wait 20")

    def until_logged(self, text):
        """Waits for a line of the log, which the store writes while a command waits."""
        deadline = time.monotonic() + PATIENCE
        err = self.popen.stderr.fileno()
        while text not in self.log:
            assert select.select([err], [], [], max(0, deadline - time.monotonic()))[0], self.log
            self.log += os.read(err, 65536).decode()

    def kill(self):
        self.popen.kill()
        self.log += self.popen.communicate()[1]

    def close(self):
        self.log += self.popen.communicate(timeout=PATIENCE)[1]
        return self.popen.returncode


@pytest.fixture(name="drive")
def fixture_drive():
    made = []

    def make(*args, **kwargs):
        made.append(Drive(*args, **kwargs))
        return made[-1]

    yield make
    for drive in made:
        if drive.popen.poll() is None:
            drive.kill()


def fill(path, size):
    with open(path, "ab") as f:
        os.posix_fallocate(f.fileno(), 0, size)


def sqlite(path, sql):
    """What a person gets from the sqlite3 command."""
    done = subprocess.run(
        ["sqlite3", "-readonly", path, sql], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_committed_is_there_after(fault, path):
    argv = [program("tests/store-faults"), os.path.dirname(path), fault]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
    wrong = [line for line in done.stderr.splitlines() if not line.startswith("ts=")]
    assert done.returncode == 0, "\n".join(wrong[:20])
    assert re.match(f"{fault}: [1-9]", done.stdout)


# ---- starts ------------------------------------------------------------------------------------


def test_a_killed_broker_goes_on(path, drive):
    first = drive(path)
    assert first("accept 1 6", "start 1 4", "finish 1 2", "commit") == "committed"
    first("accept 7 7")  # and not committed
    first.kill()
    again = drive(path)
    assert (again.seq, again.number) == (2, 6)
    assert again.origin == first.origin and again.epoch > first.epoch
    assert again.loaded() == [
        "trace 3 id-3 client same lease 1003 worker ams1 run 1",
        "trace 4 id-4 client same lease 1004 worker ams1 run 1",
        "trace 5 id-5 client same lease 0 worker  run 0",
        "trace 6 id-6 client same lease 0 worker  run 0",
    ]
    assert again.rows(f"after 0 100 {ALL}") == [1, 2]


def test_an_orderly_end_leaves_one_file(path, drive):
    store = drive(path)
    store("accept 1 3", "commit")
    assert store.close() == 0
    assert not os.path.exists(path + "-wal")
    assert len(drive(path).loaded()) == 3


def test_a_second_broker_is_refused(path, drive):
    first = drive(path)
    second = drive(path)
    assert second.first == (
        f"error {path}: is in use by the broker with pid {first.popen.pid}: end that broker, or give "
        "this one another file"
    )
    assert first("accept 1 1", "commit") == "committed"


def test_a_copy_that_was_put_back_is_said(path, drive):
    store = drive(path)
    store("accept 1 9", "finish 1 2", "commit")
    store.close()
    shutil.copy(path, path + "-copy")
    store = drive(path)
    store("finish 3 5", "commit", "accept 10 10", "finish 6 6", "commit")
    store.close()
    os.replace(path + "-copy", path)
    again = drive(path)
    assert (again.seq, again.number) == (6, 10)
    assert again.origin == again.epoch
    assert len(again.loaded()) == 7
    again("accept 11 11", "finish 7 7", "commit")
    again.close()
    assert "level=error event=store-lost" in again.log
    assert "batches=2 results=4 traces=1 " in again.log
    assert drive(path).origin == again.epoch, "it is said once"


@pytest.mark.parametrize("line", [1, 2])
def test_a_torn_mark_is_not_believed(line, path, drive):
    store = drive(path)
    store("accept 1 1", "commit", "accept 2 2", "commit")
    store.close()
    with open(path + "-lock", "r+b") as f:
        f.seek(96 * line)
        assert f.read(11) == b"mark batch="
        f.write(b"9")
    assert drive(path).origin == store.origin


def test_what_is_not_a_store(path, drive):
    missing = os.path.join(os.path.dirname(path), "no", "such")
    assert drive(missing).first.startswith(f"error {missing}-lock: cannot be opened: No such file")
    with open(path, "w", encoding="ascii") as f:
        f.write("not a database\n" * 1000)
    assert drive(path).first == f"error {path}: is not a store of hopmq: give --store another path"
    os.remove(path)
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs(a)")
    other.close()
    assert drive(path).first == f"error {path}: is not a store of hopmq: give --store another path"


def test_a_newer_store_is_refused(path, drive):
    drive(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    assert drive(path).first == (
        f"error {path}: has version 99, but this program knows versions up to 3 only: run a newer "
        "hopmq-broker, or give --store another path"
    )


def test_the_first_version_is_brought_forward(path, drive):
    recorded = os.path.join(SOURCE, "tests", "store", "version1.sql")
    with open(recorded, encoding="utf-8") as f, sqlite3.connect(path) as db:
        db.executescript(f.read())
    db.close()
    store = drive(path)
    assert (store.seq, store.number) == (2, 5)
    assert [line.split()[1] for line in store.loaded()] == ["1", "3", "4", "5"]
    assert store.rows(f"ids 1 5 {ALL}") == [2]
    assert sqlite(path, "SELECT number, state FROM traces ORDER BY 1") == [
        "1|queued",
        "2|done",
        "3|running",
        "4|queued",
        "5|queued",
    ]


def test_a_stream_is_found_in_all_pieces(path, drive):
    """Its index is made of pieces of 16,384 results, of which some have none of it."""
    store = drive(path)
    there = [2, 3, *range(16380, 16391), 70000, 70001]
    for first, last in (2, 3), (16380, 16390), (70000, 70001):
        store(f"accept {first} {last}", f"finish {first} {last}", "commit")
    assert store.rows(f"after 0 100 {ALL} daily") == there
    assert store.rows(f"after 2 100 {ALL} daily") == there[1:]
    assert store("after 16381 4 1000000 daily") == "rows 2 1 16382 16383 16384 16385"
    assert store.rows(f"after 70001 4 {ALL} daily") == []
    assert store.rows(f"after 0 4 {ALL} weekly") == []


# ---- people ------------------------------------------------------------------------------------


def test_people_ask_while_it_runs(path, drive):
    store = drive(path)
    store("accept 1 4", "start 2 3", "finish 3 3", "commit")
    assert sqlite(path, "SELECT id, state, target, stream, worker FROM traces ORDER BY id") == [
        "id-1|queued|id-1|daily|",
        "id-2|running|id-2|daily|ams1",
        "id-3|done|192.0.2.1|daily|ams1",
        "id-4|queued|id-4|daily|",
    ]
    assert sqlite(
        path, "SELECT seq, id, stream, dst, stop, worker, started, hops, probes_sent FROM results"
    ) == ["3|id-3|daily|192.0.2.1|reached|ams1|2023-11-14T22:13:21.001Z|10|10"]
    assert sqlite(path, "SELECT ttl, attempt, addr, rtt_us, verdict FROM hops LIMIT 4") == [
        "1|1|10.123.45.1|3000|ttl-expired",
        "2|1|10.123.45.2|6000|ttl-expired",
        "3|1|||no-reply",
        "4|1|10.123.45.4|12000|ttl-expired",
    ]
    plan = "\n".join(sqlite(path, "EXPLAIN QUERY PLAN SELECT * FROM hops WHERE id = 'id-3'"))
    assert "SEARCH finished USING INDEX" in plan and "SCAN finished" not in plan


def test_others_in_the_file_are_waited_for(path, drive):
    """A reader of an old state keeps nothing up; a writer does, until it ends."""
    store = drive(path)
    store("accept 1 2", "commit")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN")
    assert other.execute("SELECT count(*) FROM traces").fetchone() == (2,)
    assert store("accept 3 3", "commit") == "committed"
    assert other.execute("SELECT count(*) FROM traces").fetchone() == (2,)
    other.execute("COMMIT")
    other.execute("BEGIN IMMEDIATE")
    store("accept 4 4")
    store.send("commit")
    store.until_logged("event=store-busy")
    assert not store.answers(0)
    other.execute("COMMIT")
    assert store.line() == "committed"
    assert other.execute("SELECT count(*) FROM traces").fetchone() == (4,)
    other.close()
    assert store.close() == 0


def test_a_file_that_goes_away_ends_it(path, drive):
    store = drive(path)
    store("accept 1 1", "commit")
    os.rename(path, path + "-away")
    store.until(lambda: store("wait 100") != "ok")
    assert store("wait 0") == (
        f'dead store={path} why="it was removed or replaced while this broker had it open"'
    )


# ---- damage ------------------------------------------------------------------------------------


def test_damaged_rows_pass_for_nothing(path, drive):
    store = drive(path)
    store("accept 1 6", "start 1 5", "finish 1 3", "commit")
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE unfinished SET trace = trace || x'00' WHERE number = 4")
        db.execute("UPDATE unfinished SET lease = 77 WHERE number = 5")
        db.execute("UPDATE finished SET result = replace(result, 'ams1', 'ams2') WHERE seq = 2")
    db.close()
    store = drive(path)
    assert [line.split()[1] for line in store.loaded()] == ["6"]
    assert store(f"after 0 100 {ALL}") == "rows 1 1 1"
    assert store(f"after 1 100 {ALL}") == "rows 3 0 3"
    assert store.rows(f"ids 1 3 {ALL}") == [1, 3]
    assert store.counter("damaged") == 5
    assert sqlite(path, "SELECT what, number, id FROM damaged ORDER BY number") == [
        "unfinished|4|id-4",
        "unfinished|5|id-5",
    ]
    store.close()
    assert store.log.count("level=error event=store-damaged") == 5
    assert drive(path).close() == 0


# ---- counters ----------------------------------------------------------------------------------


def test_each_counter_counts_what_it_says(path, drive):
    store = drive(path)
    store("accept 1 3", "commit", "start 1 2", "finish 1 2", "commit", f"after 0 9 {ALL}")
    store(f"ids 1 1 {ALL}", f"ids 1 1 {ALL}", "accept 4 4")
    counters = store.counters()
    assert counters["pending"] > 0
    store("commit")
    assert store.counter("pending") == 0
    # A start whose trace is in the same batch is no record of its own; here it is.
    exact = {"commits": 2, "records": 7, "commit_times": 2, "reads": 3, "batch_max_records": 4,
             "results": 2, "deleted": 0, "damaged": 0, "checkpoints": 0}
    assert {name: counters[name] for name in exact} == exact
    assert 0 < counters["commit_max_us"] <= counters["commit_sum_us"] <= 2 * counters["commit_max_us"]
    assert counters["read_us"] > 0
    assert counters["wal_bytes"] > 0
    store.until(lambda: store.counter("file_bytes") == os.path.getsize(path))


def test_memory_counts_too(drive):
    store = drive("memory")
    store("accept 1 3", "commit", "finish 1 2", "commit", f"after 0 9 {ALL}")
    counters = store.counters()
    exact = {"commits": 2, "records": 5, "reads": 1, "results": 2, "pending": 0}
    assert {name: counters[name] for name in exact} == exact


def test_a_wal_that_is_large_is_written_back_while_nothing_else_is_done(path, drive):
    store = drive(path, keep=10**6)
    store("accept 1 1", "commit")
    assert store.counter("checkpoints") == 0, "this one is small"
    store("accept 2 3000", "finish 1 1500", "commit")
    assert store.counter("wal_bytes") > 2 * MIB
    store.until(lambda: store.counter("wal_bytes") == 0)
    assert store.counter("checkpoints") >= 1


# ---- retention ---------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["memory", "file"])
def test_the_oldest_are_forgotten_by_number(where, path, drive):
    store = drive(path if where == "file" else "memory", keep=5)
    for n in range(1, 13):
        store(f"accept {n} {n}", f"finish {n} {n}", "commit")
    assert store("after 0 2 1000000") == "rows 8 1 8 9"
    assert store("after 9 100 1000000 daily") == "rows 8 0 10 11 12"
    assert store("after 0 100 2500") == "rows 8 1 8 9"
    assert store("after 0 100 1000000 none") == "rows 8 0"
    assert store("after 12 100 1000000") == "rows 8 0"
    assert store("ids 7 9 1") == "rows 0 0 8 -9"
    assert store.counter("results") == 5


def test_the_oldest_are_forgotten_by_age(path, drive):
    """Of a backlog in small steps; the newest stays, so that seq goes on."""
    store = drive(path, keep=10**6)
    store("accept 1 1300", "finish 1 1300", "commit")
    assert store.counter("results") == 1300
    store.close()
    store = drive(path, keep_s=1, keep=10**6)
    store.until(lambda: store.counter("results") == 1)
    assert store("after 0 10 1000000") == "rows 1300 0 1300"
    store.close()
    again = drive(path)
    assert again.seq == 1300


# ---- a full disk -------------------------------------------------------------------------------


@pytest.fixture(name="small_disk")
def fixture_small_disk(path, drive):
    """A store on a disk of 120 MiB that only it sees, and the directory by which we see it."""
    mount = os.path.join(os.path.dirname(path), "disk")
    os.mkdir(mount)
    script = 'mount -t tmpfs -o size=120m none "$0" && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", script, mount]
    if subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        pytest.skip("may not mount a small disk in a mount namespace here")
    store = drive(os.path.join(mount, "hopmq.store"), prefix=prefix)
    assert store.first.startswith("open ")
    return store, f"/proc/{store.popen.pid}/root{mount}"


def tried_again(pid):
    """Waits until a process has tried to write more than once, with a pause in between."""
    tries, paused, last = 0, True, None

    def again():
        nonlocal tries, paused, last
        with open(f"/proc/{pid}/io", encoding="ascii") as f:
            now = next(line for line in f if line.startswith("syscw"))
        tries += paused and now != last
        paused, last = now == last, now
        return tries == 3

    until(again, "no second try")


def free_bytes(directory):
    fs = os.statvfs(directory)
    return fs.f_bavail * fs.f_frsize


def test_a_full_disk_is_answered_before_it_is_full(small_disk):
    store, disk = small_disk
    fill(f"{disk}/theirs", free_bytes(disk) - 10 * MIB)
    store.until(lambda: store("wait 100") == "full")
    assert os.path.getsize(f"{disk}/hopmq.store-reserve") == 64 * MIB
    os.remove(f"{disk}/theirs")
    store.until(lambda: store("wait 100") == "ok")


def test_a_result_that_is_replaced_is_said_once_although_the_disk_was_full(small_disk):
    """The commit that replaces it is tried twice."""
    store, disk = small_disk
    store("accept 1 4", "finish 1 4", "commit")
    fill(f"{disk}/theirs", free_bytes(disk))
    for number in range(1, 4):
        store(f"again {number} {4 + number}")
    store("accept 5 5000")  # more than the WAL has room for already
    assert store("commit") == "full"
    assert store.rows(f"ids 1 4 {ALL}") == [5, 6, 7, 4]
    assert store.counter("results") == 4
    assert not os.path.exists(f"{disk}/hopmq.store-reserve"), "the first try found no room"
    store.close()
    assert store.log.count("event=store-replaced") == 1
    assert re.search(r"event=store-replaced store=\S+ results=3 ", store.log)


def test_results_go_on_while_the_disk_is_full(small_disk):
    store, disk = small_disk
    store("accept 1 3000", "commit")
    fill(f"{disk}/theirs", free_bytes(disk))
    assert store("finish 1 1500", "commit") == "full"
    assert store.rows(f"after 1490 100 {ALL}") == list(range(1491, 1501))
    assert not os.path.exists(f"{disk}/hopmq.store-reserve")
    # And when that is used up too, everything waits (the fault "stuck" has how long).
    fill(f"{disk}/theirs2", free_bytes(disk))
    store("finish 1501 3000")
    store.send("commit")
    tried_again(store.popen.pid)
    assert not store.answers(0)
    os.remove(f"{disk}/theirs")
    assert store.line() == "full"
    os.remove(f"{disk}/theirs2")
    store.until(lambda: store("wait 100") == "ok")
    assert os.path.getsize(f"{disk}/hopmq.store-reserve") == 64 * MIB
    assert store.rows(f"after 2998 100 {ALL}") == [2999, 3000]


def test_a_full_disk_keeps_no_broker_from_starting(path, small_disk, drive):
    """What was accepted can still end: the reserve is there for it."""
    store, disk = small_disk
    store("accept 1 10", "commit")
    fill(f"{disk}/theirs", free_bytes(disk))
    # Its root too: that of the namespace is another one where this test runs in a chroot.
    namespace = os.open(f"/proc/{store.popen.pid}/ns/mnt", os.O_RDONLY)
    root = os.open(f"/proc/{store.popen.pid}/root", os.O_PATH)
    store.kill()
    own = f"/proc/{os.getpid()}/fd"
    prefix = ["nsenter", f"--mount={own}/{namespace}", f"--root={own}/{root}"]
    again = drive(os.path.join(os.path.dirname(path), "disk", "hopmq.store"), prefix=prefix)
    os.close(namespace)
    os.close(root)
    assert len(again.loaded()) == 10
    again.until(lambda: again("wait 100") == "full")
    assert again("finish 1 10", "commit") == "full"
