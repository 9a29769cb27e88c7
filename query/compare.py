"""An answer beside that of the window before, and the rows that a page leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from query import shapes
from query.by_user import UserRows
from query.parameters import MEASURES
from query.shapes import Measured

Answer = dict[str, Any]
_KEPT = (*MEASURES, "tokens_by_class", "users")


def stand_beside(answer: Answer, before: Answer) -> None:
    """Give every row and sum of an answer what it is compared with; None where there was nothing."""
    if isinstance(answer["rows"], UserRows):
        answer["rows"].before = answer["before"] = before["rows"]
    else:
        answer["before"] = {_identity(answer, row): row for row in before["rows"]}
        for row in answer["rows"]:
            row["_before"] = answer["before"].get(_identity(answer, row))
    for part in ("totals", "unattributed"):
        if answer[part] is not None:
            answer[part]["previous"] = before[part]


def shown(row: Answer) -> Answer:
    """A row as it is shown, beside the one that it is compared with."""
    told = shapes.filled(row)
    if "_before" in row:
        told["previous"] = None if row["_before"] is None else measured(shapes.filled(row["_before"]))
    return told


def measured(row: Answer) -> Answer:
    """The measures of a row, without what names it."""
    return {name: row[name] for name in _KEPT if name in row}


def rest(answer: Answer, offset: int, count: int) -> Answer:
    """Measures of the rows not on the page of `count` from `offset`, so that page + rest + unattributed are the totals."""
    if isinstance(answer["rows"], UserRows):
        return answer["rows"].rest(offset, count)
    page = answer["rows"][offset : offset + count]
    found = _sum([*answer["rows"][:offset], *answer["rows"][offset + count :]])
    if "before" in answer:
        on_page = {_identity(answer, row) for row in page}
        found["previous"] = _sum([row for identity, row in answer["before"].items() if identity not in on_page])
    return found


def _sum(rows: Sequence[Answer]) -> Answer:
    return shapes.measures(Measured.total([row["_m"] for row in rows]), sum(row["_traces"] for row in rows))


def _identity(answer: Answer, row: Answer) -> tuple[Any, ...]:
    return tuple(row[name] for name in answer["identity"])
