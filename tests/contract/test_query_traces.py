"""Traces and events in any order, to the last one, and what stands on each page of them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from pipeline.row import Row
from pipeline.store import ClickHouse
from tests.support.answers import (
    DAY,
    NOW,
    ROWS,
    START,
    Asker,
    instant,
)
from tests.support.rows import grouped, sums

TRACE_QUESTIONS: dict[str, Callable[[Row], bool]] = {
    "": lambda row: True,
    "&tag.plan=pro": lambda row: "plan=pro" in row.tags,
    "&userId=ada&status=error": lambda row: row.user_id == "ada" and row.status == "error",
    "&model=no-such": lambda row: False,
}


async def trace_pages(ask: Asker, question: str) -> AsyncIterator[dict[str, Any]]:
    cursor = ""
    while True:
        page = await ask(f"traces?from={instant(NOW - 20 * DAY)}&to={instant(NOW)}&{question}{cursor}")
        yield page
        if page["next_cursor"] is None:
            return
        cursor = f"&cursor={page['next_cursor']}"


@pytest.mark.parametrize("filters", TRACE_QUESTIONS)
async def test_traces_come_newest_first_to_the_last_one(ask: Asker, filters: str) -> None:
    keep = TRACE_QUESTIONS[filters]
    rows = [row for row in ROWS["a"] if NOW - 20 * DAY <= row.ts < NOW and row.trace_id and keep(row)]
    by_trace = grouped(rows, lambda row: row.trace_id)
    expected = sorted(by_trace, key=lambda trace: (-min(row.ts for row in by_trace[trace]), trace))
    pages = [page async for page in trace_pages(ask, f"limit=170{filters}")]
    told = [trace for page in pages for trace in page["data"]]
    assert [trace["trace_id"] for trace in told] == expected
    for trace in told:
        of_trace = sums(by_trace[trace["trace_id"]])
        assert (trace["events"], trace["tokens"]) == (of_trace["events"], of_trace["tokens"])
        assert (trace["spend"] is None) == (of_trace["spend"] is None)
        assert Decimal(trace["spend"] or 0) == (of_trace["spend"] or 0)
    assert all(page["totals"] == pages[0]["totals"] for page in pages)


@pytest.mark.parametrize("column", ["-spend", "spend", "-duration_ms", "-tokens", "started_at", "-errors"])
async def test_traces_are_sorted_by_what_is_asked_for(ask: Asker, column: str) -> None:
    name, sign = column.removeprefix("-"), -1 if column.startswith("-") else 1
    told = [trace async for page in trace_pages(ask, f"limit=500&sort={column}") for trace in page["data"]]

    def value(trace: dict[str, Any]) -> Any:
        if name == "started_at":
            return datetime.fromisoformat(trace[name]).timestamp()
        return Decimal(-1 if trace[name] is None else trace[name])

    assert [trace["trace_id"] for trace in told] == [
        trace["trace_id"] for trace in sorted(told, key=lambda trace: (sign * value(trace), trace["trace_id"]))
    ]
    assert len({trace["trace_id"] for trace in told}) == len(told) > 500


async def test_events_are_sorted_by_what_is_asked_for(ask: Asker) -> None:
    costs = [event["cost"] for event in (await ask("events?window=28d&limit=1000&sort=-cost"))["data"]]
    known = [Decimal(cost) for cost in costs if cost is not None]
    rows = [row.cost for row in ROWS["a"] if NOW - 28 * DAY <= row.ts < NOW and row.cost is not None]
    assert known == sorted(rows, reverse=True)[:1000]
    slowest = (await ask("events?window=28d&limit=1&sort=-latency_ms"))["data"][0]
    assert slowest["latency_ms"] == max(row.latency_ms or 0 for row in ROWS["a"] if NOW - 28 * DAY <= row.ts < NOW)


async def test_a_trace_has_the_name_of_its_block(ask: Asker, rows_store: ClickHouse) -> None:
    old = START - 300 * DAY
    first = ROWS["a"][0]._replace(ts=old, received_at=old, trace_id="named", type="llm", name="answer", sign=1,
        user_id="namer", id=str(uuid4()))  # fmt: skip
    block = first._replace(type="trace", name="review clause", ts=old + 1_000_000, id=str(uuid4()))
    rows_store.insert("events", Row._fields, list(zip(first, block, strict=True)), token=str(uuid4()))
    listed = await ask(f"traces?from={instant(old - DAY)}&to={instant(old + DAY)}")
    assert [trace["name"] for trace in listed["data"]] == ["review clause"]
    assert (await ask("traces/named"))["data"]["name"] == "review clause"


@pytest.mark.parametrize(
    "asked", ["traces?limit=150", "traces?limit=150&tag.plan=pro&sort=-spend", "traces?limit=90&status=error", "events?limit=900",
              "events?limit=400&model=gpt-4o&sort=-cost"],
)  # fmt: skip
async def test_of_traces_and_events_too_a_page_and_the_rest_are_the_totals(ask: Asker, asked: str) -> None:
    cursor, pages = "", 0
    while cursor is not None:
        page = await ask(f"{asked}&window=28d{cursor and '&cursor='}{cursor}")
        of_events = asked.startswith("events")
        rest, totals = page["rest"], page["totals"]
        shown = {
            "events": len(page["data"]) if of_events else sum(row["events"] for row in page["data"]),
            "tokens": sum(row["tokens"] for row in page["data"]),
            "errors": sum(row["status"] == "error" if of_events else row["errors"] for row in page["data"]),
        }
        for name, count in shown.items():
            assert count + rest[name] == totals[name], name
        spends = [Decimal(row["cost" if of_events else "spend"] or 0) for row in page["data"]]
        assert sum(spends) + Decimal(rest["spend"] or 0) == Decimal(totals["spend"] or 0)
        assert 0 <= rest["traces"] <= totals["traces"]
        cursor, pages = page["next_cursor"], pages + 1
    assert pages > 1


def _odd_traces() -> list[Row]:
    """Traces whose events begin at the same instant, and some of whose events were corrected."""
    rng = random.Random(11)
    rows: list[Row] = []
    for number in range(40):
        at = START - 200 * DAY + number * 10_000_000
        for user in rng.sample(["ada", "bob", "eve", ""], 3):
            tags = [f"plan={user}"] if user else []
            row = ROWS["a"][rng.randrange(2000)]._replace(
                ts=at + rng.randrange(2), received_at=at, trace_id=f"odd-{number}", user_id=user, tags=tags,
                id=str(UUID(int=rng.getrandbits(128))),
            )  # fmt: skip
            rows.append(row)
            if rng.random() < 0.3:
                rows += [row._replace(sign=-1), row._replace(id=str(UUID(int=rng.getrandbits(128))), input_uncached=7)]
    return rows


async def test_one_trace_says_what_its_row_in_the_list_says(
    ask: Asker, rows_store: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = _odd_traces()
    rows_store.insert("events", Row._fields, list(zip(*odd, strict=True)), token=str(uuid4()))
    window = f"from={instant(START - 201 * DAY)}&to={instant(START - 199 * DAY)}"
    listed = (await ask(f"traces?{window}&limit=100"))["data"]
    listed += (await ask(f"traces?from={instant(NOW - 60 * DAY)}&to={instant(NOW)}&limit=100"))["data"]
    assert sum(trace["trace_id"].startswith("odd-") for trace in listed) == 40
    plus = {row.id for row in odd} - {row.id for row in odd if row.sign < 0}
    for shown in (10_000, 2):
        monkeypatch.setattr("query.traces.EVENTS_SHOWN", shown)
        for row in listed:
            answer = await ask(f"traces/{row['trace_id']}")
            events = answer["data"].pop("events")
            assert answer["data"] == {name: value for name, value in row.items() if name != "events"}
            assert len(events) == min(shown, row["events"])
            assert bool(answer["meta"]["warnings"]) == (row["events"] > shown)
            if row["trace_id"].startswith("odd-"):
                assert {event["id"] for event in events} <= plus
