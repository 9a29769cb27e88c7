"""Which crashes there are: the variants of the table, and all the points of each."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Literal, NamedTuple

from pipeline import limits
from tests.faults.crash_points.batches import Batch, make_batches
from tests.faults.crash_points.damage import Damage
from tests.faults.crash_points.points import RAW, Point
from tests.faults.crash_points.trial import Crash, Outcome, Owner, Prepared, Room, RowKey

# Of a server as old as this a token would be evidence, were it not for the restart; in whole seconds, so one more.
GROWN_SECONDS = limits.TRUST_UPTIME_SECONDS + 2.0

Stage = Literal["insert", "settling", "repair"]


@dataclass(frozen=True)
class Variant:
    """One line of the table."""

    name: str
    months: int
    owners: Sequence[Owner] = ("same", "waiting")  # in turn
    damage: Damage = "none"
    torn_before: bool = False  # half a line of an earlier crash: the tokens are forgotten at every restart
    grown: bool = False  # killed when it is old enough for its tokens to be trusted
    stage: Stage = "insert"  # what the crash interrupts
    first_at: Callable[[Sequence[Point]], int] = lambda _: 0  # of the insert, where a later stage is interrupted


def nothing_landed(points: Sequence[Point]) -> int:
    """Before the first operation."""
    return 1


def one_month_landed(points: Sequence[Point]) -> int:
    """Before the raw table's second part gets its name."""
    return [n for n, p in enumerate(points, 1) if p.lands_part and p.table == RAW][-1]


def raw_alone_landed(points: Sequence[Point]) -> int:
    """Before the first rollup's first part."""
    return next(n for n, p in enumerate(points, 1) if p.begins_part and p.table != RAW)


def _variants() -> Iterator[Variant]:
    for months, span in ((1, "one month"), (2, "two months")):
        yield Variant(f"insert, {span}, the same worker", months)
        yield Variant(f"insert, {span}, a new worker", months, ("new",))
        yield Variant(f"power loss, {span}", months, ("same", "new"), "cut")
        yield Variant(f"torn line, {span}", months, ("new", "same"), "torn")
        yield Variant(f"torn before, {span}", months, ("new", "same"), torn_before=True)
        yield Variant(f"grown server, {span}", months, ("same", "new"), grown=True)
        yield Variant(f"settling all, {span}", months, ("same", "new"), stage="settling", first_at=nothing_landed)
        yield Variant(f"repair, {span}", months, stage="repair", first_at=raw_alone_landed)
    yield Variant("settling half", 2, ("same", "new"), stage="settling", first_at=one_month_landed)


VARIANTS = tuple(_variants())


class Reference(NamedTuple):
    """Batches, what their inserts do when nothing crashes, and the rows that come of them."""

    prepared: Prepared
    batches: Sequence[Batch]  # after the prepared one
    points: Sequence[Sequence[Point]]  # of each batch
    rows: dict[RowKey, int]


class Bench:
    """References by number of months, made once; rooms in a folder that ends with this. A context manager."""

    def __init__(self, *, trials_of_a_room: int = 8) -> None:
        """After so many trials a fresh copy: there are folders with a past, and folders without one."""
        self._trials = trials_of_a_room
        self._folder = tempfile.TemporaryDirectory(prefix="crash-points-")
        self._references: dict[int, Reference] = {}
        self._rooms = 0

    def reference(self, months: int) -> Reference:
        """Insert every batch without a crash."""
        if months not in self._references:
            first, *batches = make_batches(months, 1 + self._trials, datetime.now(UTC))
            prepared = Prepared(Path(self._folder.name) / f"prepared-{months}", first)
            with self._room(prepared) as room:
                points = [room.trial(batch, Crash(0)).insert_points for batch in batches]
                self._references[months] = Reference(prepared, batches, points, room.row_hashes())
        return self._references[months]

    def run(self, variant: Variant, crashes: Sequence[Crash]) -> Iterator[Outcome]:
        """The crashes one after another, in rooms that are left after a few."""
        reference = self.reference(variant.months)
        size = self._room_size(variant)
        for first in range(0, len(crashes), size):
            age = GROWN_SECONDS if variant.grown else 0.0
            with self._room(reference.prepared, torn=variant.torn_before, age_seconds=age) as room:
                for batch, crash in zip(reference.batches, crashes[first : first + size], strict=False):
                    yield room.trial(batch, crash, reference.rows)

    def crashes(self, variant: Variant, every: int, rng: random.Random) -> list[Crash]:
        """All points where a part begins, gets its token or its name, and every n-th of the others, in the order they have."""
        of_batches = self._points(variant)
        phase = rng.randrange(every)
        chosen = [
            n
            for n, point in enumerate(of_batches[0], 1)
            if n % every == phase or point.begins_part or point.writes_token or point.lands_part
        ]
        places = cycle(range(self._room_size(variant)))
        owners = cycle(variant.owners)
        # Batches differ by a write or two: the last point of one may be behind the end of another.
        return [
            self._crash(variant, min(n, len(of_batches[place])), place, owner)
            for n, place, owner in zip(chosen, places, owners, strict=False)
        ]

    def _crash(self, variant: Variant, n: int, place: int, owner: Owner) -> Crash:
        """The crash before the n-th operation of what the variant interrupts, of the batch that has this place in a room."""
        if variant.stage == "insert":
            return Crash(n, damage=variant.damage, owner=owner)
        first = variant.first_at(self.reference(variant.months).points[place])
        later = {"settling": Crash(first, settling_at=n, owner=owner), "repair": Crash(first, repair_at=n, owner=owner)}
        return later[variant.stage]

    def _points(self, variant: Variant) -> Sequence[Sequence[Point]]:
        """The operations of what the variant interrupts, of each batch, watched without that crash."""
        reference = self.reference(variant.months)
        if variant.stage == "insert":
            return reference.points
        with self._room(reference.prepared) as room:
            watched = [
                room.trial(batch, Crash(variant.first_at(points)))
                for batch, points in zip(reference.batches, reference.points, strict=True)
            ]
        return [w.settling_points if variant.stage == "settling" else w.repair_points for w in watched]

    def _room_size(self, variant: Variant) -> int:
        """A folder with one torn line is another than one with many."""
        return 1 if variant.damage == "torn" else self._trials

    def _room(self, prepared: Prepared, *, torn: bool = False, age_seconds: float = 0.0) -> Room:
        self._rooms += 1
        folder = Path(self._folder.name) / f"room-{self._rooms}"
        return Room(prepared, folder, torn=torn, age_seconds=age_seconds)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


@dataclass
class Tally:
    """The sums of one variant."""

    variant: str
    points: int = 0
    killed: int = 0
    lost: int = 0
    doubled: int = 0
    hours_wrong: int = 0
    not_marked: int = 0
    repaired: int = 0
    longest: float = 0.0  # seconds from the server's start to clean rollups
    scratch_left: int = 0
    violations: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome, crash: Crash) -> None:
        """One more trial."""
        self.points += 1
        self.killed += outcome.killed
        self.lost += outcome.raw_lost
        self.doubled += outcome.raw_doubled
        self.hours_wrong += outcome.hours_wrong
        self.not_marked += outcome.hours_not_marked
        self.repaired += outcome.repaired
        self.longest = max(self.longest, outcome.repair_seconds)
        self.scratch_left = max(self.scratch_left, outcome.scratch_left)
        if outcome.violations:
            reached = outcome.settling_points if crash.settling_at else outcome.insert_points
            reached = outcome.repair_points if crash.repair_at else reached
            point = str(reached[-1]) if reached else "no point"
            self.violations.append(f"{self.variant}: {crash}, before {point}: {'; '.join(outcome.violations)}")
