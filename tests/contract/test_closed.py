"""What is kept of closed hours: asked of the store once, and of no weight for any answer when the hours move."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from consumers.auditor import Auditor
from consumers.doubt import mark_doubtful
from consumers.fold import Folder
from pipeline import limits
from pipeline.row import Row
from pipeline.schema import Engines, migrate, migrations
from pipeline.store import Answer, ClickHouse, open_chdb
from query.answers import Answers
from query.parameters import UsersQuery
from query.question import Question, parse_question
from query.shapes import filled
from tests.support.rows import make_rows

HOUR, DAY = 3_600_000_000, 86_400_000_000
_REAL = time.time_ns() // 1000
NOW = (
    _REAL - _REAL % DAY - 13 * HOUR - 43 * HOUR // 60
)  # yesterday morning: a day is closed only some minutes after its midnight
START = NOW - 3 * DAY
ASKED: list[list[tuple[str, str]]] = [
    [],
    [("tag.plan", "pro")],
    [("tag.org", "o1"), ("tag.org", "o2")],
    [("model", "gpt-4o")],
    [("status!", "error")],
    [("userId", "ada")],
    [("tag.plan", "pro"), ("tag.org", "o1")],
    [("tag.plan!", "pro")],
]


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClickHouse]:
    monkeypatch.setattr(limits, "KEPT_SETTLED_SECONDS", 0)
    opened = open_chdb(tmp_path_factory.mktemp("store"))
    migrate(opened, Engines())
    insert(opened, make_rows("a", 900, 1, START, NOW))
    yield opened
    opened.close()


def insert(store: ClickHouse, rows: list[Row]) -> None:
    store.insert("events", Row._fields, list(zip(*rows, strict=True)))


def question(*parameters: tuple[str, str], window: str = "7d", now: int = NOW) -> Question:
    return parse_question("a", [("window", window), *parameters], now, takes=UsersQuery)


def told(answers: Answers, *parameters: tuple[str, str], window: str = "7d", now: int = NOW) -> dict[str, Any]:
    """Everything that the pages Users and Overview say, but the plan; and the sums of the list of traces."""
    q = question(*parameters, window=window, now=now)
    found = answers.users(q)
    rows = [filled(row) for row in found["rows"]]
    users = [row["user_id"] for row in rows]
    everything = answers.overview(question(*parameters, window=window, now=now))
    return {
        "rows": rows,
        **{name: found[name] for name in ("totals", "unattributed")},
        "labels and tops": answers.beside_users(q, users, "org") if users else (),
        "overview": everything["data"],
        "traces": answers.sum_and_untraced(q),
        "nobody": everything["unattributed"],
    }


def truth(store: ClickHouse, *parameters: tuple[str, str], window: str = "7d", now: int = NOW) -> dict[str, Any]:
    raw = Answers(store)
    raw.raw_alone = True
    return told(raw, *parameters, window=window, now=now)


class Watched:
    """A store that counts how often a table is asked about."""

    def __init__(self, store: ClickHouse) -> None:
        self._store, self.asked = store, list[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def select(self, sql: str, parameters: Mapping[str, Any] | None = None, *, seconds: float = 30) -> Answer:
        self.asked.append(sql)
        return self._store.select(sql, parameters, seconds=seconds)

    def select_table(self, sql: str, parameters: Mapping[str, Any] | None = None, *, seconds: float = 30) -> Any:
        self.asked.append(sql)
        return self._store.select_table(sql, parameters, seconds=seconds)

    def times(self, table: str) -> int:
        """Since it was last asked."""
        found = sum(f"FROM {table} " in sql for sql in self.asked)
        self.asked.clear()
        return found


def test_days_are_read_once_and_open_hours_every_time(store: ClickHouse) -> None:
    watched = Watched(store)
    answers = Answers(watched)
    first = told(answers)
    assert watched.times("usage_days") > 0
    again = told(answers)
    assert again == first == truth(store)
    assert watched.times("usage_days") == 0
    assert answers.users(question())["plan"].startswith("kept+")
    insert(store, [make_rows("a", 1, 5, NOW - 60_000_000, NOW)[0]._replace(trace_id="new")])
    watched.asked.clear()
    assert told(answers) == truth(store) != first
    assert watched.times("usage_days") == 0


@pytest.mark.parametrize("parameters", ASKED, ids=lambda p: ",".join(f"{k}={v}" for k, v in p) or "everything")
def test_a_kept_answer_is_that_of_raw_rows(store: ClickHouse, parameters: list[tuple[str, str]]) -> None:
    answers = Answers(store)
    expected = truth(store, *parameters)
    assert [told(answers, *parameters) for _ in range(3)] == [expected] * 3


@pytest.mark.parametrize("parameters", [[], [("tag.plan", "pro")], [("userId", "ada"), ("tag.org", "o1")]], ids=str)
def test_a_window_that_rolls_on_is_answered_as_raw_rows_are(
    store: ClickHouse, parameters: list[tuple[str, str]]
) -> None:
    insert(
        store, [row._replace(trace_id=f"edge-{row.trace_id}") for row in make_rows("a", 900, 3, START, START + HOUR)]
    )
    rng, answers, now = random.Random(5), Answers(store), START + DAY + HOUR // 3
    while now < START + DAY + 2 * HOUR:
        assert told(answers, *parameters, window="1d", now=now) == truth(store, *parameters, window="1d", now=now)
        now += rng.choice([1, 20, 100, 600, 1_500]) * 1_000_000 + rng.randrange(1_000_000)


def test_the_hour_that_a_window_begins_in_is_read_once_in_two_minutes(store: ClickHouse) -> None:
    watched = Watched(store)
    answers = Answers(watched)
    now = NOW - NOW % HOUR + 3 * HOUR // 2  # at the beginning of two minutes, with nothing behind it
    told(answers, now=now)
    assert watched.times("events") > 0
    for second in range(0, 120, 17):
        told(answers, now=now + second * 1_000_000)
    assert watched.times("events") == 0
    told(answers, now=now + 120_000_000)
    assert watched.times("events") > 0


def test_an_edge_of_very_many_events_is_read_each_time(store: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EDGE_EVENTS", 0)
    watched = Watched(store)
    answers = Answers(watched)
    for _ in range(2):
        assert told(answers) == truth(store)
        assert watched.times("events") > 0


def test_what_another_clock_dated_behind_now_is_not_told_yet(
    store: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched, now = Watched(store), NOW - NOW % HOUR + 3 * HOUR // 2
    answers = Answers(watched)
    open_hour = make_rows("a", 60, 7, now - HOUR // 4, now)
    insert(store, [row._replace(trace_id=f"open-{row.trace_id}") for row in open_hour])
    assert told(answers, now=now) == truth(store, now=now)
    assert "raw" not in answers.users(question(now=now))["plan"]  # the whole hour, of which nothing lies behind now
    insert(
        store, [row._replace(trace_id=f"ahead-{row.trace_id}") for row in make_rows("a", 9, 8, now, now + HOUR // 4)]
    )
    for _ in range(2):
        assert told(answers, now=now) == truth(store, now=now)
        assert answers.users(question(now=now))["plan"].endswith("raw")
    later = time.monotonic() + limits.AHEAD_SECONDS + 1
    monkeypatch.setattr("query.reader.time.monotonic", lambda: later)
    assert told(answers, now=now + HOUR // 4) == truth(store, now=now + HOUR // 4)
    assert "raw" not in answers.users(question(now=now + HOUR // 4))["plan"]


def test_nothing_is_kept_before_the_sums_have_stood_for_a_while(
    store: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "KEPT_SETTLED_SECONDS", 30)
    answers = Answers(store)
    plans = [answers.users(question())["plan"] for _ in range(3)]
    assert not any("kept" in plan for plan in plans)
    now = time.monotonic()
    monkeypatch.setattr("query.closed.time.monotonic", lambda: now + 31)
    assert [("kept" in answers.users(question())["plan"]) for _ in range(2)] == [False, True]


def test_what_is_kept_is_bounded_in_rows_and_age(store: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(store)
    told(answers)
    monkeypatch.setattr(limits, "KEPT_ROWS", 2 * answers.closed.rows)
    for parameters in ASKED:
        assert [told(answers, *parameters) for _ in range(2)] == [truth(store, *parameters)] * 2
        assert answers.closed.rows <= limits.KEPT_ROWS
    assert ["kept" in answers.users(question())["plan"] for _ in range(2)] == [False, True]
    now = time.monotonic()
    monkeypatch.setattr("query.closed.time.monotonic", lambda: now + limits.KEPT_SECONDS + 1)
    assert "kept" not in answers.users(question())["plan"]


@pytest.mark.parametrize("seed", range(4))
def test_late_events_corrections_and_prices_are_in_the_next_answer(
    store: ClickHouse, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FOLD_EVENTS", 1)
    monkeypatch.setattr(limits, "FOLD_AGE_SECONDS", 0)
    rng, answers, folder = random.Random(seed), Answers(store), Folder(store)
    present = make_rows("a", 900, 1, START, NOW)
    for step in range(8):
        what = rng.choice(["late", "taken back", "moved to another user", "a price", "folded"])
        one = rng.choice(present)
        if what == "late":
            made = make_rows("a", 3, 100 * seed + step, START, NOW)
            made = [row._replace(trace_id=f"late-{step}-{row.trace_id}") for row in made]
            present += made
            insert(store, made)
        elif what == "folded":
            folder.look(back_seconds=4 * 86_400)
        else:
            present.remove(one)
            other = one._replace(id=f"00000000-0000-0000-{seed:04x}-{step:012x}")
            again = {
                "taken back": [],
                "moved to another user": [other._replace(user_id="bob" if one.user_id != "bob" else "ada")],
                "a price": [other._replace(cost=Decimal(step + 1), price_status="priced")],
            }[what]
            present += again
            insert(store, [one._replace(sign=-one.sign), *again])
        for parameters in rng.sample(ASKED, 3):
            assert told(answers, *parameters) == truth(store, *parameters), (what, parameters)


@pytest.mark.parametrize("parameters", [[], [("tag.plan", "pro")], [("userId", "ada")]], ids=str)
def test_what_was_read_before_a_repair_is_not_told_after_it(
    store: ClickHouse, parameters: list[tuple[str, str]]
) -> None:
    answers, auditor = Answers(store), Auditor(store)
    late = make_rows("a", 1, 9, START, START + DAY)[0]
    late = late._replace(trace_id="half", user_id="ada", tags=["plan=pro"], cost=Decimal(2), price_status="priced")
    store.execute("DROP VIEW events_to_usage_hours")
    insert(store, [late])  # an insert that ended half way: in the hours by tag, not in those by user
    migrate_again(store, "events_to_usage_hours")
    wrong = [told(answers, *parameters) for _ in range(3)]
    assert wrong[0] == wrong[2] != truth(store, *parameters)
    mark_doubtful(store, [late.ts // HOUR], "half", "crash")
    auditor.settle_doubtful()
    assert [told(answers, *parameters) for _ in range(3)] == [truth(store, *parameters)] * 3


def migrate_again(store: ClickHouse, view: str) -> None:
    (made,) = (m for m in migrations() if m.name.endswith(view))
    store.execute(made.sql(Engines()))


@pytest.mark.parametrize("parameters", [[], [("tag.plan", "pro")]], ids=str)
def test_windows_that_begin_in_the_same_hour_do_not_share_what_is_kept(
    store: ClickHouse, parameters: list[tuple[str, str]]
) -> None:
    """A window that rolls, half an hour into the hour that one with a start of its own begins with."""
    insert(
        store, [row._replace(trace_id=f"edge-{row.trace_id}") for row in make_rows("a", 900, 3, START, START + HOUR)]
    )
    now = NOW - NOW % DAY + HOUR // 2
    begins = now - 28 * DAY - HOUR // 2
    insert(
        store,
        [row._replace(trace_id=f"b-{row.trace_id}") for row in make_rows("a", 200, 4, begins, begins + 2 * HOUR)],
    )
    fixed = datetime.fromtimestamp(begins / 1e6, UTC).isoformat().replace("+00:00", "Z")
    for order in (1, -1):
        answers = Answers(store)
        for _ in range(2):
            for window in [{"window": "28d"}, {"from": fixed}][::order]:
                q = parse_question("a", [*window.items(), *parameters], now, takes=UsersQuery)
                raw = Answers(store)
                raw.raw_alone = True
                assert answers.users(q)["totals"] == raw.users(q)["totals"], (window, order)
