"""The full set of faults, or one of them: `make faults`, `make faults FAULT=9 SEED=7`. Exits non-zero on a violation."""

from __future__ import annotations

import argparse
import sys
import time

from tests.faults.faults import FAULTS
from tests.faults.run import Outcome, a_world, run


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--fault", type=int, choices=sorted(FAULTS), help="one alone; without it all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longer", type=float, default=4.0, help="times the length of the fast set")
    given = parser.parse_args()
    outcomes: list[Outcome] = []
    began = time.monotonic()
    for number in [given.fault] if given.fault else sorted(FAULTS):
        fault = FAULTS[number]
        with a_world(**fault.world) as world:
            outcomes.append(run(world, [number], given.seed, fault.seconds * given.longer, _tell))
    print(f"\n{len(outcomes)} faults in {time.monotonic() - began:.0f} s, seed {given.seed}")
    for outcome in outcomes:
        print(outcome.line())
    broken = [outcome for outcome in outcomes if outcome.violations]
    for outcome in broken:
        print(f"again: make faults FAULT={outcome.faults[0]} SEED={outcome.seed}")
    return 1 if broken else 0


def _tell(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
