"""What a worker knows of one partition, and the threads of its pool. As consumers/lane.py."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple

from consumers.intents import Intent, read_note
from pipeline import limits
from pipeline.log import Position
from tests.model.coordinator import Record
from tests.model.store import Query, Row

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
