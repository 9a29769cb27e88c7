"""Schedules chosen by hypothesis: it moves actors one step at a time, and lets faults happen in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import ClassVar

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.model.conditions import Conditions
from tests.model.store import HOURS
from tests.model.world import HOUR_SECONDS, TRACES, WORKERS, Violation, World

RULES = 10  # of one schedule, most of them


class Uniform(HypothesisProvider):
    """Hypothesis' own choices without constants found in loaded modules: the same schedules whatever else was imported."""

    def _maybe_draw_constant(self, *_: object, **__: object) -> None:
        return None


AVAILABLE_PROVIDERS["uniform"] = f"{__name__}.Uniform"

RUN = 1_000  # schedules of one run of hypothesis
MOVES = 48  # each of one to four steps

# What can go wrong, by a number: the machine draws it, or finds it among the moves. `n` says where or how much.
FAULTS: list[tuple[str, Callable[[World, int], None]]] = [
    ("sleep", lambda w, n: w.freeze(n % WORKERS)),
    ("sleep on", lambda w, n: _sleep_past(w, n, 1)),
    ("sleep past the session", lambda w, n: _sleep_past(w, n, 12)),
    ("wake", lambda w, n: w.thaw(n % WORKERS)),
    ("kill", lambda w, n: w.kill(n % WORKERS)),
    ("start", lambda w, n: w.boot(n % WORKERS, 1 + n // 2 % 2)),
    ("replace", lambda w, n: _replace(w, n)),
    ("leave", lambda w, n: w.leave(n % WORKERS)),
    ("a commit goes wrong", lambda w, n: w.commit_fault(n % WORKERS, ("refused", "unanswered")[n // 2 % 2])),
    ("crash", lambda w, n: w.crash(cut=n % 4, torn=n % 8 > 5)),
    ("start the server", lambda w, n: w.start_server()),
    ("crash and start", lambda w, n: _restart(w, n)),
    ("trap a statement", lambda w, n: w.trap(n // 8 % 12, TRAPS[n % 8])),
    ("trap another", lambda w, n: w.trap(n // 8 % 12, TRAPS[n % 8])),
    ("nap", lambda w, n: w.nap(n % WORKERS, 1 + n // 8 % 12, (1, 12, 12, 21)[n // 2 % 4])),
    ("nap again", lambda w, n: w.nap(n % WORKERS, 1 + n // 8 % 12, (1, 12, 12, 21)[n // 2 % 4])),
    ("audit", lambda w, n: w.audit(n % WORKERS)),
    ("hang", lambda w, n: w.hang(n)),
    ("release", lambda w, n: w.release()),
    ("lose an answer", lambda w, n: w.lose(n)),
    ("fail an insert", lambda w, n: w.fail(n)),
    ("time", lambda w, n: w.pass_time((1, 4, 9, 12, 21, HOUR_SECONDS)[n % 6])),
    ("repeat", lambda w, n: w.repeat(n)),
    ("event", lambda w, n: w.produce(n % TRACES, n // 4 % HOURS, refused=n % 16 == 15)),
]
TRAPS = ("fail", "fail", "lose", "lose", "hang", "crash", "lose power", "tear")
FIRST_FAULT = 256 - 2 * len(FAULTS)  # of a byte; below it is a move


def _replace(world: World, n: int) -> None:
    world.kill(n % WORKERS)
    world.boot(n % WORKERS, 1 + n // 2 % 2)


def _restart(world: World, n: int) -> None:
    world.crash(cut=n % 4, torn=n % 8 > 5)
    world.start_server()


def _sleep_past(world: World, n: int, seconds: int) -> None:
    world.freeze(n % WORKERS)
    world.pass_time(seconds)
    world.rounds(1 + n // 2 % 32)


class Schedules(RuleBasedStateMachine):
    """One schedule; at its end everything heals and is checked."""

    conditions: ClassVar[Conditions] = Conditions()
    hits: ClassVar[Counter[str]] = Counter()
    count: ClassVar[int] = 0
    steps: ClassVar[int] = 0
    seen: ClassVar[set[int]] = set()  # hashes of the schedules, to tell how many were different
    broken: ClassVar[list[str]] = []  # the last schedule with a violation

    def __init__(self) -> None:
        super().__init__()
        self.world = World(type(self).conditions, type(self).hits)
        self.kinds = 0

    @initialize(
        events=st.lists(st.integers(0, 255), min_size=2, max_size=6),
        kinds=st.integers(0, 2 ** len(FAULTS) - 1),
        versions=st.integers(0, 3),
    )
    def begin(self, events: list[int], kinds: int, versions: int) -> None:
        """Some events; the faults that may happen among moves; the code that the workers run."""
        self.kinds = kinds
        for number in range(WORKERS):
            if versions >> number & 1:
                self.world.kill(number)
                self.world.boot(number, 2)
        for event in events:
            self.world.produce(event % TRACES, event // 4 % HOURS)

    @rule(choices=st.binary(min_size=MOVES, max_size=MOVES))
    def moves(self, choices: bytes) -> None:
        """Each byte is a step or a few of somebody, or a fault; 0 is nothing."""
        for choice in choices[:2]:
            self.world.produce(choice % TRACES, choice // 4 % HOURS, refused=choice > 247)
        for place, choice in enumerate(choices):
            if choice >= FIRST_FAULT and self.kinds >> ((choice - FIRST_FAULT) // 2) & 1:
                FAULTS[(choice - FIRST_FAULT) // 2][1](self.world, choices[place - 1])
            elif choice:
                self.world.move(choice - 1)

    @rule(choices=st.binary(min_size=MOVES, max_size=MOVES))
    def more_moves(self, choices: bytes) -> None:
        """More of the same: most of what happens is work."""
        self.moves(choices)

    @rule(count=st.integers(1, 24))
    def rounds(self, count: int) -> None:
        """Everybody who is awake works on."""
        self.world.rounds(count)

    @rule(kind=st.integers(0, len(FAULTS) - 1), n=st.integers(0, 127))
    def fault(self, kind: int, n: int) -> None:
        """Something goes wrong, time passes, or a client sends."""
        FAULTS[kind][1](self.world, n)

    def teardown(self) -> None:
        """Heal, unless the schedule has failed already."""
        kind = type(self)
        try:
            if not self.world.broken:
                self.world.heal()
        finally:
            kind.seen.add(hash(tuple(self.world.trace)))
            if self.world.broken:
                kind.broken = self.world.trace
            kind.count += 1
            kind.steps += self.world.steps


def explore(machine: type[Schedules], schedules: int, name: str, *, shrink: bool = False) -> Violation | None:
    """So many schedules under a name, the seed; the first violation, shrunk when asked for."""
    for done in range(0, schedules, RUN):
        violation = _run(machine, f"{name} {done}", min(RUN, schedules - done), shrink=shrink)
        if violation is not None:
            return violation
    return None


def _run(machine: type[Schedules], name: str, schedules: int, *, shrink: bool) -> Violation | None:
    chosen = settings(
        backend="uniform",
        max_examples=schedules,
        stateful_step_count=RULES,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(name)(machine), settings=chosen)
    except Violation as violation:
        return violation
    return None


def machine_for(conditions: Conditions) -> type[Schedules]:
    """A machine of its own, with counts of its own."""
    fresh = {"conditions": conditions, "hits": Counter(), "count": 0, "steps": 0, "seen": set(), "broken": []}
    return type("Schedules", (Schedules,), fresh)
