"""Why a page is empty, what the owner should know, and what the month will cost: over rows made for each case."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from pipeline.row import Row
from pipeline.store import ClickHouse
from query.answers import Answers
from query.diagnosis import diagnose
from query.notices import _near_misses, notices
from query.parameters import OverviewQuery
from query.question import Question, parse_question
from tests.support.rows import make_rows

DAY = 86_400_000_000
NOW = time.time_ns() // 1000


def put(
    store: ClickHouse, account: str, count: int = 20, *, start: int = NOW - 5 * DAY, end: int = NOW, **fields: Any
) -> list[Row]:
    rows = [row._replace(sign=1, **fields) for row in make_rows(account, count, 1, start, end)]
    store.insert("events", Row._fields, list(zip(*rows, strict=True)), token=str(uuid4()))
    return rows


def ask(account: str, *pairs: tuple[str, str], now: int = NOW, restriction: Any = ()) -> Question:
    return parse_question(account, pairs, now, takes=OverviewQuery, restriction=restriction)


def state(store: ClickHouse, q: Question) -> str:
    answer, _ = diagnose(Answers(store), store, q)
    failed = [check["check"] for check in answer["checks"] if not check["ok"]]
    assert (answer["state"] == "ok") == (failed == [])
    return str(answer["state"])


def test_each_way_of_being_empty_is_told_from_the_others(store: ClickHouse) -> None:
    assert state(store, ask("empty")) == "key_unused"
    put(store, "loose", trace_id="", is_trace_start=0, is_user_trace_start=0)
    assert state(store, ask("loose")) == "no_trace"
    put(store, "nobody", user_id="", is_trace_start=1)
    assert state(store, ask("nobody")) == "no_user"
    put(store, "earlier", start=NOW - 80 * DAY, end=NOW - 70 * DAY, is_trace_start=1, user_id="u")
    assert state(store, ask("earlier")) == "outside_window"
    put(store, "narrow", is_trace_start=1, user_id="u", tags=["plan=pro"])
    assert state(store, ask("narrow", ("tag.plan", "free"))) == "filtered_out"
    assert state(store, ask("narrow", ("tag.plan", "pro"))) == "ok"


def test_events_of_a_scope_stand_in_traces_that_began_outside_it(store: ClickHouse) -> None:
    put(store, "shared", is_trace_start=1, user_id="u", tags=["org=acme"])
    put(store, "shared", 5, is_trace_start=0, is_user_trace_start=1, user_id="v", tags=["org=beta"])
    q = ask("shared", restriction=(("org", "beta"),))
    answer, _ = diagnose(Answers(store), store, q)
    assert answer["state"] == "ok"
    assert answer["checks"][2]["count"] == len({row.trace_id for row in make_rows("shared", 5, 1, NOW - 5 * DAY, NOW)})
    put(store, "loose", trace_id="", is_trace_start=0, is_user_trace_start=0, user_id="v", tags=["org=beta"])
    assert state(store, ask("loose", restriction=(("org", "beta"),))) == "no_trace"


def letter(store: ClickHouse, account: str, offset: int, state: str = "", changed: int = 0) -> None:
    at = NOW - 60_000_000
    row = {
        "account": account, "received_at": at, "log_id": "log", "log_partition": 0, "log_offset": offset, "reason": "bad_record",
        "detail": "", "value_bytes": 1, "value_hash": 1, "value": "", "state": state, "changed_at": at + changed,
    }  # fmt: skip
    store.insert("dead_letters", tuple(row), [[value] for value in row.values()], token=str(uuid4()))


def test_a_key_whose_events_could_not_be_processed_was_used(store: ClickHouse) -> None:
    letter(store, "refused", 1)
    letter(store, "refused", 2)
    letter(store, "refused", 2)  # of a batch that was replayed
    letter(store, "another", 3)
    assert state(store, ask("refused")) == "no_events"
    answer, _ = diagnose(Answers(store), store, ask("refused"))
    assert [(check["ok"], check["count"]) for check in answer["checks"][:2]] == [(True, 2), (False, 0)]
    assert answer["checks"][0]["last_at"]
    assert state(store, ask("refused", restriction=(("org", "acme"),))) == "key_unused"
    put(store, "refused", 5, is_trace_start=1, user_id="u")
    letter(store, "refused", 2, "replayed", changed=1)
    answer, _ = diagnose(Answers(store), store, ask("refused"))
    assert (answer["state"], [check["count"] for check in answer["checks"][:2]]) == ("ok", [6, 5])


def test_a_key_whose_events_were_all_rejected_was_used(store: ClickHouse) -> None:
    at = datetime.now(UTC) - timedelta(hours=1)
    columns = ("account", "received_at", "reason", "dropped", "log_offset")
    rows = [["rejecting", at, "rejected.unknown_field", 4, 1], ["rejecting", at, "queue_full", 2, 2]]
    store.insert("sender_drops", columns, [list(column) for column in zip(*rows, strict=True)], token=str(uuid4()))
    assert state(store, ask("rejecting")) == "no_events"
    answer, _ = diagnose(Answers(store), store, ask("rejecting"))
    assert [(check["ok"], check["count"]) for check in answer["checks"][:2]] == [(True, 6), (False, 0)]
    assert datetime.fromisoformat(answer["checks"][0]["last_at"]) == at
    assert state(store, ask("rejecting", restriction=(("org", "acme"),))) == "key_unused"
    today = datetime.now(UTC).date().isoformat()
    found = {n["kind"]: (n["count"], n["items"]) for n in notices(Answers(store), store, ask("rejecting"), today)}
    assert found == {
        "dropped_events": (2, [{"name": "queue_full", "count": 2}]),
        "rejected_events": (4, [{"name": "unknown_field", "count": 4}]),
    }


def test_each_filters_removal_says_what_it_would_bring_back(store: ClickHouse) -> None:
    put(store, "removal", 30, is_trace_start=1, user_id="u", tags=["plan=pro"])
    put(store, "removal", 12, is_trace_start=1, user_id="v", tags=["plan=free"])
    answer, _ = diagnose(
        Answers(store), store, ask("removal", ("tag.plan", "none"), ("userId", "v"), ("tag.plan!", "pro"))
    )
    told = {(item["filter"], *item["values"]): item["events"] for item in answer["filters"]}
    assert told == {("tag.plan", "none"): 12, ("userId", "v"): 0, ("tag.plan!", "pro"): 0}
    assert [check["count"] for check in answer["checks"]][-3:] == [42, 42, 0]


def test_a_restricted_key_is_told_of_its_scope_alone(store: ClickHouse) -> None:
    put(store, "scoped", 9, is_trace_start=1, user_id="u", tags=["org=acme", "secretKey=1"])
    put(store, "scoped", 30, is_trace_start=1, user_id="ada@other.example", tags=["org=other", "otherKey=1"])
    q = ask("scoped", restriction=(("org", "acme"),))
    answer, _ = diagnose(Answers(store), store, q)
    assert [check["count"] for check in answer["checks"]] == [9, 9, 9, 9, 9, 9]
    assert answer["filters"] == []
    assert Answers(store).tag_keys(q) == ["org", "secretKey"]
    assert not {n["kind"] for n in notices(Answers(store), store, q, "2020-01-01")} & {"email_like_ids", "old_prices"}


def test_notices_name_what_costs_money_or_trust(store: ClickHouse) -> None:
    put(store, "noted", 5, model="gpt-99", provider="openai", price_status="unpriced", cost=None, user_id="ada@example.com",
        tags=["userid=x", "org=a"])  # fmt: skip
    store.insert("sender_drops", ("account", "received_at", "reason", "dropped"),
                 [["noted"], [datetime.now(UTC) - timedelta(hours=1)], ["queue_full"], [7]], token=str(uuid4()))  # fmt: skip
    found = {n["kind"]: n for n in notices(Answers(store), store, ask("noted"), "2020-01-01")}
    assert found["unpriced_models"]["items"] == [{"name": "openai/gpt-99", "count": 5}]
    assert found["email_like_ids"]["items"] == [{"name": "ada@example.com", "count": 5}]
    assert (found["dropped_events"]["count"], found["dropped_events"]["items"]) == (
        7,
        [{"name": "queue_full", "count": 7}],
    )
    assert [item["name"] for item in found["near_miss_tags"]["items"]] == ["userId, userid"]
    assert found["old_prices"]["since"] == "2020-01-01"
    put(store, "fine", user_id="u_1", price_status="priced", tags=["org=a"])
    today = datetime.now(UTC).date().isoformat()
    assert notices(Answers(store), store, ask("fine"), today) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("plan", "plann"), ("region", "regiom"), ("plan", "paln"), ("plan", "pan"), ("plan", "Plan"), ("org-id", "orgId"), ("userId", "usreId"),
        ("team_name", "teamname"), ("tenant", "tennant"), ("userid", "userId"),
    ],
)  # fmt: skip
def test_two_tag_keys_a_letter_apart_are_told(one: str, other: str) -> None:
    found = _near_misses([one, other, "model"])
    assert found is not None
    assert (found["count"], found["items"][0]["name"].split(", ")) == (1, sorted({one, other}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("plan", "plane2"), ("step1", "step2"), ("v1", "v2"), ("org", "orb"), ("plan", "team"), ("env", "end"), ("date", "data"),
        ("naplan", "plan"),
    ],
)  # fmt: skip
def test_two_tag_keys_that_mean_two_things_are_not(one: str, other: str) -> None:
    assert _near_misses([one, other]) is None


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
def test_the_forecast_is_the_spend_and_the_mean_of_each_weekday_to_come(store: ClickHouse, zone: str) -> None:
    account = f"month{zone}"
    now = datetime(2026, 11, 18, 15, 20, tzinfo=ZoneInfo(zone))
    at = int(now.timestamp() * 1e6)
    rows = put(store, account, 600, start=at - 45 * DAY, end=at, price_status="priced")
    answer = Answers(store).overview(ask(account, ("window", "mtd"), ("tz", zone), now=at))
    days: dict[Any, Decimal] = {}
    for row in rows:
        day = datetime.fromtimestamp(row.ts / 1e6, ZoneInfo(zone)).date()
        days[day] = days.get(day, Decimal(0)) + (row.cost or 0)
    so_far = sum((cost for day, cost in days.items() if day.month == 11 and day.year == 2026), Decimal(0))
    to_come = Decimal(0)
    for n in range(19, 31):
        day = now.date().replace(day=n)
        last = [now.date() - timedelta(days=back) for back in range(1, 29)]
        to_come += sum((days.get(d, Decimal(0)) for d in last if d.weekday() == day.weekday()), Decimal(0)) / 4
    assert Decimal(answer["data"]["spend"]) == so_far
    assert Decimal(answer["data"]["forecast"]) == (so_far + to_come).quantize(Decimal("1e-9"))
    assert "forecast" not in Answers(store).overview(ask(account, ("window", "28d"), now=at))["data"]
