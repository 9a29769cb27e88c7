"""`python -m tests.model --schedules 100000`: many schedules, what they hit, and the table of conditions."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time

from tests.model.conditions import CONDITIONS, without
from tests.model.directed import DIRECTED, DIRECTED_PAIRS, SECOND_LINES, play
from tests.model.machine import explore, machine_for

CHUNK = 1_000  # schedules between two lines of progress
SURE = 20_000  # with so many, each of these has happened or the run proves nothing
MUST_HIT = (
    "a crash in mid-insert", "a token without a part", "a torn line", "power loss cut token lines", "the windows forgot",
    "settled without trust", "settled by a trusted token", "a guarded statement had expired", "a retry met another server",
    "a retry had expired", "a worker fell asleep in a job", "a sleeper woke after its session",
    "a sleeper woke and did not send", "a worker was killed during an insert", "a session ran out",
    "a rebalance took partitions away", "a partition revoked while its job ran", "a commit while a rebalance waits",
    "a commit taken without an answer", "a commit was fenced", "an intent was inherited", "an answer was lost",
    "an insert hung", "an insert failed half way", "an insert outlived its answer", "a refused row was set aside",
    "a repeat was dropped", "a repair", "a repair without a reply", "a repair had lost its turn", "a turn had lapsed", "marks were cleared",
    "a block was deduplicated", "a statement ran out of time", "a thread stalled",
)  # fmt: skip


def main() -> int:
    """0: no violation, and every fault has happened."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--without", nargs="*", default=[], metavar="CONDITION", help="take these conditions out")
    parser.add_argument("--table", action="store_true", help="instead: how the absence of each condition is found")
    given = parser.parse_args()
    return _table(given.schedules, given.seed) if given.table else _explore(given.schedules, given.seed, given.without)


def _explore(schedules: int, number: str, missing: list[str]) -> int:
    machine = machine_for(without(*missing))
    started = time.process_time()
    for done in range(0, schedules, CHUNK):
        name = f"{number}.{done // CHUNK}"
        if explore(machine, min(CHUNK, schedules - done), name) is not None:
            return _show(missing, name)
        seconds = time.process_time() - started
        print(f"{machine.count:8} schedules  {machine.steps:10} steps  {seconds:6.0f} s  no violation", flush=True)
    print(f"{len(machine.seen)} of them distinct\n")
    for what, count in sorted(machine.hits.items()):
        print(f"{count:10}  {what}")
    never = [what for what in MUST_HIT if not machine.hits[what]] if schedules >= SURE else []
    for what in never:
        print(f"     NEVER  {what}")
    print("\nconditions that held:")
    for condition in CONDITIONS:
        print(
            f"  {'-' if condition.name in missing else '+'} {condition.name:20} {condition.says} [{condition.source}]"
        )
    return 1 if never else 0


def _show(missing: list[str], name: str) -> int:
    """The same again, shrunk."""
    machine = machine_for(without(*missing))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        violation = explore(machine, CHUNK, name, shrink=True)
    print(f"VIOLATION: {violation}\n")
    print("\n".join(machine.broken))
    return 1


def _table(schedules: int, name: str) -> int:
    """Every condition taken out in turn: a second line together with the other."""
    kept = 0
    for condition in CONDITIONS:
        partner = SECOND_LINES.get(condition.name)
        missing = [condition.name, *([partner] if partner else [])]
        directed = (DIRECTED_PAIRS if partner else DIRECTED).get(condition.name)
        machine = machine_for(without(*missing))
        violation = explore(machine, schedules, name) if directed is None else play(directed, without(*missing))
        how = "directed schedule" if directed is not None else f"{machine.count} schedules"
        kept += violation is None
        print(f"{' + '.join(missing):44} {how:20} {violation or 'NOT FOUND'}", flush=True)
    return int(kept > 0)


if __name__ == "__main__":
    sys.exit(main())
