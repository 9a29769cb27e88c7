"""Faults between workers and the store, on real Kafka and the engine behind HTTP: raw and rollups count every event once."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline import demo, traffic
from tests.support.needs import need_kafka
from tests.support.proxy import Proxy
from tests.support.stack import Stack

EVENTS = 4_000
RATE = 500


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[tuple[Stack, Proxy]]:
    """The clustered mode; workers reach the store through the proxy, everything else directly."""
    need_kafka()
    with Stack(tmp_path) as made, Proxy(made.clickhouse.port) as proxy:
        made.start_services()
        made.environment["PERCAPITA_CLICKHOUSE_URL"] = proxy.url
        for _ in range(2):
            made.start_consumer()
        made.environment["PERCAPITA_CLICKHOUSE_URL"] = made.clickhouse.url
        yield made, proxy


def under_load(stack: Stack, fault: Callable[[], None]) -> list[dict[str, Any]]:
    """Send events at a rate while `fault` runs; all of them are acknowledged. Answers the events."""
    end = datetime.now(UTC)
    source = demo.Traffic(seed=9, users=200, start=end - timedelta(hours=3), end=end).events()
    sent = list(itertools.islice(source, EVENTS))
    accepted: list[int] = []

    def send() -> None:
        repeated = demo.with_duplicates(iter(sent), 0.02, 5)
        sending = traffic.send(stack.url, stack.account["keys"]["ingest"], repeated, batch=50, connections=4, rate=RATE)
        accepted.append(asyncio.run(sending).accepted)

    sender = threading.Thread(target=send)
    sender.start()
    time.sleep(2)
    fault()
    sender.join()
    assert accepted[0] > len(sent)
    return sent


def counted_once(stack: Stack, sent: list[dict[str, Any]]) -> None:
    """I1, I4 and I5: every acknowledged event is there once, and every rollup equals raw after the repair, unasked."""
    stack.wait_stored(len(sent), 120)
    deadline = time.monotonic() + 90
    while True:
        audit = json.loads(stack.run("audit", "--json", check=False))
        assert audit["rows"] <= len(sent), "doubled"
        answer = stack.get("overview?window=7d")
        if audit["clean"] and not answer["meta"]["provisional"] and answer["data"]["events"] == len(sent):
            break
        assert time.monotonic() < deadline, audit
        time.sleep(0.5)
    assert audit["rows"] == audit["distinct"] == len(sent)


def logged(stack: Stack, what: str) -> int:
    """Lines of the workers' logs that say so."""
    return sum(path.read_text().count(what) for path in stack.directory.glob("consumer-*.log"))


@pytest.mark.timeout(300)
def test_fault_9_a_reply_that_is_lost_after_the_insert(stack: tuple[Stack, Proxy]) -> None:
    made, proxy = stack
    proxy.marker = b"insert_deduplication_token="

    def fault() -> None:
        for _ in range(6):
            proxy.replies_to_lose = 1
            time.sleep(0.8)
        proxy.replies_to_lose = 0

    sent = under_load(made, fault)
    assert proxy.replies_lost >= 3, "the fault never hit"
    assert logged(made, "insert_in_doubt") >= 3
    counted_once(made, sent)


@pytest.mark.timeout(300)
def test_fault_10_a_view_that_fails_while_the_table_succeeds(stack: tuple[Stack, Proxy]) -> None:
    made, _ = stack
    store = made.store
    store.execute("CREATE TABLE broken (on UInt8) ENGINE = Memory")
    store.execute("CREATE TABLE nowhere (n UInt64) ENGINE = Null")
    store.execute(
        "CREATE MATERIALIZED VIEW breaks TO nowhere AS "
        "SELECT toUInt64(throwIf((SELECT count() FROM broken) > 0)) AS n FROM usage_hours"
    )

    def fault() -> None:
        for _ in range(2):
            store.execute("INSERT INTO broken VALUES (1)", async_insert=0)
            time.sleep(1.5)
            store.execute("TRUNCATE TABLE broken")
            time.sleep(1)

    sent = under_load(made, fault)
    store.execute("DROP VIEW breaks")
    assert logged(made, "insert_in_doubt") >= 2, "the fault never hit"
    counted_once(made, sent)


@pytest.mark.timeout(300)
def test_the_store_is_silent_cut_off_and_slow_in_turn(stack: tuple[Stack, Proxy]) -> None:
    made, proxy = stack

    def fault() -> None:
        proxy.latency_seconds = 0.2
        time.sleep(1.5)
        proxy.latency_seconds = 0.0
        proxy.cut = True
        proxy.reset_all()
        time.sleep(2)
        proxy.cut = False

    sent = under_load(made, fault)
    assert logged(made, "insert_in_doubt") + logged(made, "store_unavailable") >= 1, "the fault never hit"
    counted_once(made, sent)
