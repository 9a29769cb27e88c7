"""B8: bytes an event on disk: the raw table without its content, and each rollup; beside other layouts of the same rows."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

from bench.common import entries, result, table
from consumers.batch import make, remember
from consumers.history import History
from pipeline.price import PriceBook
from pipeline.process import Context
from pipeline.row import Row
from pipeline.schema import Engines, migrate
from pipeline.store import ClickHouse, open_chdb

CONTENT = ("prompt", "response", "tool_arguments", "tool_result", "logs", "error_message", "metadata", "raw_usage")
# Rewrites of the raw table's definition; the smallest of all is what ours is held to.
LAYOUTS = {
    "ids as text": lambda sql: sql.replace("id UUID", "id String"),
    "tags as a map of strings": lambda sql: sql.replace(
        "tags Array(LowCardinality(String))", "tags Array(String) CODEC(ZSTD(1))"
    ),
    "every column in ZSTD(3)": lambda sql: sql.replace("ZSTD(1)", "ZSTD(3)"),
    "without the offset projection": lambda sql: sql.replace(
        ",\n    PROJECTION by_log (SELECT _part_offset ORDER BY log_partition, log_offset)", ""
    ),
}


def run(scale: float) -> None:
    """500,000 events at scale 1."""
    count = int(500_000 * scale)
    with tempfile.TemporaryDirectory() as folder:
        store = open_chdb(Path(folder))
        migrate(store, Engines())
        history = History(store, "bench")
        windows = history.rebuild(0, 0)
        context = Context(PriceBook())
        log = entries(count)
        for start in range(0, count, 20_000):
            made = make(log[start : start + 20_000], "bench", context, windows, history, start)
            store.insert("events", Row._fields, made.rows.columns)
            remember(made.stamps, windows)
        rows: list[tuple[Any, ...]] = [("", "rows", "bytes an event")]
        for name in ("usage_hours", "usage_days", "tag_hours", "events"):
            store.execute(f"OPTIMIZE TABLE {name} FINAL")
        ours, content = _raw_bytes(store, "events")
        rows.append(("events, without content", count, ours / count))
        rows.append(("events, content", count, content / count))
        for name in ("usage_hours", "usage_days", "tag_hours"):
            size = store.select(
                "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() AND table = {t:String}",
                {"t": name},
            ).rows[0]
            rows.append((name, int(size[0]), int(size[1]) / count))
        best = ours
        for number, (name, change) in enumerate(LAYOUTS.items()):
            held = _layout(store, number, change)
            rows.append((f"events, {name}", count, held / count))
            best = min(best, held)
        store.close()
    table(f"B8 disk, {count:,} events", rows)
    result(
        "B8",
        ours / count,
        best / count,
        f"{count} events",
        unit="bytes an event, raw without content; baseline is the smallest layout listed",
    )


def _raw_bytes(store: ClickHouse, name: str) -> tuple[int, int]:
    """Compressed bytes of all columns but content (marks, indexes and projections with them), and of content."""
    total = store.select(
        "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() AND table = {t:String}",
        {"t": name},
    ).rows[0][0]
    content = store.select(
        "SELECT sum(column_bytes_on_disk) FROM system.parts_columns WHERE active AND database = currentDatabase() AND table = {t:String} "
        "AND column IN {columns:Array(String)}",
        {"t": name, "columns": list(CONTENT)},
    ).rows[0][0]
    return int(total) - int(content), int(content)


def _layout(store: ClickHouse, number: int, change: Any) -> int:
    from pipeline.schema import migrations

    name = f"layout_{number}"
    text = next(itertools.islice(migrations(), 1)).sql(Engines())
    store.execute(change(text).replace("CREATE TABLE IF NOT EXISTS events", f"CREATE TABLE {name}"))
    store.execute(f"INSERT INTO {name} SELECT * FROM events")
    store.execute(f"OPTIMIZE TABLE {name} FINAL")
    return _raw_bytes(store, name)[0]
