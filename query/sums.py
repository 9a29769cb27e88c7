"""Sums by key as columns, in Arrow's form: of tens of thousands of users at once, where a row each would take as long as the question."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pyarrow as pa

from query.shapes import EPOCH, Measured
from query.sql import SUMS

Row = tuple[tuple[Any, ...], Measured]  # its key, and its sums
_MEASURED = (
    *((name, pa.decimal128(38, 9) if name == "cost" else pa.int64()) for name in SUMS),
    ("last_seen", pa.int64()),  # unix us
)
SLOT = "slot"  # a column beside the keys: see `query.edge`


def columns(keys: Sequence[str]) -> pa.Schema:
    """The keys, the sums, and when the last of their events was."""
    return pa.schema([*((name, pa.int64() if name == SLOT else pa.string()) for name in keys), *_MEASURED])


def read(answer: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The answer of the store to what `sql.measured` asks for by these keys."""
    return answer.cast(columns(keys)) if answer.num_columns else columns(keys).empty_table()


def merged(parts: Sequence[pa.Table], keys: Sequence[str]) -> pa.Table:
    """One row a key of several tables."""
    if len(parts) == 1:
        return parts[0]
    both = pa.concat_tables(parts)
    if not keys:  # one row each
        both = both.append_column("all", pa.nulls(len(both), pa.string()))
    found = both.group_by(list(keys) or "all", use_threads=False).aggregate(
        [*((name, "sum") for name in SUMS), ("last_seen", "max")]
    )
    told = [*keys, *(f"{name}_sum" for name in SUMS), "last_seen_max"]
    return found.select(told).rename_columns(columns(keys).names).cast(columns(keys))


def rows(table: pa.Table, keys: Sequence[str]) -> list[Row]:
    """Each key with its sums."""
    named = zip(*(table[name].to_pylist() for name in keys), strict=True) if keys else [()] * len(table)
    sums = zip(*(table[name].to_pylist() for name in SUMS), strict=True)
    last = table["last_seen"].to_pylist()
    return [(key, Measured(own, seen(at))) for key, own, at in zip(named, sums, last, strict=True)]


def seen(us: int | None) -> Any:
    """When the last event was, as `Measured` has it."""
    return None if us is None or us <= 0 else EPOCH + timedelta(microseconds=us)
