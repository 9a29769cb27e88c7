"""Log -> tables: the worker loop. One poll thread commits and decides; jobs in a small pool make rows and insert (consumers.jobs).

Read `Worker.step` first: read, collect what jobs finished, plan, one commit for all, start jobs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event as Flag

import structlog

from consumers.doubt import ServerClock, mark_doubtful
from consumers.intents import Intent, read_note
from consumers.jobs import Jobs
from consumers.lane import Lane, Rebuilt, Stored
from consumers.progress import Beside
from pipeline import limits
from pipeline.errors import LogError, LogLost, Poisoned, StoreError
from pipeline.log import Entry, LogReader, Position
from pipeline.process import Context, decode_all
from pipeline.store import Store

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
        self._observe = observe
        self._session_seconds = session_seconds
        self._dead_letter_ratio = dead_letter_ratio
        self._lanes: dict[int, Lane] = {}
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="insert")
        self._most_at_work = jobs + 1  # one more than run, so that none of them waits for a commit
        self._beside = Beside(store, log)
        self._stopping = Flag()
        self._jobs = Jobs(store, log.log_id, context, self._stopping)
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
                lane.job = self._pool.submit(self._jobs.run, lane, lane.deadline)
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
            lane.job = self._pool.submit(self._jobs.rebuild, lane)
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
        """Lanes whose next job may start once their intent is committed.

        New batches only as jobs can take them, the longest waiting first: one that is planned early holds its records in memory,
        stays smaller than it could be, and is one more in doubt after a crash.
        """
        now = time.monotonic()
        budget = self._beside.budget()
        if budget is not None and budget.version > self._jobs.context.budget.version:
            self._jobs.context = self._jobs.context._replace(budget=budget)
        planned: list[Lane] = []
        due: list[Lane] = []
        for lane in self._lanes.values():
            if lane.windows is None or lane.job is not None or now < lane.not_before:
                continue
            if lane.intent is not None:  # in doubt: the next attempt
                planned.append(lane)
            elif lane.inherited is not None:
                if self._take_inherited(lane):
                    planned.append(lane)
            elif lane.due(now, draining):
                due.append(lane)
        room = self._most_at_work - len(planned) - sum(lane.job is not None for lane in self._lanes.values())
        if room > 0 and due and (server := self._beside.clock()) is not None:
            due.sort(key=lambda lane: lane.waiting_since)
            for lane in due[:room]:
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
                mark_doubtful(self._store, inherited.hours, self._jobs.token(lane, inherited.end, ()), "restart")
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
            decoded = decode_all(entries, self._log.log_id).events
            hours = tuple(sorted({d.envelope.event.timestamp // 3_600_000_000 for d in decoded}))
        return Intent(entries[-1].offset + 1, self._jobs.versions(), server.start, server.now, 0, hours)

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
