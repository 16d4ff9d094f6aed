"""The Python programs of the README run as they stand there, on the default endpoints."""

import os
import re
import select
import subprocess
import sys

import pytest

from system import PATIENCE, SOURCE, program

TRACE, WATCH = "trace.py TARGET", "watch.py STREAM"


def readme_programs():
    with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as f:
        blocks = re.findall(r"```python\n# ([^\n]*)\n(.*?)```", f.read(), re.S)
    return dict(blocks)


@pytest.fixture
def default_system(system):
    """Broker and worker on their default endpoints, on the loopback of a namespace of their own."""
    net = system.simnet("--seed", "2", "--hops", "9-9")
    state = {**os.environ, "STATE_DIRECTORY": system.dir}
    system.run(net.enter([program("hopmq-broker")]), "broker", env=state)
    system.run(net.enter([program("hopmq-worker")]), "worker")
    return net


def test_programs_are_short_and_need_only_zmq_and_msgpack():
    programs = readme_programs()
    assert set(programs) == {TRACE, WATCH}
    for text in programs.values():
        assert len([line for line in text.splitlines() if line.strip()]) <= 15
        assert re.findall(r"^import (.*)", text, re.M) == ["sys, msgpack, zmq"]


def run_program(net, text, argument, **kwargs):
    argv = net.enter([sys.executable, "-c", text, argument])
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, **kwargs)


def test_trace_and_watch(default_system):
    net = default_system
    programs = readme_programs()
    watch = run_program(net, programs[WATCH], "default")
    try:
        # The subscriber has joined when it sees a trace: what was published before is not for it.
        seen = ""
        for attempt in range(1, 20):
            trace = run_program(net, programs[TRACE], "20.0.0.7")
            out, _ = trace.communicate(timeout=PATIENCE)
            assert trace.returncode == 0
            if select_line(watch):
                seen = watch.stdout.readline()
                break
        lines = out.splitlines()
        truth = net.truth([("icmp", "20.0.0.7")])[("icmp", "20.0.0.7")]
        assert lines[-1] == "reached"
        assert [line.split()[1] for line in lines[:-1]] == [h["addrs"][0] for h in truth["hops"]]
        assert re.fullmatch(r"\d+ 20\.0\.0\.7 reached 9 hops\n", seen), (attempt, seen)
    finally:
        watch.kill()
        watch.wait()


def select_line(process):
    return select.select([process.stdout], [], [], 2)[0]


def test_refused_trace_prints_the_reason(default_system):
    trace = run_program(default_system, readme_programs()[TRACE], "0.0.0.0")
    out, _ = trace.communicate(timeout=PATIENCE)
    assert out == "target: 0.0.0.0: no trace can go there\n"
