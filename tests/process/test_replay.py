"""What subscribers and replays print: every result once and in order, and what is lost is told.

The broker is played by hand, so that what is lost and when is the test's to say.
"""

import signal

import pytest

from fakebroker import FakeBroker, result
from system import until


def seqs(lines):
    return [line["seq"] for line in lines]


def watch(system, broker, *argv, seq=0, **streams):
    """A watch whose subscription is set; the broker has counted to seq."""
    process = system.start("watch", "--json", *argv)
    broker.pong(broker.expect("ping"))

    def is_set():
        broker.alive(seq, **streams)
        return "watching" in process.log()

    until(is_set, "no subscription")
    return process


def test_a_gap_is_filled_in_order(system):
    broker = FakeBroker(system)
    process = watch(system, broker)
    broker.publish(result(1), result(2), result(2), result(5))
    request = broker.expect("replay")
    assert (request["after"], "stream" in request) == (2, False)
    broker.publish(result(6), result(7))
    broker.replay(request, [result(3), result(4)], more=True)
    request = broker.expect("replay")
    assert request["after"] == 4
    broker.replay(request, [result(5), result(6)])
    broker.publish(result(8))
    assert seqs(process.read_json(8)) == list(range(1, 9))
    # An `alive` tells of what nothing follows.
    broker.alive(10)
    request = broker.expect("replay")
    assert request["after"] == 8
    broker.replay(request, [result(9), result(10)])
    assert seqs(process.read_json(2)) == [9, 10]
    process.stop(signal.SIGINT)
    assert "missed" not in process.log() and "kept" not in process.log()


def test_what_is_lost_is_told(system):
    broker = FakeBroker(system)
    process = watch(system, broker, "-n", "2")
    broker.publish(result(9))
    broker.replay(broker.expect("replay"), [result(8), result(9)], lost=[1, 7])
    assert seqs(process.read_json(2)) == [8, 9]
    assert process.wait() == 1
    assert "results 1 to 7 are no longer kept\n" in process.log()


def test_a_stream_asks_for_its_own(system):
    broker = FakeBroker(system)
    process = watch(system, broker, "a", seq=10, a=4)
    broker.publish(result(12, stream="a", stream_seq=5), result(20, stream="a", stream_seq=8))
    request = broker.expect("replay")
    assert (request["after"], request["stream"]) == (12, "a")
    missed = [result(15 + i, stream="a", stream_seq=6 + i) for i in range(2)]
    broker.replay(request, [*missed, result(20, stream="a", stream_seq=8)])
    assert seqs(process.read_json(4)) == [12, 15, 16, 20]


def test_old_results_come_first(system):
    broker = FakeBroker(system)
    process = watch(system, broker, "--after", "3", "-n", "3", seq=5)
    request = broker.expect("replay")
    assert request["after"] == 3
    broker.replay(request, [result(4), result(5)])
    broker.publish(result(6))
    assert seqs(process.read_json(3)) == [4, 5, 6]
    assert process.wait() == 0


def test_a_restart_that_counts_on_is_a_pause(system):
    broker = FakeBroker(system)
    process = watch(system, broker)
    broker.publish(result(1))
    broker.epoch = 2
    broker.publish(result(3, epoch=2))
    broker.alive(3)
    request = broker.expect("replay")
    assert request["after"] == 1
    broker.replay(request, [result(2), result(3, epoch=2)])
    broker.publish(result(4, epoch=2))
    assert seqs(process.read_json(4)) == [1, 2, 3, 4]
    process.stop(signal.SIGINT)
    assert "count" not in process.log()


def test_a_broker_that_begins_to_count_again_is_told(system):
    broker = FakeBroker(system)
    process = watch(system, broker, "-n", "3", seq=40)
    broker.epoch = broker.origin = 2
    broker.alive(2)
    request = broker.expect("replay")
    assert request["after"] == 0
    broker.replay(request, [result(1, epoch=2), result(2, epoch=2)])
    broker.publish(result(3, epoch=2))
    assert seqs(process.read_json(3)) == [1, 2, 3]
    assert process.wait() == 1
    assert "begun to count again" in process.log()


def busy(reason, retry_ms):
    return {"code": "busy", "message": "no room", "reason": reason, "retry_ms": retry_ms}


def test_a_replay_waits_for_a_busy_broker(system):
    broker = FakeBroker(system)
    process = watch(system, broker)
    broker.publish(result(3))
    request = broker.expect("replay")
    broker.answer(request, "error", **busy("reads", 30))
    again = broker.expect("replay")
    assert (again["req"], again["after"]) == (request["req"], 0)
    broker.replay(again, [result(i) for i in range(1, 4)])
    assert seqs(process.read_json(3)) == [1, 2, 3]


def test_a_watch_goes_on_without_replay(system):
    broker = FakeBroker(system)
    process = watch(system, broker, "-n", "1")
    broker.publish(result(3))
    broker.answer(broker.expect("replay"), "error", code="denied", message="not for you")
    broker.publish(result(4))
    assert seqs(process.read_json(1)) == [4]
    assert process.wait() == 1
    assert "refused: not for you\n" in process.log() and "missed 3 results\n" in process.log()


def test_replay_takes_all_pages(system):
    broker = FakeBroker(system)
    process = system.start("replay", "--json", "--stream", "a", "7")
    request = broker.expect("replay")
    assert (request["after"], request["stream"], request["limit"]) == (7, "a", 1000)
    broker.replay(request, [result(9, stream="a")], more=True)
    request = broker.expect("replay")
    assert request["after"] == 9
    broker.replay(request, [result(12, stream="a"), result(13, stream="a")])
    assert seqs(process.read_json(3)) == [9, 12, 13]
    assert process.wait() == 0
    assert process.log() == ""


def test_replay_tells_what_is_lost(system):
    broker = FakeBroker(system)
    process = system.start("replay", "-n", "2")
    request = broker.expect("replay")
    assert (request["after"], request["limit"]) == (0, 2)
    broker.replay(request, [result(9)], more=True, lost=[1, 8])
    request = broker.expect("replay")
    assert (request["after"], request["limit"]) == (9, 1)
    broker.replay(request, [result(10)], more=True)
    assert [line.split()[2] for line in process.read_rest()] == ["t9", "t10"]
    assert process.wait() == 1
    assert process.log() == "hopmq: results 1 to 8 are no longer kept\n"


def test_replay_asks_a_broker_that_was_started_again(system):
    broker = FakeBroker(system)
    process = system.start("replay", "--json")
    request = broker.expect("replay")
    broker.epoch = 2  # the request is lost with the old one
    again = broker.expect("replay")
    assert (again["req"], again["after"]) == (request["req"], 0)
    broker.replay(again, [result(1)])
    assert seqs(process.read_json(1)) == [1]
    assert process.wait() == 0


def test_replay_does_not_mix_two_countings(system):
    broker = FakeBroker(system)
    process = system.start("replay", "--json")
    broker.replay(broker.expect("replay"), [result(5)], more=True)
    request = broker.expect("replay")
    broker.origin = 2
    broker.replay(request, [result(6)])
    assert seqs(process.read_json(1)) == [5]
    assert process.wait() == 69
    assert "the results that it had are gone" in process.log()


def test_a_fetch_waits_for_a_busy_broker(system):
    broker = FakeBroker(system)
    process = system.start("fetch", "one")
    request = broker.expect("fetch")
    broker.answer(request, "error", **busy("reads", 30))
    again = broker.expect("fetch")
    broker.answer(again, "results", results=[result(1, "one")], missing=[], more=[])
    assert seqs(process.read_json(1)) == [1]
    assert process.wait() == 0


@pytest.mark.parametrize("argv", [["replay"], ["fetch", "one"], ["submit", "192.0.2.1"]])
def test_nobody_comes_back_before_the_broker_said(system, argv):
    """It said in an hour: a ping, which comes every two seconds, is what it hears next."""
    broker = FakeBroker(system)
    process = system.start(*argv)
    request = broker.expect(argv[0])
    refusal = busy("store", 3600000)
    if argv[0] == "submit":
        broker.answer(request, "accepted", ids=[refusal])
    else:
        broker.answer(request, "error", **refusal)
    broker.expect("ping")
    process.stop(signal.SIGINT)


# ---- submit and trace --------------------------------------------------------------------------


def test_submit_comes_back_when_it_is_told_to(system):
    broker = FakeBroker(system)
    process = system.start("submit", "192.0.2.1")
    request = broker.expect("submit")
    broker.answer(request, "accepted", ids=[busy("queue", 30)])
    again = broker.expect("submit")
    assert again["traces"] == request["traces"]
    broker.answer(again, "accepted", ids=[again["traces"][0]["id"]])
    assert process.wait() == 0


def test_submit_waits_for_a_broker_that_was_started_again(system):
    broker = FakeBroker(system)
    process = system.start("submit", "--wait", "--json", "--id", "one", "192.0.2.1")
    request = broker.expect("submit")
    broker.answer(request, "accepted", ids=["one"])
    broker.epoch = 2
    again = broker.expect("submit")
    assert again["traces"] == request["traces"] and again["notify"]
    broker.answer(again, "accepted", ids=["one"])
    broker.bring(again, result(1, "one", epoch=2))
    assert seqs(process.read_json(1)) == [1]
    assert process.wait() == 0


def test_submit_ends_with_a_broker_that_forgot(system):
    broker = FakeBroker(system)
    process = system.start("submit", "--wait", "192.0.2.1")
    request = broker.expect("submit")
    broker.answer(request, "accepted", ids=[request["traces"][0]["id"]])
    broker.epoch = broker.origin = 2
    broker.pong(broker.expect("ping"))
    assert process.wait() == 69
    assert "the traces that it had are gone" in process.log()


def member(seq, worker):
    return {"worker": worker, "id": f"one/{worker}", "stop": "reached", "seq": seq}


def summary(seq, members):
    nothing = {"worker": "w1", "dst": None, "hops": [], "probes_sent": 0}
    return result(seq, "one", **{**nothing, "stop": "summary", "members": members})


def test_a_fanout_ends_with_its_summary(system):
    broker = FakeBroker(system)
    process = system.start("trace", "--id", "one", "--fanout", "all", "192.0.2.1")
    request = broker.expect("submit")
    assert request["traces"][0]["fanout"] == "all"
    assert "progress" not in request["traces"][0]
    broker.answer(request, "accepted", ids=["one"])
    broker.bring(request, result(1, "one/w1"))
    broker.bring(request, summary(3, [member(1, "w1"), member(2, "w2")]))
    # The result of w2 was lost on the way.
    fetch = broker.expect("fetch")
    assert fetch["ids"] == ["one/w2"]
    broker.answer(fetch, "results", results=[result(2, "one/w2")], missing=[], more=[])
    lines = process.read_rest()
    assert [line for line in lines if line.startswith("at ")] == ["at w1:", "at w2:"]
    assert lines[-1].startswith("2 parts: 2 reached")
    assert process.wait() == 0


def test_a_place_that_cannot_be_fetched_is_told(system):
    broker = FakeBroker(system)
    process = system.start("submit", "-wj", "--id", "one", "--fanout", "2", "192.0.2.1")
    request = broker.expect("submit")
    assert request["traces"][0]["fanout"] == 2
    broker.answer(request, "accepted", ids=["one"])
    broker.bring(request, summary(3, [member(1, "w1")]))
    broker.answer(broker.expect("fetch"), "results", results=[], missing=["one/w1"], more=[])
    assert seqs(process.read_json(1)) == [3]
    assert process.wait() == 69
    assert "one/w1: the result did not come here" in process.log()


def test_options_of_coalesce(system):
    broker = FakeBroker(system)
    argv = ["--coalesce", "--max-age", "5000", "--no-wait", "--id", "one", "192.0.2.1"]
    process = system.start("trace", *argv)
    request = broker.expect("submit")
    trace = request["traces"][0]
    assert (trace["coalesce"], trace["max_age_ms"], trace["wait"]) == (True, 5000, False)
    broker.answer(request, "accepted", ids=["one"])
    broker.bring(request, result(1, "one", shared="other"))
    assert process.read_rest()[-1].endswith(", worker w1, probed by other")
    assert process.wait() == 0


def test_options_that_do_not_go_together(system):
    cases = [
        (["--max-age", "5"], "--max-age: only with coalesce"),
        (["--fanout", "2", "--coalesce"], "--fanout: not with coalesce"),
        (["--fanout", "0"], "--fanout 0: must be 1..1000"),
        (["--fanout", "some"], "--fanout some: must be 1..1000"),
    ]
    for argv, says in cases:
        done = system.hopmq("trace", *argv, "192.0.2.1")
        assert (done.returncode, done.stderr) == (64, f"hopmq: {says}\n")
