"""What HTTP says around an answer: refusals, how fresh it is, cursors that stay good, tags, formats, how much is left to ask; and whose data it is."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from decimal import Decimal
from uuid import uuid4

import pyarrow.parquet as pq
import pytest

from pipeline.keys import make_key
from pipeline.store import ClickHouse
from query.formats import asked_for
from tests.contract.test_exports import export
from tests.support.answers import (
    DAY,
    HOUR,
    NOW,
    ROWS,
    Asker,
    instant,
    said,
    service,
    within,
)
from tests.support.rows import sums


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


async def test_an_answer_is_provisional_while_an_hour_in_its_window_is_in_doubt(
    ask: Asker, rows_store: ClickHouse
) -> None:
    hour = NOW // HOUR - 30
    yesterday = f"from={instant((hour - 3) * HOUR)}&to={instant((hour + 3) * HOUR)}"
    before = f"from={instant((hour - 9) * HOUR)}&to={instant(hour * HOUR)}"
    mark = {"hour": hour * 3600, "id": str(uuid4())}
    sql = (
        "INSERT INTO doubtful_hours (hour, id, marked_at, reason, cleared) SELECT toDateTime({hour:Int64}, 'UTC'), "
        "toUUID({id:String}), now64(6), 'test', %d"
    )
    assert not (await ask(f"overview?{yesterday}"))["meta"]["provisional"]
    rows_store.execute(sql % 0, mark)
    assert (await ask(f"overview?{yesterday}"))["meta"]["provisional"]
    assert not (await ask(f"overview?{before}"))["meta"]["provisional"]
    rows_store.execute(sql % 1, mark)
    assert not (await ask(f"overview?{yesterday}"))["meta"]["provisional"]


async def test_complete_through_is_that_of_the_slowest_partition_of_the_present_log(
    ask: Asker, rows_store: ClickHouse
) -> None:
    async def through() -> int | None:
        """Seconds before NOW."""
        told = (await ask("overview?window=1d"))["meta"]["complete_through"]
        return told and round(NOW / 1e6 - datetime.fromisoformat(told).timestamp())

    def report(log: str, partition: int, seconds_ago: int, reported_ago: int) -> None:
        rows_store.insert(
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


async def test_asking_again_what_has_not_moved_gives_the_same_cursor_and_it_is_good(ask: Asker) -> None:
    first = await ask("users?limit=2&compare=previous")
    again = await ask("users?limit=2&compare=previous")
    assert first["next_cursor"] == again["next_cursor"]
    second = await ask(f"users?limit=2&compare=previous&cursor={first['next_cursor']}")
    assert second["data"]
    assert not {row["user_id"] for row in first["data"]} & {row["user_id"] for row in second["data"]}
    for path in ("models", "tags", "tags/plan", "overview?group_by=day", "overview?group_by=day,model"):
        mark = "&" if "?" in path else "?"
        page = await ask(f"{path}{mark}limit=1")
        await ask(f"{path}{mark}limit=1&cursor={page['next_cursor']}")


async def test_every_question_says_how_much_is_left_whatever_comes_of_it(rows_store: ClickHouse) -> None:
    async with service(rows_store, questions_per_minute=6) as limited:
        for left, (path, status) in enumerate(
            [("nobody", 404), ("users/never-seen", 404), ("users?limit=0", 400), ("events/1?trace_id=x", 404), ("users?cursor=x", 400)],
        ):  # fmt: skip
            _, headers = await limited(path, status=status)
            assert headers.get("RateLimit") == (f'"key";r={6 - left};t=60' if left else None)  # no such path: not asked
        url = f"http://127.0.0.1:{limited._port}/v1/me/ai-apps/users?format=csv"
        async with limited._session.get(url, headers={"Authorization": "Bearer a"}) as answer:
            assert (answer.status, answer.headers["RateLimit"]) == (200, '"key";r=1;t=60')
        _, headers = await limited("overview", status=304, **{"If-None-Match": "*"})
        assert headers["RateLimit"].startswith('"key";r=0;t=')
        _, headers = await limited("overview", status=429)
        assert headers["RateLimit"] == f'"key";r=0;t={headers["Retry-After"]}'
        assert headers["RateLimit-Policy"] == '"key";q=6;w=60'
        assert "RateLimit" not in (await limited("overview", account="nobody", status=401))[1]


async def test_overview_is_exported_as_one_row(ask: Asker) -> None:
    asked = "overview?window=7d&compare=previous"
    data = (await ask(asked))["data"]
    assert json.loads(await export(ask, f"{asked}&format=ndjson", "ndjson")) == data
    (row,) = csv.DictReader(io.StringIO((await export(ask, asked, "csv", Accept="text/csv")).decode()))
    assert (row["spend"], row["users"]) == (data["spend"], str(data["users"]))
    assert row["previous_spend"] == data["previous"]["spend"]
    table = pq.read_table(io.BytesIO(await export(ask, f"{asked}&format=parquet", "parquet")))
    assert table.column("spend").to_pylist() == [Decimal(data["spend"])]


async def test_overview_has_sparks_too(ask: Asker) -> None:
    answer = await ask("overview?window=7d&tz=Asia/Kathmandu&include=spark")
    days = await ask("overview?window=7d&tz=Asia/Kathmandu&group_by=day")
    assert answer["meta"]["spark_days"] == [row["key"] for row in days["data"]]
    assert [Decimal(day) for day in answer["data"]["spark"]] == [Decimal(row["spend"] or 0) for row in days["data"]]
    assert answer["totals"]["spark"] == answer["data"]["spark"]
    assert sum(map(Decimal, answer["unattributed"]["spark"])) == Decimal(answer["unattributed"]["spend"])


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("overview?cursor=abc", "cursor"), ("overview?limit=3", "limit"), ("overview?sort=users", "sort"), ("overview?q=a", "q"),
        ("overview?group_by=day&include=spark", "include"), ("overview?group_by=hour&include=spark", "include"),
        ("overview?group_by=day,agent&include=spark", "include"),
    ],
)  # fmt: skip
async def test_no_parameter_is_taken_and_ignored(ask: Asker, path: str, parameter: str) -> None:
    problem, _ = await ask(path, status=400)
    assert problem["errors"][0]["parameter"] == parameter


ACCEPTED = [
    ("", "json"), ("*/*", "json"), ("text/html, application/xhtml+xml, */*;q=0.8", "json"), ("image/png", "json"),
    ("application/json, text/csv;q=0.5", "json"), ("text/csv;q=0, application/json", "json"), ("text/csv;q=0", "json"),
    ("text/csv", "csv"), ("text/csv, */*;q=0.1", "csv"), ("*/*, text/csv", "csv"), ("text/*", "csv"), ("TEXT/CSV;header=present", "csv"),
    ("application/json;q=0.2, application/x-ndjson;q=0.9", "ndjson"), ("application/*", "json"), ("application/*;q=0.5, text/csv", "csv"),
    ("application/json;q=0, */*", "csv"), ("application/vnd.apache.parquet ; q=1.000", "parquet"), ("text/csv;q=x", "json"),
    ("text/csv;q=1.5, application/x-ndjson;q=0.1", "ndjson"), ("text/csv, application/json", "csv"), (",;,", "json"),
]  # fmt: skip


@pytest.mark.parametrize(("accept", "kind"), ACCEPTED)
def test_the_format_is_the_one_that_accept_wants_most(accept: str, kind: str) -> None:
    assert asked_for(accept) == kind


async def test_json_that_is_wanted_more_is_answered(ask: Asker) -> None:
    assert (await ask("models", Accept="application/json, text/csv;q=0.5"))["data"]


async def test_whoever_has_the_answer_is_told_that_nothing_moved_however_the_tag_is_written(ask: Asker) -> None:
    url = f"http://127.0.0.1:{ask._port}/v1/me/ai-apps/overview"
    async with ask._session.get(url, headers={"Authorization": "Bearer a"}) as answer:
        tag = answer.headers["ETag"]
    for had in (tag, f"W/{tag}", f'"another", W/"one", {tag}', "*", f"  {tag} "):
        _, headers = await ask("overview", status=304, **{"If-None-Match": had})
        assert headers["ETag"] == tag
    for had in ('"another"', tag.strip('"'), f'W/{tag[:-2]}"', '"*"', '", "', ""):
        assert (await ask("overview", **{"If-None-Match": had}))["data"]


@pytest.mark.parametrize(
    "path", ["overview?tag.plam=pro", "overview?group_by=tag.plam", "overview?group_by=day,tag.plam", "tags/plam"]
)
async def test_a_tag_key_never_sent_is_told_wherever_it_is_named(ask: Asker, path: str) -> None:
    assert (await ask(path))["meta"]["warnings"] == ["no event carries the tag plam; did you mean plan?"]
    assert (await ask(path.replace("plam", "plan")))["meta"]["warnings"] == []


async def test_a_warning_repeats_no_key_that_cannot_be_one(ask: Asker) -> None:
    assert (await ask("tags/%3Cscript%3E"))["meta"]["warnings"] == ["no event carries such a tag"]


async def test_meta_counts_the_unpriced_events_of_every_answer(ask: Asker) -> None:
    everything = await ask("overview")
    assert everything["meta"]["unpriced_events"] == everything["data"]["unpriced_events"] > 0
    assert (await ask("notices"))["meta"]["unpriced_events"] == everything["data"]["unpriced_events"]
    user = await ask("users/ada")
    assert user["meta"]["unpriced_events"] == user["data"]["unpriced_events"] > 0
    asked = await ask("overview?userId=ada")
    assert (await ask("diagnosis?userId=ada"))["meta"]["unpriced_events"] == asked["data"]["unpriced_events"]
    event = (await ask("events?provider=acme&limit=1"))["data"][0]
    assert (await ask(f"events/{event['id']}"))["meta"]["unpriced_events"] == 1
    trace = await ask(f"traces/{event['trace_id']}")
    assert trace["meta"]["unpriced_events"] == trace["data"]["unpriced_events"] > 0


async def test_a_name_that_begins_like_a_key_is_a_name(ask: Asker) -> None:
    name = f"pc_live_{'a' * 32}_000000"
    assert (await ask(f"overview?userId={name}&tag.key=pc_test_x"))["data"]["events"] == 0
    problem, _ = await ask(f"users/{name}", status=404)
    assert problem["detail"] == "this user was never seen"
    await ask(f"users/pe_{'a' * 200}", status=404)  # and one like a framed page's credential


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (f"tag.{'k' * 65}", f"tag.{'k' * 64}"), (f"tag.{'k' * 300}!", f"tag.{'k' * 64}"), ("tags.plan", "tags.plan"), ("windw", "windw"),
        ("tag.", "tag."), ("tag.a%27b", "?"), ("%3Cscript%3E", "?"), ("w" * 80, "w" * 64), ("limit!", "limit"), ("", "?"), ("tag.a%0A", "?"),
    ],
)  # fmt: skip
async def test_a_parameter_that_is_refused_is_named_as_far_as_it_may_be(ask: Asker, given: str, named: str) -> None:
    problem, _ = await ask(f"users?{given}=1", status=400)
    assert problem["errors"][0]["parameter"] == named
    if named.endswith("k" * 64):
        assert problem["detail"] == "a tag key has at most 64 characters"
