"""B5: questions over HTTP, of 28 days with 100 million events, beside the same answers from the raw table.

The tables are made once and kept under .build/bench/, some 9 GB; `python -m bench.queries --load` makes them without asking.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import time
from pathlib import Path

from bench.common import ROOT
from bench.made_up import VALUES, events_sql
from consumers.difference import ROLLUPS, truth
from pipeline.schema import Engines, migrate, migrations
from pipeline.store import ClickHouse, open_chdb
from query.windows import DAY, HOUR

DAYS = 28
NOW = 1_795_132_800_000_000 + 10 * HOUR + 17 * HOUR // 60  # a morning in November 2026, at no whole hour
COUNT = 100_000_000
_CHUNK = 1_000_000


def loaded(count: int) -> Path:
    """The folder of a database with so many events in the 28 days before NOW; made when it is not there, or is of other tables."""
    folder = ROOT / ".build" / "bench" / f"queries-{count}"
    stamp = folder / "complete"
    made_of = hashlib.sha256("".join([*(m.text for m in migrations()), *VALUES.values()]).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == made_of:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store = open_chdb(folder / "data")
    migrate(store, Engines())
    _load(store, count)
    store.close()
    stamp.write_text(made_of)
    return folder


def _load(store: ClickHouse, count: int) -> None:
    """The raw rows, then each rollup a day at a time by its own view's select: what the views would have made, in a third of the time."""
    names = ", ".join(VALUES)
    start, step, began = NOW - DAYS * DAY, DAYS * DAY / count, time.monotonic()

    def say(what: str) -> None:
        print(f"  {what} after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    views = {m.name: m.sql(Engines()) for m in migrations() if "MATERIALIZED VIEW" in m.text}
    for name in views:
        store.execute(f"DROP VIEW {name[5:]}")
    for first in range(0, count, _CHUNK):
        store.execute(
            f"INSERT INTO events ({names}) {events_sql(first, min(_CHUNK, count - first), start, step)}",
            max_block_size=_CHUNK, min_insert_block_size_rows=_CHUNK, max_execution_time=600,
        )  # fmt: skip
        done = min(count, first + _CHUNK)
        if done % (10 * _CHUNK) == 0 or done == count:
            say(f"{done:,} events")
    for rollup in ROLLUPS:
        for day in range(start - start % DAY, NOW, DAY):
            bound = {"start": day // 1_000_000, "end": (day + DAY) // 1_000_000}
            columns = ", ".join(rollup.columns)
            select = f"SELECT {columns} FROM ({truth(rollup)})"
            store.execute(f"INSERT INTO {rollup.table} ({columns}) {select}", bound, max_execution_time=3600)
        say(rollup.table)
    for name in sorted(views):
        store.execute(views[name])


def main() -> None:
    """The command line of the load alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", type=int, default=COUNT, help="so many events")
    print(loaded(parser.parse_args().load))


if __name__ == "__main__":
    main()
