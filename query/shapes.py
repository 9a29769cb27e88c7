"""Measures -> JSON: money as decimal strings, tokens as integers, times as RFC 3339 UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from query.sql import SUMS
from query.windows import moment

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # the driver's naive times are UTC


@dataclass(frozen=True, slots=True)
class Measured:
    """Sums of one row; `seen` is naive UTC or None."""

    sums: tuple[Any, ...]  # in SUMS' order
    seen: datetime | None

    def __getitem__(self, name: str) -> Any:
        return self.sums[_PLACE[name]]

    def plus(self, other: Measured) -> Measured:
        """The sum of two."""
        seen = max((s for s in (self.seen, other.seen) if s is not None), default=None)
        return Measured(tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)), seen)

    @staticmethod
    def total(parts: Sequence[Measured]) -> Measured:
        """The sum of any number, a column at a time."""
        if not parts:
            return NOTHING
        seen = max((m.seen for m in parts if m.seen is not None), default=None)
        return Measured(
            tuple(sum(column, _ZERO[place]) for place, column in enumerate(zip(*(m.sums for m in parts), strict=True))),
            seen,
        )

    def less(self, part: Measured) -> Measured:
        """What is left without a part; when its last event was is not known."""
        return Measured(tuple(a - b for a, b in zip(self.sums, part.sums, strict=True)), None)

    def packed(self) -> list[Any]:
        """As JSON can hold it; `unpacked` reads it."""
        return [*(str(s) if isinstance(s, Decimal) else s for s in self.sums), time(self.seen)]

    @staticmethod
    def unpacked(held: Sequence[Any]) -> Measured:
        """What was packed."""
        *sums, seen = held
        at = datetime.fromisoformat(seen).replace(tzinfo=None) if seen else None
        return Measured(tuple(Decimal(s) if isinstance(s, str) else s for s in sums), at)

    def of_tools(self) -> Measured:
        """The same where calls are the calls of tools."""
        sums = list(self.sums)
        sums[_PLACE["calls"]] = self["tool_calls"]
        return Measured(tuple(sums), self.seen)


_ZERO = tuple(Decimal(0) if name == "cost" else 0 for name in SUMS)
_PLACE = {name: place for place, name in enumerate(SUMS)}
NOTHING = Measured(_ZERO, None)


def read(row: tuple[Any, ...], keys: int, only: Sequence[str] = SUMS) -> Measured:
    """The measures of an answer's row behind its keys, of which it may have `only` some; the last column is last_seen."""
    seen = row[-1]
    sums = row[keys : keys + len(only)]
    if only is not SUMS:
        told = dict(zip(only, sums, strict=True))
        sums = tuple(told.get(name, zero) for name, zero in zip(SUMS, _ZERO, strict=True))
    if None in sums:  # of no rows at all
        sums = tuple(zero if s is None else s for zero, s in zip(_ZERO, sums, strict=True))
    return Measured(sums, seen if seen is not None and seen > EPOCH else None)


def filled(row: dict[str, Any]) -> dict[str, Any]:
    """A row as it is shown: its measures, behind its first column, from what it holds as `_m` and `_traces`."""
    if "_m" not in row or "spend" in row:
        return {name: value for name, value in row.items() if not name.startswith("_")}
    own = [(name, value) for name, value in row.items() if not name.startswith("_")]
    return dict(own[:1]) | measures(row["_m"], row["_traces"]) | dict(own[1:])


def measure(row: dict[str, Any], name: str) -> Any:
    """One column of a row, its measures included, without filling it."""
    if name in row or "_m" not in row:
        return row.get(name)
    m: Measured = row["_m"]
    if name == "traces":
        return row["_traces"]
    return tokens(m) if name == "tokens" else measures(m).get(name)


def money(amount: Decimal | None) -> str | None:
    """A decimal string without exponent and trailing zeros; None is unknown."""
    if amount is None:
        return None
    text = f"{amount:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def spend(m: Measured) -> Decimal | None:
    """None where nothing is priced and something is unpriced: unknown is not zero."""
    return None if m["unpriced"] > 0 and m["priced"] == 0 and m["cost"] == 0 else m["cost"]


def tokens(m: Measured) -> int:
    """Uncached + reads + writes + output."""
    return int(m["input_uncached"] + m["input_cache_read"] + m["input_cache_write"] + m["output"])


def time(at: datetime | int | None) -> str | None:
    """RFC 3339 UTC of a naive UTC time or unix us."""
    if at is None:
        return None
    aware = moment(at) if isinstance(at, int) else at.replace(tzinfo=UTC)
    return aware.isoformat().replace("+00:00", "Z")


def measures(m: Measured, traces: int | None = None) -> dict[str, Any]:
    """The measures object of every row, totals and unattributed."""
    return {
        "spend": money(spend(m)),
        "events": int(m["events"]),
        "calls": int(m["calls"]),
        "traces": int(m["traces"] if traces is None else traces),
        "tokens": tokens(m),
        "tokens_by_class": {
            name: int(m[name])
            for name in ("input_uncached", "input_cache_read", "input_cache_write", "output", "output_reasoning")
        },
        "errors": int(m["errors"]),
        "unpriced_events": int(m["unpriced"]),
        "estimated_events": int(m["estimated"]),
        "last_seen": time(m.seen),
    }


def share(part: Measured, whole: Measured) -> float | None:
    """Part of the spend, 0 to 1; None where the part is unknown."""
    if spend(part) is None:
        return None
    return float(round(part["cost"] / whole["cost"], 6)) if whole["cost"] else 0.0


def quantiles(buckets: dict[int, int]) -> dict[str, float | None]:
    """p50 and p95 in milliseconds of counts per bucket of 1.1^n."""
    counts = sorted((bucket, count) for bucket, count in buckets.items() if count > 0)
    total = sum(count for _, count in counts)
    return {name: _quantile(counts, total, q) for name, q in (("p50", 0.5), ("p95", 0.95))}


def _quantile(counts: list[tuple[int, int]], total: int, q: float) -> float | None:
    passed = 0
    for bucket, count in counts:
        passed += count
        if passed >= q * total:
            return float(round(1.1**bucket, 1 if bucket > 24 else 3))
    return None
