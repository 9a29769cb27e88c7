"""The oracle: what must hold once everything has healed. Each check answers the violations it found, in words.

Sums are computed from the ledger, outside the product, and compared with the tables to the last stored digit.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tests.faults.ledger import HOUR_MS, NOTHING, Ledger, Sent, Sums, sums_of
from tests.faults.load import Tenant
from tests.support.stack import Stack

_KEY = re.compile(rb"pc_(?:live|test)_[A-Za-z0-9]{8,}")
_SHOWN = 4  # examples of a violation


def wait_settled(stack: Stack, ledger: Ledger, tenants: Sequence[Tenant], seconds: float) -> list[str]:
    """I10: everything acknowledged becomes visible, the group's lag returns to 0, and doubtful hours are settled in time."""
    expected, deadline = ledger.count("ok"), time.monotonic() + seconds
    accounts = [tenant.id for tenant in tenants]
    while (held := _stored(stack, accounts)) < expected:
        if time.monotonic() > deadline:
            return [f"I1 I10: {held} of {expected} acknowledged events are stored after {seconds:.0f} s"]
        time.sleep(0.25)
    while (lag := group_lag(stack)) != 0:
        if time.monotonic() > deadline:
            return [f"I10: a lag of {lag} after {seconds:.0f} s"]
        time.sleep(0.25)
    unasked = time.monotonic() + 60
    while (marks := _uncleared(stack)) > 0:
        if time.monotonic() > unasked:
            return [f"I5: {marks} doubtful hours a minute after everything was stored"]
        time.sleep(0.25)
    return []


def check(stack: Stack, ledger: Ledger, tenants: Sequence[Tenant]) -> list[str]:
    """I1 to I8, I11 and I12 on what is stored now."""
    found = list(ledger.protests[:_SHOWN])
    for tenant in tenants:
        found += _raw(stack, ledger, tenant) + _rollups(stack, ledger, tenant)
    found += _isolation(stack, ledger, tenants)
    found += _audit(stack)
    found += _canaries(stack, tenants)
    found += _secrets(stack)
    open_ones = [sent for sent in ledger.events.values() if not sent.result]
    if open_ones:
        found.append(f"I8: {len(open_ones)} events were never answered")
    return found


def _stored(stack: Stack, accounts: Sequence[str]) -> int:
    return int(_select(stack, "SELECT count() FROM events WHERE account IN {a:Array(String)}", {"a": accounts})[0][0])


def _uncleared(stack: Stack) -> int:
    sql = "SELECT count() FROM (SELECT hour, id FROM doubtful_hours GROUP BY hour, id HAVING max(cleared) = 0)"
    return int(_select(stack, sql)[0][0])


def _select(stack: Stack, sql: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    return list(stack.store.select(sql, parameters or {}, seconds=120).rows)


def group_lag(stack: Stack) -> int:
    """Records of the topic that the group has not committed; asked of the broker itself."""
    consumer = Consumer({"bootstrap.servers": stack.kafka.bootstrap, "group.id": stack.group})
    try:
        asked = [TopicPartition(stack.topic, n) for n in range(stack.partitions)]
        lag = 0
        for p in consumer.committed(asked, timeout=15):
            low, high = consumer.get_watermark_offsets(TopicPartition(stack.topic, p.partition), timeout=15)
            lag += high - (p.offset if p.offset >= 0 else low)
        return lag
    finally:
        consumer.close()


def _raw(stack: Stack, ledger: Ledger, tenant: Tenant) -> list[str]:
    """I1 every ok is stored or set aside, I2 and I3 nothing else is, I4 once."""
    rows = _select(
        stack,
        "SELECT trace_id, toString(id), count(), sum(cost), sum(toInt64(input_uncached) + input_cache_read + "
        "input_cache_write_5m + input_cache_write_30m + input_cache_write_1h + input_cache_write_12h), sum(output) "
        "FROM events WHERE account = {a:String} GROUP BY trace_id, id",
        {"a": tenant.id},
    )
    mine = {(trace, event_id): row for trace, event_id, *row in rows}
    sent = {identity[1:]: one for identity, one in ledger.events.items() if identity[0] == tenant.id}
    lost = [i for i, one in sent.items() if one.result == "ok" and i not in mine]
    strange = [i for i in mine if i not in sent]
    refused = [i for i in mine if i in sent and sent[i].result.startswith("rejected")]
    doubled = [i for i, row in mine.items() if row[0] != 1]
    wrong = [
        i
        for i, (_, cost, tokens, output) in mine.items()
        if i in sent
        and (lambda s: (s.cost, s.input_tokens, s.output) != (cost or 0, tokens, output))(sums_of(sent[i].event))
    ]
    cases = {
        "I1: acknowledged and not stored": lost, "I2: rejected and stored": refused, "I3: stored and never sent": strange,
        "I4: stored more than once": doubled, "I5: raw cost or tokens other than sent": wrong,
    }  # fmt: skip
    return [f"{what}: {len(ids)} of {tenant.id}, like {ids[:_SHOWN]}" for what, ids in cases.items() if ids]


def _stored_ones(ledger: Ledger, tenant: Tenant) -> Iterator[Sent]:
    """What must stand in the rollups: acknowledged events."""
    return (sent for _, sent in ledger.with_result("ok") if sent.account == tenant.id)


def _rollups(stack: Stack, ledger: Ledger, tenant: Tenant) -> list[str]:
    """I5: raw = every rollup, per hour, user, tag and model, from the ledger's own sums."""
    users: dict[Any, Sums] = defaultdict(lambda: NOTHING)
    days: dict[Any, Sums] = defaultdict(lambda: NOTHING)
    tags: dict[Any, Sums] = defaultdict(lambda: NOTHING)
    traces, user_traces = set(), set()
    for sent in _stored_ones(ledger, tenant):
        event, sums = sent.event, sums_of(sent.event)
        hour = event["timestamp"] // HOUR_MS * 3600
        named = dict(event["metadata"]["tags"])
        user, model = named.pop("userId", ""), event.get("model", "")
        users[hour, user, model] += sums
        days[hour - hour % 86_400, user, model] += sums
        for tag in ("", *(f"{key}={value}" for key, value in named.items())):
            tags[hour, tag, model] += sums
        if event.get("trace_id"):
            traces.add(event["trace_id"])
            user_traces.add((event["trace_id"], user))
    found = _compare(stack, tenant, "usage_hours", "hour, user_id, model", users)
    found += _compare(stack, tenant, "usage_days", "day, user_id, model", days)
    found += _compare(stack, tenant, "tag_hours", "hour, tag, model", tags)
    counted = _select(
        stack, "SELECT sum(traces), sum(user_traces) FROM usage_hours WHERE account = {a:String}", {"a": tenant.id}
    )[0]
    if tuple(counted) != (len(traces), len(user_traces)):
        found.append(
            f"I5: traces and traces of users {tuple(counted)} instead of {(len(traces), len(user_traces))} of {tenant.id}, "
            f"like {_miscounted(stack, tenant)}"
        )
    return found


def _miscounted(stack: Stack, tenant: Tenant) -> list[tuple[Any, ...]]:
    """Traces that do not begin once, each with its rows: partition, offset, whether it begins it, received, timestamp."""
    return _select(
        stack,
        "SELECT trace_id, arraySort(groupArray((log_partition, log_offset, is_trace_start, toString(received_at), "
        "toString(ts)))) FROM events WHERE account = {a:String} AND trace_id != '' GROUP BY trace_id "
        "HAVING sum(is_trace_start) != 1 LIMIT {n:UInt8}",
        {"a": tenant.id, "n": _SHOWN},
    )


def _compare(stack: Stack, tenant: Tenant, table: str, keys: str, expected: dict[Any, Sums]) -> list[str]:
    rows = _select(
        stack,
        f"SELECT {keys}, sum(events), sum(calls), sum(input_uncached + input_cache_read + input_cache_write), sum(output), "
        f"sum(cost), sum(unpriced), sum(errors) FROM {table} WHERE account = {{a:String}} GROUP BY {keys}",
        {"a": tenant.id},
    )
    held = {(_seconds(row[0]), row[1], row[2]): Sums(*row[3:]) for row in rows}
    wrong = [
        (key, held.get(key), expected.get(key))
        for key in held.keys() | expected.keys()
        if held.get(key, NOTHING) != expected.get(key, NOTHING)
    ]
    return [f"I5: {table} differs in {len(wrong)} keys of {tenant.id}, like {wrong[:2]}"] if wrong else []


def _seconds(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp())


def _isolation(stack: Stack, ledger: Ledger, tenants: Sequence[Tenant]) -> list[str]:
    """I6: each tenant's answer holds its own sums and no other tenant's id."""
    found = []
    for tenant in tenants:
        mine = list(_stored_ones(ledger, tenant))
        spend = sum((sums_of(sent.event).cost for sent in mine), Decimal(0))
        answer, text = ask(stack, tenant, "overview?window=90d")
        data = answer["data"]
        if (data["events"], Decimal(data["spend"] or 0)) != (len(mine), spend):
            found.append(
                f"I6: {tenant.id} is told {data['events']} events, {data['spend']} instead of {len(mine)}, {spend}"
            )
        if answer["meta"]["provisional"]:
            found.append(f"I5: the answer to {tenant.id} is still provisional")
        if answer["meta"]["complete_through"] is None:
            found.append("complete_through is not known")
        others = [other for other in tenants if other.id != tenant.id]
        text += (
            ask(stack, tenant, "users?window=90d&limit=1000")[1] + ask(stack, tenant, "events?window=90d&limit=50")[1]
        )
        if mine and tenant.agent not in text:
            found.append(f"I6: no agent in the answers to {tenant.id}: this check looks at nothing")
        found += [
            f"I6: {other.id} in an answer to {tenant.id}"
            for other in others
            if any(mark in text for mark in (other.id, other.agent, other.canary))
        ]
    return found


def ask(stack: Stack, tenant: Tenant, path: str) -> tuple[Any, str]:
    """An answer of the query service, decoded and as text."""
    request = urllib.request.Request(f"{stack.query_url}/v1/me/ai-apps/{path}")
    request.add_header("Authorization", f"Bearer {tenant.read}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read().decode()
    return json.loads(text), text


def _audit(stack: Stack) -> list[str]:
    """The product's own audit agrees that all is well: `percapita audit` exits 0."""
    told = stack.run("audit", "--json", check=False)
    try:
        return [] if json.loads(told)["clean"] else [f"I5: percapita audit: {told.strip()[:400]}"]
    except ValueError:
        return ["percapita audit gave no answer"]


def _canaries(stack: Stack, tenants: Sequence[Tenant]) -> list[str]:
    """I7: what minimal mode forbids is in no table, no record and no file; what full mode keeps is there (or nothing was looked at)."""
    found = []
    text_columns = _select(
        stack,
        "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND type LIKE '%String%' "
        "AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree')",
    )
    minimal = [tenant.canary for tenant in tenants if tenant.mode == "minimal"]
    full = [tenant.canary for tenant in tenants if tenant.mode == "full"]
    for table in sorted({table for table, _ in text_columns}):
        names = [name for held, name in text_columns if held == table]
        where = " OR ".join(f"position(toString({name}), {{c:String}}) > 0" for name in names)
        for canary in minimal:
            if _select(stack, f"SELECT count() FROM {table} WHERE {where}", {"c": canary})[0][0]:
                found.append(f"I7: minimal content in table {table}")
        if table == "events" and full:
            kept = _select(stack, f"SELECT count() FROM {table} WHERE {where}", {"c": full[0]})[0][0]
            if not kept:
                found.append("I7: no content of a full account is stored: this check looks at nothing")
    for canary in minimal:
        found += [f"I7: minimal content in {path}" for path in files_with(stack.directory, canary.encode())]
    for canary in full:
        found += [f"I12: content in the log {path}" for path in _logs(stack) if canary.encode() in path.read_bytes()]
    return found


def files_with(folder: Path, wanted: bytes) -> list[Path]:
    """Files below a folder that hold the bytes, the ledger's own left out."""
    done = subprocess.run(
        ["grep", "-rlaF", "--exclude=ledger*.jsonl", wanted.decode(), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [Path(line) for line in done.stdout.splitlines()]


def _logs(stack: Stack) -> Iterable[Path]:
    """What processes wrote; the folders of Kafka's and ClickHouse's data come and go meanwhile."""
    return (
        *stack.directory.glob("*.log"),
        *stack.directory.glob("clickhouse/*.log"),
        *stack.directory.glob("kafka/*/*.log"),
    )


def _secrets(stack: Stack) -> list[str]:
    """I12: no key in any process's log or in any table that shows errors."""
    found = []
    for path in _logs(stack):
        if _KEY.search(path.read_bytes()):
            found.append(f"I12: a key in {path.name}")
    return found
