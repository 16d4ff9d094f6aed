"""Compares results, hop by hop, with what simnet says is true."""

import itertools


def destination(af, i):
    return f"20.{i >> 16}.{i >> 8 & 255}.{i & 255}" if af == 4 else f"2001:db8:1::{i:x}"


def traces(protocols, count, first=1, **fields):
    """So many traces of each protocol, in turn, each to an IPv4 target of its own from `first` on."""
    targets = [destination(4, first + i) for i in range(count * len(protocols))]
    return [
        {"id": f"{p}-{dst}", "target": dst, "protocol": p, **fields}
        for p, dst in zip(itertools.cycle(protocols), targets)
    ]


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def hop_truth(truth, ttl):
    """What answers at a ttl: beyond the last hop it is that hop again."""
    return truth["hops"][min(ttl, len(truth["hops"])) - 1]


def expected_verdict(truth, ttl):
    if ttl < len(truth["hops"]):
        return "ttl-expired"
    return {"reply": "reply", "silent": None, "unreachable": "unreachable"}[truth["end"]]


class Tally:
    """Counts what came of the probes of many traces, and lists what is false in `wrong`.

    `excess_us` is by how much times exceed the truth, where they are not said to be another's.

    `raced` are answers to TCP that were lost inside mtr-packet as often as one may ask again: an
    ICMP error that reached the TCP socket before the raw one.
    """

    def __init__(self):
        self.answered = self.lost = self.silent = self.raced = 0
        self.excess_us = []
        self.wrong = []

    def probe(self, result, truth, hop, probe):
        ttl, hop_is = hop["ttl"], hop_truth(truth, hop["ttl"])
        where = f"{result['protocol']} {result['dst']} ttl {ttl}"
        if probe["addr"] is None:
            if (probe["verdict"], result["protocol"]) == ("no-route", "tcp"):
                self.raced += 1
                return
            assert probe["verdict"] == "no-reply", (where, probe)
            if hop_is["silent"]:
                self.silent += 1
            else:
                self.lost += 1
            return
        self.answered += 1
        excess = probe["rtt_us"] - hop_is["rtt_us"]
        if "syn-retransmit" not in probe.get("flags", []):
            self.excess_us.append(excess)
        if hop_is["silent"] or probe["addr"] not in hop_is["addrs"]:
            self.wrong.append(f"{where}: {probe['addr']}, truth {hop_is}")
        elif probe["verdict"] != expected_verdict(truth, ttl):
            self.wrong.append(f"{where}: {probe['verdict']}, {truth['end']}")
        elif excess < 0:
            self.wrong.append(f"{where}: {probe['rtt_us']} us, before the answer was sent")
        elif probe.get("mpls", []) != hop_is["mpls"]:
            self.wrong.append(f"{where}: mpls {probe.get('mpls')}, truth {hop_is['mpls']}")

    def trace(self, result, truth):
        for hop in result["hops"]:
            for probe in hop["probes"]:
                self.probe(result, truth, hop, probe)
        ttls = [hop["ttl"] for hop in result["hops"]]
        assert ttls == list(range(1, len(ttls) + 1)), result
        stop = result["stop"]
        if truth["end"] == "silent":
            right = stop == "gap-limit"
        elif stop == "gap-limit":  # five hops lost, or silent, in a row before the end
            right = all(p["addr"] is None for h in result["hops"][-5:] for p in h["probes"])
        else:
            said = {probe["verdict"] for probe in result["hops"][-1]["probes"]}
            stops = {"reply": "reached", "unreachable": "unreachable"}
            right = stop == stops[truth["end"]] and expected_verdict(truth, ttls[-1]) in said
        if not right:
            self.wrong.append(f"{result['protocol']} {result['dst']}: {stop}, {truth['end']}")


def tally(net, results):
    """The Tally of results by id, held against the truth of a simulated internet."""
    truths = net.truth({(r["protocol"], r["dst"]) for r in results.values()})
    made = Tally()
    for name, result in results.items():
        assert name == f"{result['protocol']}-{result['dst']}", result
        made.trace(result, truths[(result["protocol"], result["dst"])])
    return made
