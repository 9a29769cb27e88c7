"""Traces and events: drill-down to the raw rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from pipeline.errors import Ambiguous, NotFound
from pipeline.store import Store
from pipeline.usage import Usage
from query import shapes, windows
from query.question import Question
from query.sql import _RAW, SUMS, Conditions, Sql
from query.windows import ALL_TIME, Span

Answer = dict[str, Any]
_CONTENT = ("error_message", "prompt", "response", "tool_arguments", "tool_result", "logs")
# Rows that a correction took back are not shown; the correction is.
_STANDING = "(id, trace_id) NOT IN (SELECT id, trace_id FROM events WHERE account = {account:String} AND sign = -1) AND sign = 1"


class Events:
    """Questions that only raw rows answer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def traces(self, q: Question, offset: int, as_of: int) -> Answer:
        """Newest first; a trace is listed when any of its events is selected, with the numbers of those."""
        sql = self._of_traces(q, as_of)
        text = f"{sql.text} ORDER BY started_at DESC, trace_id LIMIT {int(q.limit) + 1} OFFSET {int(offset)}"
        rows = self._store.select(text, sql.parameters).rows
        return {"rows": [_trace(row) for row in rows[: q.limit]], "more": len(rows) > q.limit}

    def all_traces(self, q: Question, as_of: int, rows: int) -> Iterator[list[Answer]]:
        """Every trace in the same order, so many at a time."""
        sql = self._of_traces(q, as_of)
        after, bound = "", dict[str, Any]()
        while True:
            text = f"{sql.text} {after} ORDER BY started_at DESC, trace_id LIMIT {int(rows)}"
            found = self._store.select(text, sql.parameters | bound, seconds=300).rows
            yield [_trace(row) for row in found]
            if len(found) < rows:
                return
            after = (
                "HAVING toUnixTimestamp64Micro(started_at) < {at:Int64} "
                "OR (toUnixTimestamp64Micro(started_at) = {at:Int64} AND trace_id > {after:String})"
            )
            bound = {"at": _micros(found[-1][3]), "after": found[-1][0]}

    def all_events(self, q: Question, as_of: int, rows: int) -> Iterator[list[Answer]]:
        """Every event in the same order, some hours after the others, so many at a time."""
        conditions = Conditions(q)
        hours = self._store.select(
            f"SELECT toUnixTimestamp(toStartOfHour(e.ts)) AS h, count() FROM events AS e WHERE {conditions.where(Span('raw', q.start, q.end))} "
            "GROUP BY h ORDER BY h DESC",
            conditions.parameters, seconds=300,
        ).rows  # fmt: skip
        seen = f"received_at <= fromUnixTimestamp64Micro({int(as_of)}, 'UTC')"
        for start, end in _together([(int(hour) * 1_000_000, int(count)) for hour, count in hours], rows):
            start, end = max(q.start, start), min(q.end, end)  # hours reach beyond the window
            narrowed = replace(q, window=q.window._replace(start=start, end=end))
            after, bound = "1", dict[str, Any]()
            while True:
                found = self._events(narrowed, f"{seen} AND ({after})", bound, "ts DESC, id, trace_id", rows, 0)
                yield found
                if len(found) < rows:
                    break
                after = (
                    "toUnixTimestamp64Micro(ts) < {at:Int64} OR (toUnixTimestamp64Micro(ts) = {at:Int64} "
                    "AND (id, trace_id) > ({after:UUID}, {in:String}))"
                )
                last = found[-1]
                at = windows.micros(datetime.fromisoformat(last["timestamp"]))
                bound = {"at": at, "after": last["id"], "in": last["trace_id"] or ""}

    def _of_traces(self, q: Question, as_of: int) -> Sql:
        conditions = Conditions(q)
        where = conditions.where(Span("raw", q.start, q.end))
        sums = ", ".join(f"{_RAW[name]} AS m_{name}" for name in SUMS)
        text = f"""SELECT trace_id,
if(anyIf(name, type = 'trace') != '', anyIf(name, type = 'trace'), anyIf(name, name != '')) AS t_name,
argMin(user_id, (ts, id)) AS t_user, min(ts) AS started_at,
max(toUnixTimestamp64Micro(ts) + toInt64(ifNull(latency_ms, 0) * 1000)) - toUnixTimestamp64Micro(min(ts)) AS duration,
arraySort(groupUniqArrayIf(model, model != '')) AS models, argMin(agent, (ts, id)) AS t_agent,
argMin(arrayConcat(tags, tags_over), (ts, id)) AS t_tags, {sums}, max(ts) AS t_last
FROM events AS e WHERE {where} AND trace_id != '' AND received_at <= fromUnixTimestamp64Micro({int(as_of)}, 'UTC')
GROUP BY trace_id"""
        return Sql(text, conditions.parameters)

    def trace(self, q: Question, trace_id: str) -> Answer:
        """One trace with its events in order; windows do not matter."""
        wide = replace(q, window=ALL_TIME)
        sql = self._of_traces(wide, ALL_TIME.end)
        narrowed = sql.text.replace("AND trace_id != ''", "AND trace_id = {trace:String}")
        rows = self._store.select(narrowed, sql.parameters | {"trace": trace_id}).rows
        if not rows:
            raise NotFound("no such trace")
        events = self._events(wide, "trace_id = {trace:String}", {"trace": trace_id}, "ts, log_offset", 10_000, 0)
        return _trace(rows[0]) | {"events": events}

    def events(self, q: Question, offset: int, as_of: int) -> Answer:
        """Newest first."""
        extra = f"received_at <= fromUnixTimestamp64Micro({int(as_of)}, 'UTC')"
        rows = self._events(q, extra, {}, "ts DESC, id, trace_id", q.limit + 1, offset)
        return {"rows": rows[: q.limit], "more": len(rows) > q.limit}

    def event(self, q: Question, event_id: str) -> Answer:
        """One event; Ambiguous when two traces have the id and none is named."""
        try:
            identity = str(UUID(event_id))
        except ValueError:
            raise NotFound("no such event") from None
        condition, given = "id = {id:UUID}", {"id": identity}
        if q.trace_id:
            condition += " AND trace_id = {trace:String}"
            given["trace"] = q.trace_id
        found = self._events(replace(q, window=ALL_TIME), condition, given, "ts", 2, 0)
        if not found:
            raise NotFound("no such event")
        if len(found) > 1:
            raise Ambiguous("two traces have an event of this id: add trace_id")
        return found[0]

    def _events(self, q: Question, condition: str, given: Answer, order: str, limit: int, offset: int) -> list[Answer]:
        conditions = Conditions(q)
        where = conditions.where(Span("raw", q.start, q.end))
        answer = self._store.select(
            f"SELECT * FROM events AS e WHERE {where} AND {condition} AND {_STANDING} "
            f"ORDER BY {order} LIMIT {int(limit)} OFFSET {int(offset)}",
            conditions.parameters | given,
        )
        return [_event(row, q.content) for row in answer.dicts()]


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


def _micros(at: datetime) -> int:
    return windows.micros(at.replace(tzinfo=UTC))


def _trace(row: tuple[Any, ...]) -> Answer:
    trace_id, name, user, started, duration, models, agent, tags, *sums = row
    m = shapes.read(tuple(sums), 0)
    return {
        "trace_id": trace_id,
        "name": name or None,
        "user_id": user or None,
        "started_at": shapes.time(started),
        "duration_ms": round(max(0, duration) / 1000, 3),
        **shapes.measures(m, 1),
        "models": list(models),
        "agent": agent or None,
        "tags": dict(tag.split("=", 1) for tag in tags),
    }


def _event(row: Answer, shown: bool) -> Answer:
    usage = Usage(*(row[name] for name in Usage._fields))
    at: datetime = row["ts"]
    content = {name: _content(row, name, shown) for name in _CONTENT}
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
        "flags": list(row["flags"]), "privacy": row["privacy"], **content,
        "tags": dict(tag.split("=", 1) for tag in [*row["tags"], *row["tags_over"]]),
        "metadata": _json(row["metadata"]), "raw_usage": _json(row["raw_usage"]), "replaces": row["replaces"] or None,
    }  # fmt: skip


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
