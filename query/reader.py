"""What every answer is made of: sums by key from the cheapest exact sources, and how traces are counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC
from decimal import Decimal
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import limits
from pipeline.budgets import OverBudget
from pipeline.errors import BadQuestion
from pipeline.store import Store
from query import shapes, sums, windows
from query.by_user import ByUser
from query.closed import Closed, apart
from query.folds import Folds
from query.pieces import Pieces, Wanted
from query.plan import foldable, name_of, sliced, sources
from query.question import Filter, Question
from query.shapes import Measured
from query.sql import SUMS, UNTRACED, Conditions, Key, Sql, column, distinct_traces, measured, with_users
from query.standing import Standings
from query.windows import Span

_MANY = 1 << 62
T = TypeVar("T")
Answer = dict[str, Any]
Traces = dict[tuple[Any, ...], int]  # by key
# A trace is counted where an event matches these, not where it begins: its events differ in them.
_SPLITTING = frozenset({"provider", "model", "agent", "status"})


class Reader:
    """Reads the store for one question after another."""

    def __init__(self, store: Store, standings: Standings | None = None) -> None:
        """`standings`: those that are asked beside an answer for other reasons too."""
        self._store = store
        self._over = OverBudget(store)
        self._folds, self.closed = Folds(store), Closed(store, standings or Standings(store))
        self._pieces = Pieces(store, self._folds, self.closed)
        self._beside = ThreadPoolExecutor(
            4, "beside"
        )  # for what is open of a window, asked while the closed buckets are looked up
        self._ahead: dict[str, float] = {}  # accounts with events behind now; remembered until then (monotonic)
        self._users: dict[tuple[Any, ...], int] = {}  # of an account's filters, as the last answer had them
        self.raw_alone = False

    def rows(
        self,
        q: Question,
        keys: Sequence[Key],
        *,
        maps: bool = False,
        users: bool = False,
        extra: Answer | None = None,
        bucket: str | None = None,
        every_tag: bool = False,
        only: Sequence[str] = SUMS,
    ) -> tuple[list[Any], str]:
        """Key, measures, and what else was asked for (latencies with `maps`, a count with `users`), from the cheapest exact sources.

        And the plan. `only`: the sums that are needed where nothing else is; the others are 0. Raises BadQuestion for more than
        ANSWER_ROWS rows.
        """
        whole_days = bucket is None or (bucket == "day" and q.tz == "UTC")
        raw_only = (
            bucket is not None and not windows.whole_hours(q.start, q.end, windows.zone_of(q.tz))
        ) or self.needs_raw(q, every_tag)
        of = [*keys, column("user_id")] if users else keys
        width = len(keys)

        def read(last_hour_whole: bool) -> tuple[list[Any], str]:
            parts = sources(q, of, whole_days=whole_days, raw_only=raw_only, last_hour_whole=last_hour_whole)
            if users and bucket:
                found, plan = self._by_bucket(q, keys, parts, bucket, extra or {})
            else:
                parts = parts if maps else self._folded(q, of, parts)
                sql = with_users(q, keys, parts) if users else measured(q, keys, parts, maps=maps, only=only)
                plan = name_of(parts)
                found = self._bounded(sql, extra or {})
            if maps:
                return [
                    (row[:width], shapes.read((*row[:-3], row[-1]), width), row[-3], row[-2]) for row in found
                ], plan
            if users:
                return [(row[:width], shapes.read(row[:-1], width), int(row[-1])) for row in found], plan
            return [(row[:width], shapes.read(row, width, only)) for row in found], plan

        def last_seen(answer: tuple[list[Any], str]) -> int | None:
            seen = max((row[1].seen for row in answer[0] if row[1].seen is not None), default=None)
            return None if seen is None else windows.micros(seen.replace(tzinfo=UTC))

        return self._until_now(q, read, last_seen)

    def _until_now(self, q: Question, read: Callable[[bool], T], last_seen: Callable[[T], int | None]) -> T:
        """What is read where the hour that the window ends in is taken whole, if nothing in it lies behind the window's end; else from its
        raw rows. The last event that was read says so.
        """
        if q.window.ends_now and self._ahead.get(q.account, 0.0) < time.monotonic():
            found = read(True)
            last = last_seen(found)
            if last is None or last < q.end:
                return found
            self._ahead[q.account] = time.monotonic() + limits.AHEAD_SECONDS
        return read(False)

    def _by_bucket(
        self, q: Question, keys: Sequence[Key], parts: Sequence[Span], bucket: str, extra: Answer
    ) -> tuple[Sequence[tuple[Any, ...]], str]:
        """Sums and users by bucket of time. A closed day or hour that is a bucket of its own is kept as it is."""
        named: list[Span] = []

        def read(parts: Sequence[Span]) -> Sequence[tuple[Any, ...]]:
            folded = self._folded(q, [*keys, column("user_id")], parts)
            named.extend(folded)
            return self._bounded(with_users(q, keys, folded), extra)

        of = apart(parts, q, (f"{bucket}s",))
        if not of.closed:
            return read(of.open), name_of(named)
        others = [*([of.edge] if of.edge else []), *of.open]
        later = self._beside.submit(read, others) if others else None
        found, kept = self.closed.of(q, of._replace(edge=None), (*keys, repr(extra)), lambda: read(of.closed))
        if later is not None:
            found = [*found, *later.result()]
        return found, _plan(named, kept=kept)

    def _bounded(self, sql: Sql, extra: Answer) -> Sequence[tuple[Any, ...]]:
        """Rows of a statement, of which there may be as many as a key has values."""
        found = self._store.select(f"{sql.text}\nLIMIT {limits.ANSWER_ROWS + 1}", sql.parameters | extra).rows
        if len(found) > limits.ANSWER_ROWS:
            raise BadQuestion(
                f"more than {limits.ANSWER_ROWS:,} rows: choose a shorter window, or filter; `events` exports any number",
                "window",
            )
        return found

    def _folded(self, q: Question, keys: Sequence[Key], parts: Sequence[Span]) -> list[Span]:
        """The parts, read from folds where these have the answer."""
        return self._folds.of(q, parts, hours=not sliced(q, keys)) if foldable(q, keys) else list(parts)

    def _sums(self, w: Wanted) -> tuple[list[pa.Table], str]:
        """Sums by key, in pieces that add up, and the plan."""
        (pieces,), plan = self._each([w])
        return pieces, plan

    def _each(self, wanted: Sequence[Wanted]) -> tuple[list[list[pa.Table]], str]:
        """The same of several that ask about the same events."""
        return self._until_now(
            wanted[0].q,
            lambda whole: self._pieces.of(wanted, last_hour_whole=whole),
            lambda found: sums.last_seen([table for pieces in found[0] for table in pieces]),
        )

    def by_user(self, q: Question) -> tuple[ByUser, str]:
        """Every sum by user, and the plan."""
        wanted = Wanted(q, [column("user_id")], raw_only=self.needs_raw(q, every_tag=False))
        pieces, plan = self._sums(wanted)
        return ByUser(pieces), plan

    def few_users(self, q: Question) -> bool:
        """Whether sums by user, asked for when less would do, would be kept, as far as is known of a question like it."""
        return self._users.get((q.account, q.filters), _MANY) <= limits.KEPT_USERS

    def note_users(self, q: Question, users: int) -> None:
        """How many a question was answered with."""
        if len(self._users) > limits.KEPT_USERS:
            self._users.clear()
        self._users[q.account, q.filters] = users

    def of_users(
        self,
        q: Question,
        users: Sequence[str],
        *by: tuple[Key, Sequence[str]],
        extra: Answer | None = None,
        every_tag: bool = False,
    ) -> list[list[sums.Row]]:
        """Some sums of some users by one more key, for each such key."""
        # In one order, so that what is kept holds when two users change places.
        asked = replace(q, filters=(*q.filters, Filter("user_id", tuple(sorted(users)))))
        raw_only = self.needs_raw(q, every_tag)
        wanted = [
            Wanted(asked, [column("user_id"), key], only, extra=extra or {}, raw_only=raw_only, within=q)
            for key, only in by
        ]
        return [
            sums.rows(sums.merged(pieces, w.names), w.names)
            for w, pieces in zip(wanted, self._each(wanted)[0], strict=True)
        ]

    def needs_raw(self, q: Question, every_tag: bool) -> bool:
        """Whether the question is about a tag key that is over its budget, so that rollups do not have it."""
        if self.raw_alone:
            return True
        named = {name[4:] for name in (*q.group_by, *(f.field for f in q.filters)) if name.startswith("tag.")}
        if not named and not every_tag:
            return False
        over = self._over.keys(q.account)
        return bool(over) if every_tag else not named.isdisjoint(over)

    def sum(self, q: Question) -> tuple[Measured, str]:
        """The sums of everything that is asked for, and the plan that found them."""
        pieces, plan = self._sums(Wanted(q, [], raw_only=self.needs_raw(q, every_tag=False)))
        return _total(pieces), plan

    def sum_and_untraced(self, q: Question) -> tuple[Measured, str | None]:
        """The same, and the spend outside any trace."""
        pieces, _ = self._sums(Wanted(q, [], (*SUMS, UNTRACED), raw_only=self.needs_raw(q, every_tag=False)))
        outside = pc.sum(pa.concat_tables(pieces)[UNTRACED]).as_py()
        return _total(pieces), shapes.money(outside or Decimal(0))

    def mark(self, q: Question) -> tuple[int, Any]:
        """Events in all of q's scope, and what moves with their sums when they do not. Cheaply: asked again and again."""
        if q.scope:
            total = self.sum(q)[0]
            return int(total["events"]), total.sums
        rows = self._store.select(
            "SELECT sum(events), sum(checksum) FROM tag_hours WHERE account = {account:String} AND tag = ''",
            {"account": q.account},
        ).rows
        return int(rows[0][0]), rows[0][1]

    def tag_keys(self, q: Question) -> list[str]:
        """The tag keys that were ever sent, within the key's scope."""
        key = "substring(tag, 1, position(tag, '=') - 1)"
        if not q.scope:
            sql = Sql(
                f"SELECT DISTINCT {key} FROM tag_hours WHERE account = {{account:String}} AND tag != ''",
                {"account": q.account},
            )
        else:
            conditions = Conditions(replace(q, filters=q.scope))
            where = conditions.where(Span("days", 0, windows.ALL_TIME.end))
            sql = Sql(
                f"SELECT DISTINCT {key} FROM (SELECT arrayJoin(r.tags) AS tag FROM usage_days AS r WHERE {where})",
                conditions.parameters,
            )
        return sorted(row[0] for row in self._store.select(sql.text, sql.parameters).rows)

    def first_seen(self, q: Question) -> str | None:
        """The time of the first event that the filters let through, whatever the window; None when there never was one.

        On the first day of which the rollup has any; where raw rows of that day are gone, or it does not have the tags, of all raw rows.
        """
        conditions = Conditions(q)
        if not self.needs_raw(q, every_tag=False):
            where = conditions.where(Span("days", 0, windows.ALL_TIME.end))
            sql = f"SELECT toUnixTimestamp(min(r.day)) FROM usage_days AS r WHERE {where}"
            day = int(self._store.select(sql, conditions.parameters).rows[0][0]) * 1_000_000
            if first := self._first(conditions, Span("raw", day, day + windows.DAY)):
                return first
        return self._first(conditions, Span("raw", 0, windows.ALL_TIME.end))

    def _first(self, conditions: Conditions, within: Span) -> str | None:
        sql = f"SELECT count(), min(ts) FROM events AS e WHERE {conditions.where(within)}"
        count, first = self._store.select(sql, conditions.parameters).rows[0]
        return shapes.time(first) if count else None

    # --- traces

    def traces_of(self, q: Question, total: Measured) -> int:
        """Traces of a total."""
        if (distinct := self.distinct(q, [])) is not None:
            return distinct.get((), 0)
        return marked(q, total)

    def traces_within(self, q: Question) -> int:
        """Distinct traces with a matching event, wherever they began: from raw rows."""
        sql = distinct_traces(q, [])
        rows = self._store.select(sql.text, sql.parameters).rows
        return int(rows[0][-1]) if rows else 0

    def distinct(self, q: Question, keys: Sequence[Key], extra: Answer | None = None, group: str = "") -> Traces | None:
        """Distinct traces with a matching event, by key, where traces are counted so; else None.

        They are under filters of provider, model, agent or status, by these, and for several users asked for together.
        """
        users = [f for f in q.filters if f.field == "user_id" and not f.exclude]
        several = group != "user" and any(len(f.values) > 1 for f in users)
        if not several and group not in _SPLITTING and not any(f.field in _SPLITTING for f in q.filters):
            return None
        sql = distinct_traces(q, keys)
        rows = self._store.select(sql.text, sql.parameters | (extra or {})).rows
        return {row[:-1]: int(row[-1]) for row in rows}


def _total(pieces: Sequence[pa.Table]) -> Measured:
    return Measured.total([m for _, m in sums.rows(pa.concat_tables(pieces), [])])


def _plan(parts: Sequence[Span], *, kept: bool) -> str:
    return name_of([*([Span("kept", 0, 0)] if kept else []), *parts])


def marked(q: Question, m: Measured, group: str = "") -> int:
    """Traces whose first event is among these; of one user, those whose first event of that user is."""
    one_user = group == "user" or any(f.field == "user_id" and not f.exclude for f in q.filters)
    return int(m["user_traces"] if one_user else m["traces"])
