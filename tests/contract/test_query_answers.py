"""Answers over random rows of two accounts, compared with sums made in plain Python over the same rows."""

from __future__ import annotations

import random
import time
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from consumers.fold import Folder
from pipeline import limits
from pipeline.errors import Unauthorized
from pipeline.keys import make_key
from pipeline.row import Row
from pipeline.schema import Engines, migrate
from pipeline.server import HardenedRunner
from pipeline.store import ClickHouse, open_clickhouse
from query.app import create_query_app
from tests.support.clickhouse import ChdbServer
from tests.support.rows import grouped, make_rows, sums

HOUR, DAY = 3_600_000_000, 86_400_000_000
NOW = (time.time_ns() // 1000) // 1000 * 1000
START = NOW - 40 * DAY
FIRST = {account: make_rows(account, 6000, seed, START, NOW) for seed, account in enumerate(("a", "b"))}
LATE = [row._replace(trace_id=f"late-{row.trace_id}") for row in make_rows("a", 40, 7, START, NOW)]
ROWS = FIRST | {"a": FIRST["a"] + LATE}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    with ChdbServer(tmp_path_factory.mktemp("clickhouse")) as server:
        made = open_clickhouse(server.url, database="default", user="default", password="")
        migrate(made, Engines())
        for rows in FIRST.values():
            for start in range(0, len(rows), 1500):
                made.insert("events", Row._fields, list(zip(*rows[start : start + 1500], strict=True)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(limits, "FOLD_AGE_SECONDS", 0)
            fold_most(made)
            yield made
        made.close()


def fold_most(store: ClickHouse) -> None:
    """Every day and many hours folded; then events come that some of the folds do not hold."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "FOLD_EVENTS", 7)
        folder = Folder(store)
        assert folder.look(back_seconds=41 * 86_400) == 0, "a first look folds nothing: it may be moving"
        assert folder.look(back_seconds=41 * 86_400) > 100
    store.insert("events", Row._fields, list(zip(*LATE, strict=True)))


class Asker:
    """Asks a running query service."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session, self._port = session, port

    async def __call__(self, path: str, account: str = "a", status: int = 200, **headers: str) -> Any:
        url = f"http://127.0.0.1:{self._port}/v1/me/ai-apps/{path}"
        given = {"Authorization": f"Bearer {account}", **headers}
        import yarl

        async with self._session.get(yarl.URL(url, encoded=True), headers=given) as answer:
            assert answer.status == status, (answer.status, await answer.text())
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            body = await answer.json(content_type=None) if status != 304 else None
            return body if status == 200 else (body, answer.headers)


@asynccontextmanager
async def service(store: ClickHouse, **given: Any) -> AsyncIterator[Asker]:
    async def authenticate(token: str) -> Any:
        if token == "scoped":
            return SimpleNamespace(account="a", restriction=(("org", "o1"),))
        if token not in ROWS:
            raise Unauthorized("unknown key")
        return SimpleNamespace(account=token, restriction=())

    app = create_query_app(
        store,
        authenticate,
        clock=lambda: NOW,
        cursor_secret=b"secret",
        prices=SimpleNamespace(version="book", newest="2026-11-09"),
        **given,
    )
    runner = HardenedRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        yield Asker(session, runner.addresses[0][1])
    await runner.cleanup()


@pytest.fixture
async def ask(store: ClickHouse) -> AsyncIterator[Asker]:
    async with service(store) as made:
        yield made


def instant(us: int) -> str:
    return urllib.parse.quote(datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds"))


def said(row: dict[str, Any]) -> dict[str, Any]:
    """What an answer's measures say, in the words of `sums`."""
    seen = row["last_seen"]
    return {
        "spend": None if row["spend"] is None else Decimal(row["spend"]),
        **{name: row[name] for name in ("events", "calls", "tokens", "errors", "unpriced_events")},
        "last_seen": round(datetime.fromisoformat(seen).timestamp() * 1e6) if seen else None,
    }


def windows(count: int) -> list[tuple[int, int]]:
    """Arbitrary instants to the millisecond, and whole hours, half hours and days among them."""
    rng = random.Random(3)
    found = []
    for number in range(count):
        step = (1000, HOUR // 2, HOUR, DAY)[number % 4]
        a, b = sorted(rng.randrange(START, NOW) for _ in range(2))
        found.append((a - a % step, b - b % step + step))
    return [*found, (NOW - 90 * 60_000_000, NOW), (NOW - 5_000_000, NOW)]


def within(rows: list[Row], start: int, end: int) -> list[Row]:
    return [row for row in rows if start <= row.ts < end]


FILTERS: list[tuple[str, Any]] = [
    ("", lambda r: True),
    ("&tag.plan=pro", lambda r: "plan=pro" in r.tags),
    ("&tag.plan=pro&tag.plan=free", lambda r: "plan=pro" in r.tags or "plan=free" in r.tags),
    ("&tag.plan=pro&tag.org=o1", lambda r: "plan=pro" in r.tags and "org=o1" in r.tags),
    ("&tag.plan=", lambda r: not any(t.startswith("plan=") for t in r.tags)),
    ("&tag.plan!=pro", lambda r: "plan=pro" not in r.tags),
    ("&userId=ada&userId=bob", lambda r: r.user_id in ("ada", "bob")),
    ("&userId!=ada", lambda r: r.user_id != "ada"),
    ("&provider=openai", lambda r: r.provider == "openai"),
    ("&model=gpt-4o&status=error", lambda r: r.model == "gpt-4o" and r.status == "error"),
    ("&agent=bot&tag.org=o2&tag.org=o3", lambda r: r.agent == "bot" and ("org=o2" in r.tags or "org=o3" in r.tags)),
    ("&tag.plan=%27%20OR%201%3D1%20--", lambda r: False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "keep"), FILTERS, ids=[text or "no filter" for text, _ in FILTERS])
async def test_users_and_overview_are_exact_over_any_window(ask: Asker, text: str, keep: Any) -> None:
    for start, end in windows(8):
        rows = [row for row in within(ROWS["a"], start, end) if keep(row)]
        span = f"from={instant(start)}&to={instant(end)}{text}"
        overview = await ask(f"overview?{span}")
        assert said(overview["data"]) == sums(rows)
        assert overview["data"]["users"] == len({row.user_id for row in rows} - {""})
        users = await ask(f"users?{span}&limit=1000")
        by_user = grouped(rows, lambda row: row.user_id)
        assert said(users["unattributed"]) == sums(by_user.pop("", []))
        assert {row["user_id"]: said(row) for row in users["data"]} == {user: sums(of) for user, of in by_user.items()}
        assert said(users["totals"]) == sums(rows)
        spends = [Decimal(row["spend"] or -1) for row in users["data"]]
        assert spends == sorted(spends, reverse=True)


@pytest.mark.parametrize("key", ["user", "provider", "model", "agent", "tag.plan", "tag.org"])
async def test_group_by_adds_up(ask: Asker, key: str) -> None:
    def value(row: Row) -> str | None:
        if key.startswith("tag."):
            return next((tag.split("=", 1)[1] for tag in row.tags if tag.startswith(f"{key[4:]}=")), None)
        return getattr(row, {"user": "user_id"}.get(key, key)) or None

    for start, end in windows(4):
        rows = within(ROWS["a"], start, end)
        answer = await ask(f"overview?from={instant(start)}&to={instant(end)}&group_by={key}&limit=1000")
        assert {row["key"]: said(row) for row in answer["data"]} == {
            k: sums(of) for k, of in grouped(rows, value).items()
        }


@pytest.mark.parametrize("tz", ["UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns"])
async def test_days_of_any_zone_are_exact(ask: Asker, tz: str) -> None:
    from zoneinfo import ZoneInfo

    answer = await ask(f"overview?window=28d&group_by=day&tz={urllib.parse.quote(tz)}&limit=1000")

    def day(row: Row) -> str:
        local = datetime.fromtimestamp(row.ts / 1e6, ZoneInfo(tz)).replace(hour=0, minute=0, second=0, microsecond=0)
        return local.astimezone(UTC).isoformat().replace("+00:00", "Z")

    expected = {k: sums(of) for k, of in grouped(within(ROWS["a"], NOW - 28 * DAY, NOW), day).items()}
    assert {row["key"]: said(row) for row in answer["data"] if row["events"]} == expected


async def test_traces_count_where_their_first_event_stands(ask: Asker) -> None:
    rows = within(ROWS["a"], NOW - 28 * DAY, NOW)
    overview = await ask("overview")
    assert overview["data"]["traces"] == sum(row.is_trace_start for row in rows)
    users = await ask("users?limit=1000")
    of = {row["user_id"]: row["traces"] for row in users["data"]}
    assert of["ada"] == sum(row.is_user_trace_start for row in rows if row.user_id == "ada")
    filtered = await ask("overview?model=gpt-4o")
    assert filtered["data"]["traces"] == len({row.trace_id for row in rows if row.model == "gpt-4o"})


async def test_pages_are_the_whole_and_rest_is_what_is_not_on_the_page(ask: Asker) -> None:
    whole = await ask("users?limit=1000")
    collected: list[Any] = []
    cursor = ""
    while True:
        page = await ask(f"users?limit=2{cursor}")
        collected += page["data"]
        on_page = sum(row["events"] for row in page["data"])
        assert on_page + page["rest"]["events"] + page["unattributed"]["events"] == page["totals"]["events"]
        spends = [page["rest"]["spend"], page["unattributed"]["spend"], *(row["spend"] for row in page["data"])]
        assert sum(Decimal(s or 0) for s in spends) == Decimal(page["totals"]["spend"])
        if not page["next_cursor"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert collected == whole["data"]


async def test_every_stored_user_opens_by_its_percent_encoded_path(ask: Asker) -> None:
    rows = within(ROWS["a"], NOW - 28 * DAY, NOW)
    for user in {row.user_id for row in rows} - {""}:
        answer = await ask(f"users/{urllib.parse.quote(user, safe='')}")
        assert answer["data"]["user_id"] == user
        assert said(answer["data"]) == sums(row for row in rows if row.user_id == user)


async def test_search_narrows_totals_and_has_no_unattributed(ask: Asker) -> None:
    answer = await ask("users?q=A")
    assert {row["user_id"] for row in answer["data"]} == {"ada", "a/b", "'; DROP TABLE events; --"}
    assert answer["unattributed"] is None
    assert answer["totals"]["events"] == sum(row["events"] for row in answer["data"])


async def test_models_tools_tags_traces_and_events_agree_with_the_rows(ask: Asker) -> None:
    rows = within(ROWS["a"], NOW - 28 * DAY, NOW)
    models = await ask("models?limit=100")
    by_model = grouped([row for row in rows if row.type == "llm"], lambda row: row.model)
    assert {row["model"]: said(row) for row in models["data"]} == {k: sums(of) for k, of in by_model.items()}
    for row in models["data"]:
        latencies = sorted(r.latency_ms for r in by_model[row["model"]])
        assert row["latency_ms"]["p50"] == pytest.approx(latencies[len(latencies) // 2], rel=0.06)
        assert row["latency_ms"]["p95"] == pytest.approx(latencies[int(len(latencies) * 0.95)], rel=0.08)
    tools = await ask("tools")
    (tool,) = tools["data"]
    of_tool = [row for row in rows if row.type == "tool"]
    assert (tool["calls"], tool["tool_name"]) == (len(of_tool), "search")
    assert (tools["totals"]["calls"], tools["rest"]["calls"]) == (len(of_tool), 0)
    in_traces = {row.trace_id for row in of_tool} - {""}
    assert (tools["totals"]["traces"], tool["traces"]) == (len(in_traces), len(in_traces))
    assert tool["success_rate"] == pytest.approx(sum(r.status == "ok" for r in of_tool) / len(of_tool), abs=1e-6)
    plans = (await ask("tags/plan"))["data"]
    assert {row["value"]: row["events"] for row in plans} == {
        plan: sum(f"plan={plan}" in row.tags for row in rows) for plan in ("free", "pro")
    }
    assert {row["key"] for row in (await ask("tags"))["data"]} == {"plan", "org"}
    traces = await ask("traces?limit=10")
    first = traces["data"][0]
    trace = await ask(f"traces/{first['trace_id']}")
    of_trace = [row for row in ROWS["a"] if row.trace_id == first["trace_id"]]
    assert {event["id"] for event in trace["data"]["events"]} == {row.id for row in of_trace}
    event = await ask(f"events/{of_trace[0].id}")
    assert event["data"]["cost"] == (
        None if of_trace[0].cost is None else f"{of_trace[0].cost:f}".rstrip("0").rstrip(".")
    )
    events = await ask("events?limit=50")
    newest = sorted(rows, key=lambda row: (-row.ts, row.id))[:50]
    assert [e["id"] for e in events["data"]] == [row.id for row in newest]
    more = await ask(f"events?limit=50&cursor={events['next_cursor']}")
    assert not {e["id"] for e in more["data"]} & {e["id"] for e in events["data"]}


async def test_one_account_never_reads_anothers(ask: Asker) -> None:
    foreign = {row.id for row in ROWS["b"]} | {row.trace_id for row in ROWS["b"]}
    other = ROWS["b"][0]
    await ask(f"events/{other.id}", status=404)
    await ask(f"traces/{other.trace_id}", status=404)
    for path in ("overview", "users", "models", "tools", "tags", "tags/org", "traces?limit=1000", "events?limit=1000"):
        text = str(await ask(path))
        assert not any(part in text for part in foreign)
        assert await ask(path, account="b") != await ask(path)
    page = await ask("users?limit=1")
    await ask(f"users?limit=1&cursor={page['next_cursor']}", account="b", status=400)


async def test_a_restricted_key_sees_its_tag_alone_whatever_it_asks(ask: Asker) -> None:
    rows = [row for row in within(ROWS["a"], NOW - 28 * DAY, NOW) if "org=o1" in row.tags]
    assert said((await ask("overview", account="scoped"))["data"]) == sums(rows)
    assert (await ask("overview?tag.org=o2", account="scoped"))["data"]["events"] == 0
    assert (await ask("overview?tag.org!=o1", account="scoped"))["data"]["events"] == 0
    outside = next(row for row in ROWS["a"] if "org=o2" in row.tags)
    await ask(f"events/{outside.id}", account="scoped", status=404)


BAD = [
    ("overview?windw=7d", "window"), ("overview?tags.plan=pro", "tag.plan"), ("overview?window=7", ""), ("users?limit=0", ""),
    ("users?limit=1001", ""), ("users?window=7d&from=2026-11-01", ""), ("users?limit=1&limit=2", ""), ("users?cursor=nonsense", ""),
    ("users?sort=-spnd", "spend"), ("overview?group_by=plan", ""), ("overview?tz=Mars/Olympus", ""), ("overview?from=yesterday", ""),
    ("overview?from=2026-11-20&to=2026-11-01", ""), ("users?above=lots", ""), ("users?windowDays=0", ""), ("users?compare=next", ""),
    ("users?sort=spend%3B%20DROP%20TABLE%20events", ""), ("events?sort=ts", ""),
]  # fmt: skip


@pytest.mark.parametrize(("path", "hint"), BAD, ids=[path for path, _ in BAD])
async def test_a_parameter_that_cannot_be_understood_is_named(ask: Asker, path: str, hint: str) -> None:
    problem, headers = await ask(path, status=400)
    assert headers["Content-Type"].startswith("application/problem+json")
    assert problem["errors"][0]["parameter"]
    assert hint in problem["detail"]


async def test_other_refusals_are_problems_too(ask: Asker) -> None:
    _, headers = await ask("users", account="nobody", status=401)
    assert headers["WWW-Authenticate"].startswith("Bearer")
    token, _ = make_key(account="x", scopes=("read",), now=0)
    for way in (f"users?key={token}", f"users/{token}", f"users?userId=x{token}x", f"users/%2570{token[1:]}"):
        problem, _ = await ask(way, status=401)
        assert "key in a URL" in problem["detail"]
    await ask("nothing", status=404)
    await ask("users/never-seen", status=404)


async def test_a_tag_key_never_sent_filters_and_is_told(ask: Asker) -> None:
    answer = await ask("overview?tag.plna=pro")
    assert answer["data"]["events"] == 0
    assert "did you mean plan" in answer["meta"]["warnings"][0]


async def test_polling_costs_a_304(ask: Asker) -> None:
    import yarl

    url = yarl.URL(f"http://127.0.0.1:{ask._port}/v1/me/ai-apps/overview")
    async with ask._session.get(url, headers={"Authorization": "Bearer a"}) as first:
        tag = first.headers["ETag"]
    await ask("overview", status=304, **{"If-None-Match": tag})


async def test_an_answer_is_provisional_while_an_hour_in_its_window_is_in_doubt(ask: Asker, store: ClickHouse) -> None:
    hour = NOW // HOUR - 30
    yesterday = f"from={instant((hour - 3) * HOUR)}&to={instant((hour + 3) * HOUR)}"
    before = f"from={instant((hour - 9) * HOUR)}&to={instant(hour * HOUR)}"
    mark = {"hour": hour * 3600, "id": str(uuid4())}
    sql = (
        "INSERT INTO doubtful_hours (hour, id, marked_at, reason, cleared) SELECT toDateTime({hour:Int64}, 'UTC'), "
        "toUUID({id:String}), now64(6), 'test', %d"
    )
    assert not (await ask(f"overview?{yesterday}"))["meta"]["provisional"]
    store.execute(sql % 0, mark)
    assert (await ask(f"overview?{yesterday}"))["meta"]["provisional"]
    assert not (await ask(f"overview?{before}"))["meta"]["provisional"]
    store.execute(sql % 1, mark)
    assert not (await ask(f"overview?{yesterday}"))["meta"]["provisional"]


async def test_complete_through_is_that_of_the_slowest_partition_of_the_present_log(
    ask: Asker, store: ClickHouse
) -> None:
    async def through() -> int | None:
        """Seconds before NOW."""
        told = (await ask("overview?window=1d"))["meta"]["complete_through"]
        return told and round(NOW / 1e6 - datetime.fromisoformat(told).timestamp())

    def report(log: str, partition: int, seconds_ago: int, reported_ago: int) -> None:
        store.insert(
            "progress",
            ("log_id", "log_partition", "position", "complete_through", "reported_at"),
            ([log], [partition], [1], [NOW - seconds_ago * 1_000_000], [NOW - reported_ago * 1_000_000]),
        )

    assert await through() is None
    report("former", 0, 5_000, 100)
    report("present", 0, 60, 50)
    report("present", 1, 20, 40)
    assert await through() == 60
    report("present", 0, 10, 30)
    assert await through() == 20


# --- beside the window before, and day by day


def measured(rows: list[Row]) -> dict[str, Any]:
    return {name: value for name, value in sums(rows).items() if name != "last_seen"}


@pytest.mark.parametrize(
    "path", ["users", "models", "tools", "tags", "tags/plan", "overview?group_by=tag.plan", "overview?group_by=model"]
)
async def test_rows_rest_and_sums_stand_beside_those_of_the_window_before(ask: Asker, path: str) -> None:
    low, high = NOW - 9 * DAY, NOW - 2 * DAY
    window = f"from={instant(low)}&to={instant(high)}"
    earlier = f"from={instant(2 * low - high)}&to={instant(low)}"
    mark = "&" if "?" in path else "?"
    both = await ask(f"{path}{mark}{window}&compare=previous&limit=3")
    before = await ask(f"{path}{mark}{earlier}&limit=1000")
    assert both["meta"]["previous"] == {"from": before["meta"]["from"], "to": before["meta"]["to"]}
    names = [n for n in ("user_id", "provider", "model", "tool_name", "key", "value") if n in before["data"][0]]
    rows = {tuple(row[n] for n in names): row for row in before["data"]}
    assert both["data"]
    for row in both["data"]:
        found = rows.get(tuple(row[n] for n in names))
        if found is None:
            assert row["previous"] is None
        else:
            assert row["previous"] == {name: found[name] for name in row["previous"]}
            assert {"spend", "tokens", "traces"} <= row["previous"].keys()
    assert both["totals"]["previous"] == before["totals"]
    assert (both["unattributed"] or {}).get("previous") == before["unattributed"]
    shown = [row["previous"] for row in both["data"] if row["previous"]]
    for name in ("events", "tokens", "errors", "unpriced_events"):
        assert sum(row[name] for row in before["data"]) == sum(p[name] for p in shown) + both["rest"]["previous"][name]
    spends = [Decimal(row["spend"] or 0) for row in before["data"]]
    assert sum(spends) == sum(Decimal(p["spend"] or 0) for p in shown) + Decimal(both["rest"]["previous"]["spend"] or 0)


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


async def test_a_trace_has_the_name_of_its_block(ask: Asker, store: ClickHouse) -> None:
    old = START - 300 * DAY
    first = ROWS["a"][0]._replace(ts=old, received_at=old, trace_id="named", type="llm", name="answer", sign=1,
        user_id="namer", id=str(uuid4()))  # fmt: skip
    block = first._replace(type="trace", name="review clause", ts=old + 1_000_000, id=str(uuid4()))
    store.insert("events", Row._fields, list(zip(first, block, strict=True)), token=str(uuid4()))
    listed = await ask(f"traces?from={instant(old - DAY)}&to={instant(old + DAY)}")
    assert [trace["name"] for trace in listed["data"]] == ["review clause"]
    assert (await ask("traces/named"))["data"]["name"] == "review clause"


@pytest.mark.parametrize(
    "path",
    ["users", "models", "tags/plan", "overview?group_by=user", "overview?group_by=tag.plan", "overview?group_by=day"],
)
async def test_page_rest_and_unattributed_are_the_total(ask: Asker, path: str) -> None:
    answer = await ask(f"{path}{'&' if '?' in path else '?'}window=28d&limit=2")
    parts = [*answer["data"], answer["rest"], *([answer["unattributed"]] if answer["unattributed"] else [])]
    for name in ("events", "calls", "tokens", "errors", "unpriced_events"):
        assert sum(part[name] for part in parts) == answer["totals"][name], name
    assert sum(Decimal(part["spend"] or 0) for part in parts) == Decimal(answer["totals"]["spend"])


async def test_overview_and_a_user_stand_beside_the_window_before(ask: Asker) -> None:
    low, high = NOW - 9 * DAY, NOW - 2 * DAY
    window, earlier = f"from={instant(low)}&to={instant(high)}", f"from={instant(2 * low - high)}&to={instant(low)}"
    user = next(row.user_id for row in within(ROWS["a"], low, high) if row.user_id)
    for path in ("overview", f"users/{urllib.parse.quote(user, safe='')}"):
        both, before = await ask(f"{path}?{window}&compare=previous"), await ask(f"{path}?{earlier}")
        assert both["data"]["previous"] == {name: before["data"][name] for name in both["data"]["previous"]}
        assert both["data"]["previous"].keys() >= {"spend", "events", "tokens_by_class", "traces"}


@pytest.mark.parametrize("tz", ["UTC", "America/New_York", "Asia/Kathmandu"])
@pytest.mark.parametrize("path", ["users", "overview?group_by=tag.plan", "overview?group_by=user"])
async def test_the_days_of_a_spark_are_the_days_of_the_zone_and_add_up(ask: Asker, path: str, tz: str) -> None:
    mark = "&" if "?" in path else "?"
    answer = await ask(f"{path}{mark}window=7d&tz={tz}&include=spark&limit=3")
    days = await ask(f"overview?window=7d&tz={tz}&group_by=day")
    assert answer["meta"]["spark_days"] == [row["key"] for row in days["data"]]
    assert [Decimal(d) for d in answer["totals"]["spark"]] == [Decimal(row["spend"] or 0) for row in days["data"]]
    named = "user_id" if path == "users" else "key"
    for row in answer["data"]:
        assert sum(map(Decimal, row["spark"])) == Decimal(row["spend"] or 0), row[named]
    parts = [*answer["data"], answer["rest"], *([answer["unattributed"]] if path == "users" else [])]
    for number, total in enumerate(answer["totals"]["spark"]):
        assert sum(Decimal(part["spark"][number]) for part in parts) == Decimal(total)


async def test_later_pages_are_of_the_first_ones_window_and_have_sparks_too(ask: Asker) -> None:
    first = await ask("users?window=7d&include=spark&compare=previous&limit=3")
    second = await ask(f"users?window=7d&include=spark&compare=previous&limit=3&cursor={first['next_cursor']}")
    assert second["meta"]["from"] == first["meta"]["from"]
    assert not {row["user_id"] for row in first["data"]} & {row["user_id"] for row in second["data"]}
    assert all(len(row["spark"]) == len(first["meta"]["spark_days"]) for row in second["data"])


async def test_a_users_label_is_the_org_that_most_of_its_events_carry(ask: Asker) -> None:
    answer = await ask("users?window=28d&limit=1000")
    mine = within(ROWS["a"], NOW - 28 * DAY, NOW)
    for row in answer["data"]:
        counts: dict[str, int] = {}
        for one in mine:
            if one.user_id == row["user_id"]:
                for tag in one.tags:
                    if tag.startswith("org="):
                        counts[tag[4:]] = counts.get(tag[4:], 0) + one.sign
        best = max((count, value) for value, count in counts.items())[1] if counts else None
        assert row["label"] == best
