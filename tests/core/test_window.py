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
    assert max(n for n, _ in sizes) < 500 * (SPAN // 60) * 1.5
    assert max(n for _, n in sizes) < 500 * (SPAN // 60) * 1.5


def test_a_suspicion_is_rarely_wrong() -> None:
    window, rng = Identities(SPAN, BUCKETS), np.random.default_rng(2)
    for n in range(20):
        window.add(rng.integers(0, 2**64, 50_000, dtype=np.uint64), np.full(50_000, n * BUCKET // 2, dtype=np.int64))
    asked = rng.integers(0, 2**64, 200_000, dtype=np.uint64)
    assert not window.may_hold(asked, np.full(200_000, 9 * BUCKET, dtype=np.int64)).any()


def test_identities_of_other_accounts_and_traces_are_others() -> None:
    base = identity_hash("a", "t", "e")
    assert len({base, identity_hash("b", "t", "e"), identity_hash("a", "u", "e"), identity_hash("a", "t", "f")}) == 4
