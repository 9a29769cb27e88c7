"""What is asked while data moves, or of more than a process can hold: pages without a gap, bounds that are told, exports that hold up nobody."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest

from pipeline import limits
from pipeline.row import Row
from pipeline.store import ClickHouse
from query.events import Events
from tests.support import answers
from tests.support.answers import Asker, service
from tests.support.rows import make_rows

NOW, HOUR = answers.NOW, answers.HOUR


@pytest.fixture
async def ask(store: ClickHouse) -> AsyncIterator[Asker]:
    async with service(store) as asker:
        yield asker


def put(store: ClickHouse, count: int, seed: int, start: int, end: int, **fields: Any) -> list[Row]:
    """Events of the account `a` between two instants, stored."""
    rows = make_rows("a", count, seed, start, end)
    made = [row._replace(sign=1, trace_id=f"{seed}-{row.trace_id}", id=uuid4(), **fields) for row in rows]
    store.insert("events", Row._fields, list(zip(*made, strict=True)), token=str(uuid4()))
    return made


async def test_pages_of_events_have_no_gap_and_nothing_twice_while_more_are_stored(
    ask: Asker, store: ClickHouse
) -> None:
    """What is stored between two pages was received before the first, as from a partition that is behind."""
    held = {str(row.id) for row in put(store, 60, 11, NOW - 2 * HOUR, NOW - HOUR, user_id="pages")}
    told: list[str] = []
    cursor = ""
    for seed in range(12, 40):
        page = await ask(f"events?userId=pages&limit=5{cursor}")
        told += [event["id"] for event in page["data"]]
        if not page["next_cursor"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
        put(store, 7, seed, NOW - HOUR, NOW, user_id="pages", received_at=NOW - 3 * HOUR)
    assert len(told) == len(set(told))
    assert set(told) == held


async def test_a_page_that_was_read_after_its_sums_leaves_no_rest_below_nothing(
    ask: Asker, store: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, 3, 50, NOW - HOUR, NOW, user_id="late")
    page = Events.page

    def later(self: Events, *given: Any) -> Any:
        time.sleep(1)
        put(store, 2, 51, NOW - HOUR, NOW, user_id="late")
        return page(self, *given)

    monkeypatch.setattr(Events, "page", later)
    answer = await ask("events?userId=late")
    assert [answer["totals"]["events"], answer["rest"]["events"], len(answer["data"])] == [5, 0, 5]


async def test_more_values_than_an_answer_holds_are_refused_and_said(
    ask: Asker, store: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = put(store, 30, 60, NOW - HOUR, NOW, user_id="many")
    again = [row._replace(id=uuid4(), tags=[f"request={n}"]) for n, row in enumerate(rows)]
    store.insert("events", Row._fields, list(zip(*again, strict=True)), token=str(uuid4()))
    monkeypatch.setattr(limits, "ANSWER_ROWS", 20)
    for path in ("tags/request?userId=many", "overview?userId=many&group_by=tag.request", "tags?userId=many"):
        body, _ = await ask(path, status=400)
        assert "more than 20 rows" in body["errors"][0]["detail"], body
    assert (await ask("users?userId=many"))["totals"]["users"] == 1
    assert (await ask("tags/request?userId=many&tag.request=3"))["data"][0]["value"] == "3"


async def test_exports_hold_up_no_page(ask: Asker, store: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, 3, 70, NOW - HOUR, NOW)
    goes_on = threading.Event()

    def slow(*_: Any) -> Iterator[list[dict[str, Any]]]:
        goes_on.wait(20)
        yield []

    monkeypatch.setattr(Events, "all", slow)
    exports = [asyncio.create_task(ask("events?format=ndjson")) for _ in range(40)]
    await asyncio.sleep(0.2)
    began = time.monotonic()
    assert (await ask("users"))["data"]
    assert time.monotonic() - began < 10
    assert not any(export.done() for export in exports)
    goes_on.set()
    await asyncio.gather(*exports, return_exceptions=True)


async def test_what_is_known_of_questions_is_bounded(
    ask: Asker, store: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of questions that are asked once, and never long enough to be kept an answer of."""
    from query.closed import Closed

    monkeypatch.setattr(limits, "KEPT_QUESTIONS", 10)
    seen: list[Closed] = []
    entry = Closed._entry

    def watched(self: Closed, *given: Any) -> Any:
        seen.append(self)
        return entry(self, *given)

    monkeypatch.setattr(Closed, "_entry", watched)
    put(store, 3, 80, NOW - 50 * HOUR, NOW)
    for user in range(30):
        await ask(f"users?userId=u{user}")
    assert 0 < len(seen[-1]._entries) <= 10
