"""How often an account is told of its rejected events."""

from __future__ import annotations

from collector.rejections import Rejections
from pipeline import limits
from pipeline.wire import Rejected

NOW, SECOND = 1_795_132_800_000_000, 1_000_000


def rejected(*codes: str) -> list[Rejected]:
    return [Rejected(place, None, code, "", "") for place, code in enumerate(codes)]


def test_the_first_is_told_at_once_and_the_others_together_later() -> None:
    rejections = Rejections()
    assert rejections.due("a", [], NOW) == {}
    assert rejections.due("a", rejected("unknown_field"), NOW) == {"rejected.unknown_field": 1}
    for n in range(1, 1000):
        assert rejections.due("a", rejected("unknown_field", "invalid_id"), NOW + n * 1000) == {}
    later = NOW + limits.REJECTIONS_SECONDS * SECOND
    assert rejections.due("a", [], later) == {}
    assert rejections.due("a", rejected("invalid_id"), later) == {
        "rejected.unknown_field": 999,
        "rejected.invalid_id": 1000,
    }


def test_accounts_are_told_of_their_own() -> None:
    rejections = Rejections()
    assert rejections.due("a", rejected("too_deep"), NOW) == {"rejected.too_deep": 1}
    assert rejections.due("b", rejected("too_long"), NOW) == {"rejected.too_long": 1}
