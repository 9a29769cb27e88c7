"""Question -> SQL with bound parameters. Values are parameters, a tag key is a value, never an identifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from query.question import Filter, Question
from query.windows import Span, spans

SUMS = (
    "events", "calls", "tool_calls", "traces", "user_traces", "input_uncached", "input_cache_read", "input_cache_write",
    "output", "output_reasoning", "cost", "priced", "unpriced", "estimated", "errors",
)  # fmt: skip
_RAW = {
    "events": "sum(toInt64(sign))",
    "calls": "sum(sign * (type = 'llm'))",
    "tool_calls": "sum(sign * (type = 'tool'))",
    "traces": "sum(sign * toInt64(is_trace_start))",
    "user_traces": "sum(sign * toInt64(is_user_trace_start))",
    "input_uncached": "sum(sign * toInt64(e.input_uncached))",
    "input_cache_read": "sum(sign * toInt64(e.input_cache_read))",
    "input_cache_write": "sum(sign * (toInt64(input_cache_write_5m) + input_cache_write_30m + input_cache_write_1h + input_cache_write_12h))",
    "output": "sum(sign * toInt64(e.output))",
    "output_reasoning": "sum(sign * toInt64(e.output_reasoning))",
    "cost": "sum(CAST(sign * ifNull(e.cost, 0), 'Decimal(38, 9)'))",
    "priced": "sum(sign * (price_status IN ('priced', 'free', 'reported', 'estimated')))",
    "unpriced": "sum(sign * (price_status = 'unpriced'))",
    "estimated": "sum(sign * toInt64(usage_estimated))",
    "errors": "sum(sign * (e.status = 'error'))",
}
_BUCKET = "toInt16(round(log(greatest(ifNull({0}, 1), 0.01)) / log(1.1)))"
_RAW_MAPS = {
    "latency": f"sumMapIf(map({_BUCKET.format('latency_ms')}, toInt64(sign)), latency_ms IS NOT NULL)",
    "first_token": f"sumMapIf(map({_BUCKET.format('time_to_first_token_ms')}, toInt64(sign)), time_to_first_token_ms IS NOT NULL)",
}
_RAW_UNTRACED = "sum(CAST(if(trace_id = '', sign * ifNull(e.cost, 0), 0), 'Decimal(38, 9)'))"
# Each source with its column of time. Hours by tag have no user and no set of tags: an event stands there once for each of its tags,
# and once under the tag ''.
_TABLES = {
    "raw": ("events", "ts"), "hours": ("usage_hours", "hour"), "days": ("usage_days", "day"),
    "tag_hours": ("tag_hours", "hour"),
}  # fmt: skip


class Sql(NamedTuple):
    """A statement and its parameters."""

    text: str
    parameters: dict[str, Any]


class Conditions:
    """WHERE conditions with bound values; the same parameters serve raw and rollups."""

    def __init__(self, question: Question) -> None:
        self.parameters: dict[str, Any] = {"account": question.account}
        self._filters = question.filters
        for number, item in enumerate(question.filters):
            self.parameters[f"f{number}"] = _values(item)
            self.parameters[f"k{number}"] = f"{item.field[4:]}="

    def where(self, span: Span) -> str:
        """For one source over its span."""
        table, column = _TABLES[span.source]
        raw = table == "events"
        parts = ["account = {account:String}"]
        if raw:
            parts.append(_raw_time(span.start, span.end))
        else:
            low, high = span.start // 1_000_000, span.end // 1_000_000
            parts.append(f"{column} >= toDateTime({low}, 'UTC') AND {column} < toDateTime({high}, 'UTC')")
        if table == "tag_hours" and not any(item.field.startswith("tag.") for item in self._filters):
            parts.append("tag = ''")
        for number, item in enumerate(self._filters):
            if table == "tag_hours" and item.field.startswith("tag."):
                parts.append(f"tag IN {{f{number}:Array(String)}}")
            else:
                parts.append(self._condition(number, item, raw))
        return " AND ".join(parts)

    def _condition(self, number: int, item: Filter, raw: bool) -> str:
        if item.field.startswith("tag."):
            tags = "arrayConcat(tags, tags_over)" if raw else "tags"
            wanted = []
            if any(item.values):
                wanted.append(f"hasAny({tags}, {{f{number}:Array(String)}})")
            if "" in item.values:
                wanted.append(f"NOT arrayExists(t -> startsWith(t, {{k{number}:String}}), {tags})")
        else:
            prefix = "e." if raw else "r."
            wanted = [f"has({{f{number}:Array(String)}}, {prefix}{item.field})"]
        condition = f"({' OR '.join(wanted)})"
        return f"NOT {condition}" if item.exclude else condition


def _values(item: Filter) -> list[str]:
    if item.field.startswith("tag."):
        return [f"{item.field[4:]}={value}" for value in item.values if value]
    return list(item.values)


def _raw_time(start: int, end: int) -> str:
    """Both the instant and its hour: without the hour the key is not used."""
    first, last = start // 3_600_000_000 * 3600, -(-end // 3_600_000_000) * 3600
    return (
        f"toStartOfHour(ts) >= toDateTime({first}, 'UTC') AND toStartOfHour(ts) < toDateTime({last}, 'UTC') "
        f"AND ts >= fromUnixTimestamp64Micro({start}, 'UTC') AND ts < fromUnixTimestamp64Micro({end}, 'UTC')"
    )


class Key(NamedTuple):
    """A column to group by: its name, and its expression over rollup and raw columns."""

    name: str
    rollup: str
    raw: str
    by_tag: bool = False  # whether hours by tag have it


def key_of(name: str, number: int = 0) -> Key:
    """The column of a group_by key; a tag's value is '' where there is none."""
    if name.startswith("tag."):
        bound = f"{{g{number}:String}}"

        def value(tags: str) -> str:
            return f"substring(arrayFirst(t -> startsWith(t, {bound}), {tags}), length({bound}) + 1)"

        return Key("key", value("tags"), value("arrayConcat(tags, tags_over)"))
    column = {"user": "user_id"}.get(name, name)
    return Key("key", f"r.{column}", f"e.{column}", column != "user_id")


def column(name: str) -> Key:
    """A plain column."""
    return Key(name, f"r.{name}", f"e.{name}", name != "user_id")


def bucket_key(bucket: str) -> Key:
    """The UTC instant at which a day or hour of the zone begins."""
    if bucket == "hour":
        return Key(
            "bucket",
            "toUnixTimestamp(toStartOfHour(r.at, {tz:String}))",
            "toUnixTimestamp(toStartOfHour(e.ts, {tz:String}))",
            by_tag=True,
        )
    return Key(
        "bucket",
        "toUnixTimestamp(toStartOfDay(r.at, {tz:String}))",
        "toUnixTimestamp(toStartOfDay(toDateTime(e.ts), {tz:String}))",
        by_tag=True,
    )


def untraced(question: Question, *, raw_only: bool = False) -> Sql:
    """The spend outside any trace: one row, of one number."""
    conditions = Conditions(question)
    selects = []
    for span in sources(question, [], raw_only=raw_only):
        table, _ = _TABLES[span.source]
        summed, alias = (_RAW_UNTRACED, "e") if table == "events" else ("sum(r.untraced)", "r")
        selects.append(f"SELECT {summed} AS untraced FROM {table} AS {alias} WHERE {conditions.where(span)}")
    return Sql(f"SELECT sum(untraced) FROM ({' UNION ALL '.join(selects)})", conditions.parameters)


def sources(question: Question, keys: Sequence[Key], *, whole_days: bool = True, raw_only: bool = False) -> list[Span]:
    """The cheapest exact mix: raw rows where no rollup is exact, hours by tag where neither users nor sets of tags are asked about."""
    if raw_only:
        return [Span("raw", question.start, question.end)]
    parts = spans(question.start, question.end)
    if _without_users(question, keys):
        hours = [span for span in parts if span.source != "raw"]
        return [
            *(span for span in parts if span.source == "raw"),
            *([Span("tag_hours", hours[0].start, hours[-1].end)] if hours else []),
        ]
    return parts if whole_days else [Span("hours", s.start, s.end) if s.source == "days" else s for s in parts]


def _without_users(question: Question, keys: Sequence[Key]) -> bool:
    """Whether hours by tag can answer: at most one tag asked for, by its values, and nothing of a user."""
    tagged = [item for item in question.filters if item.field.startswith("tag.")]
    if len(tagged) > 1 or any(item.exclude or "" in item.values for item in tagged):
        return False
    return all(item.field != "user_id" for item in question.filters) and all(key.by_tag for key in keys)


def measured(
    question: Question,
    keys: Sequence[Key],
    *,
    maps: bool = False,
    whole_days: bool = True,
    having: str = "",
    raw_only: bool = False,
) -> tuple[Sql, str]:
    """Measures grouped by keys, over the cheapest exact mix of sources; and the plan's name."""
    conditions = Conditions(question)
    parts = sources(question, keys, whole_days=whole_days, raw_only=raw_only)
    names = ", ".join(key.name for key in keys)
    shown = [*SUMS, *(("latency", "first_token") if maps else ())]
    selects = [_select(span, keys, conditions, maps) for span in parts]
    outer = [key.name for key in keys] + [f"sum(u.{name}) AS {name}" for name in SUMS]
    if maps:
        outer += ["sumMap(u.latency) AS latency", "sumMap(u.first_token) AS first_token"]
    outer.append("max(u.last_seen) AS last_seen")
    union = "\n    UNION ALL\n    ".join(selects) or _nothing(keys, shown)
    group = f"\nGROUP BY {names}" if keys else ""
    text = f"SELECT {', '.join(outer)}\nFROM (\n    {union}\n) AS u{group}{having}"
    plan = "+".join(dict.fromkeys(span.source for span in parts)) or "nothing"
    return Sql(text, conditions.parameters), plan


def _select(span: Span, keys: Sequence[Key], conditions: Conditions, maps: bool) -> str:
    table, at = _TABLES[span.source]
    if table == "events":
        columns = [f"{key.raw} AS {key.name}" for key in keys]
        columns += [f"{_RAW[name]} AS {name}" for name in SUMS]
        if maps:
            columns += [f"{sql} AS {name}" for name, sql in _RAW_MAPS.items()]
        columns.append("max(ts) AS last_seen")
        alias = "e"
    else:
        columns = [f"{key.rollup.replace('r.at', f'r.{at}')} AS {key.name}" for key in keys]
        columns += [f"sum(r.{name}) AS {name}" for name in SUMS]
        if maps:
            columns += [f"sumMap(r.{name}) AS {name}" for name in _RAW_MAPS]
        columns.append("max(r.last_seen) AS last_seen")
        alias = "r"
    group = f" GROUP BY {', '.join(key.name for key in keys)}" if keys else ""
    return f"SELECT {', '.join(columns)} FROM {table} AS {alias} WHERE {conditions.where(span)}{group}"


def _nothing(keys: Sequence[Key], shown: Sequence[str]) -> str:
    columns = [f"'' AS {key.name}" for key in keys] + [f"toInt64(0) AS {name}" for name in shown]
    return f"SELECT {', '.join(columns)}, toDateTime64(0, 6, 'UTC') AS last_seen WHERE 0"


def distinct_traces(question: Question, keys: Sequence[Key]) -> Sql:
    """Distinct trace ids with a matching event, from the raw table."""
    conditions = Conditions(question)
    where = conditions.where(Span("raw", question.start, question.end))
    columns = [f"{key.raw} AS {key.name}" for key in keys] + ["uniqExact(trace_id) AS traces"]
    group = f" GROUP BY {', '.join(key.name for key in keys)}" if keys else ""
    text = f"SELECT {', '.join(columns)} FROM events AS e WHERE {where} AND trace_id != '' AND sign = 1{group}"
    return Sql(text, conditions.parameters)
