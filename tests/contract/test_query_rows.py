"""Answers over a few rows made by hand: tenants, corrections, tools that cost, traces of several users."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from pipeline.errors import Ambiguous, NotFound
from pipeline.row import Row
from pipeline.schema import Engines, migrate
from pipeline.store import ClickHouse, open_chdb
from query import compare, shapes, windows
from query.answers import Answers
from query.events import Events
from query.parameters import Asked, EventQuery, EventsQuery, ModelsQuery, OverviewQuery, TracesQuery, UsersQuery
from query.question import Question, parse_question
from query.tags import Tags
from query.traces import Traces
from tests.support.rows import make_rows

HOUR, DAY = 3_600_000_000, 86_400_000_000
NOW = 1_795_132_800_000_000 + 10 * HOUR
BLANK = make_rows("a", 1, 1, NOW - DAY, NOW)[0]._replace(
    type="llm", trace_id="", user_id="", tags=[], provider="openai", model="gpt-4o", agent="", tool_name="", status="ok",
    input_uncached=1, input_cache_read=0, output=1, cost=Decimal("0.5"), price_status="priced", is_trace_start=0, is_user_trace_start=0,
)  # fmt: skip


def made() -> list[Row]:
    rows: list[Row] = []

    def add(at: int, **given: Any) -> Row:
        number = len(rows) + 1
        row = BLANK._replace(
            ts=at, received_at=at, id=f"00000000-0000-0000-0000-{number:012}", log_offset=number, **given
        )
        rows.append(row)
        return row

    # One user of two tenants.
    add(NOW - 20 * DAY, user_id="shared", tags=["org=t1"], trace_id="s1", is_trace_start=1, is_user_trace_start=1)
    add(NOW - 2 * DAY, user_id="shared", tags=["org=t2"], trace_id="s2", is_trace_start=1, is_user_trace_start=1)
    # An estimate of one provider that another's event replaced.
    old = add(NOW - 3 * DAY, user_id="fixed", trace_id="c1", is_trace_start=1, is_user_trace_start=1, usage_estimated=1)
    rows.append(old._replace(sign=-1, log_row=1, received_at=old.received_at + 5))
    add(NOW - 3 * DAY, user_id="fixed", trace_id="c1", provider="anthropic", model="claude-sonnet-5", cost=Decimal("0.7"),
        is_trace_start=1, is_user_trace_start=1)  # fmt: skip
    # A tool that costs, one that does not, and a line of log.
    tool = {"type": "tool", "provider": "", "model": "", "user_id": "tooler", "trace_id": "tools"}
    add(
        NOW - 4 * DAY,
        **tool,
        tool_name="paid",
        cost=Decimal("0.01"),
        price_status="reported",
        is_trace_start=1,
        is_user_trace_start=1,
    )
    add(NOW - 4 * DAY + 1, **tool, tool_name="free", cost=None, price_status="none")
    add(NOW - 4 * DAY + 2, **tool | {"type": "log"}, cost=None, price_status="none")
    # A trace of two users and two providers.
    add(NOW - 5 * DAY, user_id="one", trace_id="both", tags=["plan=pro"], is_trace_start=1, is_user_trace_start=1)
    add(NOW - 5 * DAY + 1, user_id="two", trace_id="both", provider="anthropic", model="claude-sonnet-5", tags=["plan=free"],
        is_user_trace_start=1)  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    opened = open_chdb(tmp_path_factory.mktemp("store"))
    migrate(opened, Engines())
    opened.insert("events", Row._fields, list(zip(*made(), strict=True)))
    yield opened
    opened.close()


def question(
    *parameters: tuple[str, str], takes: type[Asked] = UsersQuery, scope: tuple[tuple[str, str], ...] = ()
) -> Question:
    return parse_question("a", [("window", "28d"), *parameters], NOW, takes=takes, restriction=scope)


def rows_of(answer: dict[str, Any], name: str) -> dict[Any, dict[str, Any]]:
    return {row[name]: compare.shown(row) for row in answer["rows"]}


def test_a_tenant_is_not_told_when_its_user_was_first_seen_elsewhere(store: ClickHouse) -> None:
    answers = Answers(store)
    assert answers.user(question(scope=(("org", "t2"),)), "shared")["data"]["first_seen"].startswith("2026-11-18")
    assert answers.user(question(), "shared")["data"]["first_seen"].startswith("2026-10-31")
    with pytest.raises(NotFound):
        answers.user(question(scope=(("org", "t3"),)), "shared")


def test_a_user_whom_a_filter_leaves_nothing_of_has_zeros(store: ClickHouse) -> None:
    for parameters in ([("tag.org", "t9")], [("tag.org!", "t1"), ("tag.org!", "t2")], [("provider", "mystery")]):
        data = Answers(store).user(question(*parameters), "shared")["data"]
        assert (data["events"], data["spend"], data["top_model"]) == (0, "0", None)


def test_what_a_correction_took_back_is_nowhere(store: ClickHouse) -> None:
    answers = Answers(store)
    gone = answers.overview(question(("userId", "fixed"), ("provider", "openai"), takes=OverviewQuery))["data"]
    assert (gone["events"], gone["users"], gone["traces"], gone["spend"]) == (0, 0, 0, "0")
    by_model = answers.overview(question(("userId", "fixed"), ("group_by", "model"), takes=OverviewQuery))
    assert {key: row["traces"] for key, row in rows_of(by_model, "key").items()} == {"claude-sonnet-5": 1}
    assert set(rows_of(answers.models(question(("userId", "fixed"))), "model")) == {"claude-sonnet-5"}
    trace = Traces(store, Events(store)).trace(question(), "c1")
    assert (trace["models"], len(trace["events"]), trace["spend"]) == (["claude-sonnet-5"], 1, "0.7")


def test_a_tool_that_costs_does_not_take_events_of_no_model_with_it(store: ClickHouse) -> None:
    answer = Answers(store).models(question(("userId", "tooler")))
    assert rows_of(answer, "model")[None]["events"] == 1
    assert answer["unattributed"]["events"] == 2


def test_traces_are_counted_as_the_filters_ask_for(store: ClickHouse) -> None:
    answers, tags = Answers(store), Tags(Answers(store))
    # Where an event matches: the second event of the trace has the plan `free`, of another provider than its first.
    of_anthropic = question(("provider", "anthropic"))
    assert rows_of(tags.values(of_anthropic, "plan"), "value")["free"]["traces"] == 1
    assert rows_of(tags.keys(of_anthropic), "key")["plan"]["traces"] == 1
    grouped = answers.overview(question(("provider", "anthropic"), ("group_by", "tag.plan"), takes=OverviewQuery))
    assert {key: row["traces"] for key, row in rows_of(grouped, "key").items()} == {"free": 1, None: 1}
    # Of one user where the user's first event is; of two together, once.
    assert answers.overview(question(("userId", "two"), takes=OverviewQuery))["data"]["traces"] == 1
    assert answers.overview(question(("userId", "one"), ("userId", "two"), takes=OverviewQuery))["data"]["traces"] == 1
    by_day = answers.overview(question(("userId", "two"), ("group_by", "day"), takes=OverviewQuery))
    assert sum(row["_traces"] for row in by_day["rows"]) == 1
    # To exclude nobody changes nothing.
    everything = answers.overview(question(takes=OverviewQuery))["data"]
    assert answers.overview(question(("userId!", "nobody"), takes=OverviewQuery))["data"] == everything


def test_the_tag_of_the_user_is_the_user(store: ClickHouse) -> None:
    answers = Answers(store)
    by_user = rows_of(answers.overview(question(("group_by", "user"), takes=OverviewQuery)), "key")
    assert rows_of(answers.overview(question(("group_by", "tag.userId"), takes=OverviewQuery)), "key") == by_user
    values = rows_of(Tags(answers).values(question(), "userId"), "value")
    assert {name: row["spend"] for name, row in values.items()} == {
        name: row["spend"] for name, row in by_user.items() if name
    }


def test_the_first_day_is_compared_with_the_first_day_before(store: ClickHouse) -> None:
    asked = parse_question(
        "a",
        [("from", "2026-11-16"), ("to", "2026-11-18"), ("group_by", "day"), ("compare", "previous")],
        NOW,
        takes=OverviewQuery,
    )
    answer = Answers(store).overview(asked)
    compare.stand_beside(answer, Answers(store).overview(asked.before()))
    told = [compare.shown(row) for row in answer["rows"]]
    assert [(row["key"][:10], row["previous"]["spend"]) for row in told] == [("2026-11-16", "0"), ("2026-11-17", "1")]


@pytest.mark.parametrize(
    ("zone", "start", "end"),
    [
        ("Australia/Lord_Howe", "2026-04-04T11:00:00Z", "2026-04-04T19:00:00Z"),  # back by half an hour, at 15:00
        ("Australia/Lord_Howe", "2026-10-03T11:00:00Z", "2026-10-03T19:00:00Z"),  # and on, at 15:30
        ("Asia/Kolkata", "2026-10-03T11:10:00Z", "2026-10-03T15:00:00Z"),
        ("Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T04:00:00Z"),
    ],
)
def test_hours_are_those_of_the_clocks_on_the_wall(store: ClickHouse, zone: str, start: str, end: str) -> None:
    account = f"{zone} {start}"
    first, last = (windows.instant(at, windows.zone_of("UTC"), "from") for at in (start, end))
    rows = [
        BLANK._replace(
            account=account, ts=at, received_at=at, id=f"00000000-0000-0000-0000-{n:012}", log_offset=10_000 + n, trace_id=f"t{n}"
        )
        for n, at in enumerate(range(first, last, 10 * 60_000_000))
    ]  # fmt: skip
    store.insert("events", Row._fields, list(zip(*rows, strict=True)))
    asked = [("from", start), ("to", end), ("tz", zone), ("group_by", "hour")]
    told = Answers(store).overview(parse_question(account, asked, NOW, takes=OverviewQuery))["rows"]
    expected: dict[str | None, int] = {}
    for row in rows:
        begins = shapes.time(windows.hour_of(row.ts, windows.zone_of(zone)))
        expected[begins] = expected.get(begins, 0) + 1
    assert {row["key"]: row["_m"]["events"] for row in told} == expected


def _put(store: ClickHouse, account: str, *rows: dict[str, Any]) -> list[Row]:
    made = [
        BLANK._replace(
            **({"account": account, "id": f"00000000-0000-0000-0000-{number:012}", "log_offset": number, "ts": NOW - DAY,
                "received_at": NOW - DAY} | row)
        )
        for number, row in enumerate(rows, 1)
    ]  # fmt: skip
    store.insert("events", Row._fields, list(zip(*made, strict=True)))
    return made


UNPRICED: dict[str, Any] = {"cost": None, "price_status": "unpriced", "model": "house"}


def test_what_is_unknown_has_no_share_and_is_in_no_mean(store: ClickHouse) -> None:
    _put(
        store,
        "unknown",
        {"user_id": "a", "cost": Decimal(3)},
        {"user_id": "b", "cost": Decimal(1)},
        {"user_id": "c"} | UNPRICED,
    )
    q = parse_question("unknown", [("above", "2")], NOW, takes=UsersQuery)
    answer = Answers(store).users(q)
    told = [shapes.filled(row) for row in answer["rows"]]
    assert [(row["user_id"], row["spend"], row["share"]) for row in told] == [
        ("a", "3", 0.75),
        ("b", "1", 0.25),
        ("c", None, None),
    ]
    totals = answer["totals"]
    assert (totals["users"], totals["mean_spend"], totals["median_spend"], totals["users_above"]) == (3, "2", "2", 1)
    for sort, names in (("share", "cba"), ("-share", "abc"), ("spend", "cba")):
        q = parse_question("unknown", [("sort", sort)], NOW, takes=UsersQuery)
        assert [row["user_id"] for row in Answers(store).users(q)["rows"]] == list(names)
    models = {
        row["model"]: row
        for row in Answers(store).models(parse_question("unknown", [], NOW, takes=ModelsQuery))["rows"]
    }
    assert (models["house"]["share"], models["gpt-4o"]["share"]) == (None, 1.0)


def test_rows_sort_by_their_quantiles_and_unknown_is_below(store: ClickHouse) -> None:
    _put(
        store,
        "quantiles",
        {"model": "slow", "latency_ms": 900.0},
        {"model": "fast", "latency_ms": 10.0},
        {"model": "none", "latency_ms": None},
    )
    for sort, names in (("latency_ms_p95", ["none", "fast", "slow"]), ("-latency_ms_p50", ["slow", "fast", "none"])):
        answer = Answers(store).models(parse_question("quantiles", [("sort", sort)], NOW, takes=ModelsQuery))
        assert [row["model"] for row in answer["rows"]] == names


def test_a_trace_has_the_user_and_tags_of_its_first_event_to_arrive(store: ClickHouse) -> None:
    rows = _put(
        store, "arrival",
        {"trace_id": "t", "ts": NOW - DAY + 1_000_000, "user_id": "first", "tags": ["plan=first"], "agent": "one", "is_trace_start": 1},
        {"trace_id": "t", "ts": NOW - DAY, "received_at": NOW - DAY + 5, "user_id": "second", "tags": ["plan=second"], "agent": "two"},
    )  # fmt: skip
    q = parse_question("arrival", [], NOW, takes=TracesQuery)
    traces = Traces(store, Events(store))
    (listed,) = traces.page(q, NOW)["rows"]
    for told in (listed, traces.trace(q, "t")):
        assert (told["user_id"], told["tags"], told["agent"]) == ("first", {"plan": "first"}, "one")
        assert told["started_at"] == shapes.time(rows[1].ts)
    assert Answers(store).sum(parse_question("arrival", [("tag.plan", "first")], NOW))[0]["traces"] == 1


def test_events_of_one_cost_stand_by_id_and_unknown_costs_are_below(store: ClickHouse) -> None:
    ids = [
        "ffffffff-0000-0000-0000-000000000001",
        "00000000-0000-0000-0000-00000000000f",
        "80000000-0000-0000-0000-000000000002",
    ]
    _put(store, "ties", *({"id": name} for name in ids), {"id": "00000000-0000-0000-0000-0000000000aa"} | UNPRICED)
    for sort in ("cost", "-cost", "-timestamp"):
        q = parse_question("ties", [("sort", sort)], NOW, takes=EventsQuery)
        told = [(row["cost"] is None, row["id"]) for row in Events(store).page(q, NOW)["rows"]]
        known = [(False, name) for name in sorted(ids)]
        unknown = [(True, "00000000-0000-0000-0000-0000000000aa")]
        if sort == "-timestamp":
            assert sorted(told, key=lambda row: row[1]) == told
        else:
            assert told == (unknown + known if sort == "cost" else known + unknown)
    whole = [
        row["id"]
        for part in Events(store).all(parse_question("ties", [], NOW, takes=EventsQuery), NOW, 2)
        for row in part
    ]
    assert whole == sorted(whole)


def test_an_event_outside_any_trace_is_told_from_those_of_its_id(store: ClickHouse) -> None:
    one = "00000000-0000-0000-0000-000000000009"
    _put(store, "same", {"id": one, "trace_id": "x"}, {"id": one, "trace_id": ""})
    events = Events(store)
    with pytest.raises(Ambiguous):
        events.event(parse_question("same", [], NOW, takes=EventQuery), one)
    for trace in ("x", ""):
        found = events.event(parse_question("same", [("trace_id", trace)], NOW, takes=EventQuery), one)
        assert (found["trace_id"] or "") == trace
        assert found["raw_usage"] is None  # none was sent
