"""Answers about the closed hours of a window, kept for as long as the hours by tag say the same of them.

An hour is closed when stragglers of live traffic are in. What moves one later, a late event, a repair, a new price, moves its sums
by tag too, the checksum of its events if nothing else: so these, asked before every answer, say whether what was read still holds.
They are asked of the question's own events where the hours by tag hold these, else of all that the account has.

A crash may leave one rollup wrong and another right, and a repair then moves no sum by tag: so marks on the hours, their clearing and
what audits repaired there are asked for as well.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence, Sized
from dataclasses import replace
from typing import Any, TypeVar

from pipeline import limits
from pipeline.rollups import SUMS
from pipeline.store import Store
from query.plan import without_users
from query.question import Question
from query.sql import Conditions
from query.windows import DAY, HOUR, Span

T = TypeVar("T", bound=Sized)


class Closed:
    """What a query service keeps, of every account."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[Any, ...], _Entry] = OrderedDict()  # in the order of use

    @staticmethod
    def apart(parts: Sequence[Span], sources: Collection[str] = ("hours", "days")) -> tuple[list[Span], list[Span]]:
        """The closed parts of a plan that are of these sources, one after the other without a gap, and the rest."""
        until = int((time.time() - limits.AUDIT_CLOSED_AFTER_SECONDS) * 1e6)
        closed, rest = [], []
        for span in parts:
            width = {"hours": HOUR, "days": DAY}.get(span.source if span.source in sources else "")
            end = min(span.end, until - until % width) if width else span.start
            if end <= span.start:
                rest.append(span)
                continue
            closed.append(span._replace(end=end))
            if end < span.end:
                rest.append(span._replace(start=end))
        return closed, rest

    def of(self, q: Question, parts: Sequence[Span], what: Any, read: Callable[[], T]) -> tuple[T, bool]:
        """What was read of the closed parts of a question, and whether it was kept. `what` names it among all that is read of them.

        It is not kept before the sums have stood for a while: a row may reach the hours by tag before the rollup that is read.
        """
        said, now = self._said(q, parts[0].start, parts[-1].end), time.monotonic()
        key = (q.account, q.filters, parts[0].start, parts[-1].end)
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.said != said or now - entry.since > limits.KEPT_SECONDS:
                entry = self._entries[key] = _Entry(said, now)
            self._entries.move_to_end(key)
            if what in entry.held:
                return entry.held[what], True
        value = read()
        if now - entry.since >= limits.KEPT_SETTLED_SECONDS:
            with self._lock:
                entry.held[what] = value
                self._make_room()
        return value, False

    def _said(self, q: Question, start: int, end: int) -> tuple[Any, ...]:
        """The sums of the question's events in [start, end), by the hours by tag, and what became of those hours. Asked once for an answer."""
        of = q if without_users(q) else replace(q, filters=())
        asked = ("closed", of.filters, start, end)
        if asked not in q.noted:
            conditions = Conditions(of)
            within = f"hour >= toDateTime({start // 1_000_000}, 'UTC') AND hour < toDateTime({end // 1_000_000}, 'UTC')"
            marks = f"SELECT max(cleared) AS over FROM doubtful_hours WHERE {within} GROUP BY hour, id"
            q.noted[asked] = self._store.select(
                f"""SELECT {", ".join(f"sum(r.{name})" for name in SUMS)},
                    (SELECT count() FROM ({marks})), (SELECT sum(over) FROM ({marks})),
                    (SELECT sum(repaired_keys) FROM audit_runs WHERE {within})
                FROM tag_hours AS r WHERE {conditions.where(Span("tag_hours", start, end))}""",
                conditions.parameters,
            ).rows[0]
        found: tuple[Any, ...] = q.noted[asked]
        return found

    @property
    def rows(self) -> int:
        """Of all that is kept."""
        return sum(entry.rows for entry in self._entries.values())

    def _make_room(self) -> None:
        """For no more than KEPT_ROWS rows; what was asked for last stays."""
        rows = self.rows
        while rows > limits.KEPT_ROWS:
            _, gone = self._entries.popitem(last=False)
            rows -= gone.rows


class _Entry:
    """What was read while the sums of a closed part were these."""

    def __init__(self, said: tuple[Any, ...], since: float) -> None:
        self.said, self.since = said, since
        self.held: dict[Any, Any] = {}

    @property
    def rows(self) -> int:
        return 1 + sum(len(value) for value in self.held.values())
