"""Layouts: what a rollup costs on the insert path, in bytes and in answers, beside other ways to lay it out."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import clickhouse_connect

from bench.common import cpu, result, table
from bench.made_up import ACCOUNT, VALUES, events_sql
from pipeline.row import Row
from pipeline.schema import Engines, migrations
from pipeline.store import ClickHouse
from query import plan
from query.question import parse_question
from query.sql import Sql, column, key_of, measured
from query.windows import DAY

SIZES = (200, 5_000, 30_000)
DAYS = 7
END = 1_795_478_400_000_000 - DAY * 4  # a midnight in November 2026

RAW = ("0001_events",)
HOURS = ("0002_usage_hours", "0005_events_to_usage_hours")
DAYS_ = ("0003_usage_days", "0006_usage_hours_to_days")
TAGS = ("0004_tag_hours", "0007_events_to_tag_hours")

Change = Callable[[str], str]


def _same(sql: str) -> str:
    return sql


def _day_first(sql: str) -> str:
    """The hours ordered by day and user before the hour."""
    return sql.replace("ORDER BY (account, hour, user_id,", "ORDER BY (account, toStartOfDay(hour), user_id, hour,")


def _without_maps(sql: str) -> str:
    """Without the counts per latency bucket."""
    return re.sub(r"\n *[^\n]*\b(latency|first_token)\b[^\n]*", "", sql)


def _per_tag_and_user(sql: str) -> str:
    """Instead of tag sets: a row for each user, and one for each tag and user, as a tag of its own."""
    sql = sql.replace("tags Array(LowCardinality(String))", "tags LowCardinality(String)")
    return sql.replace("e.status AS status, tags,", "e.status AS status, arrayJoin(arrayConcat([''], e.tags)) AS tags,")


VARIANTS: dict[str, tuple[tuple[str, ...], Change]] = {
    "raw alone": (RAW, _same),
    "+ tag hours": (RAW + TAGS, _same),
    "+ hours by user and tag set": (RAW + HOURS, _same),
    "  the same, day and user before hour": (RAW + HOURS, _day_first),
    "  the same, without latency counts": (RAW + HOURS, _without_maps),
    "  the same, a row for each tag of a user": (RAW + HOURS, _per_tag_and_user),
    "+ hours, tag hours": (RAW + HOURS + TAGS, _same),
    "+ hours, days, tag hours (ours)": (RAW + HOURS + DAYS_ + TAGS, _same),
}


def _open(folder: str, database: str) -> ClickHouse:
    return ClickHouse(
        lambda: clickhouse_connect.get_client(interface="chdb", path=folder, database=database), clients=1
    )


def _create(folder: str, number: int, parts: tuple[str, ...], change: Change) -> ClickHouse:
    root = _open(folder, "default")
    root.execute(f"CREATE DATABASE layout_{number}")
    root.close()
    store = _open(folder, f"layout_{number}")
    texts = {m.name: m.sql(Engines()) for m in migrations()}
    for name in sorted(parts):
        store.execute(change(texts[name]) if name != RAW[0] else texts[name])
    return store


def run(scale: float) -> None:
    """25M events at scale 1."""
    names = ", ".join(VALUES)
    missing = set(VALUES) - set(Row._fields)
    if missing:
        raise SystemExit(f"no such column: {missing}")
    with tempfile.TemporaryDirectory() as folder:
        root = _open(folder, "default")
        for size in SIZES:
            # Ten minutes of live traffic, as a worker inserts it.
            root.execute(f"CREATE TABLE source_{size} ENGINE = Memory AS {events_sql(0, size, END, 6e8 / size)}")
        rows: list[tuple[Any, ...]] = [
            ("views on the insert path", *(f"CPU ms, {s:,} rows" for s in SIZES), "rows / CPU s")
        ]
        stores = [_create(folder, n, parts, change) for n, (parts, change) in enumerate(VARIANTS.values())]
        for store in stores:
            store.execute("SYSTEM STOP MERGES")
        spent: list[dict[int, list[float]]] = [{size: [] for size in SIZES} for _ in stores]
        for _ in range(9):
            for store, mine in zip(stores, spent, strict=True):
                for size in SIZES:
                    began = cpu()
                    store.execute(
                        f"INSERT INTO events ({names}) SELECT {names} FROM default.source_{size} "
                        "SETTINGS max_threads = 1, max_insert_threads = 1, insert_deduplicate = 0"
                    )
                    mine[size].append(1e3 * (cpu() - began))
        ours = 0.0
        for name, mine in zip(VARIANTS, spent, strict=True):
            ms = [median(mine[size]) for size in SIZES]
            ours = 1e3 * SIZES[-1] / ms[-1]
            rows.append((name, *ms, ours))
        table("Insert, from a table in memory", rows)
        for store in stores:
            store.close()
        bytes_ = _reads(folder, int(25_000_000 * scale))
        root.close()
    result(
        "layouts",
        ours,
        bytes_,
        f"{int(25_000_000 * scale)} events",
        unit="rows per CPU-second of our layout; bytes of its rollups per event",
    )


def _reads(folder: str, count: int) -> float:
    """Fill ours and two others with the same seven days, and ask each the same questions."""
    names = ", ".join(VALUES)
    root = _open(folder, "default")
    for number in range(len(VARIANTS)):
        root.execute(f"DROP DATABASE layout_{number}")
    root.close()
    ours = _create(folder, 100, *VARIANTS["+ hours, days, tag hours (ours)"])
    other = _create(folder, 101, *VARIANTS["  the same, day and user before hour"])
    other.execute("DROP VIEW events_to_usage_hours")
    step = DAYS * DAY / count
    chunk = 500_000
    print(f"\nloading {count:,} events ...", flush=True)
    for first in range(0, count, chunk):
        ours.execute(
            f"INSERT INTO events ({names}) {events_sql(first, min(chunk, count - first), END - DAYS * DAY, step)}",
            max_block_size=chunk, min_insert_block_size_rows=chunk, max_execution_time=600,
        )  # fmt: skip
    for name in ("usage_hours", "usage_days", "tag_hours"):
        ours.execute(f"OPTIMIZE TABLE {name} FINAL", max_execution_time=3600)
    other.execute("INSERT INTO usage_hours SELECT * FROM layout_100.usage_hours", max_execution_time=3600)
    other.execute("OPTIMIZE TABLE usage_hours FINAL", max_execution_time=3600)
    sizes = ours.select(
        "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND database IN ('layout_100', 'layout_101') "
        "GROUP BY database, table HAVING sum(rows) > 0 ORDER BY database, table"
    ).rows
    table(
        "On disk",
        [("", "rows", "bytes", "bytes an event"), *((t, int(r), int(b), int(b) / count) for t, r, b in sizes)],
    )
    asked = _questions()
    rows: list[tuple[Any, ...]] = [("ms, median of 5", "days and hours", "hours", "hours by day and user", "raw")]
    for name, (parameters, keys) in asked.items():
        answers = []
        times = []
        for store, sources in ((ours, "days"), (ours, "hours"), (other, "hours"), (ours, "raw")):
            sql = _ask(parameters, keys, sources)
            answers.append(sorted(map(str, store.select(sql.text, sql.parameters, seconds=600).rows)))
            times.append(_milliseconds(store, sql))
        if any(answer != answers[0] for answer in answers):
            raise SystemExit(f"{name}: the sources do not agree")
        rows.append((name, *times))
    table(f"Answers over seven days of {count:,} events; all four columns agree", rows)
    one = "SELECT trace_id, min(ts), sum(cost) FROM events WHERE account = {account:String} AND trace_id = {trace:String} GROUP BY trace_id"
    latest = (
        "SELECT trace_id, min(ts), sum(cost) FROM events WHERE account = {account:String} AND toStartOfHour(ts) >= {hour:DateTime('UTC')} "
        "GROUP BY trace_id ORDER BY min(ts) DESC LIMIT 50"
    )
    trace = ours.select("SELECT trace_id FROM events LIMIT 1 OFFSET 1000").rows[0][0]
    last = (END - 3_600_000_000) // 1_000_000
    table("From raw rows, ms", [
        ("one trace", _milliseconds(ours, Sql(one, {"account": ACCOUNT, "trace": trace}))),
        ("50 traces of the last hour", _milliseconds(ours, Sql(latest.replace("{hour:DateTime('UTC')}", f"toDateTime({last}, 'UTC')"), {"account": ACCOUNT}))),
    ])  # fmt: skip
    held = sum(int(b) for t, _, b in sizes if t != "events") / count
    ours.close()
    other.close()
    return held


def _questions() -> dict[str, tuple[list[tuple[str, str]], list[Any]]]:
    user = [column("user_id")]
    return {
        "Users": ([], user),
        "Users, org (0.5 %)": ([("tag.org", "o17")], user),
        "Users, plan (33 %)": ([("tag.plan", "pro")], user),
        "Users, two tags": ([("tag.plan", "pro"), ("tag.feature", "chat")], user),
        "Overview": ([], []),
        "Overview, plan": ([("tag.plan", "pro")], []),
        "Models": ([], [column("provider"), column("model")]),
        "group by plan": ([], [key_of("tag.plan")]),
        "one user": ([("userId", "user_123")], []),
    }


def _ask(parameters: list[tuple[str, str]], keys: list[Any], source: str) -> Sql:
    window = [("from", str((END - DAYS * DAY) // 1000)), ("to", str(END // 1000))]
    question = parse_question(ACCOUNT, [*window, *parameters], END)
    parts = plan.sources(question, keys, whole_days=source == "days", raw_only=source == "raw")
    sql = measured(question, keys, parts)
    if any(key.name == "key" for key in keys):
        sql.parameters["g0"] = "plan="
    return sql


def _milliseconds(store: ClickHouse, sql: Sql) -> float:
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        store.select(sql.text + "\nSETTINGS use_query_condition_cache = 0", sql.parameters, seconds=600)
        taken.append(1e3 * (time.perf_counter() - began))
    return median(taken)
