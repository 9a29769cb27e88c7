"""Folds: made of what has stood still, swept when replaced, and of no weight for any answer when they are wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from consumers.fold import Folder
from pipeline import limits
from pipeline.row import Row
from pipeline.schema import Engines, migrate
from pipeline.store import ClickHouse, open_chdb
from query.answers import Answers
from query.question import Question, parse_question
from query.shapes import filled
from tests.support.rows import make_rows

HOUR, DAY = 3_600_000_000, 86_400_000_000
NOW = time.time_ns() // 1000
START = NOW - 3 * DAY
BACK = 4 * 86_400


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClickHouse]:
    monkeypatch.setattr(limits, "FOLD_EVENTS", 1)
    monkeypatch.setattr(limits, "FOLD_AGE_SECONDS", 0)
    opened = open_chdb(tmp_path_factory.mktemp("store"))
    migrate(opened, Engines())
    insert(opened, make_rows("a", 900, 1, START, NOW - 2 * HOUR))
    yield opened
    opened.close()


def insert(store: ClickHouse, rows: list[Row]) -> None:
    store.insert("events", Row._fields, list(zip(*rows, strict=True)))


def fold(store: ClickHouse) -> int:
    folder = Folder(store)
    folder.look(back_seconds=BACK)
    return folder.look(back_seconds=BACK)


def question(*parameters: tuple[str, str]) -> Question:
    return parse_question("a", [("window", "7d"), *parameters], NOW)


def spends(store: ClickHouse, *parameters: tuple[str, str]) -> tuple[dict[str, tuple[Any, ...]], str]:
    answers, q = Answers(store), question(*parameters)
    answer = answers.users(q)
    tops = answers.top_models(q, [row["user_id"] for row in answer["rows"]])
    rows = map(filled, answer["rows"])
    return {row["user_id"]: (row["spend"], row["events"], tops.get(row["user_id"])) for row in rows}, answer["plan"]


def test_a_fold_gives_the_same_digits(store: ClickHouse) -> None:
    asked = [
        [],
        [("tag.plan", "pro")],
        [("model", "gpt-4o")],
        [("userId", "ada")],
        [("tag.org", "o1"), ("tag.org", "o2")],
    ]
    before = [spends(store, *parameters) for parameters in asked]
    assert fold(store) > 0
    after = [spends(store, *parameters) for parameters in asked]
    assert [answer for answer, _ in after] == [answer for answer, _ in before]
    assert all("folds" in plan for _, plan in after)
    assert not any("folds" in plan for _, plan in before)


def test_what_moved_since_the_last_look_waits(store: ClickHouse) -> None:
    folder = Folder(store)
    folder.look(back_seconds=BACK)
    late = [row._replace(trace_id=f"late-{row.trace_id}") for row in make_rows("a", 3, 2, START, START + HOUR)]
    insert(store, late)
    folder.look(back_seconds=BACK)
    waiting = set(folder.stale("hour", BACK)) | set(folder.stale("day", BACK))
    assert {at for _, at in waiting} >= {row.ts // HOUR * 3600 for row in late}
    assert folder.look(back_seconds=BACK) > 0
    assert not folder.stale("hour", BACK)
    assert not folder.stale("day", BACK)


@pytest.mark.parametrize("moved", ["a late event", "a new price", "a correction to another user"])
def test_a_fold_whose_hour_moved_is_not_read(store: ClickHouse, moved: str) -> None:
    fold(store)
    before, _ = spends(store)
    one = make_rows("a", 1, 3, START + 5 * HOUR, START + 6 * HOUR)[0]._replace(
        trace_id="late",
        user_id="ada",
        type="llm",
        cost=Decimal("1.5"),
        price_status="priced",
        is_trace_start=0,
        is_user_trace_start=0,
    )
    if moved == "a late event":
        insert(store, [one])
        expected = Decimal(before["ada"][0]) + Decimal("1.5")
    elif moved == "a new price":  # as a repair by difference writes it: money without an event
        store.execute(
            "INSERT INTO tag_hours (account, hour, tag, cost) SELECT 'a', toStartOfHour(fromUnixTimestamp64Micro({ts:Int64}, 'UTC')), '', 1.5",
            {"ts": one.ts},
        )
        store.execute(
            "INSERT INTO usage_hours (account, hour, user_id, cost) SELECT 'a', toStartOfHour(fromUnixTimestamp64Micro({ts:Int64}, 'UTC')), 'ada', 1.5",
            {"ts": one.ts},
        )
        expected = Decimal(before["ada"][0]) + Decimal("1.5")
    else:  # the same money, tokens and count, of another user: the events' checksum alone tells
        insert(store, [one])
        fold(store)
        insert(store, [one._replace(sign=-1), one._replace(id="00000000-0000-0000-0000-00000000000f", user_id="bob")])
        expected = Decimal(before["ada"][0])
    after, plan = spends(store)
    assert Decimal(after["ada"][0]) == expected
    assert "folds" in plan, "the other hours are still read folded"


def test_rows_of_a_fold_that_was_cut_short_are_never_read(store: ClickHouse) -> None:
    before, _ = spends(store)
    fold(store)
    store.execute("TRUNCATE TABLE folds")
    assert spends(store)[0] == before
    store.execute("INSERT INTO user_folds SELECT * REPLACE (fold + 1 AS fold, cost * 2 AS cost) FROM user_folds")
    fold(store)
    after, plan = spends(store)
    assert after == before
    assert "folds" in plan


def test_what_a_later_fold_replaced_is_swept(store: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    fold(store)
    insert(store, [make_rows("a", 1, 3, START + 5 * HOUR, START + 6 * HOUR)[0]._replace(trace_id="late")])
    assert fold(store) == 2, "its hour and its day"
    monkeypatch.setattr(limits, "FOLD_SWEEP_SECONDS", 0)
    before, count = spends(store), "SELECT count() FROM user_folds"
    held = store.select(count).rows[0][0]
    Folder(store).sweep()
    assert 0 < store.select(count).rows[0][0] < held
    assert spends(store) == before


def test_late_events_without_end_do_not_make_the_far_looks_go_on(
    store: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(store)
    looks: list[int] = []
    folded = iter([0, 200, 200, 3, 3, 3])  # full, full, then a trickle

    def look(*, back_seconds: int) -> int:
        looks.append(back_seconds)
        return next(folded)

    monkeypatch.setattr(folder, "look", look)
    for _ in range(6):
        folder.turn()
    assert looks == [limits.FOLD_ALL_BACK_SECONDS] * 4 + [limits.FOLD_BACK_SECONDS] * 2


def test_small_accounts_are_not_folded(store: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FOLD_EVENTS", 10_000)
    assert fold(store) == 0
