"""How rows of an answer stand: by the column asked for, ties by id; time buckets without a gap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline import limits
from query import shapes, windows
from query.question import Question
from query.shapes import NOTHING, Measured

Answer = dict[str, Any]
_TEXTS = frozenset({"key", "bucket", "model", "provider", "tool_name", "value"})  # of those none is behind all
_MOST_BUCKETS = limits.BUCKETS + 2  # a window of so many hours touches one more, and a change of clocks makes one


def order(q: Question, identity: str) -> Callable[[Answer], tuple[Any, ...]]:
    """Sort key of a row: the column asked for (spend, descending, unless said), ties by id, and one model of two providers by these."""
    name = q.sort or "spend"
    sign = -1 if q.descending else 1

    def rank(row: Answer) -> tuple[Any, ...]:
        tie = (str(row.get(identity) or ""), str(row.get("provider") or ""))
        m: Measured = row["_m"]
        if name == "spend":
            spend = shapes.spend(m)
            return (_Nulls(spend is None, q.descending), sign * (spend or 0), tie)
        if name == "last_seen":
            return (0, sign * (m.seen - shapes.EPOCH).total_seconds() if m.seen else 0, tie)
        value = _quantile(row, name) if name.endswith(("_p50", "_p95")) else shapes.measure(row, name)
        if value is None and name not in _TEXTS:
            return (_Nulls(True, q.descending), 0, tie)
        if isinstance(value, str) or value is None:
            return (value is None, _Text(value or "", q.descending), tie)
        return (0, sign * value, tie)

    return rank


def _quantile(row: Answer, name: str) -> float | None:
    """`latency_ms_p95` is p95 of `latency_ms`."""
    found: float | None = row[name[:-4]][name[-3:]]
    return found


def _Nulls(missing: bool, descending: bool) -> int:  # noqa: N802  # reads as a word of the sort key
    """Unknown is below every amount."""
    return int(missing) if descending else -int(missing)


class _Text(str):
    """Text that sorts either way."""

    _down: bool

    def __new__(cls, text: str, down: bool) -> _Text:
        made = super().__new__(cls, text)
        made._down = down
        return made

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other) if self._down else str.__lt__(self, other)


def bucket_starts(q: Question, bucket: str) -> list[int]:
    """Where the days or hours of the zone begin (unix us) that the window touches; of a longer one than is answered the first."""
    zone = windows.zone_of(q.tz)
    if bucket == "hour":
        at = windows.hour_of(q.start, zone)
    else:
        local = windows.moment(q.start, zone)
        at = windows.micros(local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0))
    found: list[int] = []
    while at < q.end and len(found) < _MOST_BUCKETS:
        found.append(at)
        if bucket == "hour":
            at = windows.hour_after(at, zone)
        else:
            following = windows.moment(at + 30 * windows.HOUR, zone)
            at = windows.micros(following.replace(hour=0, minute=0, second=0, microsecond=0, fold=0))
    return found


def with_empty_buckets(data: list[Answer], q: Question, bucket: str) -> list[Answer]:
    """Empty buckets are zeros."""
    have = {row["key"] for row in data}
    return data + [
        {"key": key, "users": 0, "_place": place, "_m": NOTHING, "_traces": 0}
        for place, key in enumerate((shapes.time(at) for at in bucket_starts(q, bucket)), 1)
        if key not in have
    ]
