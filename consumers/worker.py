"""Log -> tables: the worker loop. One poll thread commits and decides; jobs in a small pool make rows and insert.

Read `Worker.step` first: read, collect what jobs finished, plan, one commit for all, start jobs.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event as Flag

import structlog
import xxhash

from consumers.batch import Made, make, remember
from consumers.doubt import Doubt, ServerClock, ask_server, by_column, hours_of, mark_doubtful, wait_for_running
from consumers.history import History
from consumers.intents import Intent, Versions, read_note
from consumers.lane import InDoubt, Lane, Outcome, Rebuilt, Stored
from consumers.progress import Beside
from pipeline import limits
from pipeline.budgets import read_budget
from pipeline.errors import LogError, LogLost, Poisoned, StoreError
from pipeline.log import Entry, LogReader, Position
from pipeline.process import ROW_VERSION, Context, decode_all, set_aside
from pipeline.row import DeadLetter, Row
from pipeline.store import TOO_MANY_PARTS_CODE, Store

_say = structlog.get_logger()

Observe = Callable[[Stored], None]


class Worker:
    """One member of the group. `observe` is told of every stored batch."""

    def __init__(
        self,
        log: LogReader,
        store: Store,
        context: Context,
        *,
        observe: Observe = lambda _: None,
        session_seconds: float = limits.SESSION_SECONDS,
        dead_letter_ratio: float = limits.DEAD_LETTER_RATIO,
        jobs: int = 2,
    ) -> None:
        self._log = log
        self._store = store
        self._context = context
        self._history = History(store, log.log_id)
        self._observe = observe
        self._session_seconds = session_seconds
        self._dead_letter_ratio = dead_letter_ratio
        self._lanes: dict[int, Lane] = {}
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="insert")
        self._beside = Beside(store, log)
        self._stopping = Flag()
        self._paused: set[int] = set()
        self._last_commit = time.monotonic()
        self._recent_dead = 0
        self._recent_records = 0
        log.on_change(self._assigned, self._revoked, self._lost)

    # --- the loop

    def run(self) -> None:
        """Work until `stop`; then finish what is planned and leave the group."""
        try:
            while not self._stopping.is_set():
                self.step()
            self._drain()
        finally:
            # Leave first: what still runs is in doubt, and the next owner need not wait for it.
            self._log.leave()
            for lane in self._lanes.values():
                lane.abandoned = True
            self._stopping.set()
            self._pool.shutdown(wait=True)
            self._beside.close()

    def stop(self) -> None:
        """Ask the loop to end; safe from signals and other threads."""
        self._stopping.set()

    def step(self, *, draining: bool = False) -> None:
        """One turn: read, collect, plan, commit once, start."""
        busy = any(lane.job is not None for lane in self._lanes.values())
        for entry in self._log.read(limits.BATCH_ROWS, 0.005 if busy or draining else 0.05):
            lane = self._lanes.get(entry.partition)
            if lane is not None and entry.offset >= lane.position:
                lane.put(entry)
        self._hold_back()
        for lane in list(self._lanes.values()):
            self._collect(lane)
        planned = self._plan(draining)
        if self._commit(planned):
            for lane in planned:
                lane.deadline = self._deadline()
                lane.job = self._pool.submit(self._guard, lane, lane.deadline)
        self._beside.report(self._lanes.values())

    def _drain(self) -> None:
        deadline = time.monotonic() + limits.SHUTDOWN_SECONDS
        self._log.pause(self._lanes.keys())
        while time.monotonic() < deadline:
            self.step(draining=True)
            lanes = self._lanes.values()
            if not any(lane.job or lane.intent or lane.uncommitted or (lane.windows and lane.buffer) for lane in lanes):
                return

    def _hold_back(self) -> None:
        """Pause partitions whose buffer is full; poll on, so that the group keeps this member."""
        lanes = max(1, len(self._lanes))
        share = max(limits.BATCH_ROWS * 2, limits.BUFFER_RECORDS // lanes)
        size = limits.BUFFER_BYTES // lanes
        full = {p for p, lane in self._lanes.items() if len(lane.buffer) >= share or lane.buffered_bytes >= size}
        if full - self._paused:
            self._log.pause(full - self._paused)
        roomy = {
            p
            for p in self._paused - full
            if p in self._lanes
            and len(self._lanes[p].buffer) < share // 2
            and self._lanes[p].buffered_bytes < max(1, size // 2)
        }
        if roomy:
            self._log.resume(roomy)
        self._paused = (self._paused | full) - roomy

    # --- partitions come and go (called inside read)

    def _assigned(self, positions: dict[int, Position]) -> None:
        for partition, position in positions.items():
            lane = Lane(partition, position.offset, inherited=read_note(position.note))
            self._lanes[partition] = lane
            lane.job = self._pool.submit(self._rebuild, lane)
        _say.info("partitions_assigned", partitions=sorted(positions))

    def _revoked(self, partitions: set[int]) -> None:
        """Commit what is finished; abandon the rest: its intent stays for the new owner.

        The new owner may be at work as soon as this returns, so nothing may be sent after it: a job that is past its last look at
        `abandoned` is waited for, until its own deadline, which the guard of its statements holds it to.
        """
        finished: dict[int, Position] = {}
        lanes = [lane for partition in partitions if (lane := self._lanes.get(partition)) is not None]
        for lane in lanes:
            lane.abandoned = True
        for lane in lanes:
            if lane.job is not None and lane.intent is not None:
                wait([lane.job], max(0.0, lane.deadline - time.monotonic()))
        for lane in lanes:
            partition = lane.partition
            self._collect(lane)
            if lane.uncommitted and lane.intent is None:
                finished[partition] = Position(lane.position, "")
        if finished:
            try:
                self._log.commit(finished)
            except LogError as error:
                _say.warning("commit_on_revoke_failed", detail=error.detail)
        self._lost(partitions)

    def _lost(self, partitions: set[int]) -> None:
        for partition in partitions:
            lane = self._lanes.pop(partition, None)
            if lane is not None:
                lane.abandoned = True
        self._paused -= partitions
        _say.info("partitions_left", partitions=sorted(partitions))

    # --- plan and commit (poll thread)

    def _collect(self, lane: Lane) -> None:
        """Take the outcome of a finished job into the lane."""
        if lane.job is None or not lane.job.done():
            return
        outcome, lane.job = lane.job.result(), None
        if outcome is None:
            return
        if isinstance(outcome, Rebuilt):
            lane.windows = outcome.windows
        elif isinstance(outcome, Stored):
            lane.position, lane.intent, lane.inherited, lane.settling = outcome.end, None, None, None
            lane.entries = ()
            lane.uncommitted = True
            lane.complete_through = max(lane.complete_through, outcome.received)
            self._observe(outcome)
            self._count_dead(outcome)
        else:
            assert lane.intent is not None
            lane.intent = lane.intent._replace(attempt=outcome.attempt)
            lane.not_before = time.monotonic() + outcome.wait

    def _count_dead(self, outcome: Stored) -> None:
        """Raises Poisoned when most of the last records could not be processed."""
        dead = sum(outcome.dead.values())
        self._recent_dead += dead
        self._recent_records += outcome.rows + dead + outcome.duplicates
        if self._recent_records >= limits.DEAD_LETTER_SAMPLE:
            dead, records = self._recent_dead, self._recent_records
            self._recent_dead = self._recent_records = 0
            if dead > self._dead_letter_ratio * records:
                raise Poisoned(
                    f"{dead} of the last {records} records cannot be processed: stopped, lest all are set aside"
                )

    def _plan(self, draining: bool) -> list[Lane]:
        """Lanes whose next job may start once their intent is committed."""
        now = time.monotonic()
        budget = self._beside.budget()
        if budget is not None and budget.version > self._context.budget.version:
            self._context = self._context._replace(budget=budget)
        planned = []
        for lane in self._lanes.values():
            if lane.windows is None or lane.job is not None or now < lane.not_before:
                continue
            if lane.intent is not None:  # in doubt: the next attempt
                planned.append(lane)
            elif lane.inherited is not None:
                if self._take_inherited(lane):
                    planned.append(lane)
            elif lane.due(now, draining) and (server := self._beside.clock()) is not None:
                lane.entries = lane.take()
                lane.intent = self._intent(lane.entries, server)
                planned.append(lane)
        return planned

    def _take_inherited(self, lane: Lane) -> bool:
        """Whether the range of a former owner's intent has been read again and can be settled."""
        inherited = lane.inherited
        assert inherited is not None
        if not self._log.replays:
            # Rows of the range that never landed were never acknowledged; those that did may lack their rollups.
            try:
                mark_doubtful(self._store, inherited.hours, self._token(lane, inherited.end, ()), "restart")
            except StoreError:
                return False
            lane.inherited, lane.uncommitted = None, True
            return False
        low, high = self._log.watermarks(lane.partition)
        if low > lane.position or high < inherited.end:
            raise LogLost(f"partition {lane.partition}: the log no longer holds a range in doubt")
        if inherited.end <= lane.position:
            lane.inherited = None
            return False
        taken = lane.take_until(inherited.end)
        if taken is None:
            return False
        lane.entries = taken
        lane.intent = inherited._replace(attempt=inherited.attempt + 1)
        return True

    def _intent(self, entries: Sequence[Entry], server: ServerClock) -> Intent:
        hours: tuple[int, ...] = ()
        if not self._log.replays:
            decoded, _ = decode_all(entries, self._log.log_id)
            hours = tuple(sorted({d.envelope.event.timestamp // 3_600_000_000 for d in decoded}))
        return Intent(entries[-1].offset + 1, self._versions(), server.start, server.now, 0, hours)

    def _context_of(self, versions: Versions) -> Context:
        """The context that an intent names, as far as it can be had: a former owner may have known other versions."""
        now = self._context
        if versions.budgets == now.budget.version:
            return now
        budget = read_budget(self._store, versions.budgets)
        return now if budget is None else now._replace(budget=budget)

    def _versions(self, context: Context | None = None) -> Versions:
        c = context or self._context
        return Versions(c.prices.version, c.rules_version, c.budget.version, c.tombstones, ROW_VERSION)

    def _commit(self, planned: Sequence[Lane]) -> bool:
        """One commit of every lane that moved or is about to insert. False when this worker is no longer a member."""
        positions = {
            lane.partition: Position(lane.position, lane.intent.note() if lane.intent else "")
            for lane in self._lanes.values()
            if lane.inherited is None or lane.intent is not None
            if lane.uncommitted or lane in planned
        }
        if not positions:
            return True
        started = time.monotonic()
        try:
            self._log.commit(positions)
        except LogError as error:
            # Neither taken nor refused for sure, or sent while a rebalance was under way: nothing may start. The next
            # read's callbacks say which partitions are still ours, and for those the same is tried again.
            _say.warning("commit_failed", code=error.code, detail=error.detail)
            time.sleep(0.05)
            for lane in planned:
                self._unplan(lane)
            return False
        self._last_commit = started  # the group's clock began no earlier
        for partition in positions:
            self._lanes[partition].uncommitted = False
        return True

    def _unplan(self, lane: Lane) -> None:
        """Back to before the plan, when its intent could not be committed; an attempt's number stays for the next try."""
        if lane.settling is None and lane.inherited is None and lane.intent is not None and lane.intent.attempt == 0:
            lane.buffer.extendleft(reversed(lane.entries))
            lane.buffered_bytes += sum(len(entry.value) for entry in lane.entries)
            lane.intent, lane.entries = None, ()

    def _deadline(self) -> float:
        """Monotonic time before which an insert must start, so that no new owner can be at work yet."""
        return self._last_commit + self._session_seconds * 0.8

    # --- jobs (pool threads)

    def _rebuild(self, lane: Lane) -> Outcome:
        while not lane.abandoned and not self._stopping.is_set():
            try:
                return Rebuilt(self._history.rebuild(lane.partition, lane.position))
            except StoreError as error:
                _say.warning("store_unavailable", doing="rebuild", detail=error.detail)
                time.sleep(1.0)
        return None

    def _guard(self, lane: Lane, deadline: float) -> Outcome:
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
        return make(lane.entries, self._log.log_id, context, lane.windows, self._history, lane.position)

    def _first(self, lane: Lane, deadline: float) -> Outcome:
        assert lane.intent is not None
        assert lane.windows is not None
        made = self._make(lane)
        token = self._token(lane, lane.intent.end, lane.entries)
        lane.settling = _Settling(made, token)
        self._store_dead(made.dead, token)
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
            lane.settling = _Settling(self._make(lane), self._token(lane, intent.end, lane.entries))
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
                intent.versions == self._versions(self._context_of(intent.versions)),
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
        remember(made.stamps, windows, {letter.log_offset for letter in doubt.refused})
        return _stored(intent.end, made, doubt.refused)

    def _refused(self, lane: Lane, offset: int, detail: str) -> DeadLetter:
        entry = next(e for e in lane.entries if e.offset == offset)
        decoded, _ = decode_all([entry], self._log.log_id)
        return set_aside(decoded[0], self._log.log_id, "refused_by_store", detail)

    def _store_dead(self, dead: Sequence[DeadLetter], token: str) -> None:
        if dead:
            self._store.insert("dead_letters", DeadLetter._fields, by_column(dead), token=f"{token}:dead")

    def _prefix(self, partition: int) -> str:
        return f"{self._log.log_id}:{partition}:"

    def _token(self, lane: Lane, end: int, entries: Sequence[Entry]) -> str:
        digest = xxhash.xxh64()
        for entry in entries:
            digest.update(entry.value)
        return f"{self._prefix(lane.partition)}{lane.position}:{end}:{digest.hexdigest()}"


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
