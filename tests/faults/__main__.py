"""The full set of faults, or one of them: `make faults`, `make faults FAULT=9 SEED=7`. Exits non-zero on a violation."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.faults.faults import FAULTS
from tests.faults.run import Outcome, a_world, run


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--fault", default="", help="one alone, or several side by side: 9, or 4+11; without it all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0, help="of faults; without it four times the fast set's")
    parser.add_argument("--keep", type=Path, help="a new folder for everything the processes wrote")
    given = parser.parse_args()
    outcomes: list[Outcome] = []
    began = time.monotonic()
    for text in [given.fault] if given.fault else FAULTS:
        numbers = text.split("+")
        needs = {name: value for number in numbers for name, value in FAULTS[number].world.items()}
        seconds = given.seconds or max(FAULTS[number].full or 4 * FAULTS[number].seconds for number in numbers)
        with a_world(given.keep and given.keep / text, **needs) as world:
            outcomes.append(run(world, numbers, given.seed, seconds, _tell))
    print(f"\n{len(outcomes)} faults in {time.monotonic() - began:.0f} s, seed {given.seed}")
    for outcome in outcomes:
        print(outcome.line())
    broken = [outcome for outcome in outcomes if outcome.violations]
    for outcome in broken:
        print(f"again: {outcome.again()}")
    return 1 if broken else 0


def _tell(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
