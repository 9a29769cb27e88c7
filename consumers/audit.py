"""Raw against rollups, to the last stored digit; and repair by inserting the difference.

Difference = damage + batches in flight. Two reads with no common insert in flight agree only on the damage, and the checksum
makes two different batches differ, so a difference that is the same in both reads is damage.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

import structlog

from consumers.difference import HOURLY, USAGE_DAYS, Rollup, difference_sql
from pipeline.errors import StoreError
from pipeline.store import Store

_say = structlog.get_logger()

HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400
_READS = 20
_FEW_DAYS = 2  # not worth asking which of them hold anything
_QUERY_SECONDS = 600

_Difference = dict[tuple[Any, ...], tuple[Any, ...]]  # key -> the row to insert


@dataclass(frozen=True)
class Finding:
    """What an audit of one rollup over unix seconds [start, end) found: keys that differ from raw, and keys repaired."""

    rollup: str
    start: int
    end: int
    differing: int
    repaired: int


class RawCount(NamedTuple):
    """Raw rows and their distinct identities over a range; equal when nothing is doubled."""

    rows: int
    distinct: int


class Turn(Protocol):
    """The right to repair: one auditor at a time."""

    def renew(self) -> bool:
        """Whether the turn is still ours, for some time again."""

    def guard(self) -> str:
        """A condition for the repairing statement itself: it fails when the turn is over."""


def count_raw(store: Store, start: int, end: int) -> RawCount:
    """Count rows against distinct (account, trace, id), over unix seconds [start, end)."""
    rows, distinct = store.select(
        """
        SELECT count(), uniqExact(account, trace_id, id, sign) FROM events
        WHERE toStartOfHour(ts) >= toDateTime({start:Int64}, 'UTC') AND toStartOfHour(ts) < toDateTime({end:Int64}, 'UTC')
        """,
        {"start": start, "end": end},
        seconds=_QUERY_SECONDS,
    ).rows[0]
    return RawCount(int(rows), int(distinct))


def span(store: Store) -> tuple[int, int]:
    """Unix seconds of the first and behind the last stored event; (0, 0) when there is none."""
    low, high, rows = store.select(
        "SELECT toUnixTimestamp(min(ts)), toUnixTimestamp(max(ts)), count() FROM events"
    ).rows[0]
    return (int(low), int(high) + 1) if rows else (0, 0)


def audit(store: Store, start: int, end: int, turn: Turn | None = None) -> list[Finding]:
    """Every rollup over the hours of unix seconds [start, end), and over the days they lie in; with a turn, repaired."""
    start -= start % HOUR_SECONDS
    end += -end % HOUR_SECONDS
    found: list[Finding] = []
    days: Sequence[int] = range(start - start % DAY_SECONDS, end, DAY_SECONDS)
    for day in days if len(days) <= _FEW_DAYS else _days_held(store, start, end):  # a day at a time: bounded memory
        low, high = max(start, day), min(end, day + DAY_SECONDS)
        found += [_audit(store, rollup, low, high, turn) for rollup in HOURLY]
        found.append(_audit(store, USAGE_DAYS, day, day + DAY_SECONDS, turn))
    return found


def _days_held(store: Store, start: int, end: int) -> list[int]:
    """The days of unix seconds [start, end) of which raw or a rollup holds anything; where neither does, neither differs."""
    days = [("events", "ts"), *((rollup.table, "hour") for rollup in HOURLY), (USAGE_DAYS.table, "day")]
    one = (
        "SELECT DISTINCT toUnixTimestamp(toStartOfDay({column}, 'UTC')) AS at FROM {table} WHERE {column} >= "
        "toStartOfDay(toDateTime({{start:Int64}}, 'UTC')) AND {column} < toDateTime({{end:Int64}}, 'UTC')"
    )
    union = " UNION DISTINCT ".join(one.format(table=table, column=column) for table, column in days)
    rows = store.select(
        f"SELECT at FROM ({union}) ORDER BY at", {"start": start, "end": end}, seconds=_QUERY_SECONDS
    ).rows
    return [int(row[0]) for row in rows]


def _audit(store: Store, rollup: Rollup, start: int, end: int, turn: Turn | None) -> Finding:
    """Compare; with a turn insert what is the same in two reads, until every key has been seen without a difference."""
    repaired = 0
    unclean: set[tuple[Any, ...]] | None = None  # keys that differed in every read
    same: _Difference = {}
    for _ in range(_READS):
        guard = turn.guard() if turn is not None else ""  # of the turn of these reads
        first = _read(store, rollup, start, end)
        unclean = set(first) if unclean is None else unclean & set(first)
        if not unclean:
            return Finding(rollup.table, start, end, 0, repaired)
        _wait_for(store, running_inserts(store))
        second = _read(store, rollup, start, end)
        unclean &= set(second)
        if not unclean:
            return Finding(rollup.table, start, end, 0, repaired)
        same = {key: row for key, row in second.items() if first.get(key) == row}
        if same and turn is None:
            return Finding(rollup.table, start, end, len(same), 0)
        if same and turn is not None:
            if not turn.renew():
                break
            _insert_difference(store, rollup, list(same.values()), guard)
            repaired += len(same)
    # Without a turn only what was the same twice is damage; with one, what was never seen clean is not settled.
    return Finding(rollup.table, start, end, len(same) if turn is None else len(unclean or ()), repaired)


def _read(store: Store, rollup: Rollup, start: int, end: int) -> _Difference:
    rows = store.select(difference_sql(rollup), {"start": start, "end": end}, seconds=_QUERY_SECONDS).rows
    width = len(rollup.keys)
    return {tuple(tuple(p) if isinstance(p, list) else p for p in row[:width]): row for row in rows}


def running_inserts(store: Store) -> set[str]:
    """Query ids of the INSERTs that run now, on every node of a cluster."""
    rows = store.select(
        f"SELECT query_id FROM {store.every_node('system.processes')} "
        "WHERE query_kind = 'Insert' OR (query ILIKE '%insert into%' AND query NOT ILIKE '%system.processes%')"
    ).rows
    return {str(row[0]) for row in rows}


def _wait_for(store: Store, inserts: set[str], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while inserts & running_inserts(store):
        if time.monotonic() > deadline:
            raise StoreError("inserts of the first read do not end")
        time.sleep(0.02)


def _insert_difference(store: Store, rollup: Rollup, rows: Sequence[Sequence[Any]], guard: str) -> None:
    """One guarded statement: an auditor that wakes up after its turn adds nothing. A lost reply is read again, not repeated."""
    data = [[_as_inserted(value) for value in column] for column in zip(*rows, strict=True)]
    # A token never used before: without one, equal repair rows are swallowed as a repeated block.
    store.insert_where(rollup.table, rollup.columns, data, f"throwIf({guard}) = 0", token=f"repair:{uuid4()}")
    _say.info("rollup_repaired", rollup=rollup.table, keys=len(rows))


def _as_inserted(value: Any) -> Any:
    """A value as read -> as the client writes it: times with their zone."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value
