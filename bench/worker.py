"""B1: from log entries into raw table and all rollups, dedupe and redaction on; beside ClickHouse parsing the same rows itself."""

from __future__ import annotations

import json
import tempfile
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

from bench.common import cpu, entries, result, table
from consumers.batch import make, remember
from consumers.history import History
from consumers.memory import hold_little
from pipeline.log import Entry
from pipeline.price import PriceBook
from pipeline.process import Context
from pipeline.row import Row, Rows
from pipeline.schema import Engines, migrate
from pipeline.store import ClickHouse, open_chdb

BATCH = 20_000


def run(scale: float) -> None:
    """1M events at scale 1."""
    count = int(1_000_000 * scale)
    distinct = min(count, 100_000)
    print(f"making {distinct:,} events ...", flush=True)
    log = entries(distinct)
    with tempfile.TemporaryDirectory() as folder:
        store = open_chdb(Path(folder))
        migrate(store, Engines())
        # Merges are the same work for both and come when they like: kept out of either's clock.
        store.execute("SYSTEM STOP MERGES")
        context = Context(PriceBook())
        history = History(store, "bench")
        windows = history.rebuild(0, 0)
        hold_little()  # as every worker does
        lines: list[Path] = []
        # CPU us a row, one of each a batch: a neighbour's noise falls on a batch, the median forgets it.
        rows_us: list[float] = []
        insert_us: list[float] = []
        baseline_us: list[float] = []
        done = offset = 0
        while done < count:
            # Ours and the baseline in turn, so that both meet the same machine and tables of the same size.
            size = min(BATCH, count - done)
            batch = [
                Entry(0, offset + i, _again(log[(offset + i) % distinct].value, (offset + i) // distinct))
                for i in range(size)
            ]
            began = cpu()
            made = make(batch, "bench", context, windows, history, offset)
            middle = cpu()
            store.insert("events", Row._fields, made.rows.columns, token=f"bench:{offset}")
            remember(made.stamps, windows)
            ended = cpu()
            rows_us.append(1e6 * (middle - began) / size)
            insert_us.append(1e6 * (ended - middle) / size)
            path = Path(folder) / "rows.jsonl"
            _as_lines(made.rows, path)
            lines.append(path)
            began = cpu()
            _baseline(store, path)
            baseline_us.append(1e6 * (cpu() - began) / size)
            done += size
            offset += size
        stored = store.select("SELECT count() FROM events").rows[0][0]
        store.close()
    if stored != 2 * count:
        raise SystemExit(f"{stored} rows stored instead of {2 * count}")
    both = [a + b for a, b in zip(rows_us, insert_us, strict=True)]
    ours, baseline = 1e6 / median(both), 1e6 / median(baseline_us)
    table(
        f"B1 worker, {count:,} events of {sum(len(e.value) for e in log) / distinct:.0f} bytes in batches of {BATCH:,}",
        [
            ("", "rows / CPU s", "us / row"),
            ("ours", ours, 1e6 / ours),
            ("  decode, dedupe, price, redact", 1e6 / median(rows_us), median(rows_us)),
            ("  insert into raw and rollups", 1e6 / median(insert_us), median(insert_us)),
            ("ClickHouse parsing JSONEachRow", baseline, 1e6 / baseline),
        ],
    )
    result("B1", ours, baseline, f"{count} events", unit="rows per CPU-second")


def _again(value: bytes, round_: int) -> bytes:
    """The same record under another id in each round, so that nothing is a repeat."""
    if not round_:
        return value
    place = value.index(b'"id":"') + 6
    return value[: place + 28] + f"{round_:08x}".encode() + value[place + 36 :]


def _as_lines(rows: Rows, path: Path) -> None:
    """The finished rows as a file of JSON lines, made outside the clock."""
    times = {Row._fields.index("ts"), Row._fields.index("received_at")}
    log = Row._fields.index("log_id")
    with path.open("w", encoding="utf-8") as file:
        for row in zip(*rows.columns, strict=True):
            shown = {
                name: _time(value)
                if place in times
                else "baseline"
                if place == log
                else str(value)
                if isinstance(value, Decimal)
                else value
                for place, (name, value) in enumerate(zip(Row._fields, row, strict=True))
            }
            file.write(json.dumps(shown, ensure_ascii=False) + "\n")


def _time(micros: Any) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _baseline(store: ClickHouse, path: Path) -> None:
    token = f"baseline:{time.monotonic_ns()}"
    store.execute(
        f"INSERT INTO events FROM INFILE '{path}' SETTINGS insert_deduplication_token = '{token}', async_insert = 0, "
        "deduplicate_blocks_in_dependent_materialized_views = 1, max_insert_block_size = 10000000, "
        "min_insert_block_size_rows = 10000000, input_format_parallel_parsing = 0 FORMAT JSONEachRow"
    )
