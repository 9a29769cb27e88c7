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
from pipeline.schema import Engines, migrate, migrations
from pipeline.store import ClickHouse, open_chdb
from query.windows import DAY, HOUR

DAYS = 28
NOW = 1_795_132_800_000_000 + 10 * HOUR + 17 * HOUR // 60  # a morning in November 2026, at no whole hour
COUNT = 100_000_000
_CHUNK = 500_000


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
    names = ", ".join(VALUES)
    start, step, began = NOW - DAYS * DAY, DAYS * DAY / count, time.monotonic()
    for first in range(0, count, _CHUNK):
        store.execute(
            f"INSERT INTO events ({names}) {events_sql(first, min(_CHUNK, count - first), start, step)}",
            max_block_size=_CHUNK, min_insert_block_size_rows=_CHUNK, max_execution_time=600,
        )  # fmt: skip
        done = min(count, first + _CHUNK)
        if done % (20 * _CHUNK) == 0 or done == count:
            print(f"  {done:,} events after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    for table in ("usage_hours", "usage_days", "tag_hours", "events"):  # as they stand when merges have kept up
        for (partition,) in store.select(
            "SELECT DISTINCT partition FROM system.parts WHERE active AND database = currentDatabase() AND table = {t:String}",
            {"t": table},
        ).rows:
            store.execute(f"OPTIMIZE TABLE {table} PARTITION {partition} FINAL", max_execution_time=7200)
        print(f"  {table} merged after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    """The command line of the load alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", type=int, default=COUNT, help="so many events")
    print(loaded(parser.parse_args().load))


if __name__ == "__main__":
    main()
