"""Traces: found newest first without reading the whole window, or in another order by reading all of it; one by its id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.errors import NotFound
from pipeline.store import Store
from query import shapes, windows
from query.events import BY_INDEX, IN_TRACE, Events, measured, shown, tags_of
from query.question import Question
from query.shapes import Measured
from query.sql import _RAW, SUMS, Conditions, Sql
from query.windows import ALL_TIME, Span

Answer = dict[str, Any]
Row = tuple[Any, ...]  # of `of_traces`
Place = tuple[int, str]  # when a trace begins, unix us, and its id: where it stands among others, newest first
EVENTS_SHOWN = 10_000  # of one trace
_STARTED, _KEYS = 3, 8  # of the columns of `of_traces`: when it begins; and how many stand before the sums
_FIRST_SLICE = windows.HOUR // 4
# Columns that traces can be sorted by, as their statement names them.
SORTED = {
    "started_at": "started_at", "duration_ms": "duration", "spend": "m_cost", "events": "m_events", "calls": "m_calls",
    "tokens": "m_input_uncached + m_input_cache_read + m_input_cache_write + m_output", "errors": "m_errors",
    "unpriced_events": "m_unpriced", "last_seen": "t_last",
}  # fmt: skip

# A trace has the user and the tags of its first event to arrive, where it is counted.
_ARRIVED = "(is_trace_start = 0, received_at, log_offset)"
_MINUTES = "arrayDistinct(arrayMap(t -> substring(t, 1, 8), {traces:Array(String)}))"  # few, and so few looks into each block of the index
_AMONG = f"AND trace_id IN {{traces:Array(String)}} AND substring(trace_id, 1, 8) IN {_MINUTES}"


class Traces:
    """A trace is listed when any of its events is selected, with the numbers of those."""

    def __init__(self, store: Store, events: Events) -> None:
        self._store, self._events = store, events
        self._beside = ThreadPoolExecutor(4, "traces")
        self.whole_window = False

    def page(self, q: Question, as_of: int, state: Any = None) -> Answer:
        """One page, its sums, and what the next one needs when there is one: `state`, as the page before gave it in `more`."""
        if self.whole_window:
            return self._sorted(replace(q, sort=q.sort or "started_at"), as_of, state or 0)
        if q.sort and (q.sort != "started_at" or not q.descending):
            return self._sorted(q, as_of, state or 0)
        return self._newest(q, as_of, (int(state[0]), str(state[1])) if state else None)

    # --- newest first

    def _newest(self, q: Question, as_of: int, after: Place | None) -> Answer:
        """The page behind `after`: its rows, and the place of the last when there are more.

        Slices of time are read backwards, each as long as all before it; a trace that has an event in one begins there, unless it has
        an earlier event in the window too. That is looked up when there are enough for a page.
        """
        places: list[Place] = []
        rows: dict[str, Row] = {}
        likely: dict[str, int] = {}  # the traces of slices that were read whole, and their first event there
        high = q.end if after is None else after[0] + 1
        width = _FIRST_SLICE
        while high > q.start and len(places) <= q.limit:
            low = max(q.start, high - width)
            wanted = q.limit + 1 - len(places)
            count = wanted - len(likely)  # most of those begin where they were seen
            found = self._within(q, as_of, low, high, after, 2 * count, 0)
            if len(found) < 2 * count:
                likely |= found
                if len(likely) >= wanted or low == q.start:
                    places += self._beginning(q, as_of, low, likely, rows)
                    likely = {}
            else:
                places += self._beginning(q, as_of, high, likely, rows)
                likely, offset = {}, 0
                while found and len(places) <= q.limit:
                    places += self._beginning(q, as_of, low, found, rows)
                    offset += 2 * count
                    found = (
                        self._within(q, as_of, low, high, after, 2 * count, offset) if len(places) <= q.limit else {}
                    )
            high, width = low, 2 * width
        shown = places[: q.limit]
        if missing := [place for place in shown if place[1] not in rows]:
            rows |= self._rows(q, as_of, missing)
        return _page([rows[trace] for _, trace in shown], shown[-1] if len(places) > q.limit else None)

    def _within(
        self, q: Question, as_of: int, low: int, high: int, after: Place | None, count: int, offset: int
    ) -> dict[str, int]:
        """Traces with an event in [low, high), and the first there, behind `after`: so many from the newest on, behind `offset` others."""
        part = replace(q, window=q.window._replace(start=low, end=high))
        conditions = Conditions(part)
        text = f"""SELECT trace_id, toUnixTimestamp64Micro(min(ts)) AS at FROM events AS e
WHERE {_selected(part, conditions, as_of)}
GROUP BY trace_id HAVING {_behind("at", after)} ORDER BY at DESC, trace_id LIMIT {int(count)} OFFSET {int(offset)}"""
        return {trace: int(at) for trace, at in self._store.select(text, conditions.parameters | _place(after)).rows}

    def _beginning(
        self, q: Question, as_of: int, low: int, traces: dict[str, int], rows: dict[str, Row]
    ) -> list[Place]:
        """Those that have no event before `low`, newest first. Most have none, so the rows of a page are read beside, into `rows`."""
        places = sorted(((at, trace) for trace, at in traces.items()), key=lambda place: (-place[0], place[1]))
        likely = places[: q.limit - len(rows)]
        beside = self._beside.submit(self._rows, q, as_of, likely) if likely else None
        earlier = self._earlier(q, as_of, low, list(traces))
        if beside is not None:
            rows |= {trace: row for trace, row in beside.result().items() if trace not in earlier}
        return [place for place in places if place[1] not in earlier]

    def _earlier(self, q: Question, as_of: int, low: int, traces: Sequence[str]) -> set[str]:
        """Those of the traces that have an event in the window before `low`."""
        if not traces or low <= q.start:
            return set()
        part = replace(q, window=q.window._replace(end=low))
        conditions = Conditions(part)
        text = (
            f"SELECT DISTINCT trace_id FROM events AS e WHERE {_selected(part, conditions, as_of)} {_AMONG}{BY_INDEX}"
        )
        return {row[0] for row in self._store.select(text, conditions.parameters | {"traces": list(traces)}).rows}

    def _rows(self, q: Question, as_of: int, places: Sequence[Place]) -> dict[str, Row]:
        part = replace(q, window=q.window._replace(start=max(q.start, min(at for at, _ in places))))
        sql = of_traces(part, as_of, _AMONG)
        bound = sql.parameters | {"traces": [trace for _, trace in places]}
        return {row[0]: row for row in self._store.select(f"{sql.text}{BY_INDEX}", bound).rows}

    # --- in another order, and all of them

    def _sorted(self, q: Question, as_of: int, offset: int) -> Answer:
        """By the column of `sort`, ties by id."""
        sql = of_traces(q, as_of)
        order = f"{SORTED[q.sort]} {'DESC' if q.descending else 'ASC'}"
        if q.sort == "spend":  # unknown is below every amount
            order = f"m_unpriced > 0 AND m_priced = 0 AND m_cost = 0 {'ASC' if q.descending else 'DESC'}, {order}"
        text = f"{sql.text} ORDER BY {order}, trace_id LIMIT {int(q.limit) + 1} OFFSET {int(offset)}"
        rows = self._store.select(text, sql.parameters).rows
        return _page(rows[: q.limit], offset + q.limit if len(rows) > q.limit else None)

    def all(self, q: Question, as_of: int, rows: int) -> Iterator[list[Answer]]:
        """Every trace, newest first, so many at a time."""
        after: Place | None = None
        while True:
            found = self._newest(replace(q, limit=rows), as_of, after)
            yield found["rows"]
            if (after := found["more"]) is None:
                return

    # --- one

    def trace(self, q: Question, trace_id: str) -> Answer:
        """With its first EVENTS_SHOWN events in order; windows do not matter. Raises NotFound."""
        q = replace(q, window=ALL_TIME)
        rows = self._events.of_trace(q, trace_id, EVENTS_SHOWN + 1)
        if not rows:
            raise NotFound("no such trace")
        return _whole(rows, q.content) if len(rows) <= EVENTS_SHOWN else self._long(q, trace_id)

    def _long(self, q: Question, trace_id: str) -> Answer:
        """Of a trace with more than that: the sums are of all its events."""
        sql = of_traces(q, ALL_TIME.end, _AMONG)
        row = self._store.select(f"{sql.text}{BY_INDEX}", sql.parameters | {"traces": [trace_id]}).rows[0]
        # By its trace id all of time is searched; once is enough.
        first, last = (windows.micros(row[at].replace(tzinfo=UTC)) for at in (_STARTED, -1))
        near = replace(q, window=windows.between(first, last + 1))
        events = self._events.select(near, IN_TRACE, {"trace": trace_id}, "ts, log_offset", EVENTS_SHOWN, 0)
        told = _trace(row)
        if told["events"] > len(events):
            told["_warning"] = (
                f"of {told['events']:,} events the first {EVENTS_SHOWN:,} are told; `events` has them all"
            )
        return told | {"events": events}


def _selected(q: Question, conditions: Conditions, as_of: int) -> str:
    """WHERE of the rows that the question's traces are made of."""
    where = conditions.where(Span("raw", q.start, q.end))
    return f"{where} AND trace_id != '' AND received_at <= fromUnixTimestamp64Micro({int(as_of)}, 'UTC')"


def _behind(at: str, after: Place | None) -> str:
    return f"({at} < {{at:Int64}} OR ({at} = {{at:Int64}} AND trace_id > {{after:String}}))" if after else "1"


def _place(after: Place | None) -> dict[str, Any]:
    return {"at": after[0], "after": after[1]} if after else {}


def of_traces(q: Question, as_of: int, narrowed: str = "") -> Sql:
    """Traces with the numbers of their selected events, received by unix us `as_of`; `narrowed`: one more condition on rows."""
    conditions = Conditions(q)
    sums = ", ".join(f"{_RAW[name]} AS m_{name}" for name in SUMS)
    text = f"""SELECT trace_id,
if(anyIf(name, type = 'trace') != '', anyIf(name, type = 'trace'), anyIf(name, name != '')) AS t_name,
argMin(user_id, {_ARRIVED}) AS t_user, min(ts) AS started_at,
max(toUnixTimestamp64Micro(ts) + toInt64(ifNull(latency_ms, 0) * 1000)) - toUnixTimestamp64Micro(min(ts)) AS duration,
arraySort(mapKeys(mapFilter((m, events) -> m != '' AND events > 0, sumMap(map(toString(model), toInt64(sign)))))) AS models,
argMin(agent, {_ARRIVED}) AS t_agent, argMin(arrayConcat(tags, tags_over), {_ARRIVED}) AS t_tags, {sums}, max(ts) AS t_last
FROM events AS e WHERE {_selected(q, conditions, as_of)} {narrowed}
GROUP BY trace_id"""
    return Sql(text, conditions.parameters)


def _whole(rows: Sequence[Answer], content: bool) -> Answer:
    """A trace of all its rows, as the table has them in order: what `of_traces` says of it, and its events.

    A row that a correction took back stands twice, the second time with the sign -1; it is in no sum, and not shown.
    """
    taken_back = {row["id"] for row in rows if row["sign"] < 0}
    standing = [row for row in rows if row["id"] not in taken_back]
    arrived = min(rows, key=lambda row: (not row["is_trace_start"], row["received_at"], row["log_offset"]))
    names, began = [row for row in rows if row["name"]], min(row["ts"] for row in rows)
    named = next((row for row in names if row["type"] == "trace"), names[0] if names else {"name": ""})
    ends = (row["ts"] + timedelta(microseconds=int((row["latency_ms"] or 0) * 1000)) for row in rows)
    return _told(
        arrived["trace_id"], named["name"], arrived["user_id"], began, (max(ends) - began) // timedelta(microseconds=1),
        sorted({row["model"] for row in standing if row["model"]}), arrived["agent"], tags_of(arrived),
        Measured.total([measured(row) for row in standing]),
    ) | {"events": [shown(row, content) for row in standing]}  # fmt: skip


def _page(rows: Sequence[tuple[Any, ...]], more: Any) -> Answer:
    sums = Measured.total([shapes.read(row, _KEYS) for row in rows])
    return {"rows": [_trace(row) for row in rows], "sums": sums, "more": more}


def _trace(row: tuple[Any, ...]) -> Answer:
    trace_id, name, user, started, duration, models, agent, tags, *_ = row
    told = dict(tag.split("=", 1) for tag in tags)
    return _told(trace_id, name, user, started, duration, models, agent, told, shapes.read(row, _KEYS))


def _told(
    trace_id: str,
    name: str,
    user: str,
    started: datetime,
    duration: int,
    models: Sequence[str],
    agent: str,
    tags: Answer,
    m: Measured,
) -> Answer:
    """As it is shown; `duration` in us."""
    return {
        "trace_id": trace_id,
        "name": name or None,
        "user_id": user or None,
        "started_at": shapes.time(started),
        "duration_ms": round(max(0, duration) / 1000, 3),
        **shapes.measures(m, 1),
        "models": list(models),
        "agent": agent or None,
        "tags": tags,
    }
