"""The dedupe window against a plain model of it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consumers.window import Window, identity_hash

SPAN = 1800
SECOND = 1_000_000


def arrays(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([h for h, _ in pairs], dtype=np.uint64), np.array([t for _, t in pairs], dtype=np.int64)


def test_what_was_stored_within_the_span_is_seen() -> None:
    window = Window(SPAN)
    window.add(*arrays([(7, 1000 * SECOND)]))
    hashes, times = arrays(
        [(7, 1000 * SECOND), (7, (1000 + SPAN) * SECOND), (7, (1000 + SPAN) * SECOND + 1), (8, 1000 * SECOND)]
    )
    assert window.seen(hashes, times).tolist() == [True, True, False, False]


def test_an_empty_window_has_seen_nothing() -> None:
    hashes, times = arrays([(1, 1)])
    assert window_seen(Window(SPAN), hashes, times) == [False]


def window_seen(window: Window, hashes: np.ndarray, times: np.ndarray) -> list[bool]:
    return window.seen(hashes, times).tolist()


events = st.lists(st.tuples(st.integers(0, 30), st.integers(0, SPAN * 3).map(lambda s: s * SECOND)), max_size=40)


@given(st.lists(events, max_size=12), events)
def test_the_window_answers_as_a_list_of_everything_would(
    batches: list[list[tuple[int, int]]], asked: list[tuple[int, int]]
) -> None:
    window, model = Window(SPAN), []
    for batch in batches:
        window.add(*arrays(batch))
        model += batch
    latest = max((t for _, t in model), default=0)
    # Records arrive nearly in the order of their receipt: no question reaches back further than the window keeps.
    asked = [(h, t) for h, t in asked if t >= latest - SPAN * SECOND]
    if not asked:
        return
    expected = [any(h == kept and t >= at - SPAN * SECOND for kept, t in model) for h, at in asked]
    assert window_seen(window, *arrays(asked)) == expected


def test_memory_follows_the_span_and_not_the_traffic() -> None:
    window = Window(SPAN)
    rng = np.random.default_rng(1)
    for second in range(0, SPAN * 20, 60):
        window.add(rng.integers(0, 2**63, 500, dtype=np.uint64), np.full(500, second * SECOND, dtype=np.int64))
    assert len(window) < 500 * (SPAN * 2 // 60) * 4


def test_identities_of_other_accounts_and_traces_are_others() -> None:
    base = identity_hash("a", "t", "e")
    assert len({base, identity_hash("b", "t", "e"), identity_hash("a", "u", "e"), identity_hash("a", "t", "f")}) == 4
