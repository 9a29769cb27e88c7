"""An answer beside that of the window before, and the rows that a page leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from query import shapes
from query.parameters import MEASURES
from query.shapes import NOTHING, Measured

Answer = dict[str, Any]
_KEPT = (*MEASURES, "tokens_by_class", "users")


def stand_beside(answer: Answer, before: Answer) -> None:
    """Give every row and sum of an answer its `previous`; null where there was nothing."""
    earlier = {_identity(answer, row): row for row in before["rows"]}
    for row in answer["rows"]:
        found = earlier.get(_identity(answer, row))
        row["previous"] = None if found is None else measured(found)
    for part in ("totals", "unattributed"):
        if answer[part] is not None:
            answer[part]["previous"] = before[part]
    answer["before"] = earlier


def measured(row: Answer) -> Answer:
    """The measures of a row, without what names it."""
    return {name: row[name] for name in _KEPT if name in row}


def rest(answer: Answer, offset: int, page: Sequence[Answer]) -> Answer:
    """Measures of the rows not on the page, so that page + rest + unattributed are the totals."""
    others, traces = _sum([*answer["rows"][:offset], *answer["rows"][offset + len(page) :]])
    found = shapes.measures(others, traces)
    if "before" in answer:
        shown = {_identity(answer, row) for row in page}
        gone, gone_traces = _sum([row for identity, row in answer["before"].items() if identity not in shown])
        found["previous"] = shapes.measures(gone, gone_traces)
    return found


def _sum(rows: Sequence[Answer]) -> tuple[Measured, int]:
    total, traces = NOTHING, 0
    for row in rows:
        total = total.plus(row["_m"])
        traces += row["traces"]
    return total, traces


def _identity(answer: Answer, row: Answer) -> tuple[Any, ...]:
    return tuple(row[name] for name in answer["identity"])
