"""Whole answers as CSV, NDJSON, Parquet or FOCUS: the same rows and numbers, sent as they are made.

FOCUS is the FinOps Open Cost and Usage Specification 1.2, as CSV: what finance imports beside the bills of clouds.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from bisect import bisect_right
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, NamedTuple, Protocol, Union, get_args, get_origin

import pyarrow as pa
import pyarrow.parquet as pq
from aiohttp import web
from pydantic import BaseModel

from pipeline.errors import BadQuestion
from query import shapes, windows
from query.order import bucket_starts
from query.parameters import BUCKETS
from query.question import Question
from query.rows import Measures
from query.windows import Window

Row = dict[str, Any]
KINDS = {
    "csv": ("text/csv", "csv"), "ndjson": ("application/x-ndjson", "ndjson"),
    "parquet": ("application/vnd.apache.parquet", "parquet"), "focus": ("text/csv", "focus.csv"),
}  # fmt: skip
PART_ROWS = 1_000  # made, turned into bytes and sent before the next
_GUARDED = ("=", "+", "-", "@", "\t", "\r")
_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


class Writer(Protocol):
    """Rows -> bytes, a part at a time."""

    def write(self, rows: Sequence[Row]) -> bytes: ...
    def end(self) -> bytes: ...


class Column(NamedTuple):
    """A column of a table: its name, and what it holds."""

    name: str
    type: pa.DataType


@cache
def columns_of(row: type[BaseModel], *, compare: bool) -> tuple[Column, ...]:
    """The columns of a row's model: an object inside it becomes columns, a list or a map becomes JSON."""
    left_out = {"spark"} if compare else {"spark", "previous"}
    return tuple(_columns(row, "", left_out))


def _columns(row: type[BaseModel], before: str, left_out: Collection[str]) -> Iterator[Column]:
    # Who it is comes first, then how much; the window before last.
    named = sorted(
        row.model_fields.items(), key=lambda item: (item[0] in Measures.model_fields) + 2 * (item[0] == "previous")
    )
    for name, field in named:
        if name in left_out:
            continue
        inner = _model_in(field.annotation)
        if inner is not None:
            yield from _columns(inner, f"{before}{name}_", left_out)
        else:
            yield Column(before + (field.alias or name), _type_of([field.annotation, *field.metadata]))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return next((one for one in options if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _type_of(annotations: Sequence[Any]) -> pa.DataType:
    found = set(annotations)
    for one in annotations:
        found |= set(get_args(one)) | {mark for part in get_args(one) for mark in get_args(part)}
    if "money" in found:
        return pa.decimal128(38, 9)
    if "time" in found:
        return pa.timestamp("us", "UTC")
    if list in {get_origin(one) for one in found} or dict in {get_origin(one) for one in found}:
        return pa.string()
    for kind, arrow in ((bool, pa.bool_()), (int, pa.int64()), (float, pa.float64())):
        if kind in found:
            return arrow
    return pa.string()


def flat(row: Row, columns: Sequence[Column]) -> list[Any]:
    """The cells of a row."""
    held = dict(_opened(row, ""))
    return [held.get(column.name) for column in columns]


def _opened(row: Row, before: str) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _opened(value, f"{before}{name}_")
            value = _json(value)  # a map that is no object of the model stays one cell
        yield before + name, _json(value) if isinstance(value, list) else value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def asked_for(accept: str) -> str:
    """The format that an Accept header (RFC 9110) wants most, the more exactly named of two it wants alike; json for any other."""
    wanted = [(*_wanted(part), -place) for place, part in enumerate(accept.split(","))]
    best, found = (0.0, 0, 0), "json"
    for kind, media in _OFFERED.items():
        names = (media, f"{media.partition('/')[0]}/*", "*/*")
        # The most exact name of a kind says how much it is wanted, not the one that is wanted most.
        ranks = [(2 - names.index(name), weight, place) for name, weight, place in wanted if name in names]
        exact, weight, place = max(ranks, default=(0, 0.0, 0))
        if weight > 0 and (weight, exact, place) > best:
            best, found = (weight, exact, place), kind
    return found


_OFFERED = {"json": "application/json"} | {kind: media for kind, (media, _) in KINDS.items() if kind != "focus"}


def _wanted(part: str) -> tuple[str, float]:
    """A media range and its weight; one that is no number wants nothing."""
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    given = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
    return name, float(given) if _WEIGHT.fullmatch(given) else 0.0


async def send(
    request: web.Request, kind: str, name: str, made: Writer, parts: AsyncIterator[Sequence[Row]]
) -> web.StreamResponse:
    """The whole answer, a part at a time; one that fails half way breaks the transfer instead of ending a short file."""
    media, suffix = KINDS[kind]
    answer = web.StreamResponse(headers={
        "Content-Type": media if kind == "parquet" else f"{media}; charset=utf-8", "Cache-Control": "private, no-store",
        "Content-Disposition": f'attachment; filename="percapita-{name}.{suffix}"', "X-Content-Type-Options": "nosniff",
        "Vary": "Accept",
    })  # fmt: skip
    nothing: Sequence[Row] = []
    first = await anext(parts, nothing)  # what cannot be answered at all is a problem, with its status
    if kind != "parquet":
        answer.enable_compression()
    await answer.prepare(request)
    try:
        await answer.write(await asyncio.to_thread(made.write, first))
        async for part in parts:
            await answer.write(await asyncio.to_thread(made.write, part))
        await answer.write(await asyncio.to_thread(made.end))
    except BaseException as error:
        if request.transport is not None:
            request.transport.abort()
        if isinstance(error, Exception):
            raise ConnectionResetError("an export was cut off") from error
        raise
    await answer.write_eof()
    return answer


def writer(kind: str, q: Question, row: type[BaseModel]) -> Writer:
    """A writer of rows of this model."""
    if kind == "ndjson":
        return _Lines()
    if kind == "focus":
        return Focus(q, row)
    columns = columns_of(row, compare=q.compare)
    return _Parquet(columns) if kind == "parquet" else _Csv(columns)


class _Lines:
    """A JSON object a line, as in the list's `data`."""

    def write(self, rows: Sequence[Row]) -> bytes:
        return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)

    def end(self) -> bytes:
        return b""


class _Csv:
    """RFC 4180; a cell that a spreadsheet would run is quoted with an apostrophe."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._begun = False

    def write(self, rows: Sequence[Row]) -> bytes:
        return self.lines([flat(row, self._columns) for row in rows])

    def lines(self, cells: Sequence[Sequence[Any]]) -> bytes:
        """Rows that are cells already."""
        sink = io.StringIO()
        lines = csv.writer(sink, lineterminator="\r\n")
        if not self._begun:
            lines.writerow([column.name for column in self._columns])
            self._begun = True
        texts = [pa.types.is_string(column.type) for column in self._columns]
        lines.writerows([_cell(value, text) for value, text in zip(row, texts, strict=True)] for row in cells)
        return sink.getvalue().encode()

    def end(self) -> bytes:
        return b"" if self._begun else self.lines([])


def _cell(value: Any, text: bool) -> Any:
    """`text`: whether the column holds what somebody wrote, an id like -5 among it; amounts and times are our own."""
    if text and isinstance(value, str) and value.startswith(_GUARDED):
        return "'" + value
    return "" if value is None else value


class _Parquet:
    """Money as Decimal(38, 9), times as instants, counts as integers; a row group for each part."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._schema = pa.schema([(column.name, column.type) for column in columns])
        self._sink = _Sink()
        self._writer = pq.ParquetWriter(self._sink, self._schema, compression="zstd")

    def write(self, rows: Sequence[Row]) -> bytes:
        cells = zip(*(flat(row, self._columns) for row in rows), strict=True) if rows else [()] * len(self._columns)
        arrays = [
            pa.array([_typed(v, c.type) for v in held], c.type) for held, c in zip(cells, self._columns, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        return self._sink.taken()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.taken()


class _Sink(io.RawIOBase):
    """Where the writer writes: what was taken is gone, places in the file go on."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        body = bytes(part)
        self._parts.append(body)
        self._at += len(body)
        return len(body)

    def tell(self) -> int:
        return self._at

    def taken(self) -> bytes:
        """What was written since the last time."""
        found = b"".join(self._parts)
        self._parts.clear()
        return found


def _typed(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_decimal(kind):
        return Decimal(value)
    if pa.types.is_timestamp(kind):
        return datetime.fromisoformat(value)
    return str(value) if pa.types.is_string(kind) else value


FOCUS = (
    "BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "BillingCurrency", "BillingPeriodStart", "BillingPeriodEnd",
    "ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "BillingAccountId",
    "BillingAccountName",
    "SubAccountId", "ProviderName", "PublisherName", "InvoiceIssuerName", "ServiceCategory", "ServiceSubcategory", "ServiceName",
    "ResourceId", "ResourceType", "SkuId", "ConsumedQuantity", "ConsumedUnit", "PricingQuantity", "PricingUnit", "Tags",
)  # fmt: skip


SEVERAL = "several LLM providers"  # where a row is of no one of them: the columns must not be empty
_MONEY = pa.decimal128(38, 9)
# Model of a row -> what a charge is for.
_KINDS = {
    "Overview": "all users", "Group": "group", "UserRow": "user", "Model": "model", "Tool": "tool", "Tag": "tag key", "TagValue": "tag value",
    "Trace": "trace", "Event": "event",
}  # fmt: skip
PERIOD = "_period"  # in a row of a sum: the window that it is of
_MOST_MONTHS = 36  # each is a question of its own


def by_month(q: Question) -> list[Question]:
    """A sum is charged in one billing period, a month of UTC: the question for each month that its window touches.

    Raises BadQuestion.
    """
    found: list[Question] = []
    start = q.start
    while start < q.end:
        if len(found) == _MOST_MONTHS:
            raise BadQuestion(f"focus: at most {_MOST_MONTHS} months", "format")
        end = min(_month(start)[1], q.end)
        found.append(replace(q, window=Window(start, end, 0, 0), named="", compare=False))
        start = end
    return found


def _month(at: int) -> tuple[int, int]:
    """The month of UTC that holds an instant."""
    first = windows.moment(at).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return windows.micros(first), windows.micros((first + timedelta(days=32)).replace(day=1))


def _micros(text: str) -> int:
    return windows.micros(datetime.fromisoformat(text))


class Focus:
    """A charge for each row that has a known cost: of a month of the window for sums, of the hours of a trace or an event.

    What has no known cost is no charge: a charge is never empty, and unknown is not zero.
    """

    def __init__(self, q: Question, row: type[BaseModel]) -> None:
        self._q = q
        self._kind = _KINDS[row.__name__]
        self._csv = _Csv([Column(name, _MONEY if name.endswith("Cost") else pa.string()) for name in FOCUS])
        self._buckets: tuple[Window | None, list[int]] = (None, [])

    def write(self, rows: Sequence[Row]) -> bytes:
        charges = [self._charge(row, cost) for row in rows if (cost := _cost(row)) is not None]
        return self._csv.lines([[charge.get(name) for name in FOCUS] for charge in charges])

    def end(self) -> bytes:
        return self._csv.end()

    def _period(self, row: Row) -> tuple[int, int]:
        """Half-open and never empty, in whole seconds."""
        if "timestamp" in row or "started_at" in row:
            first = _micros(row.get("timestamp") or row["started_at"])
            last = first + (round(row["duration_ms"] * 1000) if "started_at" in row else 0)
            return first - first % windows.HOUR, last - last % windows.HOUR + windows.HOUR
        window: Window = row[PERIOD]
        start, end = window.start, window.end
        if self._q.group_by and self._q.group_by[0] in BUCKETS:
            if self._buckets[0] != window:
                self._buckets = window, bucket_starts(replace(self._q, window=window), self._q.group_by[0])
            starts = self._buckets[1]
            bucket = _micros(row["bucket"] if len(self._q.group_by) > 1 else row["key"])
            place = bisect_right(starts, bucket)
            start, end = max(start, bucket), min(end, starts[place]) if place < len(starts) else end
        return start - start % 1_000_000, end + -end % 1_000_000

    def _charge(self, row: Row, cost: str) -> Row:
        start, end = self._period(row)
        month = _month(start)
        provider = row.get("provider") or SEVERAL
        what = next((row[name] for name in ("model", "tool_name", "trace_id", "key", "value") if row.get(name)), None)
        return {
            "BilledCost": cost, "EffectiveCost": cost, "ListCost": cost, "ContractedCost": cost, "BillingCurrency": "USD",
            "BillingPeriodStart": shapes.time(month[0]), "BillingPeriodEnd": shapes.time(month[1]),
            "ChargePeriodStart": shapes.time(start), "ChargePeriodEnd": shapes.time(end), "ChargeCategory": "Usage",
            "ChargeDescription": f"LLM use of {self._kind} {row.get('user_id') or what or ''}".rstrip(), "ChargeFrequency": "Usage-Based",
            "BillingAccountId": self._q.account, "BillingAccountName": self._q.account, "SubAccountId": row.get("user_id"),
            "ProviderName": provider, "PublisherName": provider, "InvoiceIssuerName": provider,
            "ServiceCategory": "AI and Machine Learning", "ServiceSubcategory": "Generative AI", "ServiceName": row.get("provider") or "LLM",
            "ResourceId": row.get("user_id") or what, "ResourceType": self._kind, "SkuId": row.get("price_id") or row.get("model"),
            "ConsumedQuantity": row.get("tokens"), "ConsumedUnit": "Tokens", "PricingQuantity": row.get("tokens"),
            "PricingUnit": "Tokens", "Tags": _json(row["tags"]) if row.get("tags") else None,
        }  # fmt: skip


def _cost(row: Row) -> str | None:
    """What a row costs; None where that is not known, or nothing happened."""
    cost: str | None = row["cost"] if "cost" in row else row["spend"]
    return None if row.get("events") == 0 else cost
