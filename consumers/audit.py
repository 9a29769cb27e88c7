"""Raw against rollups, to the last stored digit; and repair by inserting the difference.

Difference = damage + batches in flight. Two reads with no common insert in flight agree only on the damage, and the checksum
makes two different batches differ, so a difference that is the same in both reads is damage.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

import structlog

from pipeline.errors import StoreError
from pipeline.store import MIGRATIONS, Store

_say = structlog.get_logger()

SUMS = (
    "events", "calls", "tool_calls", "traces", "user_traces", "input_uncached", "input_cache_read", "input_cache_write",
    "output", "output_reasoning", "cost", "priced", "unpriced", "estimated", "errors", "checksum",
)  # fmt: skip
MAPS = ("latency", "first_token")
LEASE_SECONDS = 60


class Rollup(NamedTuple):
    """A rollup, its keys, and the table and select it is derived from."""

    table: str
    bucket: str  # the column of the hour or day
    keys: tuple[str, ...]
    view: str  # the migration that holds its select


ROLLUPS = (
    Rollup(
        "usage_hours", "hour",
        ("account", "hour", "user_id", "provider", "model", "agent", "tool_name", "service_tier", "status", "tags"),
        "0005_events_to_usage_hours",
    ),
    Rollup(
        "tag_hours", "hour",
        ("account", "tag", "hour", "provider", "model", "agent", "tool_name", "service_tier", "status"),
        "0007_events_to_tag_hours",
    ),
    Rollup(
        "usage_days", "day",
        ("account", "day", "user_id", "provider", "model", "agent", "tool_name", "service_tier", "status", "tags"),
        "0006_usage_hours_to_days",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """What an audit of one rollup over [start, end) found, in keys that differ from raw."""

    rollup: str
    start: int
    end: int
    differing: int
    repaired: int


class RawCount(NamedTuple):
    """Raw rows and their distinct identities over a range; equal when nothing is doubled."""

    rows: int
    distinct: int


def count_raw(store: Store, start: int, end: int) -> RawCount:
    """Count rows against distinct (account, trace, id), over unix seconds [start, end)."""
    rows, distinct = store.select(
        """
        SELECT count(), uniqExact(account, trace_id, id, sign) FROM events
        WHERE toStartOfHour(ts) >= toDateTime({start:Int64}, 'UTC') AND toStartOfHour(ts) < toDateTime({end:Int64}, 'UTC')
        """,
        {"start": start, "end": end},
        seconds=600,
    ).rows[0]
    return RawCount(int(rows), int(distinct))


def difference_sql(rollup: Rollup) -> str:
    """Select of the truth minus the rollup, for the keys that differ; bound: start, end (unix seconds of whole buckets)."""
    select = re.search(r"\bSELECT\b.*", (MIGRATIONS / f"{rollup.view}.sql").read_text(encoding="utf-8"), re.DOTALL)
    assert select is not None
    source = select.group(0)
    of_hours = rollup.bucket == "day"
    name = "hour" if of_hours else "toStartOfHour(ts)"
    within = f"{name} >= toDateTime({{start:Int64}}, 'UTC') AND {name} < toDateTime({{end:Int64}}, 'UTC')"
    truth = source.replace("\nGROUP BY", f"\nWHERE {within}\nGROUP BY")
    keys = ", ".join(rollup.keys)
    both = ", ".join(("one", *SUMS, *MAPS, "last_seen"))
    signed = ", ".join(
        ["sum(w) AS truths"]
        + [f"sum(w * {c}) AS d_{c}" for c in SUMS]
        + [f"sumMap(mapApply((k, v) -> (k, v * w), {c})) AS d_{c}" for c in MAPS]
        + ["maxIf(last_seen, w = 1) AS raw_seen", "maxIf(last_seen, w = -1) AS rollup_seen"]
    )
    held = ", ".join(
        [f"sum({c}) AS {c}" for c in SUMS] + [f"sumMap({c}) AS {c}" for c in MAPS] + ["max(last_seen) AS last_seen"]
    )
    held = re.sub(r"\((\w+)\)", r"(r.\1)", held)
    differs = " OR ".join(
        [f"d_{c} != 0" for c in SUMS]
        + [f"arrayExists(v -> v != 0, mapValues(d_{c}))" for c in MAPS]
        + ["raw_seen > rollup_seen"]
    )
    columns = ", ".join((*SUMS, *MAPS, "last_seen"))
    bucket_within = within.replace("toStartOfHour(ts)", rollup.bucket).replace("hour ", f"{rollup.bucket} ")
    return f"""
SELECT {keys}, {", ".join("d_" + c for c in (*SUMS, *MAPS))}, greatest(raw_seen, rollup_seen) AS last_seen
FROM (
    SELECT {keys}, {signed}
    FROM (
        SELECT {keys}, toInt64(1) AS w, {columns} FROM ({truth})
        UNION ALL
        SELECT {keys}, toInt64(-1) AS w, {columns} FROM (
            SELECT {keys}, {held} FROM {rollup.table} AS r WHERE {bucket_within} GROUP BY {keys})
    )
    GROUP BY {keys}
)
WHERE {differs}
ORDER BY {keys}
""".replace(both, columns)


def _read(store: Store, rollup: Rollup, start: int, end: int) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    rows = store.select(difference_sql(rollup), {"start": start, "end": end}, seconds=600).rows
    width = len(rollup.keys)
    return {_hashable(row[:width]): row for row in rows}


def _hashable(key: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(tuple(part) if isinstance(part, list) else part for part in key)


def running_inserts(store: Store) -> set[str]:
    """Query ids of the INSERTs that run now. Replicated clusters ask every node through `clusterAllReplicas` in their view."""
    rows = store.select(
        "SELECT query_id FROM system.processes WHERE query_kind = 'Insert' OR query ILIKE '%insert into%'"
    ).rows
    return {str(row[0]) for row in rows}


def _wait_for(store: Store, inserts: set[str], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while inserts & running_inserts(store):
        if time.monotonic() > deadline:
            raise StoreError("inserts of the first read do not end")
        time.sleep(0.02)


def audit_rollup(store: Store, rollup: Rollup, start: int, end: int, *, repair: bool) -> Finding:
    """Compare over unix seconds [start, end); with `repair` insert what is the same in two reads, until a read shows nothing."""
    repaired = 0
    differing: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for _ in range(20):
        first = _read(store, rollup, start, end)
        if not first:
            return Finding(rollup.table, start, end, 0, repaired)
        _wait_for(store, running_inserts(store))
        second = _read(store, rollup, start, end)
        differing = {key: row for key, row in second.items() if first.get(key) == row}
        if not second:
            return Finding(rollup.table, start, end, 0, repaired)
        if not repair:
            if differing:
                return Finding(rollup.table, start, end, len(differing), 0)
            continue
        if differing:
            _insert_difference(store, rollup, list(differing.values()))
            repaired += len(differing)
    return Finding(rollup.table, start, end, len(differing), repaired)


def _insert_difference(store: Store, rollup: Rollup, rows: Sequence[Sequence[Any]]) -> None:
    columns = (*rollup.keys, *SUMS, *MAPS, "last_seen")
    at = columns.index("last_seen")
    data = [list(column) for column in zip(*rows, strict=True)]
    data[at] = [
        int(value.replace(tzinfo=UTC).timestamp() * 1e6) if isinstance(value, datetime) else value for value in data[at]
    ]
    bucket = columns.index(rollup.bucket)
    data[bucket] = [value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for value in data[bucket]]
    _say.info("rollup_repaired", rollup=rollup.table, keys=len(rows))
    # A token never used before: without one, equal repair rows are swallowed as a repeated block.
    store.insert(rollup.table, columns, data, token=f"repair:{uuid4()}")


def audit(store: Store, start: int, end: int, *, repair: bool = False) -> list[Finding]:
    """Every rollup over unix seconds [start, end), hours before the days that cascade from them."""
    start -= start % 3600
    end += -end % 3600
    found = [audit_rollup(store, rollup, start, end, repair=repair) for rollup in ROLLUPS if rollup.bucket == "hour"]
    day_start, day_end = start - start % 86_400, end + -end % 86_400
    found += [audit_rollup(store, r, day_start, day_end, repair=repair) for r in ROLLUPS if r.bucket == "day"]
    return found


def span(store: Store) -> tuple[int, int]:
    """Unix seconds of the first and behind the last stored event; (0, 0) when there is none."""
    low, high, rows = store.select(
        "SELECT toUnixTimestamp(min(ts)), toUnixTimestamp(max(ts)), count() FROM events"
    ).rows[0]
    return (int(low), int(high) + 1) if rows else (0, 0)


class Auditor:
    """Clears doubtful hours at once, and audits every closed hour once, under a lease."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owner = f"{os.getpid()}-{uuid4()}"

    def doubtful(self) -> dict[int, list[str]]:
        """Uncleared marks: unix second of the hour -> ids."""
        rows = self._store.select(
            "SELECT toUnixTimestamp(hour), toString(id) FROM doubtful_hours GROUP BY hour, id HAVING max(cleared) = 0 ORDER BY hour"
        ).rows
        marks: dict[int, list[str]] = {}
        for hour, mark in rows:
            marks.setdefault(int(hour), []).append(mark)
        return marks

    def take_lease(self, now: float) -> bool:
        """One auditor at a time; a lease lasts LEASE_SECONDS."""
        self._store.execute(
            "INSERT INTO leases (name, owner, taken_at, ends_at) SELECT 'audit', {owner:String}, now64(6), now64(6) + {seconds:UInt32} "
            "WHERE (SELECT count() FROM leases WHERE name = 'audit' AND ends_at > now64(6) AND owner != {owner:String}) = 0",
            {"owner": self._owner, "seconds": LEASE_SECONDS},
        )
        holder = self._store.select(
            "SELECT argMin(owner, (taken_at, owner)) FROM leases WHERE name = 'audit' AND ends_at > now64(6)"
        ).rows[0][0]
        return bool(holder == self._owner)

    def run_once(self) -> list[Finding]:
        """Settle every doubtful hour; marks read before the first query are cleared once no key differs."""
        marks = self.doubtful()
        found: list[Finding] = []
        if not marks or not self.take_lease(time.time()):
            return found
        for start, end in _stretches(sorted(marks)):
            findings = audit(self._store, start, end, repair=True)
            found += findings
            if not any(finding.differing for finding in findings):
                self._clear({hour: ids for hour, ids in marks.items() if start <= hour < end})
        return found

    def _clear(self, marks: dict[int, list[str]]) -> None:
        rows = [(datetime.fromtimestamp(hour, UTC), mark) for hour, ids in marks.items() for mark in ids]
        now = int(time.time() * 1e6)
        hours, ids = zip(*rows, strict=True)
        count = len(rows)
        self._store.insert(
            "doubtful_hours",
            ("hour", "id", "marked_at", "reason", "cleared"),
            (hours, ids, [now] * count, ["cleared"] * count, [1] * count),
            token=f"clear:{uuid4()}",
        )

    def run(self, stop: Any, *, every: float = 2.0) -> None:
        """In the background until `stop` (a threading.Event) is set."""
        while not stop.wait(every):
            with suppress(StoreError):
                self.run_once()


def _stretches(hours: Sequence[int]) -> list[tuple[int, int]]:
    """Consecutive hours joined: [start, end) in unix seconds."""
    joined: list[tuple[int, int]] = []
    for hour in hours:
        if joined and joined[-1][1] == hour and hour - joined[-1][0] < 86_400:
            joined[-1] = (joined[-1][0], hour + 3600)
        else:
            joined.append((hour, hour + 3600))
    return joined
