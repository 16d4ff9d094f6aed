"""What docs/ names is there: tests, files, functions and constants."""

import os
import re

from system import SOURCE

DOCS = os.path.join(SOURCE, "docs")
CODE = ("broker", "worker", "common", "clients", "tests")
WITH_TESTS = ("faults.md", "truth.md")


def text(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def pages():
    return {name: text(DOCS, name) for name in sorted(os.listdir(DOCS)) if name.endswith(".md")}


def files(*endings):
    for top in CODE:
        for folder, _, names in os.walk(os.path.join(SOURCE, top)):
            yield from (os.path.join(folder, name) for name in names if name.endswith(endings))


def test_named_tests_are_there():
    named = [
        found
        for name in WITH_TESTS
        for found in re.findall(r"\b(test_\w+)\.(py|c)(?:::(\w+))?", text(DOCS, name))
    ]
    assert len(named) > 80
    for file, kind, name in named:
        where = os.path.join(SOURCE, "tests", "process" if kind == "py" else "unit", f"{file}.{kind}")
        begin = "def" if kind == "py" else "static void"
        assert os.path.exists(where), f"{file}.{kind}"
        assert not name or f"\n{begin} {name}(" in text(where), f"{file}.{kind}::{name}"


def test_every_fault_has_a_row():
    rows = re.findall(r"^\| (\d+) \|", text(DOCS, "faults.md"), re.MULTILINE)
    assert [int(n) for n in rows] == list(range(1, 29))


def test_named_files_are_there():
    """`worker/probing/mux.c` is a path from the top."""
    missing = [
        f"{page}: {path}"
        for page, content in pages().items()
        for path in re.findall(r"`((?:broker|worker|common|clients|tests|docs)/[\w./@-]+)`", content)
        if not os.path.exists(os.path.join(SOURCE, path))
    ]
    assert missing == []


def test_named_functions_and_constants_are_there():
    """`mux_tick()` and `MUX_AHEAD` stand in some source."""
    sources = "\n".join(text(path) for path in files(".c", ".h"))
    words = set(re.findall(r"\w+", sources))
    missing = [
        f"{page}: {name}"
        for page, content in pages().items()
        for name in re.findall(r"`(\w+)\(\)`|`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`", content)
        if ("".join(name)) not in words
    ]
    assert missing == []


def test_links_lead_somewhere():
    broken = [
        f"{page}: {target}"
        for page, content in pages().items()
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", content)
        if "://" not in target and not os.path.exists(os.path.join(DOCS, target))
    ]
    assert broken == []


def test_every_module_has_a_row():
    """architecture.md has a table of modules for each folder, and names no other."""
    content = text(DOCS, "architecture.md")
    tables = re.findall(r"^### `([\w/]+)/`\n\n((?:\|.*\n)+)", content, re.MULTILINE)
    assert len(tables) > 8
    for folder, table in tables:
        named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
        there = {name[:-2] for name in os.listdir(os.path.join(SOURCE, folder)) if name[-2:] in (".c", ".h")}
        assert sorted(named) == sorted(there), folder


def test_words():
    """What contributing.md asks for: who, what, and the name of the constant."""
    elliptic = re.compile(r"\bso (?:many|long|often)\b|\banew\b|\bwhence\b|\bmend(?:s|ed)?\b")
    texts = {**pages(), "README.md": text(SOURCE, "README.md")}
    for name in os.listdir(os.path.join(DOCS, "man")):
        texts[name] = text(DOCS, "man", name)
    # contributing.md shows what not to write.
    del texts["contributing.md"]
    assert [f"{name}: {word}" for name, t in texts.items() for word in elliptic.findall(t)] == []


def test_cells_are_short():
    """No cell of a table holds more than two sentences."""
    long = []
    for name, content in pages().items():
        for row in re.findall(r"^\|.*\|$", re.sub(r"`[^`]*`", "x", content), re.MULTILINE):
            for cell in row.strip("|").split(" | "):
                if len(re.findall(r"[.?!](?:\s+[A-Z]|\s*$)", cell.strip() + ".")) > 2:
                    long.append(f"{name}: {cell}")
    assert long == []
