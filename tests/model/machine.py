"""Schedules chosen by hypothesis: it moves actors one step at a time, and lets faults happen in between."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.model.conditions import Conditions
from tests.model.store import HOURS
from tests.model.world import HOUR_SECONDS, TRACES, WORKERS, Violation, World

RULES = 24  # of one schedule; each is a fault, an event, or up to 24 moves

workers = st.integers(0, WORKERS - 1)
places = st.integers(0, 3)


class Schedules(RuleBasedStateMachine):
    """One schedule; at its end everything heals and is checked."""

    conditions: ClassVar[Conditions] = Conditions()
    hits: ClassVar[Counter[str]] = Counter()
    count: ClassVar[int] = 0
    steps: ClassVar[int] = 0
    found: ClassVar[World | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.world = World(type(self).conditions, type(self).hits)

    @initialize(
        traces=st.lists(st.tuples(st.integers(0, TRACES - 1), st.integers(0, HOURS - 1)), min_size=2, max_size=5)
    )
    def begin(self, traces: list[tuple[int, int]]) -> None:
        """Some events, and workers that have joined."""
        for trace, hour in traces:
            self.world.produce(trace, hour)

    @rule(choices=st.binary(min_size=1, max_size=24))
    def moves(self, choices: bytes) -> None:
        """Each byte is a step of somebody."""
        for choice in choices:
            self.world.move(choice)

    @rule(choices=st.binary(min_size=8, max_size=24))
    def more_moves(self, choices: bytes) -> None:
        """More of the same: most of what happens is work."""
        self.moves(choices)

    @rule(count=st.integers(1, 24))
    def rounds(self, count: int) -> None:
        """Everybody who is awake works on."""
        self.world.rounds(count)

    @rule(trace=st.integers(0, TRACES - 1), hour=st.integers(0, HOURS - 1), refused=st.integers(0, 7))
    def produce(self, trace: int, hour: int, refused: int) -> None:
        """A new event."""
        self.world.produce(trace, hour, refused=refused == 7)

    @rule(index=st.integers(0, 15))
    def repeat(self, index: int) -> None:
        """A client's retry."""
        self.world.repeat(index)

    @rule(seconds=st.sampled_from([1, 4, 9, 12, 61, HOUR_SECONDS]))
    def pass_time(self, seconds: int) -> None:
        """Time."""
        self.world.pass_time(seconds)

    @rule(number=workers)
    def sleep(self, number: int) -> None:
        """One falls asleep."""
        self.world.freeze(number)

    @rule(number=workers, seconds=st.sampled_from([1, 12]), count=st.integers(1, 24))
    def sleep_past(self, number: int, seconds: int, count: int) -> None:
        """One falls asleep, and the others work on, perhaps past its session."""
        self.world.freeze(number)
        self.world.pass_time(seconds)
        self.world.rounds(count)

    @rule(number=workers)
    def wake(self, number: int) -> None:
        """One wakes up."""
        self.world.thaw(number)

    @rule(number=workers)
    def kill(self, number: int) -> None:
        """kill -9 of a worker."""
        self.world.kill(number)

    @rule(number=workers, version=st.integers(1, 2))
    def boot(self, number: int, version: int) -> None:
        """A worker starts, perhaps with other code."""
        self.world.boot(number, version)

    @rule(number=workers, version=st.integers(1, 2))
    def replace(self, number: int, version: int) -> None:
        """Killed, and another at once."""
        self.world.kill(number)
        self.world.boot(number, version)

    @rule(number=workers)
    def leave(self, number: int) -> None:
        """SIGTERM."""
        self.world.leave(number)

    @rule(number=workers, kind=st.sampled_from(["refused", "unanswered"]))
    def commit_fault(self, number: int, kind: str) -> None:
        """The next commit goes wrong."""
        self.world.commit_fault(number, kind)

    @rule(cut=st.integers(0, 3), torn=st.booleans())
    def crash(self, cut: int, torn: bool) -> None:
        """The server is killed, or loses its power."""
        self.world.crash(cut=cut, torn=torn)

    @rule()
    def start_server(self) -> None:
        """It comes back."""
        self.world.start_server()

    @rule(cut=st.integers(0, 3), torn=st.booleans())
    def restart_server(self, cut: int, torn: bool) -> None:
        """Both."""
        self.world.crash(cut=cut, torn=torn)
        self.world.start_server()

    @rule(index=places)
    def lose(self, index: int) -> None:
        """An answer is lost."""
        self.world.lose(index)

    @rule(index=places)
    def fail(self, index: int) -> None:
        """A statement fails where it is."""
        self.world.fail(index)

    def teardown(self) -> None:
        """Heal, unless the schedule has failed already."""
        kind = type(self)
        try:
            if not self.world.broken:
                self.world.heal()
        finally:
            kind.count += 1
            kind.steps += self.world.steps


def explore(
    machine: type[Schedules], schedules: int, number: int, *, rules: int = RULES, shrink: bool = False
) -> Violation | None:
    """So many schedules under a seed; the first violation, shrunk when asked for."""
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    chosen = settings(
        max_examples=schedules,
        stateful_step_count=rules,
        deadline=None,
        database=None,
        phases=phases,
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(number)(machine), settings=chosen)
    except Violation as violation:
        return violation
    return None


def machine_for(conditions: Conditions) -> type[Schedules]:
    """A machine of its own, with counts of its own."""
    return type("Schedules", (Schedules,), {"conditions": conditions, "hits": Counter(), "count": 0, "steps": 0})
