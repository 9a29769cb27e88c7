"""The spend of each day of a window, for the rows of a page and for the sums around it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from pipeline.errors import BadQuestion
from query import shapes
from query.answers import Answers
from query.order import bucket_starts
from query.question import Filter, Question
from query.sql import Key, bucket_key, key_of

Days = list[Decimal]
MOST_DAYS = 400


class Sparks:
    """Asked after a page is cut: whatever the length of the list, a page costs a page."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def of(self, q: Question, answer: dict[str, Any]) -> list[str]:
        """The same for an answer that is one sum."""
        starts = _starts(q)
        for only, parts in ((None, ("data", "totals")), (Filter("user_id", ("",)), ("unattributed",))):
            days = self._by(q, only, starts).get("", [Decimal(0)] * len(starts))
            for part in parts:
                answer[part]["spark"] = _told(days)
        return [shapes.time(at) or "" for at in starts]

    def add(
        self, q: Question, field: str, name: str, page: Sequence[dict[str, Any]], sums: dict[str, Any]
    ) -> list[str]:
        """Give the rows of a page, whose values of `field` stand under `name`, and totals, rest and unattributed their `spark`.

        Answers the instants at which the days begin.
        """
        starts = _starts(q)
        values = tuple(row[name] or "" for row in page)
        by_row = self._by(q, Filter(field, values), starts, field) if values else {}
        for row in page:
            row["spark"] = _told(by_row.get(row[name] or "", [Decimal(0)] * len(starts)))
        total = self._by(q, None, starts).get("", [Decimal(0)] * len(starts))
        if q.search:  # totals are of the hits, whose days would be another question each
            return [shapes.time(at) or "" for at in starts]
        others = list(by_row.values())
        sums["totals"]["spark"] = _told(total)
        if sums["unattributed"] is not None:
            others.append(self._by(q, Filter(field, ("",)), starts).get("", [Decimal(0)] * len(starts)))
            sums["unattributed"]["spark"] = _told(others[-1])
        sums["rest"]["spark"] = _told([day - sum(o[n] for o in others) for n, day in enumerate(total)])
        return [shapes.time(at) or "" for at in starts]

    def _by(self, q: Question, only: Filter | None, starts: list[int], field: str = "") -> dict[str, Days]:
        narrowed = replace(q, filters=(*q.filters, only)) if only is not None else q
        keys: list[Key] = [bucket_key("day")]
        extra: dict[str, Any] = {"tz": q.tz}
        if field:
            keys.append(key_of({"user_id": "user"}.get(field, field)))
            if field.startswith("tag."):
                extra["g0"] = f"{field[4:]}="
        rows, _ = self._answers.rows(narrowed, keys, extra=extra, bucket="day", only=("cost",))
        found: dict[str, Days] = {}
        for key, m in rows:
            days = found.setdefault(key[1] if field else "", [Decimal(0)] * len(starts))
            days[bisect_right(starts, int(key[0]) * 1_000_000) - 1] += m["cost"]
        return found


def _starts(q: Question) -> list[int]:
    starts = bucket_starts(q, "day")
    if len(starts) > MOST_DAYS:
        raise BadQuestion(f"spark for at most {MOST_DAYS} days", "include")
    return starts


def _told(days: Days) -> list[str | None]:
    return [shapes.money(day) for day in days]
