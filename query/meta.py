"""What stands around every answer: its window, how fresh and how complete it is, and what the asker should know."""

from __future__ import annotations

import difflib
from typing import Any

from query import shapes
from query.answers import Answers
from query.parameters import TAG_KEY
from query.question import Question
from query.standing import Standings

_MOST_KNOWN = 10_000


def unpriced(answer: dict[str, Any]) -> int:
    """The unpriced events of an answer: of its totals, or, where it has none, of its data."""
    told = answer.get("totals") or answer["data"]
    if isinstance(told, list):
        return sum(notice["count"] for notice in told if notice["kind"] == "unpriced_models")
    if "price_status" in told:
        return int(told["price_status"] == "unpriced")
    return int(told["unpriced_events"])


class Meta:
    """Asked beside each answer."""

    def __init__(self, standings: Standings, answers: Answers, price_book: str) -> None:
        self._standings, self._answers = standings, answers
        self._price_book = price_book
        self._known: dict[
            tuple[Any, ...], list[str]
        ] = {}  # tag keys that were sent, which stay so, by account and scope

    def of(self, q: Question, as_of: int) -> dict[str, Any]:
        """The `meta` object, without `plan` and `unpriced_events`, which the answer itself knows."""
        standing = self._standings.of(q)
        complete = standing.complete
        found: dict[str, Any] = {
            "from": shapes.time(q.start), "to": shapes.time(q.end), "tz": q.tz, "currency": "USD", "as_of": shapes.time(as_of),
            "complete_through": shapes.time(complete),
            "freshness_seconds": None if complete is None else round(max(0, as_of - complete) / 1e6, 3),
            "provisional": standing.provisional, "price_book": self._price_book, "warnings": self._warnings(q),
        }  # fmt: skip
        if q.compare:
            found["previous"] = {
                "from": shapes.time(q.window.previous_start),
                "to": shapes.time(q.window.previous_end),
            }
        return found

    def _warnings(self, q: Question) -> list[str]:
        """A tag key that the account never sent filters and groups like any other, and is told."""
        fields = [*(f.field for f in q.filters if f not in q.scope), *q.group_by]
        asked = sorted({field[4:] for field in fields if field.startswith("tag.")})
        if not asked:
            return []
        known = self._known.get((q.account, q.scope), [])
        if not set(asked) <= set(known):
            known = self._answers.tag_keys(q)
            self._remember((q.account, q.scope), known)
        told = []
        for key in asked:
            if key not in known:
                near = difflib.get_close_matches(key[:80], known, 1)
                named = f"the tag {key}" if TAG_KEY.fullmatch(key) else "such a tag"
                told.append(f"no event carries {named}{f'; did you mean {near[0]}?' if near else ''}")
        return told

    def _remember(self, whose: tuple[Any, ...], known: list[str]) -> None:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[whose] = known
