#!/usr/bin/python3
"""`make bench`: all rows of the benchmark, the table of them, and bench.json.

Exits with 0 where all bounds are met, else with 1.
"""

import argparse
import importlib
import importlib.util
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "process")]

import measure  # noqa: E402

from system import BUILD  # noqa: E402

MODULES = [name for name in ("tracing", "times", "promises", "alone") if importlib.util.find_spec(name)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3, help="of which medians are taken [3]")
    parser.add_argument("--only", choices=MODULES, help="the rows of this module alone")
    options = parser.parse_args()
    measure.end_in_order()
    os.environ["PATH"] += os.pathsep + os.path.join(BUILD, "peers")  # see bench-deps
    around = measure.Surroundings()
    started = time.monotonic()
    rows = []
    print(measure.machine())
    print(measure.busy(around.found()), flush=True)
    for name in [options.only] if options.only else MODULES:
        try:
            rows += importlib.import_module(name).rows(options.rounds)
        except BaseException as skip:  # pytest's Skipped is one, and says why
            if type(skip).__name__ != "Skipped":
                raise
            print(f"LEFT OUT {name}: {skip}", flush=True)
    print(measure.table(rows))
    print(f"in {time.monotonic() - started:.0f} s, {options.rounds} rounds")
    found = around.found()
    print(measure.busy(found))
    measure.write("bench.json", rows, found)
    return 0 if all(row.met() for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
