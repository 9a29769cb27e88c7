"""Question -> SQL with bound parameters. Values are parameters, a tag key is a value, never an identifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pipeline.rollups import MODEL_SLICE
from query.question import Filter, Question
from query.windows import ALL_TIME, Span

SUMS = (
    "events", "calls", "tool_calls", "traces", "user_traces", "input_uncached", "input_cache_read", "input_cache_write",
    "output", "output_reasoning", "cost", "priced", "unpriced", "estimated", "errors",
)  # fmt: skip
_EVER = (ALL_TIME.start, ALL_TIME.end)
UNTRACED = "untraced"  # the cost outside any trace
PRICED = ("priced", "free", "reported", "estimated")  # the states of an event whose cost is known
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
    "priced": f"sum(sign * (price_status IN {PRICED}))",
    "unpriced": "sum(sign * (price_status = 'unpriced'))",
    "estimated": "sum(sign * toInt64(usage_estimated))",
    "errors": "sum(sign * (e.status = 'error'))",
    "untraced": "sum(CAST(if(trace_id = '', sign * ifNull(e.cost, 0), 0), 'Decimal(38, 9)'))",
}
_BUCKET = "toInt16(round(log(greatest(ifNull({0}, 1), 0.01)) / log(1.1)))"
_RAW_MAPS = {
    "latency": f"sumMapIf(map({_BUCKET.format('latency_ms')}, toInt64(sign)), latency_ms IS NOT NULL)",
    "first_token": f"sumMapIf(map({_BUCKET.format('time_to_first_token_ms')}, toInt64(sign)), time_to_first_token_ms IS NOT NULL)",
}
# Each source with its column of time. Hours by tag have no user and no set of tags: an event stands there once for each of its tags,
# and once under the tag ''.
_TABLES = {
    "raw": ("events", "ts"), "hours": ("usage_hours", "hour"), "days": ("usage_days", "day"),
    "tag_hours": ("tag_hours", "hour"), "hour_folds": ("user_folds", "at"), "day_folds": ("user_folds", "at"),
}  # fmt: skip


class Sql(NamedTuple):
    """A statement and its parameters."""

    text: str
    parameters: dict[str, Any]


class Conditions:
    """WHERE conditions with bound values; the same parameters serve raw and rollups."""

    def __init__(self, question: Question, keys: Sequence[Key] = ()) -> None:
        self._slices = next((key.slices for key in keys if key.slices), "")
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
            if (span.start, span.end) != _EVER:  # looked up by id: a time would be held against every mark
                parts.append(_raw_time(span.start, span.end))
        else:
            low, high = span.start // 1_000_000, span.end // 1_000_000
            parts.append(f"{column} >= toDateTime({low}, 'UTC') AND {column} < toDateTime({high}, 'UTC')")
        if table == "user_folds":
            return " AND ".join([*parts, *self._of_folds(span)])
        if span.buckets:
            parts.append(f"toUnixTimestamp({column}) NOT IN ({', '.join(map(str, span.buckets))})")
        if table == "tag_hours" and not any(item.field.startswith("tag.") for item in self._filters):
            parts.append("tag = ''")
        for number, item in enumerate(self._filters):
            if table == "tag_hours" and item.field.startswith("tag."):
                parts.append(f"tag IN {{f{number}:Array(String)}}")
            else:
                parts.append(self._condition(number, item, raw))
        return " AND ".join(parts)

    def _of_folds(self, span: Span) -> list[str]:
        """The slice that the one filter but the user names, or all models, or everything."""
        pairs = ", ".join(f"({at}, {fold})" for at, fold in zip(span.buckets, span.folds, strict=True))
        parts = [f"span = '{span.source.removesuffix('_folds')}'", f"(toUnixTimestamp(at), fold) IN ({pairs})"]
        sliced = self._slices or "slice = ''"
        for number, item in enumerate(self._filters):
            if item.field == "user_id":
                parts.append(self._condition(number, item, raw=False))
            elif item.field == "model":
                sliced = f"slice IN arrayMap(m -> concat('{MODEL_SLICE}', m), {{f{number}:Array(String)}})"
            else:
                sliced = f"slice IN {{f{number}:Array(String)}}"
        return [*parts, sliced]

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
            wanted = [f"{prefix}{item.field} IN {{f{number}:Array(String)}}"]
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
    # In folds: the expression, "" where they do not have it; and the condition on slices that it takes, if it is a part of their name.
    fold: str = ""
    slices: str = ""


def key_of(name: str, number: int = 0) -> Key:
    """The column of a group_by key; a tag's value is '' where there is none."""
    if name.startswith("tag.") and name != "tag.userId":
        bound = f"{{g{number}:String}}"

        def value(tags: str) -> str:
            return f"substring(arrayFirst(t -> startsWith(t, {bound}), {tags}), length({bound}) + 1)"

        return Key("key", value("tags"), value("arrayConcat(tags, tags_over)"))
    return column({"user": "user_id", "tag.userId": "user_id"}.get(name, name))._replace(name="key")


def column(name: str) -> Key:
    """A plain column."""
    if name == "user_id":
        return Key(name, "r.user_id", "e.user_id", fold="r.user_id")
    if name == "model":
        model = f"substring(r.slice, {len(MODEL_SLICE) + 1})"
        return Key(name, "r.model", "e.model", True, fold=model, slices=f"startsWith(slice, '{MODEL_SLICE}')")
    return Key(name, f"r.{name}", f"e.{name}", True)


NOBODY = Key("nobody", "r.user_id = ''", "e.user_id = ''", fold="r.user_id = ''")
_TAGS = "arrayConcat(e.tags, e.tags_over)"


def tag_key(name: str = "") -> Key:
    """Every `key=value` that an event has, so that the event counts once for each; with a name those of this key (bound: g0)."""
    if name:
        mine = "arrayJoin(arrayFilter(t -> startsWith(t, {{g0:String}}), {0}))"
        return Key(
            "key", mine.format("r.tags"), mine.format(_TAGS), fold="r.slice", slices="startsWith(slice, {g0:String})"
        )
    tags = f"slice != '' AND NOT startsWith(slice, '{MODEL_SLICE}')"
    return Key("key", "arrayJoin(r.tags)", f"arrayJoin({_TAGS})", fold="r.slice", slices=tags)


def pair_key() -> Key:
    """The one `key=value` of a key that an event has (bound: g0); '' where it has none, which folds leave out."""
    mine = "arrayFirst(t -> startsWith(t, {{g0:String}}), {0})"
    return Key(
        "key", mine.format("r.tags"), mine.format(_TAGS), fold="r.slice", slices="startsWith(slice, {g0:String})"
    )


def bucket_key(bucket: str, *, by_starts: bool = False) -> Key:
    """The UTC instant at which a day or hour of the zone begins (bound: tz).

    `by_starts`: of raw rows the last of the instants at which hours begin (bound: starts), for zones whose clocks are moved by a part of
    an hour: the store takes an hour after that for another.
    """
    if bucket == "hour":
        rollup = "toUnixTimestamp(toStartOfHour(r.at, {tz:String}))"
        raw = "toUnixTimestamp(toStartOfHour(e.ts, {tz:String}))"
        if by_starts:
            raw = "roundDown(toUnixTimestamp(e.ts), {starts:Array(UInt32)})"
    else:
        rollup = "toUnixTimestamp(toStartOfDay(r.at, {tz:String}))"
        raw = "toUnixTimestamp(toStartOfDay(toDateTime(e.ts), {tz:String}))"
    return Key("bucket", rollup, raw, True, rollup)


def with_users(question: Question, keys: Sequence[Key], parts: Sequence[Span]) -> Sql:
    """The same as measured, and behind last_seen the number of users with an event."""
    inner = measured(question, [*keys, column("user_id")], parts)
    names = [key.name for key in keys]
    columns = [*names, *(f"sum(w.{name}) AS {name}" for name in SUMS), "max(w.last_seen) AS last_seen"]
    columns.append("countIf(w.user_id != '' AND w.events != 0) AS users")
    group = f"\nGROUP BY {', '.join(names)}" if keys else ""
    return Sql(f"SELECT {', '.join(columns)} FROM (\n{inner.text}\n) AS w{group}", inner.parameters)


def measured(
    question: Question,
    keys: Sequence[Key],
    parts: Sequence[Span],
    *,
    maps: bool = False,
    only: Sequence[str] = SUMS,
) -> Sql:
    """Measures grouped by keys, over the sources of a plan: `only` these sums, of SUMS and UNTRACED."""
    conditions = Conditions(question, keys)
    if len(parts) == 1:  # half the time of a statement of so many columns goes into its plan
        return Sql(_select(parts[0], keys, conditions, maps, only), conditions.parameters)
    names = ", ".join(key.name for key in keys)
    shown = [*only, *(("latency", "first_token") if maps else ())]
    selects = [_select(span, keys, conditions, maps, only) for span in parts]
    outer = [key.name for key in keys] + [f"sum(u.{name}) AS {name}" for name in only]
    if maps:
        outer += ["sumMap(u.latency) AS latency", "sumMap(u.first_token) AS first_token"]
    outer.append("max(u.last_seen) AS last_seen")
    union = "\n    UNION ALL\n    ".join(selects) or _nothing(keys, shown)
    group = f"\nGROUP BY {names}" if keys else ""
    return Sql(f"SELECT {', '.join(outer)}\nFROM (\n    {union}\n) AS u{group}", conditions.parameters)


def _select(span: Span, keys: Sequence[Key], conditions: Conditions, maps: bool, only: Sequence[str]) -> str:
    table, at = _TABLES[span.source]
    if table == "events":
        columns = [f"{key.raw} AS {key.name}" for key in keys]
        columns += [f"{_RAW[name]} AS {name}" for name in only]
        if maps:
            columns += [f"{sql} AS {name}" for name, sql in _RAW_MAPS.items()]
        columns.append("max(ts) AS last_seen")
        alias = "e"
    else:
        columns = [f"{_of_rollup(key, span).replace('r.at', f'r.{at}')} AS {key.name}" for key in keys]
        columns += [f"sum(r.{name}) AS {name}" for name in only]
        if maps:
            columns += [f"sumMap(r.{name}) AS {name}" for name in _RAW_MAPS]
        columns.append("max(r.last_seen) AS last_seen")
        alias = "r"
    group = f" GROUP BY {', '.join(key.name for key in keys)}" if keys else ""
    return f"SELECT {', '.join(columns)} FROM {table} AS {alias} WHERE {conditions.where(span)}{group}"


def _of_rollup(key: Key, span: Span) -> str:
    return key.fold if span.folds else key.rollup


def _nothing(keys: Sequence[Key], shown: Sequence[str]) -> str:
    columns = [f"'' AS {key.name}" for key in keys] + [f"toInt64(0) AS {name}" for name in shown]
    return f"SELECT {', '.join(columns)}, toDateTime64(0, 6, 'UTC') AS last_seen WHERE 0"


def distinct_traces(question: Question, keys: Sequence[Key]) -> Sql:
    """Distinct trace ids with a matching event, from the raw table; an event that a correction took back matches no more."""
    conditions = Conditions(question)
    where = conditions.where(Span("raw", question.start, question.end))
    columns = [f"{key.raw} AS {key.name}" for key in keys]
    names = [key.name for key in keys]
    inner = f"SELECT {', '.join([*columns, 'trace_id'])} FROM events AS e WHERE {where} AND trace_id != ''"
    inner += f" GROUP BY {', '.join([*names, 'trace_id'])} HAVING sum(sign) > 0"
    group = f" GROUP BY {', '.join(names)}" if keys else ""
    return Sql(f"SELECT {', '.join([*names, 'count() AS traces'])} FROM ({inner}){group}", conditions.parameters)
