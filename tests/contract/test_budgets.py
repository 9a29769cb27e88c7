"""Tag budgets: a key with too many values leaves the counted sets, and every answer about it stays exact."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal
from uuid import UUID, uuid4

from consumers.audit import audit
from consumers.batch import make
from consumers.history import History, Windows
from pipeline import limits
from pipeline.budgets import OverBudget, latest_budget, read_budget, review
from pipeline.log import Entry
from pipeline.parse import parse_batch
from pipeline.price import PriceBook
from pipeline.process import Context, TagBudget
from pipeline.record import Account, to_record
from pipeline.row import Row
from pipeline.store import ClickHouse
from query.answers import Answers
from query.parameters import OverviewQuery
from query.question import parse_question
from query.tags import Tags

NOW = time.time_ns() // 1000


def entries(account: str, count: int, first: int) -> list[Entry]:
    body = b"[" + b",".join(
        b'{"type":"llm","id":"%s","provider":"openai","model":"gpt-4o","usage":{"prompt_tokens":1000,"completion_tokens":0},'
        b'"metadata":{"tags":{"userId":"u%d","plan":"%s","request":"r%d"}}}'
        % (str(UUID(int=first + n + 1)).encode(), n % 5, (b"pro", b"free")[n % 2], first + n)
        for n in range(count)
    ) + b"]"  # fmt: skip
    events = parse_batch(body, "application/json", NOW).events
    return [
        Entry(0, first + n, to_record(event, Account(id=account), "standard", NOW).value)
        for n, event in enumerate(events)
    ]


def store_under(store: ClickHouse, account: str, budget: TagBudget, count: int, first: int) -> None:
    context = Context(PriceBook(), budget)
    made = make(entries(account, count, first), "log", context, Windows(), History(store, "log"), 0)
    store.insert("events", Row._fields, made.rows.columns, token=str(uuid4()))


def test_a_key_with_too_many_values_is_published_once_and_stays_over(store: ClickHouse) -> None:
    assert latest_budget(store) == TagBudget()
    store.execute(
        "INSERT INTO tag_hours (account, hour, tag, events, retention_days) SELECT 'busy', toStartOfHour(now()), "
        f"concat('request=', toString(number)), 1, 400 FROM numbers({limits.TAG_VALUES_PER_KEY * 11 // 10})"
    )
    store.execute(
        "INSERT INTO tag_hours (account, hour, tag, events, retention_days) SELECT 'busy', toStartOfHour(now()), "
        "concat('plan=', toString(number)), 1, 400 FROM numbers(50)"
    )
    budget = review(store)
    assert budget == TagBudget(1, {"busy": frozenset({"request"})})
    assert review(store) == budget
    assert read_budget(store, 1) == budget
    assert read_budget(store, 2) is None
    assert OverBudget(store).keys("busy") == {"request"}
    assert OverBudget(store).keys("another") == frozenset()
    store.execute("TRUNCATE TABLE tag_hours")


def test_workers_apply_a_version_only_when_every_query_service_has_seen_it(store: ClickHouse) -> None:
    assert latest_budget(store, aged_seconds=limits.BUDGET_AGE_SECONDS) == TagBudget()
    assert limits.BUDGET_AGE_SECONDS > limits.BUDGET_QUERY_SECONDS


def test_answers_stay_exact_across_the_change(store: ClickHouse) -> None:
    store_under(store, "busy", TagBudget(), 20, 0)
    store_under(store, "busy", latest_budget(store), 20, 20)
    assert not any(finding.differing for finding in audit(store, NOW // 1_000_000 - 3600, NOW // 1_000_000 + 3600))
    sets = store.select(
        "SELECT DISTINCT arrayJoin(tags) AS tag FROM usage_hours WHERE account = 'busy' ORDER BY tag"
    ).rows
    assert [tag for (tag,) in sets] == ["plan=free", "plan=pro", *sorted(f"request=r{n}" for n in range(20))]
    answers = Answers(store)
    hour = 3_600_000_000
    low, high = (NOW - NOW % hour - hour) // 1000, (NOW - NOW % hour + hour) // 1000
    asked = [("from", str(low)), ("to", str(high))]
    plan = answers.overview(parse_question("busy", [*asked, ("tag.plan", "pro")], NOW))
    assert (plan["data"]["events"], plan["plan"]) == (20, "hours")
    for number in (3, 33):  # before and after the change
        one = answers.overview(parse_question("busy", [*asked, ("tag.request", f"r{number}")], NOW))
        assert (one["data"]["events"], one["data"]["spend"], one["plan"]) == (1, "0.0025", "raw")
    both = answers.users(parse_question("busy", [*asked, ("tag.request", "r3"), ("tag.plan", "free")], NOW))
    assert [row["user_id"] for row in both["rows"]] == ["u3"]
    none = answers.overview(parse_question("busy", [*asked, ("tag.request", "")], NOW))
    assert none["data"]["events"] == 0
    by_value = parse_question("busy", asked, NOW, takes=OverviewQuery)
    grouped = answers.overview(replace(by_value, group_by=("tag.request",)))
    assert len(grouped["rows"]) == 40
    assert sum(row["_m"]["cost"] for row in grouped["rows"]) == Decimal("0.1")
    keys = {row["key"]: row["values"] for row in Tags(answers).keys(parse_question("busy", asked, NOW))["rows"]}
    assert keys == {"plan": 2, "request": 40}
