"""Raw against rollups in plain Python, from the rollups' definitions and not from the product's own comparison."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.store import Store

DAY_SECONDS = 86_400
_DIMENSIONS = ("provider", "model", "agent", "tool_name", "service_tier", "status")
_MEASURES = (
    "events", "calls", "tool_calls", "traces", "user_traces", "input_uncached", "input_cache_read", "input_cache_write",
    "output", "output_reasoning", "cost", "untraced", "priced", "unpriced", "estimated", "errors", "checksum",
)  # fmt: skip

# What ClickHouse alone can say stands in the columns: the hash, and in which bucket of a factor of 1.1 a latency lies.
_RAW = """
SELECT *, toUnixTimestamp(toStartOfHour(ts)) AS hour, reinterpretAsInt64(cityHash64(id)) AS hash,
       if(latency_ms IS NULL, NULL, round(log(greatest(latency_ms, 0.01)) / log(1.1))) AS latency_bucket,
       if(time_to_first_token_ms IS NULL, NULL, round(log(greatest(time_to_first_token_ms, 0.01)) / log(1.1))) AS first_bucket
FROM events
"""

Key = tuple[Any, ...]
Rollup = dict[Key, dict[str, Any]]  # the bucket is a key's first part, in unix seconds


def wrong_buckets(store: Store) -> dict[str, set[int]]:
    """Rollup -> the hours, or days, in which any of its keys differs from raw in any measure."""
    raw = list(store.select(_RAW).dicts())
    return {
        "usage_hours": _differing(_expected(raw, 3600, by_tag=False), _held(store, "usage_hours")),
        "tag_hours": _differing(_expected(raw, 3600, by_tag=True), _held(store, "tag_hours")),
        "usage_days": _differing(_expected(raw, DAY_SECONDS, by_tag=False), _held(store, "usage_days")),
    }


def _differing(expected: Rollup, held: Rollup) -> set[int]:
    return {key[0] for key in expected.keys() | held.keys() if expected.get(key) != held.get(key)}


def _expected(raw: Iterable[dict[str, Any]], seconds: int, *, by_tag: bool) -> Rollup:
    rollup: Rollup = {}
    for row in raw:
        bucket = row["hour"] - row["hour"] % seconds
        dimensions = tuple(row[name] for name in _DIMENSIONS)
        groups = ["", *row["tags"]] if by_tag else [(row["user_id"], tuple(row["tags"]))]
        for group in groups:
            sums = rollup.setdefault((bucket, row["account"], group, *dimensions), {})
            for name, value in _measures(row).items():
                sums[name] = sums.get(name, 0) + row["sign"] * value
            sums["last_seen"] = max(sums.get("last_seen", row["ts"]), row["ts"])
    return {key: _whole(sums) for key, sums in rollup.items()}


def _measures(row: dict[str, Any]) -> dict[str, Any]:
    measures: dict[str, Any] = {
        "events": 1,
        "calls": row["type"] == "llm",
        "tool_calls": row["type"] == "tool",
        "traces": row["is_trace_start"],
        "user_traces": row["is_user_trace_start"],
        **{name: row[name] for name in ("input_uncached", "input_cache_read", "output", "output_reasoning")},
        "input_cache_write": sum(row[f"input_cache_write_{age}"] for age in ("5m", "30m", "1h", "12h")),
        "cost": row["cost"] or 0,
        "untraced": 0 if row["trace_id"] else row["cost"] or 0,
        "priced": row["price_status"] in {"priced", "free", "reported", "estimated"},
        "unpriced": row["price_status"] == "unpriced",
        "estimated": row["usage_estimated"],
        "errors": row["status"] == "error",
        "checksum": row["hash"],
    }
    for name in ("latency", "first"):
        if row[f"{name}_bucket"] is not None:
            measures[f"{name} {int(row[f'{name}_bucket'])}"] = 1
    return measures


def _held(store: Store, table: str) -> Rollup:
    bucket, group = ("day", "user_id, tags") if table == "usage_days" else ("hour", "user_id, tags")
    group = "tag" if table == "tag_hours" else group
    sums = ", ".join(f"sum(r.{name}) AS {name}" for name in _MEASURES)
    rows = store.select(f"""
        SELECT toUnixTimestamp(toDateTime(r.{bucket}, 'UTC')) AS bucket, account, {group}, {", ".join(_DIMENSIONS)}, {sums},
               sumMap(r.latency) AS latency, sumMap(r.first_token) AS first_token, max(r.last_seen) AS last_seen
        FROM {table} AS r GROUP BY bucket, account, {group}, {", ".join(_DIMENSIONS)}
    """).dicts()
    rollup: Rollup = {}
    for row in rows:
        grouped = row["tag"] if table == "tag_hours" else (row["user_id"], tuple(row["tags"]))
        counts = {f"{short} {place}": n for short, name in (("latency", "latency"), ("first", "first_token")) for place, n in row[name].items()}  # fmt: skip
        measured = {name: row[name] for name in (*_MEASURES, "last_seen")}
        key = (row["bucket"], row["account"], grouped, *(row[name] for name in _DIMENSIONS))
        rollup[key] = _whole(measured | counts)
    return rollup


def _whole(sums: dict[str, Any]) -> dict[str, Any]:
    """Without zeros, which stand for nothing; the checksum as 64 bits keep it."""
    checksum = (sums["checksum"] + 2**63) % 2**64 - 2**63
    return {name: value for name, value in (sums | {"checksum": checksum}).items() if value}
