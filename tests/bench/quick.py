#!/usr/bin/python3
"""Figures in a minute, on the simulated internet: traces/s, probes a trace, messages/s.

They are for comparing two versions on one machine; the machine is named with them.
"""

import json
import os
import platform
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "process"))

from system import System, program  # noqa: E402

TRACES = 4000
BROKER_TRACES = 200000
NET = ["--seed", "5", "--hops", "8-16", "--rtt-us", "3000"]


def cpu_s(pid):
    """User and system time of a process and of its children that it has waited for."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return sum(int(n) for n in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def tracing(protocol):
    system = System()
    try:
        net = system.simnet(*NET, stats=True)
        broker = system.broker()
        worker = system.worker(net, "--pps", "max", "--capacity", "500")
        client = system.client()
        client.wait_until(lambda stats: stats["workers"])
        (prober,) = worker.children()
        started = time.monotonic()
        for at in range(0, TRACES, 1000):
            traces = [
                {"target": f"20.1.{i >> 8}.{i & 255}", "protocol": protocol}
                for i in range(at + 1, at + 1001)
            ]
            client.send("submit", traces=traces, notify=True)
        results = client.collect(TRACES)
        took = time.monotonic() - started
        cpu = {
            "broker": cpu_s(broker.pid),
            "worker": cpu_s(worker.pid),
            "mtr-packet": cpu_s(prober),
        }
        probes = sum(r["probes_sent"] for r in results.values())
        hops = sum(len(r["hops"]) for r in results.values())
        reached = sum(r["stop"] == "reached" for r in results.values())
        lag = net.stop()
        print(
            f"{protocol:5} {TRACES / took:7.0f} traces/s  {probes / took:7.0f} probes/s  "
            f"{probes / TRACES:5.1f} probes a trace ({probes / hops:.2f} of a perfect sequential "
            f"tracer)  {reached} of {TRACES} reached\n"
            f"      us of CPU a trace: "
            + ", ".join(f"{name} {s * 1e6 / TRACES:.0f}" for name, s in cpu.items())
            + f"; simulation lag p99 {lag['lag_p99_us']} us"
        )
    finally:
        system.close()


def broker_alone():
    system = System()
    try:
        system.broker()
        ends = [system.submit, system.results, system.workers]
        argv = [program("bench-broker"), *ends, str(BROKER_TRACES)]
        figures = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
        print(
            f"broker alone, null worker, 12-hop results: {figures['traces_per_s']:.0f} traces/s, "
            f"{figures['messages_per_s']:.0f} messages/s"
        )
    finally:
        system.close()


def main():
    print(f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}")
    try:
        for protocol in ("icmp", "udp", "tcp"):
            tracing(protocol)
    except BaseException as skip:  # pytest's Skipped is one, and says why
        if type(skip).__name__ != "Skipped":
            raise
        print(f"SKIPPED the traces: {skip}")
    broker_alone()


if __name__ == "__main__":
    main()
