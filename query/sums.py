"""Sums by key as columns, in Arrow's form: of tens of thousands of users at once, where a row each would take as long as the question."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import repeat
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from query.shapes import EPOCH, Measured
from query.sql import SUMS, UNTRACED

Row = tuple[tuple[Any, ...], Measured]  # its key, and its sums
SLOT = "slot"  # a column beside the keys: see `query.edge`
_TYPES = {name: pa.decimal128(38, 9) if name in ("cost", UNTRACED) else pa.int64() for name in (*SUMS, UNTRACED)}
_ZEROS = {name: Decimal(0) if name == "cost" else 0 for name in SUMS}


def columns(keys: Sequence[str], only: Sequence[str] = SUMS) -> pa.Schema:
    """The keys, the sums, and when the last of their events was (unix us)."""
    of_keys = [(name, pa.int64() if name == SLOT else pa.string()) for name in keys]
    return pa.schema([*of_keys, *((name, _TYPES[name]) for name in only), ("last_seen", pa.int64())])


def read(answer: pa.Table, keys: Sequence[str], only: Sequence[str] = SUMS) -> pa.Table:
    """The answer of the store to what `sql.measured` asks for by these keys."""
    wanted = columns(keys, only)
    return answer.select(wanted.names).cast(wanted) if answer.num_columns else wanted.empty_table()


def merged(parts: Sequence[pa.Table], keys: Sequence[str]) -> pa.Table:
    """One row a key of several tables that have one each."""
    return parts[0] if len(parts) == 1 else grouped(pa.concat_tables(parts), keys)


def grouped(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """One row a key of a table that may have several."""
    told = table.schema
    if not keys:
        table = table.append_column("all", pa.nulls(len(table), pa.string()))
    only = [name for name in told.names if name in _TYPES]
    found = table.group_by(list(keys) or "all", use_threads=False).aggregate(
        [*((name, "sum") for name in only), ("last_seen", "max")]
    )
    names = [*keys, *(f"{name}_sum" for name in only), "last_seen_max"]
    return found.select(names).rename_columns(told.names).cast(told)


def rows(table: pa.Table, keys: Sequence[str]) -> list[Row]:
    """Each key with its sums; those that were not asked for are 0."""
    named = zip(*(table[name].to_pylist() for name in keys), strict=True) if keys else [()] * len(table)
    there = set(table.column_names)
    each = (table[name].to_pylist() if name in there else repeat(_ZEROS[name], len(table)) for name in SUMS)
    last = table["last_seen"].to_pylist()
    return [(key, Measured(own, seen(at))) for key, own, at in zip(named, zip(*each, strict=True), last, strict=True)]


def last_seen(parts: Sequence[pa.Table]) -> int | None:
    """Of all their events (unix us)."""
    return max((at for part in parts if (at := pc.max(part["last_seen"]).as_py()) is not None), default=None)


def seen(us: int | None) -> Any:
    """When the last event was, as `Measured` has it."""
    return None if us is None or us <= 0 else EPOCH + timedelta(microseconds=us)
