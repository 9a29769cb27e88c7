"""Answers over random rows of two accounts, compared with sums made in plain Python over the same rows."""

from __future__ import annotations

import urllib.parse
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pipeline.row import Row
from tests.support.answers import (
    DAY,
    NOW,
    ROWS,
    Asker,
    instant,
    said,
    windows,
    within,
)
from tests.support.rows import grouped, sums

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


@pytest.mark.parametrize("asked", ["hour", "hour,model"])
async def test_hours_of_a_year_add_up_where_clocks_are_moved_by_half_an_hour(ask: Asker, asked: str) -> None:
    window = f"from={instant(NOW - 400 * DAY)}&to={instant(NOW)}"
    answer = await ask(f"overview?{window}&tz=Australia/Lord_Howe&group_by={asked}&limit=1000")
    told, cursor = list(answer["data"]), answer["next_cursor"]
    while cursor:
        page = await ask(f"overview?{window}&tz=Australia/Lord_Howe&group_by={asked}&limit=1000&cursor={cursor}")
        told, cursor = told + page["data"], page["next_cursor"]
    assert sum(row["events"] for row in told) == answer["totals"]["events"] == len(within(ROWS["a"], 0, NOW))
    assert len([row for row in told if row["events"]]) > 400


@pytest.mark.parametrize(
    ("path", "name", "text"),
    [("models", "model", "MINI"), ("tools", "tool_name", "xyz"), ("tags", "key", "la"), ("tags/plan", "value", "pr"), ("overview?group_by=user", "key", "B"),
     ("overview?group_by=day,tag.plan", "key", "ro"), ("models", "model", "no such")],
)  # fmt: skip
async def test_a_list_of_names_is_searched(ask: Asker, path: str, name: str, text: str) -> None:
    sign = "&" if "?" in path else "?"
    whole = (await ask(f"{path}{sign}window=28d&limit=1000"))["data"]
    kept = [row for row in whole if text.casefold() in f"{row[name] or ''}{row.get('provider') or ''}".casefold()]
    found = await ask(f"{path}{sign}window=28d&limit=1000&q={text.replace(' ', '%20')}")
    assert [row[name] for row in found["data"]] == [row[name] for row in kept]
    assert found["unattributed"] is None
    assert found["totals"]["events"] == sum(row["events"] for row in kept)
    assert Decimal(found["totals"]["spend"] or 0) == sum(Decimal(row["spend"] or 0) for row in kept)
    assert len(kept) < len(whole)


@pytest.mark.parametrize("path", ["traces", "events", "traces?tag.plan=pro", "events?sort=-cost&model=gpt-4o"])
async def test_totals_of_traces_and_events_stand_beside_the_window_before(ask: Asker, path: str) -> None:
    sign = "&" if "?" in path else "?"
    window = f"{sign}from={instant(NOW - 10 * DAY)}&to={instant(NOW)}&limit=20"
    page = await ask(f"{path}{window}&compare=previous")
    before = await ask(f"{path}{sign}from={instant(NOW - 20 * DAY)}&to={instant(NOW - 10 * DAY)}&limit=1")
    assert page["totals"]["previous"] == before["totals"]
    later = await ask(f"{path}{window}&compare=previous&cursor={page['next_cursor']}")
    assert later["totals"] == page["totals"]
