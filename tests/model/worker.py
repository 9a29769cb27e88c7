"""A worker's process: a poll thread that commits and decides, and threads that work. As consumers/worker.py.

Threads are generators; wherever one yields, any other actor may go first, or the whole process may sleep.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from consumers.intents import Intent
from pipeline.log import Position
from tests.model.auditor import Auditor
from tests.model.coordinator import SESSION_SECONDS, Client, LogError
from tests.model.jobs import Jobs
from tests.model.lane import InDoubt, Job, Lane, Outcome, Rebuilt, Steps, Stored, Work
from tests.model.store import Query

if TYPE_CHECKING:
    from tests.model.world import World


class Process:
    """A worker and the auditor beside it. Killed, it leaves nothing but what it had sent."""

    def __init__(self, world: World, number: int, version: int, clock_offset: int) -> None:
        self._world = world
        self._c = world.conditions
        self.number = number
        self._jobs = Jobs(world, number, version, clock_offset)
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
                    self._submit(lane, self._jobs.guard(lane))
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
        self._submit(lane, self._jobs.rebuild(lane))

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
        lane.intent = Intent(lane.records[-1].offset + 1, self._jobs.versions(), server.start, server.now)
        return True

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
