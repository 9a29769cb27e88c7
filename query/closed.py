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
from typing import Any, NamedTuple, TypeVar, cast

from pipeline import limits
from pipeline.store import Store
from query.edge import Edge
from query.plan import without_users
from query.question import Question
from query.sql import Conditions
from query.standing import FEW_ROWS, Standings
from query.windows import DAY, HOUR, Span

T = TypeVar("T", bound=Sized)


class Parts(NamedTuple):
    """A plan by how long what is read of it holds."""

    closed: list[Span]  # one after the other without a gap
    edge: Span | None  # raw rows before them: the rest of a closed hour
    open: list[Span]

    @property
    def all(self) -> list[Span]:
        """In order."""
        return [*([self.edge] if self.edge else []), *self.closed, *self.open]


def apart(parts: Sequence[Span], q: Question, sources: Collection[str] = ("hours", "days", "tag_hours")) -> Parts:
    """A plan's parts; what is of other sources than these is open."""
    now = q.end if q.window.ends_now else int(time.time() * 1e6)
    until = now - limits.AUDIT_CLOSED_AFTER_SECONDS * 1_000_000
    closed, rest = [], []
    for span in parts:
        width = {"hours": HOUR, "tag_hours": HOUR, "days": DAY}.get(span.source if span.source in sources else "")
        end = min(span.end, until - until % width) if width else span.start
        if end <= span.start:
            rest.append(span)
            continue
        closed.append(span._replace(end=end))
        if end < span.end:
            rest.append(span._replace(start=end))
    edge = next(
        (s for s in rest if closed and s.source == "raw" and s.end == closed[0].start and not s.end % HOUR), None
    )
    return Parts(closed, edge, [span for span in rest if span is not edge])


class Closed:
    """What a query service keeps, of every account."""

    def __init__(self, store: Store, standings: Standings) -> None:
        self._store, self._standings = store, standings
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[Any, ...], _Entry] = OrderedDict()  # in the order of use

    def of(self, q: Question, parts: Parts, what: Any, read: Callable[[], T]) -> tuple[T, bool]:
        """What was read of the closed parts of a question, and whether it was kept. `what` names it among all that is read of them.

        It is not kept before the sums have stood for a while: a row may reach the hours by tag before the rollup that is read.
        """
        entry = self._entry(q, parts)
        if what in entry.held:
            return cast("T", entry.held[what]), True
        value = read()
        self._keep(entry, entry.held, what, value)
        return value, False

    def edge(self, q: Question, parts: Parts, what: Any, read: Callable[[], Edge]) -> tuple[Edge, bool]:
        """The same of the closed parts and the edge before them."""
        assert parts.edge is not None
        entry = self._entry(q, parts)
        found = entry.edges.get(what)
        if found is not None and found.holds(parts.edge.start):
            return found, True
        value = read()
        self._keep(entry, entry.edges, what, value)
        return value, False

    def rolls(self, q: Question, parts: Parts) -> bool:
        """Whether an edge is worth keeping by the instants of its events."""
        if parts.edge is None:
            return False
        hours = (parts.closed[-1].end - parts.closed[0].start) / HOUR
        events = self._entry(q, parts).said[0] / hours
        return bool(events * limits.EDGE_SECONDS / 3_600 <= limits.EDGE_EVENTS)

    def _entry(self, q: Question, parts: Parts) -> _Entry:
        """What is kept of a question's closed parts."""
        # The whole hour of the edge is among them: what is kept stays good while the window's start moves within it.
        start, end = (parts.edge or parts.closed[0]).start, parts.closed[-1].end
        start -= start % HOUR
        # And where the closed hours begin: at the same hour as the edge's, where another window has none.
        key = (q.account, q.filters, start, parts.closed[0].start, end)
        said, now = self._said(q, start, end), time.monotonic()
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.said != said or now - entry.since > limits.KEPT_SECONDS:
                entry = self._entries[key] = _Entry(said, now)
            self._entries.move_to_end(key)
            while len(self._entries) > limits.KEPT_QUESTIONS:
                self._entries.popitem(last=False)
        return entry

    def _keep(self, entry: _Entry, held: dict[Any, Any], what: Any, value: Sized) -> None:
        if time.monotonic() - entry.since >= limits.KEPT_SETTLED_SECONDS:
            with self._lock:
                held[what] = value
                self._make_room()

    def _said(self, q: Question, start: int, end: int) -> tuple[Any, ...]:
        """How many of the question's events there are in [start, end) by the hours by tag, which, their cost, and what became of those hours.

        Asked once for an answer.
        """
        of = q if without_users(q) else replace(q, filters=())
        asked = ("closed", of.filters, start, end)
        if asked not in q.noted:
            q.noted[asked] = self._ask(of, start, end)
        events, *others = q.noted[asked]
        return events, *others, *self._standings.of(q)[1:]

    def _ask(self, q: Question, start: int, end: int) -> tuple[Any, ...]:
        conditions = Conditions(q)
        sums = "sum(r.events), sum(r.checksum), sum(r.cost)"
        where = conditions.where(Span("tag_hours", start, end))
        sql = f"SELECT {sums} FROM tag_hours AS r WHERE {where}\n{FEW_ROWS}"
        return self._store.select(sql, conditions.parameters).rows[0]

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
        self.held: dict[Any, Sized] = {}
        self.edges: dict[Any, Edge] = {}

    @property
    def rows(self) -> int:
        return 1 + sum(len(value) for value in (*self.held.values(), *self.edges.values()))
