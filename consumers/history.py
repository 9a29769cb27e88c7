"""What the raw table says about a partition: its windows rebuilt, identities looked up, offsets present.

Every look-up of rows of the own partition has `log_offset < a`: in a replay of [a, b) stored rows at or after a do not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np

from consumers.window import Window
from pipeline import limits
from pipeline.row import Row
from pipeline.store import Store

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

HOUR = 3_600_000_000  # microseconds

Identity = tuple[str, str, str]  # account, trace id, event id

_REBUILD = """
SELECT received_at_us, identity, trace, user_trace, trace_id != '' FROM (
    SELECT toUnixTimestamp64Micro(received_at) AS received_at_us,
           xxHash64(concat(account, '\\0', trace_id, '\\0', toString(id))) AS identity,
           xxHash64(concat(account, '\\0', trace_id)) AS trace,
           xxHash64(concat(account, '\\0', trace_id, '\\0', user_id)) AS user_trace,
           trace_id
    FROM events
    WHERE log_id = {log:String} AND log_partition = {partition:UInt32}
      AND log_offset >= {low:UInt64} AND log_offset < {high:UInt64} AND sign = 1)
"""


class Windows:
    """The three windows of one partition."""

    def __init__(self) -> None:
        self.identities = Window(limits.DEDUPE_WINDOW_SECONDS)
        self.traces = Window(limits.TRACE_WINDOW_SECONDS)
        self.user_traces = Window(limits.TRACE_WINDOW_SECONDS)


class History:
    """Look-ups for the partitions of one log."""

    def __init__(self, store: Store, log_id: str) -> None:
        self._store = store
        self._log_id = log_id

    def rebuild(self, partition: int, end: int) -> Windows:
        """The windows as they stood before offset `end`: read backwards until two hours of receipts are covered."""
        self._store.sync("events")
        windows = Windows()
        latest: int | None = None
        high, step = end, 50_000
        while high > 0:
            low = max(0, high - step)
            rows = self._store.select(
                _REBUILD, {"log": self._log_id, "partition": partition, "low": low, "high": high}, seconds=120
            ).rows
            if rows:
                # Types are named: numpy would take large integers of mixed size for floats, and lose their last digits.
                columns = zip(*rows, strict=True)
                received = np.array(next(columns), dtype=np.int64)
                identity, trace, user_trace = (np.array(next(columns), dtype=np.uint64) for _ in range(3))
                inside = np.array(next(columns), dtype=np.bool_)
                windows.identities.add(identity, received)
                windows.traces.add(trace[inside], received[inside])
                windows.user_traces.add(user_trace[inside], received[inside])
                latest = latest if latest is not None else int(received.max())
                if int(received.min()) < latest - 2 * limits.TRACE_WINDOW_SECONDS * 1_000_000:
                    break
            elif latest is not None and step > 1_000_000:
                break
            high, step = low, step * 2
        return windows

    def stored(self, identities: Sequence[tuple[Identity, int, int]], partition: int, before: int) -> set[Identity]:
        """Which of (identity, earliest, latest possible timestamp in unix us) have a row of a smaller offset."""
        found: set[Identity] = set()
        by_account: dict[str, list[tuple[Identity, int, int]]] = {}
        for item in identities:
            by_account.setdefault(item[0][0], []).append(item)
        for account, items in by_account.items():
            for start in range(0, len(items), 2_000):
                chunk = items[start : start + 2_000]
                hours = {h for _, low, high in chunk for h in range(low // HOUR, high // HOUR + 1)}
                rows = self._store.select(
                    """
                    SELECT trace_id, toString(id) FROM events
                    WHERE account = {account:String} AND toStartOfHour(ts) IN {hours:Array(DateTime('UTC'))}
                      AND id IN {ids:Array(UUID)} AND sign = 1
                      AND (log_id != {log:String} OR (log_partition = {partition:UInt32} AND log_offset < {before:UInt64}))
                    """,
                    {
                        "account": account,
                        "hours": [datetime.fromtimestamp(h * 3600, UTC) for h in sorted(hours)],
                        "ids": sorted({identity[2] for identity, _, _ in chunk}),
                        "log": self._log_id,
                        "partition": partition,
                        "before": before,
                    },
                ).rows
                found |= {(account, trace_id, event_id) for trace_id, event_id in rows}
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
