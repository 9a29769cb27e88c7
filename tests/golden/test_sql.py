"""Question -> SQL, as files under tests/golden/sql. `UPDATE_GOLDEN=1` writes them anew; a diff of them is to be read."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from query.plan import name_of, sources
from query.question import parse_question
from query.sql import NOBODY, Key, bucket_key, column, distinct_traces, key_of, measured, with_users
from query.traces import of_traces
from query.windows import Span

FILES = Path(__file__).parent / "sql"
NOW = int(datetime(2026, 11, 24, 10, 30, 15, tzinfo=UTC).timestamp() * 1e6)
HOSTILE = "x'); DROP TABLE events; --"
CASES: dict[str, tuple[list[tuple[str, str]], list[Key], dict[str, bool]]] = {
    "days_hours_and_raw_edges": ([("window", "28d")], [column("user_id")], {}),
    "whole_days": ([("from", "2026-11-01"), ("to", "2026-11-08")], [column("user_id"), column("model")], {}),
    "whole_hours": ([("from", "2026-11-01T05:00:00Z"), ("to", "2026-11-01T09:00:00Z")], [], {}),
    "raw_within_an_hour": ([("from", "2026-11-01T05:10:00Z"), ("to", "2026-11-01T05:20:00Z")], [], {}),
    "a_zone_at_half_past": ([("from", "2026-11-01"), ("to", "2026-11-02"), ("tz", "Asia/Kolkata")], [], {}),
    "two_tags_or_and_not": (
        [("window", "7d"), ("tag.plan", "pro"), ("tag.plan", "team"), ("tag.org", "acme"), ("tag.env!", "test"), ("tag.beta", "")],
        [],
        {},
    ),
    "pills": ([("window", "1d"), ("userId", "ada"), ("provider", "openai"), ("model!", "gpt-4o"), ("status", "error")], [], {}),
    "a_hostile_value": ([("window", "1d"), ("tag.org", HOSTILE), ("userId", HOSTILE)], [], {}),
    "by_a_tag": ([("window", "7d")], [key_of("tag.plan")], {}),
    "latency": ([("window", "7d")], [column("provider"), column("model")], {"maps": True}),
    "by_hour": ([("window", "1d")], [bucket_key("hour")], {"whole_days": False}),
    "raw_only": ([("window", "7d"), ("tag.request", "r1")], [], {"raw_only": True}),
}  # fmt: skip


def held(name: str, text: str) -> None:
    path = FILES / f"{name}.sql"
    if os.environ.get("UPDATE_GOLDEN"):
        FILES.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", CASES)
def test_a_question_becomes_this_sql(name: str) -> None:
    parameters, keys, given = CASES[name]
    how = dict(given)
    question = parse_question("acc_1", parameters, NOW)
    maps = how.pop("maps", False)
    parts = sources(question, keys, **how)
    sql, plan = measured(question, keys, parts, maps=maps), name_of(parts)
    bound = json.dumps(sql.parameters, indent=1, sort_keys=True, ensure_ascii=False)
    shown = "\n".join(f"-- {line}" for line in bound.splitlines())
    held(name, f"-- plan: {plan}\n{shown}\n{sql.text}\n")
    assert "DROP" not in sql.text


def test_folds_are_read_by_their_numbers_and_what_is_not_folded_from_the_rollups() -> None:
    day = 1_793_750_400  # the 4th of November 2026
    parts = [
        Span("day_folds", day * 10**6, (day + 3 * 86_400) * 10**6, (day, day + 2 * 86_400), (17, 18)),
        Span("days", day * 10**6, (day + 3 * 86_400) * 10**6, (day, day + 2 * 86_400)),
    ]
    asked = [("from", "2026-11-04"), ("to", "2026-11-07"), ("userId", "ada"), ("userId!", "bob")]
    by_tag = measured(parse_question("acc_1", [*asked, ("tag.org", "acme")], NOW), [column("user_id")], parts)
    by_model = measured(parse_question("acc_1", asked, NOW), [column("user_id"), column("model")], parts)
    held("folds", f"{by_tag.text}\n\n{by_model.text}\n")


def test_top_models_read_two_sums_and_users_are_counted_in_the_store() -> None:
    question = parse_question("acc_1", [("from", "2026-11-04"), ("to", "2026-11-07"), ("tag.org", "acme")], NOW)
    parts = sources(question, [column("user_id")])
    narrow = measured(question, [column("user_id"), column("model")], parts, only=("cost", "calls"))
    held("narrow", narrow.text + "\n")
    held("with_users", with_users(question, [NOBODY], parts).text + "\n")


def test_a_list_of_traces_reads_their_rows_of_its_part_of_the_window() -> None:
    question = parse_question("acc_1", [("window", "1d"), ("tag.org", "acme")], NOW)
    held("traces", of_traces(question, NOW, "AND trace_id IN {traces:Array(String)}").text + "\n")


def test_distinct_traces_come_from_the_raw_table() -> None:
    question = parse_question("acc_1", [("window", "7d"), ("model", "gpt-4o")], NOW)
    held("distinct_traces", distinct_traces(question, [column("user_id")]).text + "\n")


def test_every_file_is_somebodys() -> None:
    assert {path.stem for path in FILES.glob("*.sql")} == {
        *CASES,
        "distinct_traces",
        "folds",
        "narrow",
        "traces",
        "with_users",
    }
