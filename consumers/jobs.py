"""The work of one lane at a time, in a pool thread: rebuild its windows, insert its batch, settle an insert in doubt.

What may run, and when, is decided by the poll thread alone: see consumers.worker.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from threading import Event as Flag

import structlog
import xxhash

from consumers.batch import Made, make, remember
from consumers.doubt import Doubt, ask_server, by_column, hours_of, mark_doubtful, wait_for_running
from consumers.history import History
from consumers.intents import Versions
from consumers.lane import InDoubt, Lane, Outcome, Rebuilt, Stored
from pipeline import limits
from pipeline.budgets import read_budget
from pipeline.errors import StoreError
from pipeline.log import Entry
from pipeline.process import ROW_VERSION, Context, decode_all, set_aside
from pipeline.row import DeadLetter, Row, SenderDrop
from pipeline.store import TOO_MANY_PARTS_CODE, Store

_say = structlog.get_logger()


class Jobs:
    """What a worker's lanes have done for them. `context` is the newest; the poll thread replaces it, batches name theirs."""

    def __init__(self, store: Store, log_id: str, context: Context, stopping: Flag) -> None:
        self._store = store
        self._log_id = log_id
        self._history = History(store, log_id)
        self._stopping = stopping
        self.context = context

    def rebuild(self, lane: Lane) -> Outcome:
        """The windows as they stood at the lane's position."""
        while not lane.abandoned and not self._stopping.is_set():
            try:
                return Rebuilt(self._history.rebuild(lane.partition, lane.position))
            except StoreError as error:
                _say.warning("store_unavailable", doing="rebuild", detail=error.detail)
                time.sleep(1.0)
        return None

    def run(self, lane: Lane, deadline: float) -> Outcome:
        """Never an exception for trouble with the store: the lane waits and tries again, nothing is skipped."""
        assert lane.intent is not None
        try:
            if lane.intent.attempt == 0:
                return self._first(lane, deadline)
            return self._settle(lane, deadline)
        except StoreError as error:
            _say.warning("insert_in_doubt", partition=lane.partition, attempt=lane.intent.attempt, detail=error.detail)
            wait = min(5.0, 0.1 * 2 ** min(lane.intent.attempt, 6))
            if error.store_code == TOO_MANY_PARTS_CODE:
                wait = limits.TOO_MANY_PARTS_SECONDS
            return InDoubt(lane.intent.attempt + 1, wait)

    def _make(self, lane: Lane) -> Made:
        assert lane.windows is not None
        assert lane.intent is not None
        context = self._context_of(lane.intent.versions)
        return make(lane.entries, self._log_id, context, lane.windows, self._history, lane.position)

    def _first(self, lane: Lane, deadline: float) -> Outcome:
        assert lane.intent is not None
        assert lane.windows is not None
        made = self._make(lane)
        token = self.token(lane, lane.intent.end, lane.entries)
        lane.settling = _Settling(made, token)
        self._store_dead(made.dead, token)
        self._store_drops(made.drops, token)
        if lane.abandoned or time.monotonic() > deadline:
            return InDoubt(1, 0.0)
        if len(made.rows):
            self._store.insert(
                "events",
                Row._fields,
                made.rows.columns,
                token=token,
                deadline=limits.INSERT_SECONDS,
                not_after=deadline,
            )
        remember(made.stamps, lane.windows)
        return _stored(lane.intent.end, made)

    def _settle(self, lane: Lane, deadline: float) -> Outcome:
        """The rules for an insert in doubt; see consumers.doubt."""
        intent, windows = lane.intent, lane.windows
        assert intent is not None
        assert windows is not None
        if not isinstance(lane.settling, _Settling):
            lane.settling = _Settling(self._make(lane), self.token(lane, intent.end, lane.entries))
        state = lane.settling
        made = state.made
        if state.doubt is None:
            state.doubt = Doubt(
                self._store, self._history, lane.partition, lane.position, intent.end, state.token, made.rows,
                lambda offset, detail: self._refused(lane, offset, detail),
            )  # fmt: skip
        doubt = state.doubt
        wait_for_running(self._store, self._prefix(lane.partition), seconds=limits.INSERT_SECONDS)
        if lane.abandoned or time.monotonic() > deadline:
            return InDoubt(intent.attempt + 1, 0.0)
        if not state.retried:
            state.retried = True
            doubt.retry_under_token(
                intent._replace(attempt=intent.attempt - 1),
                intent.versions == self.versions(self._context_of(intent.versions)),
                not_after=deadline,
            )
        missing = doubt.missing()
        if missing:
            if lane.abandoned or time.monotonic() > deadline:
                return InDoubt(intent.attempt + 1, 0.0)
            server = ask_server(self._store).micros / 1e6  # asked first: a pause in between brings the end nearer
            doubt.insert_missing(missing, intent.attempt, server + deadline - time.monotonic())
            return InDoubt(intent.attempt + 1, 0.0)
        # Also where the token was trusted: an audit may have repaired what the retry's views have now added.
        mark_doubtful(self._store, hours_of(made.rows), f"{state.token}#{intent.attempt}", "insert in doubt")
        self._store_dead([*made.dead, *doubt.refused], f"{state.token}#{intent.attempt}")
        self._store_drops(made.drops, state.token)
        remember(made.stamps, windows, {letter.log_offset for letter in doubt.refused})
        return _stored(intent.end, made, doubt.refused)

    def _refused(self, lane: Lane, offset: int, detail: str) -> DeadLetter:
        entry = next(e for e in lane.entries if e.offset == offset)
        (decoded,) = decode_all([entry], self._log_id).events
        return set_aside(decoded, self._log_id, "refused_by_store", detail)

    def _store_dead(self, dead: Sequence[DeadLetter], token: str) -> None:
        if dead:
            self._store.insert("dead_letters", DeadLetter._fields, by_column(dead), token=f"{token}:dead")

    def _store_drops(self, drops: Sequence[SenderDrop], token: str) -> None:
        """Once for each place in the log, however often: the table keeps one."""
        if drops:
            self._store.insert("sender_drops", SenderDrop._fields, by_column(drops), token=f"{token}:drops")

    def _prefix(self, partition: int) -> str:
        return f"{self._log_id}:{partition}:"

    def token(self, lane: Lane, end: int, entries: Sequence[Entry]) -> str:
        """Of the range from the lane's position to `end`, with these bytes."""
        digest = xxhash.xxh64()
        for entry in entries:
            digest.update(entry.value)
        return f"{self._prefix(lane.partition)}{lane.position}:{end}:{digest.hexdigest()}"

    def _context_of(self, versions: Versions) -> Context:
        """The context that an intent names, as far as it can be had: a former owner may have known other versions."""
        now = self.context
        if versions.budgets == now.budget.version:
            return now
        budget = read_budget(self._store, versions.budgets)
        return now if budget is None else now._replace(budget=budget)

    def versions(self, context: Context | None = None) -> Versions:
        """Of a context; of the newest without one."""
        c = context or self.context
        return Versions(c.prices.version, c.rules_version, c.budget.version, c.tombstones, ROW_VERSION)


class _Settling:
    """What is kept of a batch between the attempts to settle it."""

    def __init__(self, made: Made, token: str) -> None:
        self.made = made
        self.token = token
        self.doubt: Doubt | None = None
        self.retried = False


def _stored(end: int, made: Made, refused: Sequence[DeadLetter] = ()) -> Stored:
    dead = Counter(letter.reason for letter in (*made.dead, *refused))
    return Stored(end, len(made.rows) - len(refused), dead, made.duplicates, made.first_received, made.received)
