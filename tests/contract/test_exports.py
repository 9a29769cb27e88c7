"""Exports hold the same rows and numbers as the pages, in every format, whole; and the document describes every answer."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from pipeline.errors import Unauthorized
from pipeline.keys import FileKeys
from pipeline.store import ClickHouse
from query import replied, rows
from query.app import QueryService
from query.embed import Embeds
from query.formats import FOCUS, columns_of, flat
from query.keys import KeyRoutes
from query.openapi import OPERATIONS, OTHERS, document
from query.sessions import Ended, Sessions
from tests.support.answers import DAY, HOUR, NOW, ROWS, Asker, instant

LISTS = {
    "users": rows.UserRow, "models": rows.Model, "tools": rows.Tool, "tags": rows.Tag, "tags/plan": rows.TagValue,
    "overview?group_by=tag.plan": rows.Group, "overview?group_by=day,model": rows.Group, "traces": rows.Trace, "events": rows.Event,
}  # fmt: skip


def joined(path: str, more: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{more}"


async def export(ask: Asker, path: str, kind: str, **headers: str) -> bytes:
    url = f"http://127.0.0.1:{ask._port}/v1/me/ai-apps/{path}"
    async with ask._session.get(url, headers={"Authorization": "Bearer a", **headers}) as answer:
        assert answer.status == 200, await answer.text()
        assert f".{kind}" in answer.headers["Content-Disposition"]
        return await answer.read()


async def every_page(ask: Asker, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = await ask(joined(path, f"limit=700{cursor}"))
        found += answer["data"]
        if not answer["next_cursor"]:
            return found
        cursor = f"&cursor={answer['next_cursor']}"


@pytest.mark.parametrize("path", LISTS)
async def test_an_export_is_every_page_in_their_order(ask: Asker, path: str) -> None:
    days = "from=2000-01-01" if path in ("traces", "events") else "window=28d"
    narrowed = joined(path, days + ("&status=error" if path == "events" else ""))
    paged = await every_page(ask, narrowed)
    assert paged
    lines = (await export(ask, joined(narrowed, "format=ndjson"), "ndjson")).decode().splitlines()
    assert [json.loads(line) for line in lines] == paged
    columns = columns_of(LISTS[path], compare=False)
    cells = [flat(row, columns) for row in paged]
    table = pq.read_table(io.BytesIO(await export(ask, joined(narrowed, "format=parquet"), "parquet")))
    assert table.column_names == [column.name for column in columns]
    assert table.num_rows == len(paged)
    for column, held in zip(columns, zip(*cells, strict=True), strict=True):
        values = table.column(column.name).to_pylist()
        if str(column.type).startswith("decimal"):
            assert values == [None if v is None else Decimal(v) for v in held]
        elif str(column.type) in ("int64", "double", "string"):
            assert values == list(held), column.name
    text = (await export(ask, joined(narrowed, "format=csv"), "csv")).decode()
    read = list(csv.reader(io.StringIO(text)))
    assert read[0] == [column.name for column in columns]
    told = [["" if cell is None else str(cell) for cell in row] for row in cells]
    assert [[cell.removeprefix("'") for cell in row] for row in read[1:]] == [
        [c.removeprefix("'") for c in row] for row in told
    ]


async def charges(ask: Asker, path: str) -> list[dict[str, str]]:
    text = (await export(ask, joined(path, "format=focus"), "focus.csv")).decode()
    return list(csv.DictReader(io.StringIO(text)))


ADD_UP = ("models", "users", "events", "tags/plan", "overview", "overview?group_by=day", "overview?group_by=hour&tz=Asia/Kathmandu",
          "overview?group_by=day,model&tz=America/New_York")  # fmt: skip


@pytest.mark.parametrize("path", ADD_UP)
async def test_focus_charges_add_up_to_the_spend_of_each_month(ask: Asker, path: str) -> None:
    start, end = NOW - 39 * DAY, NOW  # two months at least
    window = f"from={instant(start)}&to={instant(end)}"
    found = await charges(ask, joined(path, window))
    assert set(found[0]) == set(FOCUS)
    assert {charge["BillingCurrency"] for charge in found} == {"USD"}
    assert {charge["BillingAccountId"] for charge in found} == {"a"}
    spends: dict[str, Decimal] = {}
    for charge in found:
        first, last, month, following = (
            datetime.fromisoformat(charge[name])
            for name in ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd")
        )
        assert month <= first < last <= following
        assert (month.day, month.hour, following.day, (following - month).days in (28, 29, 30, 31)) == (1, 0, 1, True)
        assert "." not in charge["ChargePeriodStart"] + charge["ChargePeriodEnd"]
        spends[charge["BillingPeriodStart"]] = spends.get(charge["BillingPeriodStart"], Decimal(0)) + Decimal(
            charge["BilledCost"]
        )
    expected: dict[str, Decimal] = {}
    for row in ROWS["a"]:
        if start <= row.ts < end and row.cost is not None:
            month_of = datetime.fromtimestamp(row.ts / 1e6, UTC).strftime("%Y-%m-01T00:00:00Z")
            expected[month_of] = expected.get(month_of, Decimal(0)) + row.cost
    assert len(expected) >= 2
    assert spends == expected
    assert sum(spends.values()) == Decimal((await ask(f"overview?{window}"))["data"]["spend"])


async def test_focus_charges_what_has_a_known_cost_in_its_hour_or_bucket(ask: Asker) -> None:
    rows_ = [row for row in ROWS["a"] if NOW - 2 * DAY <= row.ts < NOW and row.cost is not None]
    of_events = await charges(ask, f"events?from={instant(NOW - 2 * DAY)}&to={instant(NOW)}")
    hours = sorted(datetime.fromtimestamp(row.ts // HOUR * 3600, UTC).strftime("%Y-%m-%dT%H:00:00Z") for row in rows_)
    assert sorted(charge["ChargePeriodStart"] for charge in of_events) == hours
    assert {len(charge["BilledCost"]) > 0 for charge in of_events} == {True}
    of_days = await charges(ask, "overview?group_by=day&window=7d&tz=Asia/Kathmandu")
    periods = [(charge["ChargePeriodStart"], charge["ChargePeriodEnd"]) for charge in of_days]
    assert all(one[1] == other[0] for one, other in itertools.pairwise(periods))
    of_traces = await charges(ask, "traces?window=7d&tag.plan=pro")
    assert all(charge["ChargePeriodStart"] < charge["ChargePeriodEnd"] for charge in of_traces)
    assert await charges(ask, "events?provider=acme") == []
    _, headers = await ask("users?from=0&to=4102444800000&format=focus", status=400)
    assert headers["Content-Type"].startswith("application/problem+json")


async def test_the_format_may_be_asked_for_by_accept(ask: Asker) -> None:
    by_name = await export(ask, "models?window=7d&format=csv", "csv")
    assert await export(ask, "models?window=7d", "csv", Accept="text/csv, */*;q=0.1") == by_name
    assert (await ask("models?window=7d", Accept="text/html,application/json;q=0.9"))["data"]


async def test_an_export_beside_the_window_before_has_its_columns(ask: Asker) -> None:
    read = list(
        csv.DictReader(io.StringIO((await export(ask, "users?window=7d&compare=previous&format=csv", "csv")).decode()))
    )
    answer = await ask("users?window=7d&compare=previous&limit=1000")
    assert [row["previous_spend"] for row in read] == [
        (row["previous"] or {}).get("spend") or "" for row in answer["data"]
    ]


async def test_an_export_of_raw_rows_in_another_order_is_refused_rather_than_given_in_this_one(ask: Asker) -> None:
    for asked in ("traces?sort=-duration_ms", "traces?sort=started_at", "events?sort=-cost"):
        body, _ = await ask(f"{asked}&format=csv", status=400)
        assert body["errors"][0]["parameter"] == "sort"


async def test_an_export_of_nothing_is_a_header(ask: Asker) -> None:
    for path in ("users", "events", "traces"):
        text = (await export(ask, f"{path}?tag.plan=nobody&format=csv", "csv")).decode()
        assert len(text.splitlines()) == 1
        table = pq.read_table(io.BytesIO(await export(ask, f"{path}?tag.plan=nobody&format=parquet", "parquet")))
        assert table.num_rows == 0
        assert await export(ask, f"{path}?tag.plan=nobody&format=ndjson", "ndjson") == b""


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-x", "@SUM(A1)", "\tx", "\rx", "-1+cmd|' /C calc'!A0"])
def test_a_cell_that_a_spreadsheet_would_run_is_text(cell: str) -> None:
    from query.formats import _cell

    assert _cell(cell, text=True) == "'" + cell
    assert _cell("-1.5", text=True) == "'-1.5"  # an id
    assert _cell("-1.5", text=False) == "-1.5"  # an amount
    assert _cell("ada", text=True) == "ada"


async def test_an_export_that_fails_half_way_breaks_the_transfer(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    from query.events import Events

    def failing(self: Events, *_: Any) -> Any:
        yield [dict.fromkeys(rows.Event.model_fields)]
        raise RuntimeError("the store is gone")

    monkeypatch.setattr(Events, "all", failing)
    url = f"http://127.0.0.1:{ask._port}/v1/me/ai-apps/events?format=ndjson"
    async with ask._session.get(url, headers={"Authorization": "Bearer a"}) as answer:
        with pytest.raises(aiohttp.ClientError):
            await answer.read()


QUESTIONS = [
    *LISTS, "overview", "overview?window=mtd&compare=previous", "users?compare=previous&include=spark&above=1", "models?compare=previous",
    "overview?group_by=day&compare=previous", "diagnosis?tag.plan=pro", "notices", "traces?limit=5", "events?limit=1000",
]  # fmt: skip


@pytest.mark.parametrize("path", QUESTIONS)
async def test_an_answer_is_as_the_document_says(ask: Asker, path: str) -> None:
    answer = await ask(path)
    name = path.split("?")[0]
    name = "tags/{id}" if name == "tags/plan" else name
    operation = next(op for op in OPERATIONS if op.path == f"/v1/me/ai-apps/{name}")
    model = operation.answers[-1 if "group_by" in path else 0]
    TypeAdapter(model).validate_python(answer)


async def test_one_user_trace_and_event_are_as_the_document_says(ask: Asker) -> None:
    user = (await ask("users?limit=1"))["data"][0]["user_id"]
    replied.UserAnswer.model_validate(await ask(f"users/{user}?compare=previous"))
    trace = (await ask("traces?limit=1"))["data"][0]["trace_id"]
    told = await ask(f"traces/{trace}")
    replied.TraceAnswer.model_validate(told)
    event = told["data"]["events"][0]["id"]
    replied.EventAnswer.model_validate(await ask(f"events/{event}?trace_id={trace}"))


def test_the_dashboard_is_built_from_this_document() -> None:
    held = Path(__file__).parents[2] / "dashboard" / "openapi.json"
    assert json.loads(held.read_text(encoding="utf-8")) == document(), (
        "python -m query.openapi > dashboard/openapi.json"
    )


def test_the_document_names_every_endpoint_and_refers_to_nothing_that_is_not_there() -> None:
    made = document()
    text = json.dumps(made)
    for ref in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert ref in made["components"]["schemas"], ref
    assert made["openapi"] == "3.1.0"
    described = {(path, method) for path, methods in made["paths"].items() for method in methods}
    told = {(op.path, "get") for op in OPERATIONS} | {(other.path, other.method) for other in OTHERS}
    assert described == told


async def test_the_document_describes_every_route_of_the_api(rows_store: ClickHouse, tmp_path: Path) -> None:
    async def nobody(_: str) -> Any:
        raise Unauthorized("unknown key")

    given: dict[str, Any] = {
        "clock": lambda: NOW,
        "cursor_secret": b"s",
        "prices": SimpleNamespace(version="", newest=""),
    }
    given |= {
        "sessions": Sessions(b"s", Ended(rows_store), nobody, lambda: NOW),
        "embeds": Embeds(b"s", nobody, lambda: NOW),
        "keys": KeyRoutes(FileKeys(tmp_path / "keys.json"), nobody),
    }
    routes = QueryService(rows_store, nobody, **given).routes()
    served = {(re.sub(r"\{id:.*\}$", "{id}", route.path), route.method.lower()) for route in routes}
    made = document()["paths"]
    described = {(path, method) for path, methods in made.items() for method in methods}
    assert served - {("/openapi.json", "get")} == described
