#!/usr/bin/python3
"""Changes one line of the sources at a time, and sees that a fast test fails for it.

tests/mutants/run.py BUILD                whole: every mutant of tests/mutants/list
tests/mutants/run.py BUILD --sample 12    twelve of them, drawn by a seed that is printed
tests/mutants/run.py BUILD FILE...        those of these source files

BUILD is what `make mutant-programs` has built: the unit tests, the corpus and the simulation with
sanitizers, all of them linked to one shared library of the pure modules. So a mutant of a pure
module costs one compilation and one link, and the tests run as they are. A mutant of any other
module names the process tests that must find it (`by`), and the programs are built for it.

First all tests must pass while nothing is changed.

Exits 1 if less than FOUND_AT_LEAST of the mutants that are not equivalent are found, if a mutant
that the list calls equivalent is found after all, or if a mutant does not fit the sources.
"""

import argparse
import concurrent.futures
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
LIST = os.path.join(SOURCE, "tests/mutants/list")
FOUND_AT_LEAST = 0.95
SEEDS = "1-200"  # schedules of the simulation
CPU_LIMIT_S = 120  # of a fast test: a mutant may make it run for ever, and is found by that
PYTEST_FAILED = 1  # its exit status where a test failed; others mean that it could not run
LIMIT_S = 1200  # of any command, also on a busy machine
COPIED = ("Makefile", "broker", "clients", "common", "docs", "tests", "worker", "README.md")


class Mutant:
    def __init__(self, lines):
        self.path, self.function, self.by = lines[0], None, []
        self.old = self.new = self.equivalent = self.survives = None
        for line in lines[1:]:
            word, _, rest = line.partition(" ")
            if word == "-":
                self.old = rest
            elif word == "+":
                self.new = rest
            elif word == "in":
                self.function = rest
            elif word == "by":
                self.by = rest.split()
            elif word == "equivalent:":
                self.equivalent = rest
            elif word == "survives:":
                self.survives = rest
            else:
                sys.exit(f"{LIST}: {line}: must begin with - + in by equivalent: survives:")
        if self.old is None or self.new is None:
            sys.exit(f"{LIST}: {self.path}: a mutant needs a line '- OLD' and a line '+ NEW'")

    def __str__(self):
        return f"{self.path}: {self.old}  =>  {self.new}"


def mutants():
    """A block of lines each; a line that begins with # is a comment."""
    with open(LIST, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file if not line.startswith("#")]
    blocks = "\n".join(lines).split("\n\n")
    return [Mutant(block.strip("\n").split("\n")) for block in blocks if block.strip()]


def lines_of_function(lines, name):
    """The range of a function's definition, which begins in the first column and ends with }."""
    begin = next((at for at, line in enumerate(lines)
                  if re.match(rf"\w.*\b{name}\(", line) and not line.endswith(";")), None)
    if begin is None:
        return 0, 0
    return begin, next(at for at in range(begin, len(lines)) if lines[at] == "}")


def mutate(tree, mutant):
    """Why the change does not fit; None: it was made."""
    target = os.path.join(tree, mutant.path)
    if not os.path.exists(target):
        return "there is no such file"
    with open(target, encoding="utf-8") as file:
        lines = file.read().split("\n")
    begin, end = 0, len(lines)
    if mutant.function is not None:
        begin, end = lines_of_function(lines, mutant.function)
    hits = [at for at in range(begin, end) if lines[at].strip() == mutant.old]
    if len(hits) != 1:
        return f"its old line stands {len(hits)} times there, must stand once"
    indent = lines[hits[0]][: len(lines[hits[0]]) - len(lines[hits[0]].lstrip())]
    lines[hits[0]] = indent + mutant.new
    with open(target, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
    return None


def command(tree, argv, env=None):
    """The exit status, None where it took too long; and the end of what was said."""
    process = subprocess.Popen(argv, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", start_new_session=True,
                               env={**os.environ, **(env or {})})
    try:
        output, _ = process.communicate(timeout=LIMIT_S)
        return process.returncode, output[-3000:]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, f"not done within {LIMIT_S} s"


class Tree:
    """A copy of the sources and of what was built of them, for one mutant at a time."""

    def __init__(self, build, directory):
        self.path, self.build = directory, build
        for name in COPIED:
            copy = shutil.copytree if os.path.isdir(os.path.join(SOURCE, name)) else shutil.copy2
            copy(os.path.join(SOURCE, name), os.path.join(directory, name))
        shutil.copytree(os.path.join(SOURCE, build), os.path.join(directory, build))

    def make(self, *targets):
        return command(self.path, ["make", "-s", "-j1", "WARN=-std=c11 -w",
                                   f"MUTANTS={self.build}", *targets])

    def fast_tests(self, path):
        """Names and commands; first those of the module that was changed, then who includes it. A
        module of one program is not in the tests of another."""
        top = path.split("/")[0]
        module = os.path.basename(path).rsplit(".", 1)[0]
        header = path.rsplit(".", 1)[0] + ".h"
        found = []
        for name in sorted(os.listdir(os.path.join(self.path, self.build, "unit"))):
            included = self.included(name)
            tops = {include.split("/")[0] for include in included} & {"broker", "worker", "clients"}
            if included and (top == "common" or not tops or top in tops):
                rank = 0 if name.startswith("test_" + module) else 1 if header in included else 2
                found.append((rank, name, [f"{self.build}/unit/{name}"]))
        for name in sorted(os.listdir(os.path.join(self.path, self.build, "replay"))):
            corpus = "tests/fuzz/corpus/" + name.replace("fuzz_", "")
            found.append((3, name, [f"{self.build}/replay/{name}", corpus]))
        seeds = ["--seeds", SEEDS, "--failures", "1"]
        if top != "clients":
            found.append((4, "simulation", [f"{self.build}/tests/sim", *seeds]))
        return [(name, argv) for _, name, argv in sorted(found)]

    def included(self, name):
        """What a unit test includes, itself and by the headers beside it; nothing, if its source is
        no more."""
        waiting, found = [f"tests/unit/{name}.c", f"tests/simnet/{name}.c"], set()
        while waiting:
            path = os.path.join(self.path, waiting.pop())
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    new = set(re.findall(r'#include "([^"]+)"', file.read())) - found
                found |= new
                waiting += [include for include in new if include.startswith("tests/")]
        return found

    def fails(self, argv):
        """Whether a fast test fails; a crash and a run without an end are failures too."""
        status, _ = command(self.path, ["prlimit", f"--cpu={CPU_LIMIT_S}", *argv],
                            {"HOPMQ_SOURCE": self.path})
        return status != 0

    def failing(self, path):
        """The first fast test that fails, or None."""
        return next((name for name, argv in self.fast_tests(path) if self.fails(argv)), None)

    def failing_by(self, by):
        """The first of the process tests that fails, or None; and why they could not be run."""
        argv = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *by]
        status, output = command(self.path, argv, {"HOPMQ_BUILD": self.build + "/programs"})
        if status not in (0, PYTEST_FAILED):
            return None, f"pytest ended with status {status}: {output}"
        failed = re.search(r"^(?:FAILED|ERROR) \S*?(\w+\.py\S*)", output, re.MULTILINE)
        return (failed[1] if failed else None), None

    def trial(self, mutant):
        """What found the mutant, None: nothing; and what is wrong with the mutant itself."""
        wrong = mutate(self.path, mutant)
        if wrong:
            return None, wrong
        target = "mutant-process-programs" if mutant.by else "mutant-library"
        status, output = self.make(target)
        if status != 0:
            return None, "does not compile: " + output
        return self.failing_by(mutant.by) if mutant.by else (self.failing(mutant.path), None)

    def restore(self, path):
        """With a new time, so that make compiles the file again."""
        shutil.copy(os.path.join(SOURCE, path), os.path.join(self.path, path))


def judge(mutant, found, wrong):
    """A word for the line that is printed, and whether that is as the list says."""
    if wrong:
        return "WRONG", False
    if mutant.equivalent is not None:
        return ("FOUND, though called equivalent", False) if found else ("equivalent", True)
    if mutant.survives is not None:
        return ("found, though it survived once", True) if found else ("survives", True)
    return ("found", True) if found else ("MISSED", False)


def check_unchanged(tree, chosen, pool):
    """Ends the program unless all tests pass while nothing is changed: a test that always fails
    would find every mutant."""
    fast = tree.fast_tests("common/any.c") if any(not m.by for m in chosen) else []
    failing = [name for (name, _), fails in
               zip(fast, pool.map(tree.fails, (argv for _, argv in fast))) if fails]
    by = sorted({test for mutant in chosen for test in mutant.by})
    if by:
        failing += [what for what in tree.failing_by(by) if what]
    if failing:
        sys.exit(f"these fail although nothing is changed: {', '.join(failing)}")


def run_all(build, chosen, jobs):
    """Every mutant with what found it and what is wrong with it, printed as they end."""
    trees, results = queue.Queue(), []

    def one(mutant):
        tree = trees.get()
        started = time.monotonic()
        try:
            found, wrong = tree.trial(mutant)
        finally:
            tree.restore(mutant.path)
            trees.put(tree)
        word, _ = judge(mutant, found, wrong)
        by = f" by {found}" if found else f": {wrong}" if wrong else ""
        print(f"{word}{by} in {time.monotonic() - started:.1f} s: {mutant}", flush=True)
        return mutant, found, wrong

    with tempfile.TemporaryDirectory(prefix="hopmq-mutants-") as top:
        for number in range(jobs):
            directory = os.path.join(top, str(number))
            os.mkdir(directory)
            trees.put(Tree(build, directory))
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            check_unchanged(trees.queue[0], chosen, pool)
            results = list(pool.map(one, chosen))
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("files", nargs="*", help="only mutants of these source files")
    parser.add_argument("--sample", type=int, help="draw this many")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    chosen = [m for m in mutants() if not options.files or m.path in options.files]
    if options.sample is not None:
        print(f"sample of {options.sample} of {len(chosen)} mutants, --seed {options.seed}")
        chosen = random.Random(options.seed).sample(chosen, min(options.sample, len(chosen)))
    results = run_all(options.build, chosen, options.jobs)
    counted = [r for r in results if r[0].equivalent is None]
    found = sum(r[1] is not None for r in counted)
    unfit = sum(r[2] is not None for r in results)
    contradicted = sum(r[1] is not None for r in results if r[0].equivalent is not None)
    share = found / len(counted) if counted else 1
    print(f"{found} of {len(counted)} mutants found, {share:.1%}; "
          f"{len(results) - len(counted)} equivalent, {unfit} do not fit the sources")
    # In a sample, one that is known to survive must not make the share too small.
    missed = [r for r in counted if r[1] is None and r[0].survives is None]
    enough = not missed if options.sample is not None else share >= FOUND_AT_LEAST
    return 0 if enough and unfit == 0 and contradicted == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
