"""All crash points of all variants, one line for each variant; the exit status says whether the promise held."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time

import structlog

from tests.faults.crash_points.variants import VARIANTS, Bench, Tally

_HEADS = ("points", "killed", "raw lost", "raw doubled", "hours wrong", "not marked", "repaired", "longest s")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.crash_points", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="of the files of a part, only each n-th operation")
    parser.add_argument("--seed", type=int, default=1, help="which of them")
    parser.add_argument("--only", default="", help="the variants with this in their names")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # a dying server's connections
    started = time.monotonic()
    violations: list[str] = []
    print(f"every {given.every}, seed {given.seed}")
    print(f"{'variant':36}" + "".join(f"{head:>12}" for head in _HEADS), flush=True)
    with Bench() as bench:
        for variant in VARIANTS:
            if given.only not in variant.name:
                continue
            tally = Tally(variant.name)
            crashes = bench.crashes(variant, given.every, random.Random(given.seed))
            for crash, outcome in zip(crashes, bench.run(variant, crashes), strict=True):
                tally.add(outcome, crash)
            print(_line(tally), flush=True)
            violations += tally.violations
            for violation in tally.violations:
                print(f"    {violation}", flush=True)
    print(f"{len(violations)} violations, {time.monotonic() - started:.0f} s")
    return 1 if violations else 0


def _line(tally: Tally) -> str:
    counts = (tally.points, tally.killed, tally.lost, tally.doubled, tally.hours_wrong, tally.not_marked)
    return (
        f"{tally.variant:36}"
        + "".join(f"{count:>12,}" for count in counts)
        + f"{f'{tally.repaired:,}':>12}{tally.longest:>12.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
