"""The dedupe windows against plain models of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.window import Identities, Traces, identity_hash

SPAN, BUCKETS = 1800, 10
SECOND = 1_000_000
BUCKET = SPAN * SECOND // BUCKETS
DAY = 86_400 * SECOND


def hashes(values: list[int]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Small numbers spread over all bits, as hashes are."""
    return np.array([value * 0x9E3779B97F4A7C15 % 2**64 for value in values], dtype=np.uint64)


def times(values: list[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(values, dtype=np.int64)


def test_what_was_stored_within_the_span_may_be_held_and_what_was_not_is_not() -> None:
    window = Identities(SPAN, BUCKETS)
    window.add(hashes([7]), times([1000 * SECOND]))
    asked = [1000 * SECOND, (1000 + SPAN) * SECOND, (1000 + SPAN) * SECOND + 2 * BUCKET]
    assert window.may_hold(hashes([7, 7, 7]), times(asked)).tolist() == [True, True, False]
    assert window.may_hold(hashes([8]), times(asked[:1])).tolist() == [False]
    assert 1000 * SECOND >= window.since(asked[1]) > 1000 * SECOND - 2 * BUCKET


def test_empty_windows_know_nothing() -> None:
    assert Identities(SPAN).may_hold(hashes([1]), times([1])).tolist() == [False]
    assert [mask.tolist() for mask in Traces(SPAN).known(hashes([1]), hashes([2]), times([1]))] == [[False], [False]]


stream = st.lists(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 4), st.integers(0, 120)), min_size=1, max_size=12),
    max_size=14,
)


@settings(deadline=None)
@given(
    stream, st.lists(st.tuples(st.integers(1, 30), st.integers(1, 4), st.integers(0, SPAN)), min_size=1, max_size=30)
)
def test_windows_answer_as_a_list_of_everything_would(
    batches: list[list[tuple[int, int, int]]], asked: list[tuple[int, int, int]]
) -> None:
    identities, traces, model, now = Identities(SPAN, BUCKETS), Traces(SPAN, BUCKETS), [], 10**6
    for batch in batches:
        rows = [(trace, user, (now + late) * SECOND) for trace, user, late in batch]
        keys, users, received = zip(*rows, strict=True)
        identities.add(hashes(list(keys)), times(list(received)))
        traces.add(
            hashes(list(keys)), hashes([k * 10 + u for k, u in zip(keys, users, strict=True)]), times(list(received))
        )
        model += rows
        now += 150
    rows = [(trace, user, (now + later) * SECOND) for trace, user, later in asked]
    keys, users, received = (list(column) for column in zip(*rows, strict=True))

    def within(at: int, asked_at: int) -> bool:
        return at // BUCKET >= asked_at // BUCKET - BUCKETS

    known, known_user = traces.known(
        hashes(keys), hashes([k * 10 + u for k, u in zip(keys, users, strict=True)]), times(received)
    )
    expected = [any(t == key and within(at, asked_at) for t, _, at in model) for key, _, asked_at in rows]
    assert known.tolist() == expected
    assert known_user.tolist() == [
        any((t, u) == (key, user) and within(at, asked_at) for t, u, at in model) for key, user, asked_at in rows
    ]
    assert identities.may_hold(hashes(keys), times(received)).tolist() == expected


def test_a_clock_a_day_off_empties_no_window_and_is_remembered_itself() -> None:
    for off in (DAY, -DAY):
        identities, traces = Identities(SPAN, BUCKETS), Traces(SPAN, BUCKETS)
        now = 100 * DAY
        for n in range(60):
            received = times([now, now, now + off, now])
            identities.add(hashes([4 * n + k for k in range(1, 5)]), received)
            traces.add(hashes([4 * n + k for k in range(1, 5)]), hashes([4 * n + k for k in range(1, 5)]), received)
            now += 20 * SECOND
        first_right, first_off = hashes([1]), hashes([3])
        assert identities.may_hold(first_right, times([now])).tolist() == [True]
        assert identities.may_hold(first_off, times([now + off])).tolist() == [True]
        assert traces.known(first_right, first_right, times([now]))[0].tolist() == [True]
        assert traces.known(first_off, first_off, times([now + off]))[0].tolist() == [True]


def test_a_batch_of_a_collector_whose_clock_is_a_day_off_empties_no_window() -> None:
    for off in (DAY, -DAY):
        identities, traces = Identities(SPAN, BUCKETS), Traces(SPAN, BUCKETS)
        now = 100 * DAY
        usual, alone = hashes([1, 2, 3]), hashes([4])
        for some, at in ((usual, now), (alone, now + off), (alone, now + off)):
            identities.add(some, np.full(len(some), at, dtype=np.int64))
            traces.add(some, some, np.full(len(some), at, dtype=np.int64))
        assert identities.may_hold(usual, times([now] * 3)).all()
        assert traces.known(usual, usual, times([now] * 3))[0].all()


def test_a_window_added_at_once_is_not_led_astray_by_the_latest_of_its_receipts() -> None:
    window, now = Identities(SPAN, BUCKETS), 100 * DAY
    received = np.tile(times([now, now, now, now + DAY]), 15_000)  # as a rebuild adds them
    window.add(np.arange(1, 60_001, dtype=np.uint64) << np.uint64(40), received)
    window.add(hashes([7]), times([now + SECOND]))
    assert len(window) == 60_001
    window.add(
        np.arange(1, 20_001, dtype=np.uint64) << np.uint64(41), np.full(20_000, now + SPAN * SECOND, dtype=np.int64)
    )
    assert window.may_hold(hashes([7]), times([now + SPAN * SECOND])).all()


def test_what_another_clock_received_is_told_apart_for_a_look_into_the_table() -> None:
    now = 100 * DAY
    for first, then in ((now - DAY, now), (now, now + DAY), (now + DAY, now), (now, now - DAY)):
        identities, traces = Identities(SPAN, BUCKETS), Traces(SPAN, BUCKETS)
        identities.add(hashes([7]), times([first]))
        traces.add(hashes([7]), hashes([70]), times([first]))
        assert identities.strayed(hashes([7, 8]), times([then, then])).tolist() == [True, False]
        assert traces.strayed(hashes([7, 8]), hashes([70, 80]), times([then, then])).tolist() == [True, False]
        assert not identities.strayed(hashes([7]), times([first])).any()
        assert not traces.strayed(hashes([7]), hashes([70]), times([first + SPAN * SECOND])).any()


def test_after_a_long_silence_the_window_starts_anew_and_holds() -> None:
    window, now = Identities(SPAN, BUCKETS), 100 * DAY
    window.add(hashes(list(range(1, 11))), np.full(10, now, dtype=np.int64))
    later = now + 3 * 3600 * SECOND
    for n in range(100, 130):  # a row at a time: the stream moves on when the new ones are half of the last
        window.add(hashes([n]), times([later + n * SECOND]))
    assert window.may_hold(hashes(list(range(100, 130))), times([later + 200 * SECOND] * 30)).all()
    assert len(window) == 30


def test_memory_follows_the_span_and_not_the_traffic() -> None:
    identities, traces, rng = Identities(SPAN, BUCKETS), Traces(SPAN, BUCKETS), np.random.default_rng(1)
    sizes = []
    for second in range(0, SPAN * 20, 60):
        some = rng.integers(0, 2**63, 500, dtype=np.uint64)
        # One of fifty collectors has a clock of its own.
        at = times([(second + (86_400 if n % 50 == 0 else 0)) * SECOND for n in range(500)])
        identities.add(some, at)
        traces.add(some, some, at)
        sizes.append((len(identities), len(traces)))
    most = 500 * (SPAN // 60) * 1.5 + 5_000  # the stream stands in the middle of the last 10,000
    assert max(n for n, _ in sizes) < most
    assert max(n for _, n in sizes) < most


def test_a_suspicion_is_rarely_wrong() -> None:
    window, rng = Identities(SPAN, BUCKETS), np.random.default_rng(2)
    for n in range(20):
        window.add(rng.integers(0, 2**64, 50_000, dtype=np.uint64), np.full(50_000, n * BUCKET // 2, dtype=np.int64))
    asked = rng.integers(0, 2**64, 200_000, dtype=np.uint64)
    assert not window.may_hold(asked, np.full(200_000, 9 * BUCKET, dtype=np.int64)).any()


def test_identities_of_other_accounts_and_traces_are_others() -> None:
    base = identity_hash("a", "t", "e")
    assert len({base, identity_hash("b", "t", "e"), identity_hash("a", "u", "e"), identity_hash("a", "t", "f")}) == 4
