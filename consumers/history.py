"""What the raw table says about a partition: its windows rebuilt, identities looked up, offsets present.

Every look-up of rows of the own partition has `log_offset < a`: in a replay of [a, b) stored rows at or after a do not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np

from consumers.window import Hashes, Identities, Micros, Traces
from pipeline import limits
from pipeline.row import Row
from pipeline.store import Array, Store

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

HOUR = 3_600_000_000  # microseconds

Identity = tuple[str, str, str]  # account, trace id, event id


class Suspect(NamedTuple):
    """An event that may be a retry: its earliest and latest possible timestamp, and the earliest receipt that counts (unix us)."""

    identity: Identity
    low: int
    high: int
    since: int  # 0: whenever it was received


_REBUILD = """
SELECT toUnixTimestamp64Micro(received_at) AS received,
       xxHash64(concat(account, '\\0', trace_id, '\\0', toString(id))) AS identity,
       if(trace_id = '', 0, xxHash64(concat(account, '\\0', trace_id))) AS trace,
       xxHash64(concat(account, '\\0', trace_id, '\\0', user_id)) AS user_trace
FROM events
WHERE log_id = {log:String} AND log_partition = {partition:UInt32}
  AND log_offset >= {low:UInt64} AND log_offset < {high:UInt64} AND sign = 1
ORDER BY log_offset
"""
_REBUILD_ROWS = 50_000  # of the first read back
_REBUILD_ROWS_MAX = 1_000_000  # of any: 32 MB
_REBUILD_MICROS = (
    limits.TRACE_WINDOW_SECONDS + 15 * 60
) * 1_000_000  # receipts are a little out of order, buckets are whole


class Windows:
    """The two windows of one partition."""

    def __init__(self) -> None:
        self.identities = Identities(limits.DEDUPE_WINDOW_SECONDS)
        self.traces = Traces(limits.TRACE_WINDOW_SECONDS)

    def add(self, identities: Hashes, traces: Hashes, user_traces: Hashes, received: Micros) -> None:
        """Remember what has been stored; a trace of 0 is none."""
        self.identities.add(identities, received)
        traced = traces != 0
        self.traces.add(traces[traced], user_traces[traced], received[traced])


class History:
    """Look-ups for the partitions of one log."""

    def __init__(self, store: Store, log_id: str) -> None:
        self._store = store
        self._log_id = log_id

    def rebuild(self, partition: int, end: int) -> Windows:
        """The windows as they stood before offset `end`: read backwards until their receipts are covered."""
        self._store.sync("events")
        parts: list[Array] = []
        high, step = end, _REBUILD_ROWS
        latest: float | None = None
        while high > 0:
            low = max(0, high - step)
            part = self._store.select_array(
                _REBUILD, {"log": self._log_id, "partition": partition, "low": low, "high": high}, seconds=120
            )
            if len(part):
                parts.append(part)
                # The middle one speaks for a part: clocks that are off are few.
                middle = float(np.median(part["received"]))
                latest = middle if latest is None else latest
                if middle < latest - _REBUILD_MICROS:
                    break
            high, step = low, min(step * 2, _REBUILD_ROWS_MAX)
        windows = Windows()
        while parts:  # in the order in which they were stored, each forgotten when it is in
            part = parts.pop()
            windows.add(part["identity"], part["trace"], part["user_trace"], part["received"])
        return windows

    def stored(self, suspects: Sequence[Suspect], partition: int, before: int) -> set[Identity]:
        """Which suspects have a row of a smaller offset, received no earlier than they say."""
        found: set[Identity] = set()
        by_account: dict[str, list[Suspect]] = {}
        for suspect in suspects:
            by_account.setdefault(suspect.identity[0], []).append(suspect)
        for account, items in by_account.items():
            for start in range(0, len(items), 2_000):
                chunk = items[start : start + 2_000]
                since = {s.identity: s.since for s in chunk}
                hours = {h for s in chunk for h in range(s.low // HOUR, s.high // HOUR + 1)}
                rows = self._store.select(
                    """
                    SELECT trace_id, toString(id), toUnixTimestamp64Micro(received_at) FROM events
                    WHERE account = {account:String} AND toStartOfHour(ts) IN {hours:Array(DateTime('UTC'))}
                      AND id IN {ids:Array(UUID)} AND sign = 1
                      AND (log_id != {log:String} OR (log_partition = {partition:UInt32} AND log_offset < {before:UInt64}))
                    """,
                    {
                        "account": account,
                        "hours": [datetime.fromtimestamp(h * 3600, UTC) for h in sorted(hours)],
                        "ids": sorted({s.identity[2] for s in chunk}),
                        "log": self._log_id,
                        "partition": partition,
                        "before": before,
                    },
                ).rows
                found |= {
                    identity
                    for trace_id, event_id, received in rows
                    if received >= since.get(identity := (account, trace_id, event_id), received + 1)
                }
        return found

    def traces_stored(
        self, wanted: Iterable[tuple[str, str, str]], partition: int, before: int
    ) -> set[tuple[str, str, str]]:
        """Which (account, trace id, user id) have rows of smaller offsets; and (account, trace id, "\\0") for any user."""
        found: set[tuple[str, str, str]] = set()
        pairs = sorted({(account, trace_id) for account, trace_id, _ in wanted})
        for start in range(0, len(pairs), 2_000):
            chunk = pairs[start : start + 2_000]
            rows = self._store.select(
                """
                SELECT DISTINCT account, trace_id, user_id FROM events
                WHERE account IN {accounts:Array(String)} AND trace_id IN {traces:Array(String)} AND sign = 1
                  AND (log_id != {log:String} OR (log_partition = {partition:UInt32} AND log_offset < {before:UInt64}))
                """,
                {
                    "accounts": sorted({a for a, _ in chunk}),
                    "traces": sorted({t for _, t in chunk}),
                    "log": self._log_id,
                    "partition": partition,
                    "before": before,
                },
            ).rows
            for account, trace_id, user_id in rows:
                found.add((account, trace_id, user_id))
                found.add((account, trace_id, "\0"))
        return found

    def rows_present(self, partition: int, start: int, end: int) -> list[tuple[int, int]]:
        """The (offset, log_row) pairs of [start, end) in the raw table, repeats included."""
        self._store.sync("events")
        rows = self._store.select(
            """
            SELECT log_offset, log_row FROM events
            WHERE log_id = {log:String} AND log_partition = {partition:UInt32}
              AND log_offset >= {start:UInt64} AND log_offset < {end:UInt64}
            ORDER BY log_offset, log_row
            """,
            {"log": self._log_id, "partition": partition, "start": start, "end": end},
        ).rows
        return [(int(offset), int(row)) for offset, row in rows]

    def replaced(self, account: str, event_id: str, trace_id: str, partition: int, before: int) -> list[Row]:
        """The stored rows of the event that a correction names."""
        rows = self._store.select(
            """
            SELECT * FROM events
            WHERE account = {account:String} AND id = {id:UUID} AND trace_id = {trace:String}
              AND (log_id != {log:String} OR (log_partition = {partition:UInt32} AND log_offset < {before:UInt64}))
            ORDER BY sign DESC
            """,
            {
                "account": account,
                "id": event_id,
                "trace": trace_id,
                "log": self._log_id,
                "partition": partition,
                "before": before,
            },
        ).rows
        return [Row(*(_as_inserted(value) for value in row)) for row in rows]


def _as_inserted(value: Any) -> Any:
    """A value as read -> as `Row` holds it: unix us for times, text for ids."""
    if isinstance(value, datetime):
        return (value.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
    return str(value) if isinstance(value, UUID) else value
