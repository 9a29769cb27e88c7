"""What is kept of first pages: one answer for a question that is polled, room for every account, bounded rows."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import limits
from pipeline.errors import Gone
from query.pages import Pages
from query.question import Question, parse_question
from query.shapes import Measured


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def question(account: str = "a") -> Question:
    return parse_question(account, [], 1_790_000_000_000_000)


def answer(spend: int, rows: int = 3) -> dict[str, Any]:
    made = [{"user_id": f"u{n}", "spend": str(spend), "_m": Measured((spend,), None)} for n in range(rows)]
    return {"rows": made, "totals": {"spend": str(spend * rows)}, "unattributed": None, "as_of": spend}


def test_a_question_that_is_polled_keeps_one_answer_and_ends_no_cursor() -> None:
    pages = Pages(b"secret")
    first = pages.keep("users", question(), answer(1))
    polled = {pages.keep("models", question(), answer(2)) for _ in range(limits.PAGES_KEPT * 3)}
    assert len(polled) == 1
    assert pages.rows == 6
    assert pages.kept("a", first)[1]["totals"] == {"spend": "3"}
    assert {pages.keep("users", question(), answer(1))} == {first}


def test_a_question_whose_answer_moves_ends_its_own_cursors_first() -> None:
    pages = Pages(b"secret")
    others = [pages.keep(f"q{n}", question(), answer(n)) for n in range(100)]
    moved = [pages.keep("live", question(), answer(n)) for n in range(limits.PAGES_KEPT)]
    for name in [*others, *moved[-50:]]:
        pages.kept("a", name)
    with pytest.raises(Gone):
        pages.kept("a", moved[0])


def test_one_accounts_questions_end_no_others_cursors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PAGES_KEPT_ROWS", 1_000)
    pages = Pages(b"secret")
    small = pages.keep("users", question("b"), answer(1, rows=100))
    for number in range(300):
        last = pages.keep(f"q{number}", question("a"), answer(number, rows=90))
        assert pages.rows <= limits.PAGES_KEPT_ROWS + 90
    pages.kept("b", small)
    pages.kept("a", last)
    with pytest.raises(Gone):
        pages.kept("a", small)  # of another account
    large = pages.keep("users", question("c"), answer(1, rows=5_000))
    assert len(pages.kept("c", large)[1]["rows"]) == 5_000
    pages.kept("b", small)
    pages.keep("models", question("b"), answer(1, rows=100))
    assert pages.rows <= limits.PAGES_KEPT_ROWS + 100
    pages.kept("b", small)


def test_a_cursor_is_good_for_fifteen_minutes_after_the_last_time_its_question_was_asked() -> None:
    clock = Clock()
    pages = Pages(b"secret", clock)
    name = pages.keep("users", question(), answer(1))
    clock.now = 800
    pages.keep("users", question(), answer(1))
    clock.now = 1_600
    pages.kept("a", name)
    clock.now = 1_701
    with pytest.raises(Gone):
        pages.kept("a", name)
    pages.keep("models", question(), answer(2))
    assert pages.rows == 3
