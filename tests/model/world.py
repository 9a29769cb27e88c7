"""Everything of one schedule, its transitions, and what must hold after each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from consumers.intents import read_note
from tests.model.conditions import Conditions
from tests.model.coordinator import PARTITIONS, Group
from tests.model.store import DAY_OF, HOURS, Query, Row, Server, Step
from tests.model.worker import Process

WORKERS = 2
TRACES = 4
RECORDS = 20  # of one partition in one schedule
HOUR_SECONDS = 3_700  # longer than every window of time
ROUNDS = 400  # of everybody, until everything must be settled

_ALL = Conditions()
_POLL = [f"w{n} poll" for n in range(WORKERS)]
_BACKGROUND = [f"w{n} background" for n in range(WORKERS)]
_AUDITOR = [f"w{n} auditor" for n in range(WORKERS)]
_JOB = [[f"w{n} job {p}" for p in range(PARTITIONS)] for n in range(WORKERS)]


class Violation(AssertionError):
    """The protocol broke its promise."""


class Event(NamedTuple):
    """What a client sends, and sends again."""

    identity: int
    trace: int
    hour: int
    minted: int
    refused: bool


class Actor(NamedTuple):
    """Who can take a step."""

    name: str
    step: Callable[[], object]
    worker: int = -1  # whose thread it is


class World:
    """The log, its group, one server, two workers; time is a number."""

    def __init__(self, conditions: Conditions = _ALL, hits: Counter[str] | None = None) -> None:
        self.conditions = conditions
        self.now = 100_000
        self.dice = 0  # of the move under way
        self.hits: Counter[str] = Counter() if hits is None else hits
        self.trace: list[str] = []
        self.steps = 0
        self.broken = False
        self._traps: list[tuple[int, str]] = []
        self._fresh = 0
        self.events: list[Event] = []
        self._identities: set[int] = set()  # that have a row
        self._excused: set[int] = set()  # traces whose start the store refused
        self.group = Group(self)
        self.server = Server(self, 5_000)
        self.workers: list[Process | None] = [None] * WORKERS
        for number in range(WORKERS):
            self.boot(number, 1)

    def hit(self, what: str) -> None:
        """Something worth counting happened."""
        self.hits[what] += 1
        self.trace.append(f"    ({what})")

    def fresh(self) -> int:
        """Never the same."""
        self._fresh += 1
        return self._fresh

    def violation(self, what: str) -> Violation:
        """The protocol is broken; the schedule ends here."""
        self.broken = True
        return Violation(what)

    def say(self, what: str) -> None:
        """One line of the schedule."""
        self.trace.append(what)

    # --- transitions: clients

    def produce(self, trace: int, hour: int, *, refused: bool = False) -> None:
        """A new event, accepted into the log."""
        event = Event(len(self.events), trace, hour, self.now, refused)
        if self._append(event, trace % PARTITIONS):
            self.events.append(event)

    def repeat(self, index: int) -> None:
        """The client sends an event again."""
        if self.events:
            event = self.events[index % len(self.events)]
            other = 0 if self.conditions.same_partition else index
            self._append(event, (event.trace + other) % PARTITIONS)

    def _append(self, event: Event, partition: int) -> bool:
        if len(self.group.log[partition]) >= RECORDS:
            return False
        self.say(
            f"event {event.identity} of trace {event.trace}, hour {event.hour} -> partition {partition}{', refused' * event.refused}"
        )
        gap = int(self.steps % 5 == 0)
        self.group.append(partition, event.identity, event.trace, event.hour, event.minted, event.refused, gap)
        return True

    # --- transitions: one step of somebody

    def actors(self, only: Collection[int] | None = None) -> list[Actor]:
        """Everybody who can take a step now; `only` these workers."""
        found: list[Actor] = []
        for number, worker in enumerate(self.workers):
            if worker is None or worker.frozen or (only is not None and number not in only):
                continue
            if not worker.idle:
                found.append(Actor(_POLL[number], worker.poll))
            if self.group.wants_background(worker.client):
                found.append(Actor(_BACKGROUND[number], worker.background))
            for lane, job in worker.jobs:
                if job.ready:
                    found.append(Actor(_JOB[number][lane.partition], job.step, number))
            if worker.auditor.ready:
                found.append(Actor(_AUDITOR[number], worker.auditor.step, number))
        for i, query in enumerate(self.server.running):
            if not query.hangs:
                found.append(Actor(f"query {i}", partial(self.server.advance, query)))
        return found

    def move(self, choice: int) -> None:
        """The chosen one takes one to four steps."""
        actors = self.actors()
        if not actors:
            return
        chosen: Actor | None = actors[choice % len(actors)]
        self.dice = choice // 7
        for again in range(1 + choice // len(actors) % 4):
            if again:
                chosen = next((actor for actor in self.actors() if actor.name == chosen.name), None)
                if chosen is None:
                    return
            self.take(chosen)

    def take(self, actor: Actor) -> None:
        """One step."""
        self.say(actor.name)
        self._step(actor)

    def _step(self, actor: Actor) -> None:
        self.steps += 1
        actor.step()
        worker = self.workers[actor.worker] if actor.worker >= 0 else None
        if worker is not None and worker.naps_in is not None:
            worker.naps_in -= 1
            if worker.naps_in <= 0:
                worker.naps_in = None
                self.freeze(actor.worker)
                self.pass_time(worker.naps_for)

    def round(self, only: Collection[int] | None = None) -> None:
        """Everybody takes a step, queries four."""
        for actor in self.actors(only):
            if actor.worker < 0 or not self._asleep(actor.worker):
                self._step(actor)
        for query in list(self.server.running):
            for _ in range(3):
                if query.running and not query.hangs:
                    self.steps += 1
                    self.server.advance(query)

    def _asleep(self, number: int) -> bool:
        worker = self.workers[number]
        return worker is None or worker.frozen

    def rounds(self, count: int, only: Collection[int] | None = None) -> None:
        """Several rounds."""
        self.say(f"{count} rounds of {'everybody' if only is None else sorted(only)}")
        for dice in range(count):
            self.dice = dice
            self.round(only)
            if dice % 4 == 3:
                self.pass_time(1)

    # --- transitions: faults

    def pass_time(self, seconds: int) -> None:
        """Time passes: heartbeats of whoever is awake, sessions of the others end."""
        self.say(f"{seconds} s pass")
        self.now += seconds
        if self.conditions.statements_end:
            self.server.end_overdue()
        awake = {w.client.member for w in self.workers if w is not None and not w.frozen}
        self.group.pass_time({member for member in awake if member is not None})
        if seconds >= HOUR_SECONDS:
            self.server.forget()
            self.hit("the windows forgot")

    def freeze(self, number: int) -> None:
        """SIGSTOP: at whatever stop its threads are."""
        worker = self.workers[number]
        if worker is not None and not worker.frozen:
            self.say(f"w{number} falls asleep")
            worker.frozen = True
            if any(not job.done and lane.intent for lane, job in worker.jobs):
                self.hit("a worker fell asleep in a job")

    def thaw(self, number: int) -> None:
        """SIGCONT."""
        worker = self.workers[number]
        if worker is not None and worker.frozen:
            self.say(f"w{number} wakes up")
            worker.frozen = False
            if worker.client.member not in self.group.members:
                self.hit("a sleeper woke after its session")

    def kill(self, number: int) -> None:
        """kill -9; what it sent runs on."""
        worker = self.workers[number]
        if worker is not None:
            self.say(f"w{number} is killed")
            if any(query.running for query in self.server.running):
                self.hit("a worker was killed during an insert")
            self.workers[number] = None

    def boot(self, number: int, version: int) -> None:
        """A worker starts."""
        if self.workers[number] is None:
            self.say(f"w{number} starts, version {version}")
            self.workers[number] = Process(self, number, version, clock_offset=7_000)

    def leave(self, number: int) -> None:
        """It leaves the group when its poll thread comes to it, and joins again."""
        worker = self.workers[number]
        if worker is not None:
            self.say(f"w{number} is to leave")
            self.hit("a worker left")
            worker.leaving = True

    def audit(self, number: int) -> None:
        """The hours have closed: they are audited once, marked or not."""
        worker = self.workers[number]
        if worker is not None:
            self.say(f"w{number} is to audit every hour")
            worker.auditor.asked = True

    def commit_fault(self, number: int, kind: str) -> None:
        """The next commit is taken without an answer, or not taken."""
        worker = self.workers[number]
        if worker is not None:
            self.say(f"w{number}: the next commit is {kind}")
            worker.commit_fault = kind

    def crash(self, *, cut: int = 0, torn: bool = False) -> None:
        """The server is gone."""
        if self.server.up:
            self.say(f"the server crashes{f', {cut} lines of each log are cut' * bool(cut)}{', a line is torn' * torn}")
            self.hit("a crash")
            self.server.crash(cut=cut, torn=torn)

    def start_server(self) -> None:
        """And back."""
        if not self.server.up:
            self.say("the server starts")
            self.server.start()

    def lose(self, index: int) -> None:
        """A client will not hear the answer to a running statement."""
        if query := self._running(index):
            self.say(f"the answer to query {index % len(self.server.running)} will be lost")
            self.hit("an answer was lost")
            query.lost = True

    def fail(self, index: int) -> None:
        """A running statement ends with an error."""
        if query := self._running(index):
            self.say(f"query {index % len(self.server.running)} fails")
            self.hit("an insert failed half way" if query.at else "an insert failed")
            self.server.fail(query)

    def hang(self, index: int) -> None:
        """A running statement, or a thread of a pool, goes no further for a while."""
        threads = [job for worker in self.workers if worker is not None for _, job in worker.jobs if not job.done]
        stalling = [*self.server.running, *threads]
        if stalling:
            stalled = stalling[index % len(stalling)]
            self.say(f"{'query' if isinstance(stalled, Query) else 'thread'} {index % len(stalling)} hangs")
            self.hit("an insert hung" if isinstance(stalled, Query) else "a thread stalled")
            stalled.hangs = True

    def release(self) -> None:
        """What hangs goes on."""
        self.say("what hung goes on")
        for query in self.server.running:
            query.hangs = False
        for worker in self.workers:
            for _, job in worker.jobs if worker is not None else ():
                job.hangs = False

    def trap(self, at: int, kind: str) -> None:
        """The next statement that comes to this step is in trouble there."""
        self.say(f"a statement's step {at} will {kind}")
        self._traps.append((at, kind))

    def spring(self, query: Query) -> None:
        """A statement has come to its next step."""
        if not self._traps or not query.running or query.at < self._traps[0][0]:
            return
        kind = self._traps[0][1]
        if kind == "fail" and query.at % 2:
            return
        del self._traps[0]
        index = self.server.running.index(query)
        if kind == "fail":
            self.fail(index)
        elif kind == "lose":
            self.lose(index)
        elif kind == "hang":
            self.hang(index)
        else:
            self.crash(cut=2 if kind == "lose power" else 0, torn=kind == "tear")
            self.start_server()

    def nap(self, number: int, steps: int, seconds: int) -> None:
        """A worker's process falls asleep after some steps of its jobs and its auditor."""
        worker = self.workers[number]
        if worker is not None:
            self.say(f"w{number} is to fall asleep in {steps} steps, for {seconds} s")
            worker.naps_in, worker.naps_for = steps, seconds

    def _running(self, index: int) -> Query | None:
        return self.server.running[index % len(self.server.running)] if self.server.running else None

    # --- the end: every fault stops, everybody works until nothing is left to do

    def heal(self) -> None:
        """To quiescence; raises Violation when that is not reached or anything is wrong then."""
        self.say("--- healed")
        self.start_server()
        self.release()
        self._traps.clear()
        for number in range(WORKERS):
            self.thaw(number)
            self.boot(number, 1)
            worker = self.workers[number]
            assert worker is not None
            worker.commit_fault, worker.naps_in = "", None
        for count in range(ROUNDS):
            self.dice = count
            self.round()
            if self.quiet():
                self._check_end()
                return
            if count % 8 == 7:
                self.pass_time(2)
        raise self.violation("stuck: " + ", ".join(self._unfinished()))

    def quiet(self) -> bool:
        """Whether nothing is left to do."""
        return not next(iter(self._unfinished()), None)

    def _unfinished(self) -> Iterable[str]:
        for partition, position in enumerate(self.group.committed):
            if position.note or position.offset < self.group.next_offset[partition]:
                yield f"partition {partition} at {position.offset}"
        if self.server.running:
            yield "inserts run"
        if self.server.marks:
            yield "hours are doubtful"
        if any(not job.done for worker in self.workers if worker for _, job in worker.jobs):
            yield "jobs run"

    # --- what must hold

    def check_new_row(self, row: Row) -> None:
        """Before a row becomes visible."""
        if (row.partition, row.offset) in self.server.rows:
            raise self.violation(f"doubled: offset {row.offset} of partition {row.partition}")
        if row.identity in self._identities:
            raise self.violation(f"doubled: event {row.identity}")
        self._identities.add(row.identity)

    def check_commit(self, partition: int, before: int, after: int) -> None:
        """A position was committed."""
        if after < before:
            raise self.violation(f"the position of partition {partition} moved back from {before} to {after}")
        if after > before:
            for record in self.group.read(partition, before, after):
                dead = record.refused and any(
                    (partition, r.offset) in self.server.dead
                    for r in self.group.log[partition]
                    if r.identity == record.identity
                )
                if record.identity not in self._identities and not dead:
                    raise self.violation(
                        f"lost: event {record.identity} at offset {record.offset} of partition {partition}"
                    )
            self.check_marked("a position moved")

    def check_marked(self, when: str) -> None:
        """An hour that differs from raw is marked, or an insert that runs or is in doubt will change it."""
        server = self.server
        wrong = {hour for hour in range(HOURS) if server.truth[hour] != server.rollups["hours"][hour]}
        if not server.up:
            return
        for day in server.difference("days", (0, 1)):
            hours = {hour for hour in range(HOURS) if DAY_OF[hour] == day}
            if not self._expected(hours):
                raise self.violation(f"day {day} differs and is not marked, when {when}")
        for hour in wrong:
            if not self._expected({hour}):
                raise self.violation(f"hour {hour} differs and is not marked, when {when}")

    def _expected(self, hours: set[int]) -> bool:
        if not hours.isdisjoint(self.server.marks.values()):
            return True
        if any(query.touches(hour) for query in self.server.running for hour in hours):
            return True
        return any(
            record.hour in hours
            for partition, position in enumerate(self.group.committed)
            if (intent := read_note(position.note)) is not None
            for record in self.group.read(partition, position.offset, intent.end)
        )

    def check_repair(self, steps: Sequence[Step]) -> None:
        """A repair is about to run."""
        wanted = [(step.table, step.sums) for step in steps]
        for query in self.server.running:
            if query.partition is None and [(step.table, step.sums) for step in query.steps] == wanted:
                raise self.violation("the same repair runs twice")

    def excuse(self, rows: Collection[Row], refused: Collection[int]) -> None:
        """Traces whose first row of a batch was refused by the store: a later row of that batch does not start them."""
        starts = {row.trace for row in rows if row.offset in refused and row.start}
        self._excused |= {row.trace for row in rows if row.trace in starts and row.offset not in refused}

    def _check_end(self) -> None:
        for event in self.events:
            if event.identity in self._identities:
                continue
            if not event.refused:
                raise self.violation(f"lost: event {event.identity}")
        for trace in range(TRACES):
            rows = [row for row in self.server.rows.values() if row.trace == trace]
            starts = sum(row.start for row in rows)
            if rows and starts != 1 and trace not in self._excused:
                raise self.violation(f"trace {trace} starts {starts} times")
        self.check_marked("everything was settled")
        if self.server.difference("days", (0, 1)) or self.server.difference("hours", range(HOURS)):
            raise self.violation("rollups differ from raw")
