"""Events: drill-down to the raw rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from pipeline.errors import Ambiguous, NotFound
from pipeline.privacy import numbers_of
from pipeline.store import Store
from pipeline.usage import Usage
from query import shapes, windows
from query.question import Question
from query.shapes import Measured
from query.sql import PRICED, SUMS, Conditions
from query.windows import ALL_TIME, Span

Answer = dict[str, Any]
Place = tuple[int, str, str]  # unix us, id and trace id of an event: where it stands among others, newest first
_FIRST_SLICE = windows.HOUR // 4
# The second half lets the index be used that begins of ids have.
IN_TRACE = "trace_id = {trace:String} AND substring(trace_id, 1, 8) = substring({trace:String}, 1, 8)"
# Before rows are read: of twelve thousand blocks one or two have a trace, which the engine otherwise finds out one at a time.
BY_INDEX = "\nSETTINGS use_skip_indexes_on_data_read = 0"
# Columns that no answer tells: each of a row's sixty costs as much as the next.
_UNTOLD = (
    "account, processing, speed, retention_days, content_days, rules_version, budget_version, row_version, "
    "log_id, log_partition, log_row"
)
_TIES = "toString(id), trace_id"  # the store's own order of UUIDs is another
_CONTENT = ("error_message", "prompt", "response", "tool_arguments", "tool_result", "logs")
# Columns that events can be sorted by, as the table names them.
SORTED = {
    "timestamp": "ts", "cost": "cost", "latency_ms": "latency_ms", "time_to_first_token_ms": "time_to_first_token_ms",
    "tokens": "toUInt64(input_uncached) + input_cache_read + input_cache_write_5m + input_cache_write_30m + input_cache_write_1h "
    "+ input_cache_write_12h + output",
}  # fmt: skip


class Events:
    """Questions that only raw rows answer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, q: Question, as_of: int, state: Any = None) -> Answer:
        """Newest first, or by the column of `sort`: rows, their sums, and what the next page needs when there is one: `state`, as the page
        before gave it in `more`.

        Newest first that is the place of the last row, so that what is stored meanwhile moves no row to another page.
        """
        if q.sort and (q.sort != "timestamp" or not q.descending):
            offset = int(state or 0)
            # Unknown is below every amount.
            order = f"{SORTED[q.sort]} {'DESC NULLS LAST' if q.descending else 'ASC NULLS FIRST'}, {_TIES}"
            found = self._read(q, _received(as_of), {}, order, q.limit + 1, offset)
            more: Any = offset + q.limit
        else:
            found = self._newest(q, as_of, state)
            more = _place(found[: q.limit])
        page = found[: q.limit]
        return {
            "rows": [shown(row, q.content) for row in page],
            "sums": Measured.total([measured(row) for row in page]),
            "more": more if len(found) > q.limit else None,
        }

    def _newest(self, q: Question, as_of: int, after: Place | None) -> list[Answer]:
        """The end of what follows a place alone is read, as far back as the page asks for."""
        end = q.end if after is None else min(q.end, after[0] + 1)
        condition, bound = _behind(as_of, after)
        width = _FIRST_SLICE
        while True:
            part = replace(q, window=q.window._replace(start=max(q.start, end - width), end=end))
            rows = self._read(part, condition, bound, f"ts DESC, {_TIES}", q.limit + 1, 0)
            if len(rows) > q.limit or part.start == q.start:
                return rows
            width *= 4

    def all(self, q: Question, as_of: int, rows: int) -> Iterator[list[Answer]]:
        """Every event in the same order, some hours after the others, so many at a time."""
        conditions = Conditions(q)
        hours = self._store.select(
            f"SELECT toUnixTimestamp(toStartOfHour(e.ts)) AS h, count() FROM events AS e WHERE {conditions.where(Span('raw', q.start, q.end))} "
            "GROUP BY h ORDER BY h DESC",
            conditions.parameters, seconds=300,
        ).rows  # fmt: skip
        for start, end in _together([(int(hour) * 1_000_000, int(count)) for hour, count in hours], rows):
            start, end = max(q.start, start), min(q.end, end)  # hours reach beyond the window
            narrowed = replace(q, window=q.window._replace(start=start, end=end))
            after: Place | None = None
            while True:
                condition, bound = _behind(as_of, after)
                found = self._read(narrowed, condition, bound, f"ts DESC, {_TIES}", rows, 0)
                yield [shown(row, q.content) for row in found]
                if len(found) < rows:
                    break
                after = _place(found)

    def event(self, q: Question, event_id: str) -> Answer:
        """One event; Ambiguous when two traces have the id and none is named."""
        try:
            identity = str(UUID(event_id))
        except ValueError:
            raise NotFound("no such event") from None
        condition, given = "id = {id:UUID}", {"id": identity}
        if q.trace_id is not None:
            condition += f" AND {IN_TRACE}"
            given["trace"] = q.trace_id
        found = self.select(replace(q, window=ALL_TIME), condition, given, "ts", 2, 0)
        if not found:
            raise NotFound("no such event")
        if len(found) > 1:
            raise Ambiguous("two traces have an event of this id: add trace_id")
        return found[0]

    def of_trace(self, q: Question, trace_id: str, limit: int) -> list[Answer]:
        """The rows of a trace in order, as the table has them: those that were taken back and what takes them back are among them.

        When there are more than `limit`, so many of them.
        """
        conditions = Conditions(q)
        where = f"{conditions.where(Span('raw', q.start, q.end))} AND {IN_TRACE}"
        answer = self._store.select(
            f"SELECT * EXCEPT ({_UNTOLD}) FROM events AS e WHERE {where} LIMIT {int(limit)}{BY_INDEX}, max_threads = 1",
            conditions.parameters | {"trace": trace_id},
        )
        return sorted(answer.dicts(), key=lambda row: (row["ts"], row["log_offset"], -row["sign"]))

    def select(self, q: Question, condition: str, given: Answer, order: str, limit: int, offset: int) -> list[Answer]:
        """Events of the window that a condition lets through, as they are shown."""
        return [shown(row, q.content) for row in self._read(q, condition, given, order, limit, offset)]

    def _read(self, q: Question, condition: str, given: Answer, order: str, limit: int, offset: int) -> list[Answer]:
        """The same as the table has them. One that a correction took back is not among them; the correction is."""
        conditions = Conditions(q)
        where = f"{conditions.where(Span('raw', q.start, q.end))} AND {condition}"
        # What takes a row back stands where it stands, with the same columns.
        answer = self._store.select(
            f"SELECT * FROM events AS e WHERE {where} AND sign = 1 "
            f"AND (id, trace_id) NOT IN (SELECT id, trace_id FROM events AS e WHERE {where} AND sign = -1) "
            f"ORDER BY {order} LIMIT {int(limit)} OFFSET {int(offset)}",
            conditions.parameters | given,
        )
        return list(answer.dicts())


def _received(as_of: int) -> str:
    return f"received_at <= fromUnixTimestamp64Micro({int(as_of)}, 'UTC')"


def _place(rows: list[Answer]) -> Place | None:
    """Of the last."""
    if not rows:
        return None
    last = rows[-1]
    return windows.micros(last["ts"].replace(tzinfo=UTC)), str(last["id"]), last["trace_id"]


def _behind(as_of: int, after: Place | None) -> tuple[str, Answer]:
    """What was received by then and stands behind a place, newest first, and what is bound in that."""
    if after is None:
        return _received(as_of), {}
    condition = (
        "(toUnixTimestamp64Micro(ts) < {at:Int64} OR (toUnixTimestamp64Micro(ts) = {at:Int64} "
        "AND (toString(id), trace_id) > ({after:String}, {in:String})))"
    )
    return f"{_received(as_of)} AND {condition}", {"at": after[0], "after": after[1], "in": after[2]}


def _together(hours: list[tuple[int, int]], rows: int) -> Iterator[tuple[int, int]]:
    """Spans of hours, latest first, each an hour or as many as hold no more than `rows`."""
    end, start, held = 0, 0, 0
    for hour, count in hours:
        if held and held + count > rows:
            yield start, end
            held = 0
        if not held:
            end = hour + windows.HOUR
        start, held = hour, held + count
    if held:
        yield start, end


def shown(row: Answer, content: bool) -> Answer:
    """A row as an answer has it; `content`: whether texts may be shown."""
    usage = Usage(*(row[name] for name in Usage._fields))
    at: datetime = row["ts"]
    usage_object = _json(row["raw_usage"])
    texts = {name: _content(row, name, content) for name in _CONTENT}
    return {
        "id": str(row["id"]), "type": row["type"], "timestamp": shapes.time(at), "trace_id": row["trace_id"] or None,
        "span_id": row["span_id"] or None, "parent_span_id": row["parent_span_id"] or None,
        "user_id": row["user_id"] or None, "name": row["name"] or None, "operation": row["operation"] or None,
        "tool_name": row["tool_name"] or None, "provider": row["provider"] or None, "model": row["model"] or None,
        "service_tier": row["service_tier"] or None, "agent": row["agent"] or None, "session_id": row["session_id"] or None,
        "status": row["status"], "error_code": row["error_code"] or None, "finish_reason": row["finish_reason"] or None,
        "cost": shapes.money(row["cost"]), "cost_reported": shapes.money(row["cost_reported"]),
        "cost_parts": cost_parts(row["price_rates"], usage), "price_id": row["price_id"] or None,
        "price_status": row["price_status"], "price_version": row["price_version"],
        "tokens": usage.tokens, **usage._asdict(),
        "latency_ms": row["latency_ms"], "time_to_first_token_ms": row["time_to_first_token_ms"],
        "flags": [*row["flags"], *(["usage_estimated"] if row["usage_estimated"] else [])], "privacy": row["privacy"], **texts,
        "tags": tags_of(row),
        "metadata": _json(row["metadata"]) if content else None, "raw_usage": usage_object if content or usage_object is None else numbers_of(usage_object),
        "replaces": row["replaces"] or None,
    }  # fmt: skip


def tags_of(row: Answer) -> dict[str, str]:
    """Key -> value, those beyond a budget among them."""
    return dict(tag.split("=", 1) for tag in [*row["tags"], *row["tags_over"]])


def measured(row: Answer) -> Measured:
    """What one event adds to the sums."""
    usage = Usage(*(row[name] for name in Usage._fields))
    status = row["price_status"]
    sums: dict[str, Any] = {
        "events": 1, "calls": int(row["type"] == "llm"), "tool_calls": int(row["type"] == "tool"),
        "traces": row["is_trace_start"], "user_traces": row["is_user_trace_start"], "input_uncached": usage.input_uncached,
        "input_cache_read": usage.input_cache_read, "input_cache_write": usage.input_cache_write_5m + usage.input_cache_write_30m + usage.input_cache_write_1h
        + usage.input_cache_write_12h, "output": usage.output,
        "output_reasoning": usage.output_reasoning, "cost": row["cost"] or Decimal(0),
        "priced": int(status in PRICED), "unpriced": int(status == "unpriced"),
        "estimated": row["usage_estimated"], "errors": int(row["status"] == "error"),
    }  # fmt: skip
    return Measured(tuple(sums[name] for name in SUMS), row["ts"])


def _content(row: Answer, name: str, shown: bool) -> Any:
    """The content, or why it is absent."""
    held = row[name]
    if held and not shown:
        return {"absent": "not shown on this page"}
    if not held:
        return {"absent": "privacy: minimal"} if row["privacy"] == "minimal" else None
    return held if name == "error_message" else _json(held)


def _json(text: str) -> Any:
    return msgspec.json.decode(text) if text else None


def cost_parts(rates: str, usage: Usage) -> list[Answer]:
    """Each class's tokens, price and amount, as applied; a class that is a subset carries the difference of its rate."""
    if not rates:
        return []
    priced: dict[str, str] = msgspec.json.decode(rates)
    parts = []
    for name, tokens in usage._asdict().items():
        if tokens and name in priced:
            amount = Decimal(priced[name]) * tokens / 10**6
            parts.append(
                {"class": name, "tokens": tokens, "price_per_million": priced[name], "amount": shapes.money(amount)}
            )
    if "request" in priced:
        parts.append({"class": "request", "tokens": 1, "price_per_million": None, "amount": priced["request"]})
    return parts
