"""One run: a world, a load, a schedule from a seed; then heal, wait, and ask the oracle."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.faults.faults import FAULTS
from tests.faults.ledger import Ledger
from tests.faults.load import MODES, Load
from tests.faults.nemesis import Nemesis
from tests.faults.oracle import check, wait_settled
from tests.faults.world import World

Tell = Callable[[str], None]
SETTLE_SECONDS = 120  # from the end of the faults to a lag of 0
ANSWER_SECONDS = 60  # from the end of the faults to an answer for every event
_numbers = count()


@dataclass
class Outcome:
    """What a run found. `violations` is empty when every invariant held and every fault hit."""

    faults: tuple[str, ...]
    seed: int
    seconds: float
    ok: int = 0
    hits: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    healed_seconds: float = 0.0  # from the end of the faults until all was stored and settled
    violations: list[str] = field(default_factory=list)

    def again(self) -> str:
        """The command that replays it."""
        return f"make faults FAULT={'+'.join(self.faults)} SEED={self.seed} SECONDS={self.seconds:g}"

    def line(self) -> str:
        """For a person."""
        names = "+".join(self.faults)
        told = f"fault {names:9} seed {self.seed:<6} {self.ok:6} ok, settled after {self.healed_seconds:5.1f} s, "
        hits = ", ".join(f"{name} {times}" for name, times in self.hits.items())
        return told + (f"0 lost, 0 doubled; {hits}" if not self.violations else f"VIOLATED; {hits}")


def run(world: World, numbers: Sequence[str], seed: int, seconds: float, tell: Tell, *, prove: bool = True) -> Outcome:
    """The faults side by side for `seconds` on a running world, under load of three fresh accounts.

    One alone must prove that it hit as often as it says (`prove`); of several at once something must have been hit.
    """
    outcome = Outcome(tuple(numbers), seed, seconds)
    plans = [FAULTS[n].plan(random.Random(f"{seed} {n}"), seconds) for n in numbers]
    for number, plan in zip(numbers, plans, strict=True):
        tell(f"fault {number}: {FAULTS[number].name}; seed {seed}, {seconds:.0f} s")
        for step in plan:
            tell(f"    {step}")
    tenants = world.tenants((*MODES, "standard") if "18" in numbers else MODES)
    ledger = Ledger(world.folder / f"ledger-{next(_numbers)}.jsonl")
    given = {name: value for n in numbers for name, value in FAULTS[n].load.items()}
    load = Load(world.urls(), tenants, ledger, seed=seed, **given).start()
    nemesis = Nemesis(world, load, tell, alone=len(numbers) == 1)
    try:
        load.wait_acknowledged(200)
        nemesis.at_once(*plans)
        time.sleep(1)
    finally:
        world.heal()
        healed = time.monotonic()
        load.finish(ANSWER_SECONDS)
    outcome.violations += wait_settled(world.stack, ledger, tenants, SETTLE_SECONDS)
    outcome.healed_seconds = time.monotonic() - healed
    outcome.violations += nemesis.complaints + check(world.stack, ledger, tenants) + world.over_cap()
    if len(numbers) == 1 and prove:
        outcome.violations += FAULTS[numbers[0]].proof(nemesis, load, world)
    elif not nemesis.hits:
        outcome.violations.append("the faults never hit")
    outcome.ok, outcome.hits, outcome.answers = ledger.count("ok"), dict(nemesis.hits), dict(ledger.answers)
    ledger.close()
    tell(outcome.line())
    for violation in outcome.violations:
        tell(f"  VIOLATION {violation}")
    return outcome


@contextmanager
def a_world(folder: Path | None = None, **given: Any) -> Iterator[World]:
    """In a folder of its own that goes when the world ends; in `folder`, which stays, when one is given."""
    with ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        yield stack.enter_context(World(place, **given))
