"""What docs/ names is there: tests, files, functions and constants."""

import itertools
import os
import re
import subprocess

import pytest

from system import SOURCE, program

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
    sources = "\n".join(text(path) for path in files(".c", ".h", ".py"))
    words = set(re.findall(r"\w+", sources))
    missing = [
        f"{page}: {name}"
        for page, content in pages().items()
        for name in re.findall(r"`(\w+)\(\)`|`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`", content)
        if ("".join(name)) not in words
    ]
    assert missing == []


def test_functions_are_where_pages_say():
    """Of `mux_tick()` in `worker/probing/mux.c`, or in `mux.c` where the page has named its folder."""
    by_name = {}
    for path in files(".c", ".h"):
        by_name.setdefault(os.path.basename(path), []).append(path)
    elsewhere = [
        f"{page}: {function} in {path}"
        for page, content in pages().items()
        for function, path in re.findall(r"`(\w+)\(\)` in `([\w/]+\.[ch])`", content)
        if not any(
            re.search(rf"^[\w ]+[ *]{function}\(", text(each), re.MULTILINE)
            for each in by_name.get(os.path.basename(path), [])
            if each.endswith(path)
        )
    ]
    assert elsewhere == []


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


# ---- limits -----------------------------------------------------------------------------------

KIB, MIB = 1024, 1024 * 1024
# A constant of the code, its unit in that of the page, and where a page has it: a pattern whose
# groups are all this number.
LIMITS = [
    ("REQUEST_MAX_BYTES", MIB, "protocol.md", r"frame at submit \| (\d+) MiB"),
    ("REQUEST_MAX_BYTES", MIB, "protocol.md", r"a frame over (\d+) MiB, more than"),
    ("REQUEST_MAX_BYTES", MIB, "hopmq-broker.8", r"a client's message Ta (\d+) MiB"),
    ("SESSION_MAX_BYTES", MIB, "protocol.md", r"frame at workers \| (\d+) MiB"),
    ("SESSION_MAX_BYTES", MIB, "protocol.md", r"one frame of at most (\d+) MiB"),
    ("SESSION_MAX_BYTES", MIB, "hopmq-broker.8", r"a worker's message Ta (\d+) MiB"),
    ("RESULTS_CUT_BYTES", 1, "protocol.md", r"a subscription \| (\d+) bytes"),
    ("RESULTS_CUT_BYTES", 1, "faults.md", r"A subscription has at most (\d+) bytes"),
    ("REQUEST_MAX_VALUES", 1, "protocol.md", r"values in a frame \| ([\d,]+) \(submit\)"),
    ("REQUEST_MAX_VALUES", 1, "protocol.md", r"more than ([\d,]+) values in it"),
    ("SESSION_MAX_VALUES", 1, "protocol.md", r"\(submit\), ([\d,]+) \(workers\)"),
    ("WIRE_MAX_DEPTH", 1, "protocol.md", r"nesting \| (\d+)"),
    ("REQUEST_MAX_ITEMS", 1, "protocol.md", r"ids in a request \| ([\d,]+)"),
    ("REQUEST_MAX_ITEMS", 1, "hopmq-broker.8", r"ids in a request Ta ([\d,]+)"),
    ("DEFAULT_MAX_QUEUED", 1, "protocol.md", r"`--max-queued`, ([\d,]+)"),
    ("DEFAULT_MAX_QUEUED", 1, "hopmq-broker.8", r"max-queued Ta ([\d,]+)"),
    ("DEFAULT_KEEP_RESULTS", 1, "protocol.md", r"`--keep-results`, ([\d,]+)"),
    ("DEFAULT_KEEP_RESULTS", 1, "hopmq-broker.8", r"keep-results Ta ([\d,]+)"),
    ("DEFAULT_KEEP_IN_MEMORY", 1, "protocol.md", r"`--store memory` ([\d,]+)"),
    ("DEFAULT_KEEP_S", 86400, "protocol.md", r"`--keep`, (\d+) days"),
    ("DEFAULT_KEEP_S", 86400, "hopmq-broker.8", r"Fl keep Ta (\d+) days"),
    ("CORE_MAX_RUNS", 1, "protocol.md", r"each trace starts at most (\d+) times"),
    ("CORE_MAX_RUNS", 1, "hopmq-broker.8", r"Each trace starts at most (\d+) times"),
    ("CORE_MAX_RETURNS", 1, "protocol.md", r"in its old place, (\d+) times at most"),
    ("CORE_MAX_WAITERS", 1, "protocol.md", r"same `req` counts once\) \| (\d+)"),
    ("CORE_MAX_WAITERS", 1, "hopmq-broker.8", r"wait for one trace Ta (\d+)"),
    ("CORE_MAX_STREAMS", 1, "protocol.md", r"a trace since the start \| ([\d,]+)"),
    ("CORE_MAX_STREAMS", 1, "hopmq-broker.8", r"It streams Ta (\d+)"),
    ("CORE_MAX_RIDERS", 1, "protocol.md", r"riders on one trace \| ([\d,]+)"),
    ("CORE_MAX_PARTS", 1, "protocol.md", r"parts of one fanout \| ([\d,]+)"),
    ("CORE_MAX_FETCH_BYTES", KIB, "protocol.md", r"`replay` \| 1,000, and (\d+) KiB"),
    ("CORE_MAX_REQUIREMENTS", 1, "protocol.md", r"see below \| ([\d,]+); fewer"),
    ("CORE_MAX_REQUIREMENTS", 1, "hopmq-broker.8", r"unfinished traces Ta (\d+)"),
    ("CORE_MAX_MATCHES", 1, "protocol.md", r"that fit make ([\d,]+) pairs"),
    ("CORE_MAX_SUBMITTERS", 1, "protocol.md", r"clients with a trace without result \| ([\d,]+)"),
    ("CORE_MAX_SUBMITTERS", 1, "hopmq-broker.8", r"have an unfinished trace Ta (\d+)"),
    ("CORE_MAX_WORKERS", 1, "protocol.md", r"\| workers \| ([\d,]+)"),
    ("CORE_MAX_WORKERS", 1, "hopmq-broker.8", r"It workers Ta (\d+)"),
    ("CORE_RECENT", 1, "protocol.md", r"keeps its last ([\d,]+) results in memory"),
    ("CORE_RECENT", 1, "reliability.md", r"last ([\d,]+) results are in memory"),
    ("CORE_RECENT_BYTES", MIB, "protocol.md", r"or the last (\d+) MiB of them"),
    ("CORE_CANCEL_US", 1000, "protocol.md", r"a running one ends within (\d+) ms"),
    ("CORE_CANCEL_US", 1000, "reliability.md", r"cancelled trace ends within (\d+) ms"),
    ("CORE_ABSENT_US", 1000000, "reliability.md", r"for that worker for (\d+) s"),
    ("SOCK_SEND_QUEUE", 1, "protocol.md", r"for a (?:client or a worker|subscriber) \| ([\d,]+)"),
    ("SOCK_SEND_QUEUE", 1, "hopmq-broker.8", r"queued for one peer Ta (\d+)"),
    ("STORE_RESERVE_BYTES", MIB, "store.md", r"(\d+) MiB that are given up|reserve of (\d+) MiB"),
    ("STORE_LOW_BYTES", MIB, "store.md", r"less than (\d+) MiB are free"),
    ("STORE_ROOM_BYTES", MIB, "store.md", r"and (\d+) MiB are free"),
    ("STORE_MAX_PENDING_BYTES", MIB, "store.md", r"wait for their commit \((\d+) MiB"),
    ("STORE_MAX_PENDING_BYTES", MIB, "hopmq-broker.8", r"not yet on disk Ta (\d+) MiB"),
    ("STORE_MAX_PENDING_BYTES", MIB, "protocol.md", r"wait for the disk \| (\d+) MiB;"),
    ("OUTBOX_MAX_BYTES", MIB, "protocol.md", r"wait for the disk \| 32 MiB; (\d+) MiB"),
    ("OUTBOX_MAX_BYTES", MIB, "hopmq-broker.8", r"wait for the disk Ta (\d+) MiB"),
    ("SESSION_MAX_STATS", 1, "protocol.md", r"`stats`: map of at most (\d+) names"),
    ("SESSION_MAX_SOURCES", 1, "protocol.md", r"array of at most (\d+) addresses"),
    ("SESSION_MAX_CAPACITY", 1, "protocol.md", r"1\.\.(\d+) traces at a time"),
    ("SESSION_MAX_CAPACITY", 1, "hopmq-worker.8", r"from each broker, 1 to (\d+)"),
    ("SESSION_DEAD_MS", 1000, "reliability.md", r"silent for (\d+) s \("),
    ("RESULT_MAX_NAMES", 1, "protocol.md", r"to host names; at most (\d+)"),
    ("RESULT_MAX_VALUES", 1, "protocol.md", r"At most ([\d,]+) values, nested"),
    ("AGENT_RESEND_US", 1000000, "protocol.md", r"sends the result again every (\d+) s"),
    ("AGENT_REJECTED_US", 1000000, "protocol.md", r"send `hello` again after (\d+) s"),
    ("DEFAULT_CAPACITY", 1, "hopmq-worker.8", r"1 to 100000\.\nThe default is (\d+)"),
    ("DEFAULT_PPS", 1, "hopmq-worker.8", r"prober takes\.\nThe default is (\d+)"),
    ("SLOTS_MAX", 1, "hopmq-worker.8", r"900; (\d+) with mtr-packet 0\.96"),
    ("SLOTS_BEFORE_0_96", 1, "hopmq-worker.8", r"probes in flight Ta (\d+); 2000"),
    ("SLOTS_TCP_LIKE", 1, "hopmq-worker.8", r"SCTP probes in flight Ta (\d+)"),
    ("MTR_SPAWN_NOFILE", 1, "hopmq-worker.8", r"with a limit of (\d+) file descriptors"),
    ("CAPABILITIES_PORT_LIMIT", 1, "hopmq-worker.8", r"port of UDP probes Ta below (\d+)"),
    ("CAPABILITIES_PORT_LIMIT", 1, "protocol.md", r"it must be below (\d+)"),
    ("NAMES_ASKED", 1, "hopmq-worker.8", r"has up to (\d+) questions open"),
    ("NAMES_ROOM", 1, "hopmq-worker.8", r"keeps up to ([\d,]+) answers"),
    ("MUX_AHEAD", 1, "hopmq-worker.8", r"fewer than (\d+) probes are out"),
    ("MUX_AHEAD", 1, "architecture.md", r"fewer than (\d+) probes are out"),
    ("TRACER_AHEAD", 1, "hopmq-worker.8", r"otherwise (\d+) hops"),
    ("SLICES_PATIENCE_US", 1000000, "hopmq-worker.8", r"gives up after (\d+) seconds"),
    ("SLICES_REST_US", 1000000, "truth.md", r"use them after (\d+) s"),
    ("SEQUENCE_CHECK_TCP_LIKE", 1, "truth.md", r"after (\d+) TCP or SCTP probes"),
    ("SEQUENCE_CHECK_NUMBERS", 1, "truth.md", r"or ([\d,]+) numbers with one"),
    ("SEQUENCE_GUARD", 1, "truth.md", r"leaves (\d+) numbers unused"),
    ("SEQUENCE_GUARD_MAX", 1, "truth.md", r"lately, up to ([\d,]+)"),
    ("HTTP_STATUS_CONNECTIONS", 1, "hopmq-broker.8", r"Up to (\d+) connections"),
    ("HTTP_STATUS_CONNECTIONS", 1, "hopmq-worker.8", r"Up to (\d+) connections"),
    ("HTTP_STATUS_TIMEOUT_S", 1, "hopmq-broker.8", r"idle for (\d+)\nseconds"),
    ("METRICS_MAX_WORKERS", 1, "metrics.md", r"the first ([\d,]+) names"),
]


def defined():
    """The constants of the code that are numbers."""
    values = {}
    for path in files(".c", ".h"):
        for name, value in re.findall(r"^#define ([A-Z]\w*)(?:[ \t]|\\\n)+([^\n/]+)", text(path), re.M):
            value = re.sub(r"INT64_C|\((?:size_t|int64_t)\)", "", value)
            value = re.sub(r"\b(\d+)U?L*\b", r"\1", value)
            if re.fullmatch(r"[\d\s()*+<-]+", value):
                values.setdefault(name, set()).add(eval(value))  # pylint: disable=eval-used
    return values


def page(name):
    return text(DOCS, "man", name) if name[-2:] in (".1", ".8") else text(DOCS, name)


def test_limits_are_those_of_the_code():
    values = defined()
    for name, unit, where, pattern in LIMITS:
        assert len(values.get(name, ())) == 1, f"{name}: {values.get(name)}"
        (value,) = values[name]
        found = [n for m in re.finditer(pattern, page(where)) for n in m.groups() if n]
        assert found, f"{where}: nothing like {pattern}"
        assert {int(n.replace(",", "")) for n in found} == {value // unit}, f"{where}: {name}"


# ---- log events -------------------------------------------------------------------------------

CALL = re.compile(r"\b(?:log_event|output_log|agent_say|store_say|wire_log|wire_log_peer)\(([^;]*);")
EVENT = re.compile(r"[a-z]+(?:-[a-z]+)*")


def events(source):
    """The first texts in each call that logs: two where a condition chooses one."""
    for call in CALL.findall(source):
        yield from itertools.takewhile(EVENT.fullmatch, re.findall(r'"([^"]*)"', call))


@pytest.mark.parametrize("program", ["broker", "worker"])
def test_the_events_of_the_log_are_described(program):
    """Each event that the code can log is in the section Log of its man page, and no other."""
    tops = tuple(os.path.join(SOURCE, top, "") for top in (program, "common"))
    logged = {
        event
        for path in files(".c")
        if path.startswith(tops)
        for event in events(text(path))
    }
    section = re.search(r"^\.Ss Log\n(.*?)^\.Ss ", page(f"hopmq-{program}.8"), re.M | re.S)[1]
    listed = re.findall(r"^\.(?:It )?Li ([a-z][a-z, .-]*)$", section, re.M)
    named = {word for line in listed for word in re.findall(r"[a-z-]+", line)}
    assert sorted(logged) == sorted(named - {"bytes", "message", "peer", "times"})


# ---- options ----------------------------------------------------------------------------------

HOPMQ = "trace submit watch replay status fetch cancel stats ping".split()


def help_of(name):
    """Each option with what --help says of it, over all commands."""
    calls = [[name]] if name != "hopmq" else [[name], *([name, command] for command in HOPMQ)]
    found = {}
    for call in calls:
        shown = subprocess.run(
            [program(call[0]), *call[1:], "--help"], capture_output=True, text=True, check=True
        ).stdout
        for option, says in re.findall(r"^ +(?:-\S, )?--([a-z-]+)((?:.|\n {10,})*)", shown, re.M):
            found.setdefault(option, []).append(" ".join(says.split()))
    return found


def man_of(name):
    """Each option that the man page names, with its paragraphs there."""
    (where,) = (n for n in os.listdir(os.path.join(DOCS, "man")) if n.startswith(name + "."))
    found = {option: [] for option in re.findall(r"\bFl Fl ([a-z-]+)", page(where))}
    for item in re.findall(r"^\.It (.*(?:\n(?!\.It |\.El|\.S[sh] ).*)*)", page(where), re.M):
        for option in re.findall(r"Fl Fl ([a-z-]+)", item.split("\n", 1)[0]):
            found[option].append(item)
    return found


@pytest.mark.parametrize("name", ["hopmq-broker", "hopmq-worker", "hopmq"])
def test_options_are_those_of_the_man_page(name):
    """Each option is described, with the range and the default that --help shows, and no other."""
    options, described = help_of(name), man_of(name)
    assert sorted(options) == sorted(described)
    for option, texts in options.items():
        ranges = re.findall(r"\b(\d+)\.\.(\d+)\b|\[(\d+)\]", " ".join(texts))
        numbers = {n for groups in ranges for n in groups if n}
        assert numbers <= set(re.findall(r"\d+", " ".join(described[option]))), option


def ranges_of_fields():
    """The range of each field of a trace in protocol.md, section 5: `probes..32` has a name in it."""
    section = re.search(r"^## 5\. .*?^## 6\. ", page("protocol.md"), re.M | re.S)[0]
    found = {}
    for names, says in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| [^|]* \| ([^|]*) \|$", section, re.M):
        for field in re.findall(r"\w+", names):
            if said := re.search(r"\b(\w+)(?: \(\w+\))?\.\.(\d+)", says):
                found[field] = said.groups()
    return found


def test_fields_of_a_trace_are_those_of_the_code():
    values, fields = defined(), ranges_of_fields()
    rows = re.findall(
        r'WIRE_FIELD_INT(?:_OR)?\(\s*"(\w+)", struct trace, \w+, (\w+), (\w+),',
        text(SOURCE, "common", "protocol", "trace.c"),
    )
    assert len(rows) > 15
    for field, *bounds in rows:
        least, most = (b if b.isdigit() else str(*values[b]) for b in bounds)
        if field in fields:
            assert fields[field][1] == most, field
            assert fields[field][0] in (least, "probes"), field
        else:
            assert field == "af"


def test_fields_of_a_trace_are_its_options():
    """Their ranges are those of the options in hopmq(1)."""
    options, compared = man_of("hopmq"), 0
    for field, (_, most) in ranges_of_fields().items():
        option = re.sub(r"_ms$", "", field).replace("_", "-")
        if option in options:
            compared += 1
            assert most in re.findall(r"\d+", " ".join(options[option])), field
    assert compared > 14
