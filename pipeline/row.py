"""Row, Rows and DeadLetter: what the store is given. Field order is column order, names are column names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One row of `events`. Times are unix microseconds, money USD, tokens counts, absent text is ""."""

    account: str
    ts: int
    received_at: int
    id: str
    type: str
    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    session_id: str
    user_id: str
    tags: Sequence[str]  # sorted "key=value", without userId: the set that rollups count under
    tags_over: Sequence[str]  # the same, of keys above their budget: in no rollup, answered from raw rows
    provider: str
    model: str
    agent: str
    operation: str
    tool_name: str
    service_tier: str
    processing: str
    speed: str
    status: str
    error_code: str
    finish_reason: str
    input_uncached: int
    input_cache_read: int
    input_cache_write_5m: int
    input_cache_write_30m: int
    input_cache_write_1h: int
    input_cache_write_12h: int
    output: int
    output_reasoning: int
    input_audio: int
    input_audio_cache_read: int
    output_audio: int
    web_searches: int
    usage_estimated: int
    cost: Decimal | None
    cost_reported: Decimal | None
    price_status: str
    price_id: str
    price_version: str
    price_rates: str  # JSON: class -> USD per million, as applied
    latency_ms: float | None
    time_to_first_token_ms: float | None
    flags: list[str]
    privacy: str
    error_message: str
    prompt: str
    response: str
    tool_arguments: str
    tool_result: str
    logs: str
    metadata: str
    raw_usage: str
    replaces: str
    sign: int  # -1: compensates the row it copies
    is_trace_start: int
    is_user_trace_start: int
    retention_days: int
    content_days: int
    rules_version: int
    budget_version: int
    row_version: int
    log_id: str  # the topic's id
    log_partition: int
    log_offset: int
    log_row: int  # 0, and 1 for the compensation that one record may bring along


class Rows:
    """Rows by column: the form in which the store takes them, and half the cost of one object a row."""

    __slots__ = ("columns",)

    def __init__(self, columns: Iterable[Sequence[Any]] | None = None) -> None:
        """`columns` in Row's order, all of one length; without them there are no rows."""
        self.columns: list[list[Any]] = [list(c) for c in columns] if columns is not None else [[] for _ in Row._fields]

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, place: int) -> Row:
        return Row(*(column[place] for column in self.columns))

    def column(self, name: str) -> list[Any]:
        """The values of one column."""
        return self.columns[Row._fields.index(name)]

    def add(self, rows: Rows) -> None:
        """Behind these."""
        for column, more in zip(self.columns, rows.columns, strict=True):
            column += more

    def append(self, row: Sequence[object]) -> None:
        """One more, in Row's order."""
        for column, value in zip(self.columns, row, strict=True):
            column.append(value)

    def at(self, places: Sequence[int]) -> Rows:
        """Those at the places."""
        return Rows([column[place] for place in places] for column in self.columns)


class SenderDrop(NamedTuple):
    """What an SDK dropped or the collector rejected, for one reason. Identity: (log_id, log_partition, log_offset, reason)."""

    account: str
    received_at: int
    reason: str
    dropped: int
    log_id: str
    log_partition: int
    log_offset: int


class DeadLetter(NamedTuple):
    """One accepted record that could not be processed. Identity: (log_id, log_partition, log_offset)."""

    account: str
    received_at: int
    log_id: str
    log_partition: int
    log_offset: int
    reason: str
    detail: str
    value_bytes: int
    value_hash: int
    value: str  # the envelope under the account's privacy mode; "" when it cannot be decoded
