"""Real Kafka, three worker processes, collector and query service: equal to the truth, also under kill -9."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline import demo, traffic
from pipeline.parse import parse_batch
from pipeline.record import Account, to_record
from pipeline.row import DeadLetter
from tests.support.needs import need_kafka
from tests.support.stack import Stack
from tests.support.truth import differences, truth

EVENTS = int(os.environ.get("TRUTH_EVENTS", "20000"))
WORKER_KILLS = int(os.environ.get("WORKER_KILLS", "6"))
SERVER_KILLS = int(os.environ.get("SERVER_KILLS", "2"))


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    need_kafka()
    with Stack(tmp_path) as made:
        made.start_services()
        yield made


def events(count: int, seed: int) -> list[dict[str, Any]]:
    end = datetime.now(UTC)
    source = demo.Traffic(seed=seed, users=400, start=end - timedelta(days=28), end=end).events()
    return list(itertools.islice(source, count))


def pages(stack: Stack, path: str) -> Iterator[Any]:
    cursor = ""
    while True:
        page = stack.get(f"{path}&limit=150{cursor}")
        yield page
        if not page["next_cursor"]:
            return
        cursor = f"&cursor={page['next_cursor']}"


def wait_for_users(stack: Stack, count: int, seconds: float = 60) -> None:
    """Until the rollups show every event: an insert fills raw and rollups one after the other."""
    deadline = time.monotonic() + seconds
    while (held := stack.get("overview?window=90d")["data"]["events"]) != count:
        assert time.monotonic() < deadline, f"{held} of {count} events in the rollups"
        time.sleep(0.2)


def check(stack: Stack, sent: list[dict[str, Any]]) -> None:
    expected = truth(sent)
    assert differences(expected, pages(stack, "users?window=90d")) == []
    overview = stack.get("overview?window=90d")
    assert Decimal(overview["data"]["spend"]) == sum(sums.spend for sums in expected.values())
    audit = json.loads(stack.run("audit", "--json", check=False))
    assert audit["clean"], audit
    assert audit["rows"] == audit["distinct"] == len(sent)


@pytest.mark.timeout(1500)
def test_three_workers_on_kafka_give_the_truth(stack: Stack) -> None:
    sent = events(EVENTS, 3)
    for _ in range(3):
        stack.start_consumer()
    repeated = demo.with_duplicates(iter(sent), 0.05, 3)
    ledger = asyncio.run(traffic.send(stack.url, stack.account["keys"]["ingest"], repeated, batch=200, connections=8))
    assert ledger.accepted == ledger.sent > EVENTS
    stack.wait_stored(EVENTS, 600)
    wait_for_users(stack, EVENTS)
    check(stack, sent)


@pytest.mark.timeout(1500)
def test_kill_9_of_workers_and_of_clickhouse_loses_and_doubles_nothing(stack: Stack) -> None:
    rng = random.Random(int(os.environ.get("SEED", "7")))
    sent = events(1500 * (WORKER_KILLS + SERVER_KILLS), 5)
    workers = [stack.start_consumer() for _ in range(3)]
    ended = threading.Event()

    def send() -> None:
        rate = 1500 / 3.0
        repeated = demo.with_duplicates(iter(sent), 0.02, 5)
        asyncio.run(
            traffic.send(stack.url, stack.account["keys"]["ingest"], repeated, batch=50, connections=4, rate=rate)
        )
        ended.set()

    sender = threading.Thread(target=send)
    sender.start()
    kills = ["worker"] * WORKER_KILLS + ["server"] * SERVER_KILLS
    rng.shuffle(kills)
    time.sleep(2)
    for what in kills:
        time.sleep(rng.uniform(0.5, 2.5))
        if what == "server":
            stack.clickhouse.kill()
            time.sleep(rng.uniform(0, 1))
            stack.clickhouse.restart()
        else:
            index = rng.randrange(3)
            workers[index].kill()
            workers[index].wait()
            workers[index] = stack.start_consumer()
    sender.join()
    stack.wait_stored(len(sent), 240)
    # Raw rows at once: nothing lost, nothing doubled.
    assert stack.stored() == len(sent)
    wait_for_users(stack, len(sent), 90)
    deadline = time.monotonic() + 90
    while stack.get("overview?window=90d")["meta"]["provisional"]:
        assert time.monotonic() < deadline, "doubtful hours stay"
        time.sleep(0.5)
    check(stack, sent)


@pytest.mark.timeout(300)
def test_a_poisoned_record_is_set_aside_and_its_neighbours_are_stored(stack: Stack) -> None:
    from confluent_kafka import Producer

    stack.start_consumer()
    sent = events(300, 11)
    send = traffic.send(stack.url, stack.account["keys"]["ingest"], iter(sent), batch=50, connections=2)
    producer = Producer({"bootstrap.servers": stack.kafka.bootstrap})
    poison = [b"", b"\xff\x00", b"{}", b'{"v":9}', b"[" * 50_000]
    for number, value in enumerate(poison):
        producer.produce(stack.topic, value=value, partition=number % stack.partitions)
    producer.flush(10)
    assert asyncio.run(send).accepted == len(sent)
    stack.wait_stored(len(sent), 60)
    wait_for_users(stack, len(sent))
    deadline = time.monotonic() + 20
    while len(letters := json.loads(stack.run("dead-letters", "list", "--json"))) < len(poison):
        assert time.monotonic() < deadline, letters
        time.sleep(0.2)
    assert {letter["reason"] for letter in letters} == {"undecodable"}
    assert sorted(letter["bytes"] for letter in letters) == sorted(map(len, poison))
    assert json.loads(stack.run("dead-letters", "replay", "--json")) == {"replayed": 0, "left": len(poison)}
    assert json.loads(stack.run("dead-letters", "purge", "--yes", "--json")) == {"purged": len(poison)}
    check(stack, sent)


@pytest.mark.timeout(300)
def test_a_letter_goes_back_through_kafka_once(stack: Stack) -> None:
    stack.start_consumer()
    (event,) = events(1, 12)
    parsed = parse_batch(json.dumps(event).encode(), "application/json", time.time_ns() // 1000).events[0]
    record = to_record(parsed, Account(id=stack.account["account"]), "standard", time.time_ns() // 1000)
    row = DeadLetter(
        stack.account["account"],
        0,
        "earlier",
        0,
        7,
        "refused_by_store",
        "",
        len(record.value),
        1,
        record.value.decode(),
    )
    stack.store.insert("dead_letters", DeadLetter._fields, [[value] for value in row])
    assert json.loads(stack.run("dead-letters", "replay", "earlier:0:7", "--json")) == {"replayed": 1, "left": 0}
    assert json.loads(stack.run("dead-letters", "replay", "--json")) == {"replayed": 0, "left": 0}
    stack.wait_stored(1, 30)
    wait_for_users(stack, 1)
    check(stack, [event])
