#!/usr/bin/python3
"""Breaks the cores, one rule at a time, and sees that the simulation finds it.

tests/sim/mutants.py BUILD [NAME...]    all that tests/sim/mutants lists, or these; exits 1 if one
                                        is not found, or its change does not fit the sources

A mutant is found when a promise is broken. A core that only crashes is not: in a bigger program
the same mistake may do harm without a crash.
"""

import difflib
import os
import shutil
import subprocess
import sys
import tempfile
import time

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
SEEDS = "1-4000"
DIRECTORIES = ("broker", "common", "worker", "tests/sim", "tests/unit")
RULES = ("Makefile", "clients/run.mk", "docs/install.mk", "tests/tests.mk", "tests/gates/lint.mk",
         "tests/bench/bench.mk")


def mutants():
    """Each name with its changes: pairs of file and sed expression."""
    found = {}
    with open(os.path.join(SOURCE, "tests/sim/mutants"), encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                name, path, change = line.strip().split(" | ", 2)
                found.setdefault(name, []).append((path, change))
    return found


def copy_tree(build, tree):
    """The sources, and what is compiled of them."""
    for path in RULES:
        os.makedirs(os.path.dirname(os.path.join(tree, path)), exist_ok=True)
        shutil.copy2(os.path.join(SOURCE, path), os.path.join(tree, path))
    for directory in DIRECTORIES:
        shutil.copytree(os.path.join(SOURCE, directory), os.path.join(tree, directory), dirs_exist_ok=True)
        objects = os.path.join(SOURCE, build, "obj", directory)
        if os.path.isdir(objects):
            shutil.copytree(objects, os.path.join(tree, "build/obj", directory))


def mutate(tree, path, change):
    """Why the change does not fit; None: it was made."""
    target = os.path.join(tree, path)
    with open(target, encoding="utf-8") as file:
        before = file.read().splitlines()
    subprocess.run(["sed", "-i", change, target], check=True)
    with open(target, encoding="utf-8") as file:
        after = file.read().splitlines()
    changed = sum(line.startswith("- ") for line in difflib.ndiff(before, after))
    if changed != 1 or len(before) != len(after):
        return f"{path}: {change}: changes {changed} lines, must change 1"
    return None


def restore(tree, paths):
    for path in paths:
        shutil.copy2(os.path.join(SOURCE, path), os.path.join(tree, path))
        compiled = os.path.join(tree, "build/obj", path.replace(".c", ".o"))
        if os.path.exists(compiled):
            os.remove(compiled)


def trial(tree, changes):
    """What the simulation said of a mutant, or what went wrong; and whether it was found."""
    for path, change in changes:
        wrong = mutate(tree, path, change)
        if wrong:
            return False, wrong
    make = ["make", "-s", "-j2", "BUILD=build", "CFLAGS=-g -Wno-error", "build/tests/sim"]
    made = subprocess.run(make, cwd=tree, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return False, "does not compile: " + made.stderr[:2000]
    done = subprocess.run(
        [os.path.join(tree, "build/tests/sim"), "--seeds", SEEDS, "--failures", "1"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    what = done.stdout.splitlines()[0] if done.stdout else "says nothing"
    return done.returncode == 1 and " ends with s" not in what, what


def main():
    build, names = sys.argv[1], sys.argv[2:]
    known = mutants()
    failed = 0
    with tempfile.TemporaryDirectory() as tree:
        copy_tree(build, tree)
        for name in names or known:
            started = time.monotonic()
            found, what = trial(tree, known[name])
            failed += not found
            seconds = time.monotonic() - started
            print(f"{'found' if found else 'MISSED'} {name} in {seconds:.1f} s: {what}", flush=True)
            restore(tree, {path for path, _ in known[name]})
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
