"""What all benchmarks share: figures of interleaved rounds, rows with a bound, the table.

A row compares two figures of the same run, or one figure with a bound that the machine hardly
moves (memory, a share of a core). Absolute are only the least rates of the broker alone, the most
time of the result codec, and the p99 of a crowd's results: what is promised of a machine of two
cores, which a slower or a busy one may miss.
"""

import json
import os
import platform
import select
import signal
import statistics
import sys
from dataclasses import asdict, dataclass

LOOK_S = 1  # at what else keeps the machine busy
BUSY = 5  # percent of its CPU time: from here on the figures are not those of a quiet machine


@dataclass
class Row:
    """One line of the table. `ours`, `theirs`: medians (theirs None: the figure stands alone)."""

    what: str
    unit: str
    ours: float
    theirs: float | None
    against: str  # what `theirs` is: "floor", "scamper", ...
    judged: float  # the ratio or the figure that the bound is about
    bound: float | None  # None: for context only
    at_least: bool = True  # the bound is a least, else a most
    note: str = ""

    def met(self):
        if self.bound is None:
            return True
        return self.judged >= self.bound if self.at_least else self.judged <= self.bound


def ratio(what, unit, ours, theirs, against, bound, at_least=True, note=""):
    """A row of two lists of figures: the ratio of their medians is judged."""
    a, b = statistics.median(ours), statistics.median(theirs)
    return Row(what, unit, a, b, against, a / b, bound, at_least, note)


def alone(what, unit, ours, bound, at_least=False, note=""):
    """A row of one list of figures: their median is judged."""
    a = statistics.median(ours)
    return Row(what, unit, a, None, "", a, bound, at_least, note)


def interleaved(rounds, **sides):
    """Calls every side once a round: {name: [what it returned, ...]}."""
    figures = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            figures[name].append(run())
    return figures


def cpu_s(*pids):
    """User and system time of processes, and of those of their children that they waited for."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            total += sum(int(n) for n in f.read().rpartition(")")[2].split()[11:15])
    return total / os.sysconf("SC_CLK_TCK")


def end_in_order():
    """SIGTERM ends a run as Ctrl-C does: what it started is ended with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{os.cpu_count()} cores, {model}, Linux {platform.release()}"


def cpu_times():
    """(used, stolen by the host, all) of all cores since they started, in ticks."""
    with open("/proc/stat", encoding="ascii") as f:
        user, nice, system, idle, iowait, irq, softirq, stolen = map(int, f.readline().split()[1:9])
    used = user + nice + system + irq + softirq
    return used, stolen, used + stolen + idle + iowait


def shares(before, after):
    """(used, stolen) in percent of what passed between two cpu_times()."""
    used, stolen, total = (b - a for a, b in zip(before, after, strict=True))
    return tuple(round(100 * part / max(1, total), 1) for part in (used, stolen))


class Surroundings:
    """What else keeps the machine busy. To be made before a run starts anything; takes LOOK_S."""

    def __init__(self):
        looked = cpu_times()
        select.select([], [], [], LOOK_S)
        self.began = cpu_times()
        used, stolen = shares(looked, self.began)
        self.before = {
            "load_average": round(os.getloadavg()[0], 2),
            "used_percent": used,
            "stolen_percent": stolen,
        }

    def found(self):
        """As it was before the run, and what the host has stolen since."""
        return {"before": self.before, "stolen_percent": shares(self.began, cpu_times())[1]}


def busy(found):
    """What found() says, as a line of text that tells whether the machine was quiet."""
    before = found["before"]
    most = max(before["used_percent"], before["stolen_percent"], found["stolen_percent"])
    return (
        f"{'BUSY' if most >= BUSY else 'quiet'} machine: before the run load average"
        f" {before['load_average']:.2f}, {before['used_percent']:.1f} % of the CPU time used by"
        f" others and {before['stolen_percent']:.1f} % stolen by the host; stolen since:"
        f" {found['stolen_percent']:.1f} %"
    )


def table(rows):
    """The rows as lines of text."""
    lines = [f"{'what':44} {'ours':>12} {'against':>24} {'judged':>9}  must be"]
    for r in rows:
        against = "" if r.theirs is None else f"{r.against} {r.theirs:,.6g}"
        bound = ""
        if r.bound is not None:
            bound = f"{'>=' if r.at_least else '<='} {r.bound:,.6g}" + ("" if r.met() else "  NOT MET")
        lines.append(
            f"{r.what:44} {r.ours:>12,.6g} {against:>24} {r.judged:>9.4g}  {bound}"
            f"  {r.unit}{'; ' + r.note if r.note else ''}"
        )
    return "\n".join(lines)


def write(path, rows, found):
    """The rows, and what Surroundings.found() says of the machine meanwhile."""
    said = {"machine": machine(), **found, "rows": [dict(asdict(r), met=r.met()) for r in rows]}
    with open(path, "w", encoding="utf-8") as f:
        json.dump(said, f, indent=1)
        f.write("\n")
