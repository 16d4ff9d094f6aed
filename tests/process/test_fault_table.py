"""The tests that docs/faults.md names are there."""

import os
import re

from system import SOURCE

TESTS = os.path.join(SOURCE, "tests")


def text(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def test_named_tests_are_there():
    table = text(SOURCE, "docs", "faults.md")
    named = re.findall(r"\b(test_\w+)\.(py|c)(?:::(\w+))?", table)
    assert len(named) > 60
    for file, kind, name in named:
        where = os.path.join(TESTS, "process" if kind == "py" else "unit", f"{file}.{kind}")
        begin = "def" if kind == "py" else "static void"
        assert os.path.exists(where), f"{file}.{kind}"
        assert not name or f"\n{begin} {name}(" in text(where), f"{file}.{kind}::{name}"


def test_every_fault_has_a_row():
    rows = re.findall(r"^\| (\d+) \|", text(SOURCE, "docs", "faults.md"), re.MULTILINE)
    assert [int(n) for n in rows] == list(range(1, 29))
