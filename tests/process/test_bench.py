"""What the benchmarks make of figures; no figure is measured here."""

import json
import os
import sys
from array import array

import pytest

from system import SOURCE

sys.path.insert(0, os.path.join(SOURCE, "tests", "bench"))

import growth  # noqa: E402
import measure  # noqa: E402
import quick  # noqa: E402
import soak  # noqa: E402
import tracing  # noqa: E402
from measure import Row, ratio  # noqa: E402


@pytest.mark.parametrize(
    "judged, bound, at_least, met",
    [
        (0.81, 0.8, True, True),
        (0.79, 0.8, True, False),
        (1.09, 1.1, False, True),
        (1.11, 1.1, False, False),
        (0, None, True, True),
    ],
)
def test_a_row_is_judged_in_its_direction(judged, bound, at_least, met):
    assert Row("what", "", 1, None, "", judged, bound, at_least).met() is met


@pytest.mark.parametrize(
    "used, stolen, stolen_since, first",
    [(4.9, 4.9, 4.9, "quiet"), (5, 0, 0, "BUSY"), (0, 5, 0, "BUSY"), (0, 0, 5, "BUSY")],
)
def test_a_table_tells_whether_the_machine_was_quiet(used, stolen, stolen_since, first, tmp_path):
    before = {"load_average": 1.5, "used_percent": used, "stolen_percent": stolen}
    found = {"before": before, "stolen_percent": stolen_since}
    assert measure.busy(found).startswith(f"{first} machine: before the run load average 1.50, ")
    measure.write(tmp_path / "bench.json", [], found)
    written = json.loads((tmp_path / "bench.json").read_text())
    assert (written["before"], written["stolen_percent"]) == (before, stolen_since)


def test_shares_are_of_the_time_that_passed():
    assert measure.shares((100, 10, 1000), (150, 20, 1200)) == (25, 5)
    assert measure.shares((100, 10, 1000), (100, 10, 1000)) == (0, 0)


@pytest.mark.parametrize("false, met", [([], True), (["icmp 20.0.0.1 ttl 3: another"], False)])
def test_one_false_hop_of_any_round_fails(false, met, capsys):
    right = {"false": [], "answers": 10, "lost": 0, "lag": 0}
    hops, _ = tracing.true_hops([right, dict(right, false=false), right])
    assert hops.met() is met
    assert capsys.readouterr().out == "".join(f"FALSE {line}\n" for line in false)


def figures(rate, cost):
    """What quick measured: more of the first is better, less of the second."""
    return [
        ratio("rate", "/s", [900 * rate, 1000 * rate, 1100 * rate], [1000], "a floor", None),
        ratio("cost", "us", [50 * cost], [40, 60, 50], "a floor", None, at_least=False),
    ]


@pytest.mark.parametrize(
    "rate, cost, worse",
    [
        (0.9, 1.2, []),
        (0.61, 1.2, []),
        (0.59, 1.2, ["rate"]),
        (0.9, 1.75, []),
        (0.9, 1.85, ["cost"]),
        (9, 0.1, []),
    ],
)
def test_quick_finds_a_ratio_that_got_worse_by_more_than_a_third(rate, cost, worse):
    judged = quick.judge(figures(rate, cost), {"rate": 0.9, "cost": 1.2})
    assert [row.what for row in judged if not row.met()] == worse


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs quick with a part that measures such figures, one after the other: status, output."""
    path = tmp_path / "recorded.json"
    monkeypatch.setattr(measure, "LOOK_S", 0)

    def part_of(measured):
        def part():
            return figures(*next(measured)) if measured else pytest.skip("no simnet here")

        return part

    def run(*parts, argv=(), measured=(), ratios=None):
        if ratios:
            path.write_text(json.dumps({"machine": "that one", "ratios": ratios}))
        left = iter(measured)
        monkeypatch.setattr(quick, "PARTS", (*parts, part_of(left if measured else None)))
        status = quick.main([*argv, "--recorded", str(path)])
        assert next(left, None) is None, "not measured as often as that"
        return status, capsys.readouterr().out.splitlines()

    return run


RATIOS = {"rate": 0.9, "cost": 1.2}


@pytest.mark.parametrize(
    "measured, worse",
    [
        ([(0.9, 1.2)], []),
        ([(0.59, 1.2), (0.61, 1.2)], []),
        ([(0.9, 1.85), (0.9, 1.75)], []),
        ([(0.59, 1.75), (0.9, 1.85)], []),  # each row as it was best
        ([(0.59, 1.2), (0.58, 1.2)], ["rate"]),
        ([(0.9, 1.85), (0.9, 1.9)], ["cost"]),
    ],
)
def test_quick_fails_where_a_ratio_is_worse_twice(measured, worse, run):
    status, said = run(measured=measured, ratios=RATIOS)
    assert status == (1 if worse else 0)
    assert "recorded on: that one" in said
    assert any(line.startswith("ONCE MORE part: ") for line in said) is (len(measured) == 2)
    assert [line.split()[0] for line in said if "NOT MET" in line] == worse, said


def test_quick_tells_what_is_not_in_both(run):
    status, said = run(measured=[(0.9, 99)], ratios={"rate": 0.9, "peer": 2})
    assert status == 0
    assert "not measured: peer" in said


def test_quick_fails_where_nothing_can_be_measured(run):
    status, said = run(ratios=RATIOS)
    assert status == 1
    assert "LEFT OUT part: no simnet here" in said
    assert run(argv=["--record"])[0] == 1


def test_quick_judges_what_can_be_measured(run):
    def absent():
        pytest.skip("no simnet here")

    for measured, status in (([(0.9, 1.2)], 0), ([(0.5, 1.2), (0.5, 1.2)], 1)):
        found, said = run(absent, measured=measured, ratios=RATIOS)
        assert (found, "LEFT OUT absent: no simnet here" in said) == (status, True)


def test_quick_records_what_it_compares_with_afterwards(run):
    assert run(argv=["--record"], measured=[(0.5, 2)])[0] == 0
    assert run(measured=[(0.5, 2)])[0] == 0
    assert run(measured=[(0.3, 2), (0.3, 2)])[0] == 1


def test_quick_knows_the_recorded_ratios():
    with open(quick.RECORDED, encoding="ascii") as f:
        recorded = json.load(f)
    assert recorded["machine"] and all(value > 0 for value in recorded["ratios"].values())


def curves(name, *costs):
    return {name: {"file": [{"at": 10**i, "us": us} for i, us in enumerate(costs)]}}


@pytest.mark.parametrize(
    "name, costs, failed",
    [
        ("streams", (10, 14.9, 8), []),
        ("streams", (10, 15.1, 8), ["streams, file: a trace"]),
        ("workers", (10, 29), []),  # known to grow
        ("workers", (10, 31), ["workers, file: a trace"]),
    ],
)
def test_growth_fails_where_a_curve_grows_more_than_is_known(name, costs, failed):
    assert growth.unknown(curves(name, *costs)) == failed
    told = growth.table(curves(name, *costs))
    assert ("NOT FLAT" in told) is (max(costs) > 15)
    assert "workers: libzmq" in told


def samples(**ends):
    """Nine of a soak that stays as it is, but for these figures of its last three."""
    steady = {
        "at_s": 0,
        "broker_mib": 40,
        "workers_mib": 30,
        "descriptors": 70,
        "threads": 9,
        "store_mib": 60,
        "latencies_us": array("L", [1000] * 98 + [9000] * 2),
    }
    return [dict(steady) for _ in range(6)] + [dict(steady, **ends) for _ in range(3)]


@pytest.mark.parametrize(
    "ends, worse",
    [
        ({}, []),
        ({"broker_mib": 43.9, "workers_mib": 32.9}, []),
        ({"broker_mib": 44.1}, ["resident memory, broker"]),
        ({"workers_mib": 33.1}, ["resident memory, workers"]),
        ({"descriptors": 71}, ["descriptors"]),
        ({"threads": 10}, ["threads"]),
        ({"latencies_us": array("L", [1000] * 98 + [14000] * 2)}, ["submit to result, p99"]),
    ],
)
def test_a_soak_fails_where_something_grows(ends, worse):
    rows = soak.checks(*soak.thirds(samples(**ends)), lost=0)
    assert [row.what for row in rows if not row.met()] == worse


def test_a_soak_fails_where_a_trace_has_no_result():
    rows = soak.checks(*soak.thirds(samples()), lost=1)
    assert [row.what for row in rows if not row.met()] == ["traces without result"]
