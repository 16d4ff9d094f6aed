"""The checker of histories finds what it is there for."""

import itertools

import pytest

from history import History


def result(seq, name=None, stream="s", stream_seq=None, **more):
    numbers = {"seq": seq, "stream": stream, "stream_seq": stream_seq or seq}
    return {**numbers, "id": name or f"t{seq}", "stop": "reached", **more}


@pytest.fixture
def history():
    """Three traces, two readers, nothing wrong; the second missed one and replayed it."""
    made = History()
    made.origin(7)
    for seq in (1, 2, 3):
        made.accept(f"t{seq}")
        made.result("a", result(seq), live=True)
    for seq in (1, 3):
        made.result("b", result(seq), live=True)
    made.result("b", result(2, req=5))
    return made


def wrong(history):
    return history.check(whole=["a", "b"], streams=[("b", "s")])


def test_nothing_wrong(history):
    history.origin(7)
    history.result("b", result(3))  # the same again
    assert wrong(history) == []


def test_a_lost_result(history):
    history.accept("t4")
    assert wrong(history) == ["t4 was accepted and has no result"]


def test_a_result_twice(history):
    for reader in "ab":
        history.result(reader, result(4, "t2"), live=True)
    (one,) = {w.split(":")[0] for w in wrong(history)}
    assert one == "id t2 has two results"


def test_a_seq_with_two_bodies(history):
    history.result("b", result(2, hops=[]))
    assert any(w.startswith("seq 2 has two results") for w in wrong(history))


def test_a_stream_seq_with_two_bodies(history):
    for reader in "ab":
        history.result(reader, result(4, stream_seq=3), live=True)
    assert any(w.startswith("s 3 has two results") for w in wrong(history))


def test_a_gap(history):
    history.result("a", result(4), live=True)
    assert wrong(history) == ["b: has not seen seq 4"] * 2  # of all, and of the stream


def test_a_seq_that_nobody_has(history):
    for reader in "ab":
        history.result(reader, result(5, stream_seq=4), live=True)
    assert wrong(history) == ["seq 4 is of no result"]


def test_a_stream_seq_that_is_left_out(history):
    for reader in "ab":
        history.result(reader, result(4, stream_seq=5), live=True)
    (one,) = wrong(history)
    assert one.startswith("s: seq 4 is its 4th")


def test_other_streams_count_for_themselves(history):
    for reader, seq in itertools.product("ab", (4, 5)):
        history.result(reader, result(seq, stream="other", stream_seq=seq - 3), live=True)
    assert wrong(history) == []


def test_out_of_order(history):
    history.result("a", result(2), live=True)
    assert wrong(history) == ["a: seq 2 after 3"]


def test_another_origin(history):
    history.origin(8)
    assert wrong(history) == ["seq began to count again: origins [7, 8]"]


def test_said_to_be_lost(history):
    history.lost("b", 1, 2)
    assert wrong(history) == ["b: 1..2 are said to be no longer kept"]


def test_parts_and_their_summary(history):
    parts = [{"id": f"all/{w}", "seq": seq} for w, seq in (("u", 4), ("v", 5))]
    history.accept("all")
    for reader in "ab":
        for part in parts:
            history.result(reader, result(part["seq"], part["id"]), live=True)
        history.result(reader, result(6, "all", stop="summary", members=parts), live=True)
    assert wrong(history) == []
    for reader in "ab":
        other = [{"id": "all/v", "seq": 6}, {"id": "all/w", "seq": 7}]
        history.result(reader, result(7, "other", stop="summary", members=other), live=True)
    first, second = wrong(history)
    assert first.startswith("all/v has seq 6") and second.endswith("and is None")
