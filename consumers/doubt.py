"""An insert in doubt: what to do when it was not acknowledged at the first try. See docs/delivery.md.

The raw table's offsets are the evidence; a token is trusted only while the server that took it is up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import NAMESPACE_OID, uuid5

import structlog

from consumers.history import History
from consumers.intents import Intent
from pipeline import limits
from pipeline.errors import StoreError
from pipeline.row import DeadLetter, Row, Rows
from pipeline.store import Store

_say = structlog.get_logger()


class ServerClock(NamedTuple):
    """What the server says of itself: when it started and what time it is, in unix seconds; the time in unix us as well."""

    start: int
    now: int
    micros: int = 0


def ask_server(store: Store) -> ServerClock:
    """Ask the server's own clock; machines' clocks are never compared. Raises StoreError."""
    now, up = store.select("SELECT toUnixTimestamp64Micro(now64(6)), toInt64(uptime())", seconds=5).rows[0]
    return ServerClock(int(now) // 1_000_000 - int(up), int(now) // 1_000_000, int(now))


def trusted(intent: Intent, before: ServerClock, after: ServerClock) -> bool:
    """Whether the token is evidence: the same server all along, well inside the window.

    A start is known to the second, and the intent's was asked for a few seconds before: of a server that was younger than that
    when it was planned, another that started in its place could not be told.
    """
    same = abs(before.start - intent.server_start) <= 1 and abs(after.start - intent.server_start) <= 1
    grown = intent.server_time - intent.server_start >= limits.TRUST_UPTIME_SECONDS
    return same and grown and 0 <= after.now - intent.server_time < limits.TRUST_SECONDS


def hours_of(rows: Rows) -> set[int]:
    """The unix hours whose rollups the rows touch."""
    return {ts // 3_600_000_000 for ts in rows.column("ts")}


def mark_doubtful(store: Store, hours: Iterable[int], cause: str, reason: str) -> None:
    """Marks have ids derived from their cause, so that a new owner who comes to the same verdict marks the same."""
    touched = sorted(hours)
    if not touched:
        return
    now = int(time.time() * 1e6)
    store.insert(
        "doubtful_hours",
        ("hour", "id", "marked_at", "reason", "cleared"),
        (
            [datetime.fromtimestamp(hour * 3600, UTC) for hour in touched],
            [str(uuid5(NAMESPACE_OID, f"{cause}|{hour}|{now}")) for hour in touched],
            [now] * len(touched),
            [reason] * len(touched),
            [0] * len(touched),
        ),
    )


def by_column(rows: Sequence[Sequence[object]]) -> list[Sequence[object]]:
    """Rows to columns."""
    return list(zip(*rows, strict=True))


class Doubt:
    """The inserts in doubt of one range [start, end) of one partition; one attempt, n, at a time."""

    def __init__(
        self, store: Store, history: History, partition: int, start: int, end: int, token: str, rows: Rows,
        set_aside: Callable[[int, str], DeadLetter],
    ) -> None:  # fmt: skip
        self._store = store
        self._history = history
        self.partition, self.start, self.end = partition, start, end
        self._token = token
        self._rows = rows
        self._set_aside = set_aside
        self._keys = list(zip(rows.column("log_offset"), rows.column("log_row"), strict=True))
        self._pieces: list[list[int]] = []  # places in rows, when the missing ones go in parts
        self.refused: list[DeadLetter] = []
        self._refused_keys: set[tuple[int, int]] = set()

    def retry_under_token(self, intent: Intent, can_reproduce: bool, *, not_after: float = math.inf) -> bool:
        """Step 2: the batch again under its own token when that is evidence. Answers whether it was trusted and taken.

        Raises StoreError when its answer is lost: it may still run, so the next attempt waits for it before it counts.
        """
        if not (can_reproduce and intent.attempt == 0 and len(self._rows)):
            return False
        # No server comes up again in so short a time: what is sent by then goes to the one that was asked.
        not_after = min(not_after, time.monotonic() + limits.RETRY_SECONDS)
        before = ask_server(self._store)
        if not trusted(intent, before, before):
            return False
        self._store.insert("events", Row._fields, self._rows.columns, token=self._token, not_after=not_after)
        return trusted(intent, before, ask_server(self._store))

    def missing(self) -> list[int]:
        """Step 3: the places of the rows that the replay made and the raw table lacks. More rows than offsets is an alarm."""
        present = self._history.rows_present(self.partition, self.start, self.end)
        distinct = set(present)
        if len(present) != len(distinct):
            _say.error("raw_rows_doubled", partition=self.partition, start=self.start, end=self.end)
        distinct |= self._refused_keys
        return [place for place, key in enumerate(self._keys) if key not in distinct]

    def insert_missing(self, missing: Sequence[int], attempt: int, end_at: float) -> None:
        """One guarded statement under token#n: a worker that wakes up late adds nothing, or its statement has expired.

        `end_at` is in unix seconds of the server's clock. A data error halves the piece; a single refused row is set aside.
        """
        wanted = set(missing)
        pieces = [[place for place in piece if place in wanted] for piece in self._pieces or [list(missing)]]
        piece, *rest = [piece for piece in pieces if piece] or [list(missing)]
        try:
            self._guarded(self._rows.at(piece), attempt, end_at)
        except StoreError as error:
            if not error.data_error:
                raise
            if len(piece) > 1:
                middle = len(piece) // 2
                rest = [piece[:middle], piece[middle:], *rest]
            else:
                self._refused_keys.add(self._keys[piece[0]])
                self.refused.append(self._set_aside(self._keys[piece[0]][0], error.detail))
        self._pieces = rest

    def _guarded(self, rows: Rows, attempt: int, end_at: float) -> None:
        self._store.insert_where(
            "events",
            Row._fields,
            rows.columns,
            f"throwIf(toUnixTimestamp64Micro(now64(6)) > {int(end_at * 1e6)}) = 0 AND (log_offset, log_row) NOT IN "
            f"(SELECT log_offset, log_row FROM events WHERE log_partition = {int(self.partition)} "
            f"AND log_offset >= {int(self.start)} AND log_offset < {int(self.end)} "
            "AND log_id IN (SELECT any(log_id) FROM {scratch}))",
            token=f"{self._token}#{attempt}",
            deadline=limits.INSERT_SECONDS,
        )


def wait_for_running(store: Store, token_prefix: str, *, seconds: float) -> None:
    """Step 1: wait until no INSERT of this partition runs. Raises StoreError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        running = store.select(
            f"SELECT count() FROM {store.every_node('system.processes')} "
            "WHERE startsWith(query_id, {prefix:String}) OR "
            "(query NOT LIKE '%system.processes%' AND position(query, {prefix:String}) > 0)",
            {"prefix": token_prefix},
        ).rows[0][0]
        if not running:
            return
        if time.monotonic() > deadline:
            raise StoreError("an insert of this partition still runs")
        time.sleep(0.05)
