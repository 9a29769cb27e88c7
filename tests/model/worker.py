"""A worker's process: a poll thread that commits and decides, jobs that make rows and insert. As consumers/worker.py.

Threads are generators; wherever one yields, any other actor may go first, or the whole process may sleep.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from consumers.doubt import ServerClock, trusted
from consumers.intents import Intent, Versions, read_note
from pipeline import limits
from pipeline.log import Position
from tests.model.auditor import Auditor
from tests.model.coordinator import SESSION_SECONDS, Client, LogError, Record
from tests.model.store import Query, Row, StoreError, Token

if TYPE_CHECKING:
    from tests.model.world import World

HASHES = 5  # so few that identities collide
Steps = Generator[Query | None, None, None]  # it yields the statement that it waits for


class Made(NamedTuple):
    """What a range of the log becomes."""

    rows: list[Row]
    records: list[Record]  # of the rows


class Windows:
    """Hashes of identities with the time of their receipt; traces that have begun."""

    def __init__(self) -> None:
        self.identities: dict[int, int] = {}
        self.traces: set[int] = set()

    def add(self, identity: int, trace: int, received: int) -> None:
        """Remember a stored row."""
        key = identity % HASHES
        self.identities[key] = max(received, self.identities.get(key, received))
        self.traces.add(trace)

    def hit(self, record: Record) -> bool:
        """Whether the identity may have been received within the window."""
        received = self.identities.get(record.identity % HASHES)
        return received is not None and received >= record.received - limits.DEDUPE_WINDOW_SECONDS


class Stored(NamedTuple):
    """The range is in the tables."""

    end: int


class InDoubt(NamedTuple):
    """Commit an intent with this attempt, then settle."""

    attempt: int


class Rebuilt(NamedTuple):
    """The windows as they stood at the lane's position."""

    windows: Windows


Outcome = Stored | InDoubt | Rebuilt | None
Work = Generator[Query | None, None, Outcome]


class Job:
    """A thread of the pool."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._waits: Query | None = None
        self.done = False
        self.hangs = False
        self.outcome: Outcome = None

    @property
    def ready(self) -> bool:
        """Whether it can go on: not while it waits for an answer."""
        return not self.done and not self.hangs and (self._waits is None or self._waits.lost or not self._waits.running)

    def step(self) -> None:
        """On to its next stop."""
        try:
            self._waits = next(self._work)
        except StopIteration as end:
            self.done, self.outcome = True, end.value


class Lane:
    """One partition of a worker, from its assignment to its end."""

    def __init__(self, partition: int, position: Position) -> None:
        self.partition = partition
        self.position = position.offset
        self.inherited = read_note(position.note)
        self.windows: Windows | None = None
        self.intent: Intent | None = None
        self.records: Sequence[Record] = ()
        self.job: Job | None = None
        self.adopted: Job | None = None  # only where results of abandoned jobs are not dropped
        self.deadline = 0
        self.uncommitted = False
        self.abandoned = False
        self.made: Made | None = None
        self.retried = self.trusted = self.inserted = False
        self.unanswered: Query | None = None
        self.pieces: list[list[int]] = []  # offsets, when the missing rows go in parts
        self.refused: set[int] = set()
        self.unmarked: set[int] = set()  # only where marks come after the commit

    def unplan(self) -> None:
        """Back to before the plan, when its intent could not be committed and nothing was tried under it."""
        if self.made is None and self.inherited is None and self.intent is not None and self.intent.attempt == 0:
            self.intent, self.records = None, ()

    def forget_batch(self, end: int) -> None:
        """The batch is stored."""
        self.position, self.uncommitted = end, True
        self.intent, self.inherited, self.made, self.records = None, None, None, ()
        self.retried = self.trusted = self.inserted = False
        self.pieces, self.refused = [], set()


class Process:
    """A worker and the auditor beside it. Killed, it leaves nothing but what it had sent."""

    def __init__(self, world: World, number: int, version: int, clock_offset: int) -> None:
        self._world = world
        self._c = world.conditions
        self.number = number
        self.version = version
        self._clock_offset = clock_offset  # of this machine's clock
        self.frozen = False
        self.leaving = False
        self.commit_fault = ""
        self.naps_in: int | None = None  # steps of its jobs until it falls asleep
        self.naps_for = 0
        self.client = Client()
        self.lanes: dict[int, Lane] = {}
        self.left: list[Lane] = []  # given back or lost; their jobs end by themselves
        self.jobs: list[tuple[Lane, Job]] = []
        self._last_commit = 0
        self._at_rest = False  # nothing was planned or committed in this turn
        self._thread = self._loop()
        self.auditor = Auditor(world, number)

    # --- the poll thread

    def poll(self) -> None:
        """Its next step."""
        next(self._thread)

    def background(self) -> None:
        """A step of the client library's thread."""
        self._world.group.background(self.client)

    @property
    def idle(self) -> bool:
        """Whether the poll thread would find nothing to do."""
        if not self._at_rest or self.client.callbacks or self.leaving:
            return False
        if any(lane.job is not None and lane.job.done for lane in self.lanes.values()):
            return False
        return not any(self._can_plan(lane) for lane in self.lanes.values())

    def _can_plan(self, lane: Lane) -> bool:
        if lane.windows is None or lane.job is not None:
            return False
        if lane.intent is not None or lane.inherited is not None:
            return True
        return self._world.server.up and self._world.group.next_offset[lane.partition] > lane.position

    def _loop(self) -> Steps:
        while True:
            while self.client.next_callback() is not None:
                yield from self._serve()
            if self.leaving:
                yield from self._leave()
            self._collect()
            planned = self._plan()
            yield
            acknowledged = yield from self._commit(planned)
            if acknowledged or not self._c.commit_acknowledged:
                for lane in planned:
                    lane.deadline = self._last_commit + SESSION_SECONDS * 4 // 5
                    self._submit(lane, self._guard(lane))
            self._at_rest = not planned and not any(lane.uncommitted for lane in self.lanes.values())
            yield
            self._at_rest = False

    def _submit(self, lane: Lane, work: Work) -> None:
        lane.job = Job(work)
        self.jobs.append((lane, lane.job))

    def _serve(self) -> Steps:
        kind, partitions = self.client.callbacks[0]
        if kind == "assigned":
            for partition in sorted(partitions):
                self._assign(partition)
            self._world.group.served(self.client)
            yield
            return
        if kind == "revoked":
            yield from self._revoked(partitions)
        self._let_go(partitions)
        yield
        if self.client.next_callback() == (kind, partitions):  # or the membership ended meanwhile
            self._world.group.served(self.client)

    def _assign(self, partition: int) -> None:
        lane = Lane(partition, self._world.group.committed[partition])
        if not self._c.inherited_settled:
            lane.inherited = None
        if lane.inherited is not None:
            self._world.hit("an intent was inherited")
        if not self._c.results_dropped:
            lane.adopted = next((job for old, job in self.jobs if old.partition == partition), None)
        self.lanes[partition] = lane
        self._submit(lane, self._rebuild(lane))

    def _revoked(self, partitions: set[int]) -> Steps:
        """Commit what is finished; the intent of the rest stays for the new owner."""
        lanes = [self.lanes[p] for p in sorted(partitions) if p in self.lanes]
        for lane in lanes:
            if lane.job is not None and not lane.job.done:
                self._world.hit("a partition revoked while its job ran")
            while (
                self._c.revocation_waits
                and lane.intent is not None
                and lane.job is not None
                and not lane.job.done
                and self._world.now <= lane.deadline
            ):
                yield
        self._collect()
        finished = {
            lane.partition: Position(lane.position, "") for lane in lanes if lane.uncommitted and lane.intent is None
        }
        if finished:
            yield
            yield from self._send(finished)

    def _let_go(self, partitions: set[int]) -> None:
        for partition in partitions:
            lane = self.lanes.pop(partition, None)
            if lane is not None:
                lane.abandoned = True
                if not self._c.only_assigned:
                    self.left.append(lane)

    def _leave(self) -> Steps:
        """Out of the group; what was sent still runs. Another member joins in its place."""
        yield from self._revoked(set(self.lanes))
        self._let_go(set(self.lanes))
        self._world.group.remove(self.client.member)
        self.client, self.leaving = Client(), False
        yield

    def _collect(self) -> None:
        self.jobs = [(lane, job) for lane, job in self.jobs if not job.done]
        lanes = list(self.lanes.values())
        for lane in lanes if self._c.only_assigned else [*self.left, *lanes]:
            if lane.adopted is not None and lane.adopted.done:
                outcome, lane.adopted = lane.adopted.outcome, None
                if isinstance(outcome, Stored):
                    lane.forget_batch(outcome.end)
            if lane.job is not None and lane.job.done:
                outcome, lane.job = lane.job.outcome, None
                self._take(lane, outcome)

    def _take(self, lane: Lane, outcome: Outcome) -> None:
        if isinstance(outcome, Rebuilt):
            lane.windows = outcome.windows
        elif isinstance(outcome, Stored):
            lane.forget_batch(outcome.end)
        elif isinstance(outcome, InDoubt) and lane.intent is not None:
            attempt = outcome.attempt if self._c.new_n else 1
            lane.intent = lane.intent._replace(attempt=attempt)

    def _plan(self) -> list[Lane]:
        """Lanes whose next job may start once their intent is committed."""
        return [
            lane for lane in self.lanes.values() if lane.windows is not None and lane.job is None and self._due(lane)
        ]

    def _due(self, lane: Lane) -> bool:
        if lane.intent is not None:
            return True
        group, partition = self._world.group, lane.partition
        if lane.inherited is not None:
            end = lane.inherited.end
            if not self._c.exact_range:
                end = group.next_offset[partition]
            lane.records = group.read(partition, lane.position, end)
            lane.intent = lane.inherited._replace(end=end, attempt=lane.inherited.attempt + 1)
            return True
        waiting = group.read(partition, lane.position, group.next_offset[partition])
        if not waiting or not self._world.server.up:
            return False
        lane.records = waiting[: 1 + self._world.dice % 4]
        server = self._world.server.clock()
        lane.intent = Intent(lane.records[-1].offset + 1, self._versions(), server.start, server.now)
        return True

    def _versions(self) -> Versions:
        return Versions("p", 0, 0, 0, self.version)

    def _commit(self, planned: Sequence[Lane]) -> Generator[Query | None, None, bool]:
        lanes = [*(self.left if not self._c.only_assigned else ()), *self.lanes.values()]
        positions = {
            lane.partition: Position(lane.position, self._note(lane))
            for lane in lanes
            if lane.inherited is None or lane.intent is not None
            if lane.uncommitted or lane in planned
        }
        if not self._c.intent_first:
            positions = {p: position._replace(note="") for p, position in positions.items()}
        if not positions:
            return True
        started = self._world.now
        taken = yield from self._send(positions)
        if not taken:
            if self._c.commit_acknowledged:
                for lane in planned:
                    lane.unplan()
            return False
        self._last_commit = started
        for lane in lanes:
            if lane.partition in positions:
                lane.uncommitted = False
                if lane.unmarked:
                    yield
                    self._world.server.mark(lane.unmarked)
                    lane.unmarked = set()
        return True

    def _note(self, lane: Lane) -> str:
        if lane.intent is None:
            return ""
        return (lane.intent if self._c.n_first else lane.intent._replace(attempt=0)).note()

    def _send(self, positions: dict[int, Position]) -> Generator[Query | None, None, bool]:
        """One synchronous commit; False when it was not acknowledged."""
        fault, self.commit_fault = self.commit_fault, ""
        try:
            if fault == "refused":
                raise LogError("not taken")
            self._world.group.commit(self.client, positions)
            yield
            if fault:
                self._world.hit("a commit taken without an answer")
                raise LogError("no answer")
        except LogError:
            return False
        return True

    # --- jobs

    def _rebuild(self, lane: Lane) -> Work:
        server = self._world.server
        while not lane.abandoned:
            yield
            if not server.up:
                continue
            windows = Windows()
            for row in server.rows.values() if self._c.rebuilt else ():
                if row.partition == lane.partition and (row.offset < lane.position or not self._c.rebuilt_before):
                    windows.add(row.identity, row.trace, row.received)
            return Rebuilt(windows)
        return None

    def _guard(self, lane: Lane) -> Work:
        assert lane.intent is not None
        attempt = lane.intent.attempt
        try:
            return (yield from (self._settle(lane, lane.intent) if attempt else self._first(lane, lane.intent)))
        except StoreError:
            self._world.hit("an insert in doubt")
            return InDoubt(attempt + 1)

    def _make(self, lane: Lane) -> Made:
        """Rows of the range: a function of the records, the version, and the stored rows before it."""
        assert lane.windows is not None
        windows, server = lane.windows, self._world.server
        suspects = {r.identity for r in lane.records if self._suspect(windows, r)}
        seen = suspects
        if self._c.full_compare:
            before = lane.position if self._c.looked_up_before else None
            seen = server.stored(lane.partition, suspects, before)
        seen = set(seen)
        begun: set[int] = set()
        made = Made([], [])
        for r in lane.records:
            if r.identity in seen:
                self._world.hit("a repeat was dropped")
                continue
            seen.add(r.identity)
            start = int(r.trace not in windows.traces and r.trace not in begun)
            begun.add(r.trace)
            made.rows.append(
                Row(r.partition, r.offset, r.identity, r.trace, r.hour, r.received, self.version, start, r.refused)
            )
            made.records.append(r)
        if not self._c.windows_after:
            self._remember(lane, made)
        return made

    def _suspect(self, windows: Windows, record: Record) -> bool:
        late = self._c.late_lookup and record.minted < record.received - limits.LATE_MINT_SECONDS
        return late or windows.hit(record)

    def _remember(self, lane: Lane, made: Made) -> None:
        assert lane.windows is not None
        for record in made.records:
            if record.offset not in lane.refused or not self._c.windows_after:
                lane.windows.add(record.identity, record.trace, record.received)

    def _too_late(self, lane: Lane) -> bool:
        if lane.abandoned or self._world.now > lane.deadline:
            self._world.hit("a sleeper woke and did not send")
            return True
        return False

    def _first(self, lane: Lane, intent: Intent) -> Work:
        if self._c.first_deadline and not self._c.first_checked_last and self._too_late(lane):
            return InDoubt(1)
        lane.made = self._make(lane)
        yield
        if self._c.first_deadline and self._c.first_checked_last and self._too_late(lane):
            return InDoubt(1)
        yield from self._insert(lane, lane.made.rows, self._token(lane, intent.end, 0))
        yield
        self._remember(lane, lane.made)
        return Stored(intent.end)

    def _insert(self, lane: Lane, rows: Sequence[Row], token: Token) -> Steps:
        block = 0 if self._c.one_block else self.number + 1
        query = self._world.server.insert(lane.partition, rows, token, block)
        yield from self._answer(lane, query)
        if query.crashed and not self._c.sent_once:  # the driver sends it once more, and says nothing
            while not self._world.server.up:
                yield
            query = self._world.server.insert(lane.partition, rows, token, block)
            yield from self._answer(lane, query)
        if query.failed or query.lost:
            raise StoreError("no answer")

    def _answer(self, lane: Lane, query: Query) -> Steps:
        while query.running and not query.lost:
            yield query
        if query.running:
            self._world.hit("an insert outlived its answer")

    def _settle(self, lane: Lane, intent: Intent) -> Work:
        """The rules for an insert in doubt."""
        server, c = self._world.server, self._c
        if lane.made is None:
            lane.made = self._make(lane)
            yield
        while c.waits_for_running and server.runs(lane.partition):
            yield
        yield
        if self._too_late(lane):
            return InDoubt(intent.attempt + 1)
        if not lane.retried:
            lane.retried = True
            yield from self._retry(lane, intent)
            if not c.rows_are_evidence:
                return Stored(intent.end)
        present = server.present(lane.partition, lane.position, intent.end)
        missing = [row for row in lane.made.rows if row.offset not in present and row.offset not in lane.refused]
        yield
        if missing:
            if self._too_late(lane):
                return InDoubt(intent.attempt + 1)
            if not c.mark_last:
                self._mark(lane)
                yield
            lane.inserted = True
            yield from self._insert_missing(lane, intent, missing if c.only_missing else lane.made.rows)
            return InDoubt(intent.attempt + 1)
        if c.mark_last and (c.marked_when_trusted if lane.trusted and not lane.inserted else c.marked):
            self._world.hit("hours were marked")
            if c.mark_before_commit:
                self._mark(lane)
            else:
                lane.unmarked = {row.hour for row in lane.made.rows}
        yield
        server.reach()
        for record in lane.made.records:
            if record.offset in lane.refused:
                server.dead.add((lane.partition, record.offset))
        self._world.excuse(lane.made.rows, lane.refused)
        self._remember(lane, lane.made)
        return Stored(intent.end)

    def _mark(self, lane: Lane) -> None:
        assert lane.made is not None
        self._world.server.mark({row.hour for row in lane.made.rows})

    def _trusted(self, intent: Intent, at: ServerClock) -> bool:
        if not self._c.same_server:
            at = at._replace(start=intent.server_start)
        if not self._c.grown_server:
            at, intent = at._replace(start=at.start - 100), intent._replace(server_start=intent.server_start - 100)
        if not self._c.inside_window:
            at = at._replace(now=intent.server_time)
        return trusted(intent, at, at)

    def _retry(self, lane: Lane, intent: Intent) -> Steps:
        """The batch again under its token, when that is evidence."""
        server, c = self._world.server, self._c
        assert lane.made is not None
        blind = not c.rows_are_evidence
        if not lane.made.rows or (c.before_token_n and intent.attempt != 1 and not blind):
            return
        if c.same_versions and intent.versions != self._versions() and not blind:
            return
        before = server.clock()
        if not blind and not self._trusted(intent, before):
            self._world.hit("settled without trust")
            return
        left = lane.deadline - self._world.now
        yield
        if c.retry_ends and server.now() > before.now + left and not blind:
            self._world.hit("a retry had expired")
            return
        server.reach()
        if c.retry_names_server and server.clock().start != before.start and not blind:
            self._world.hit("a retry met another server")
            return
        try:
            yield from self._insert(lane, lane.made.rows, self._token(lane, intent.end, 0))
        except StoreError:
            if c.waits_again:
                raise
            return
        yield
        lane.trusted = self._trusted(intent, server.clock())
        self._world.hit("settled by a trusted token" if lane.trusted else "trust ended during the retry")

    def _insert_missing(self, lane: Lane, intent: Intent, missing: Sequence[Row]) -> Steps:
        """One guarded statement under token#n."""
        server, c = self._world.server, self._c
        left = lane.deadline - self._world.now
        yield
        now = server.now() if c.end_by_server else self._world.now + self._clock_offset
        server.reach()
        if c.end_after_answer:
            yield
            left = lane.deadline - self._world.now
        end = now + left if c.end_guard else None
        yield  # the rows go to a scratch table
        offsets = {row.offset for row in missing}
        pieces = [kept for piece in lane.pieces if (kept := [o for o in piece if o in offsets])] or [sorted(offsets)]
        piece, *rest = pieces
        rows = [row for row in missing if row.offset in piece]
        token = self._token(lane, intent.end, intent.attempt)
        try:
            held = server.rows if c.not_in_guard else {}
            query = server.insert_where(lane.partition, rows, token, end, lambda r: (r.partition, r.offset) not in held)
            yield from self._answer(lane, query)
            if query.failed or query.lost:
                raise StoreError("no answer")
        except StoreError as error:
            if not error.data_error:
                raise
            if len(piece) > 1 and c.halves:
                rest = [piece[: len(piece) // 2], piece[len(piece) // 2 :], *rest]
            elif c.halves:
                lane.refused.add(piece[0])
                self._world.hit("a refused row was set aside")
        lane.pieces = rest

    def _token(self, lane: Lane, end: int, n: int) -> Token:
        return (lane.partition, lane.position, end, n)
