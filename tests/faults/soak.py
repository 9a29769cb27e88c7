"""Random faults, several at once, for as long as asked: `make soak MINUTES=120 SEED=5`. One line a minute; stops at a violation.

The same world lives through many rounds, then a fresh one begins. Every round is made from the seed and its number alone.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.run import Outcome, a_world, run

# Those that can happen to a world that lives on, side by side.
TOGETHER = ("1", "3", "4", "5", "6", "7", "8", "9", "9b", "10", "11", "12", "12b", "13", "17", "19")
ROUNDS_OF_A_WORLD = 15


class Soak:
    """What was seen so far."""

    def __init__(self, minutes: float, seed: int, detail: Path) -> None:
        self._began = self._said = time.monotonic()
        self._until = self._began + minutes * 60
        self.seed, self._detail = seed, detail.open("a", encoding="utf-8")
        self.rounds = self.ok = 0
        self.faults: Counter[str] = Counter()
        self.hits: Counter[str] = Counter()
        self.slowest = 0.0

    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._until

    def detail(self, text: str) -> None:
        """Into the file of details."""
        self._detail.write(text + "\n")
        self._detail.flush()
        if time.monotonic() - self._said >= 60:
            self.say()

    def add(self, outcome: Outcome) -> None:
        """One more round."""
        self.rounds += 1
        self.ok += outcome.ok
        self.faults.update(outcome.faults)
        self.hits.update(outcome.hits)
        self.slowest = max(self.slowest, outcome.healed_seconds)

    def say(self) -> None:
        """The line of a minute."""
        self._said = time.monotonic()
        minutes = (self._said - self._began) / 60
        print(
            f"{time.strftime('%H:%M:%S')}  {minutes:6.1f} min  {self.rounds:4} rounds  {self.ok:9,} ok  {sum(self.hits.values()):6} hits  "
            f"0 lost  0 doubled  settled within {self.slowest:.0f} s  seed {self.seed}",
            flush=True,
        )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the world is taken down
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    soak = Soak(given.minutes, given.seed, folder / "details.log")
    print(f"soak for {given.minutes:g} minutes, seed {given.seed}; details in {folder / 'details.log'}", flush=True)
    while not soak.over():
        with a_world() as world:
            for _ in range(ROUNDS_OF_A_WORLD):
                if soak.over():
                    break
                rng = random.Random(f"{given.seed} {soak.rounds}")
                faults = rng.sample(TOGETHER, rng.choice((1, 2, 2, 3)))
                outcome = run(world, faults, rng.randrange(10**6), rng.randint(15, 45), soak.detail, prove=False)
                soak.add(outcome)
                if outcome.violations:
                    return _violated(outcome, folder)
    soak.say()
    print("faults: " + ", ".join(f"{number} x{times}" for number, times in sorted(soak.faults.items())))
    print("hits: " + ", ".join(f"{name} {times}" for name, times in sorted(soak.hits.items())))
    return 0


def _violated(outcome: Outcome, folder: Path) -> int:
    for violation in outcome.violations:
        print(f"VIOLATION {violation}")
    print(f"details in {folder / 'details.log'}")
    print(f"again: {outcome.again()}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
