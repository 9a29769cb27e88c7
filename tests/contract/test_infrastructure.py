"""The real parts under the contract suites: a Kafka that loses a broker, a ClickHouse that is killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer

from pipeline.errors import StoreError
from pipeline.schema import Engines, migrate, migrations, require_schema
from pipeline.store import THROW_IF_CODE, ClickHouse, open_clickhouse
from tests.support.clickhouse import ChdbServer
from tests.support.containers import Database, clickhouse_container, docker_runs, kafka_container
from tests.support.kafka import MESSAGE_BYTES, KafkaCluster
from tests.support.needs import need_kafka

SERVERS = ["chdb", "container"] if docker_runs() else ["chdb"]


@pytest.fixture(params=SERVERS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "container":
        with clickhouse_container() as real:
            yield real
    else:
        with ChdbServer(tmp_path / "clickhouse") as server:
            yield Database(server.url, "default", "default", "")


@pytest.fixture
def store(database: Database) -> Iterator[ClickHouse]:
    store = open_database(database)
    migrate(store, Engines())
    yield store
    store.close()


def open_database(database: Database) -> ClickHouse:
    return open_clickhouse(database.url, database=database.database, user=database.user, password=database.password)


def insert_events(store: ClickHouse, count: int, token: str) -> None:
    second = datetime.now(UTC).replace(microsecond=0)  # rows past their retention would go at the insert
    columns: dict[str, list[Any]] = {
        "account": ["a"] * count,
        "ts": [second] * count,
        "id": [f"01990000-0000-7000-8000-{n:012x}" for n in range(count)],
        "user_id": [f"u{n % 7}" for n in range(count)],
        "type": ["llm"] * count,
        "tags": [["org=acme", f"feature={n % 3}"] for n in range(count)],
        "output": [10] * count,
        "cost": [Decimal("0.000000001")] * count,
        "price_status": ["priced"] * count,
        "sign": [1] * count,
        "retention_days": [400] * count,
        "log_offset": list(range(count)),
    }
    store.insert("events", list(columns), list(columns.values()), token=token)


def totals(store: ClickHouse) -> dict[str, tuple[object, ...]]:
    raw = "SELECT count(), sum(output), sum(cost) FROM events"
    rollup = "SELECT sum(events), sum(output), sum(cost) FROM"
    by_tag = f"{rollup} tag_hours WHERE tag = ''"
    asked = {
        "events": raw,
        "usage_hours": f"{rollup} usage_hours",
        "usage_days": f"{rollup} usage_days",
        "tag_hours": by_tag,
    }
    return {table: tuple(map(float, store.select(sql).rows[0])) for table, sql in asked.items()}


def test_every_migration_runs_over_http_and_once(database: Database) -> None:
    store = open_database(database)
    assert [m.number for m in migrate(store, Engines())] == [m.number for m in migrations()]
    assert migrate(store, Engines()) == []
    require_schema(store)
    store.close()


def test_an_insert_repeated_under_its_token_counts_once_in_raw_and_in_every_rollup(store: ClickHouse) -> None:
    for _ in range(2):
        insert_events(store, 1000, "topic:0:0:1000:hash")
    wanted = (1000.0, 10_000.0, 1e-6)
    assert totals(store) == dict.fromkeys(("events", "usage_hours", "usage_days", "tag_hours"), wanted)


def test_another_token_counts_again(store: ClickHouse) -> None:
    insert_events(store, 10, "topic:0:0:10:one")
    insert_events(store, 10, "topic:0:0:10:two")
    assert {counts[0] for counts in totals(store).values()} == {20.0}


def test_an_insert_is_one_block(store: ClickHouse) -> None:
    insert_events(store, 20_000, "topic:0:0:20000:hash")
    assert store.select("SELECT uniqExact(_part) FROM events").rows == [(1,)]


@pytest.mark.parametrize(
    ("sql", "code"), [("SELEC 1", 62), ("SELECT * FROM nowhere", 60), ("SELECT throwIf(1)", THROW_IF_CODE)]
)
def test_errors_carry_their_code(store: ClickHouse, sql: str, code: int) -> None:
    with pytest.raises(StoreError) as raised:
        store.select(sql)
    assert raised.value.store_code == code


def test_values_are_bound_whatever_they_hold(store: ClickHouse) -> None:
    for value in ("", "it's", "a\tb\nc\\", "é\u2028", "x" * 50_000):
        assert store.select("SELECT {value:String}", {"value": value}).rows == [(value,)]
    assert store.select("SELECT {values:Array(String)}", {"values": ["a'", "b,"]}).rows == [(["a'", "b,"],)]


def test_a_running_insert_shows_its_query_id_and_blocks_no_read(store: ClickHouse) -> None:
    store.execute("CREATE TABLE slow (x UInt64) ENGINE = MergeTree ORDER BY x")
    statement = "INSERT INTO slow SELECT number FROM numbers(4) WHERE sleepEachRow(0.5) = 0"
    running = threading.Thread(target=lambda: store.execute(statement, query_id="token:1", max_block_size=1))
    running.start()
    sql = "SELECT query_id FROM system.processes WHERE startsWith(query_id, {prefix:String})"
    deadline = time.monotonic() + 10
    while not (seen := store.select(sql, {"prefix": "token:"}).rows) and time.monotonic() < deadline:
        time.sleep(0.02)
    still = running.is_alive()
    running.join()
    assert (list(seen), still) == ([("token:1",)], True)
    assert not store.select(sql, {"prefix": "token:"}).rows


def test_killed_and_started_again_the_server_keeps_rows_tokens_and_says_when_it_started(tmp_path: Path) -> None:
    ask = "SELECT toUnixTimestamp(now()) - uptime()"
    with ChdbServer(tmp_path / "clickhouse") as server:
        store = open_clickhouse(server.url, database="default", user="default", password="")
        migrate(store, Engines())
        insert_events(store, 500, "topic:0:0:500:hash")
        started = store.select(ask).rows[0][0]
        time.sleep(2.1)  # uptime is in whole seconds
        assert abs(store.select(ask).rows[0][0] - started) <= 1
        server.kill()
        with pytest.raises(StoreError):
            store.select("SELECT 1")
        server.restart()
        assert store.select(ask).rows[0][0] - started >= 2
        assert {counts[0] for counts in totals(store).values()} == {500.0}
        insert_events(store, 500, "topic:0:0:500:hash")
        assert {counts[0] for counts in totals(store).values()} == {500.0}
        store.close()


def produce(bootstrap: str, topic: str, values: list[bytes]) -> list[KafkaError | None]:
    """Send with acks=all; the outcome of each."""
    outcomes: list[KafkaError | None] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        outcomes.append(error)

    settings = {"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "log_level": 0}
    producer = Producer({**settings, "message.max.bytes": MESSAGE_BYTES})
    for value in values:
        producer.produce(topic, value, on_delivery=delivered)
    producer.flush(30)
    return outcomes


def consume(bootstrap: str, topic: str, count: int) -> list[bytes]:
    """The first `count` values, or fewer after 30 s."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "readers", "auto.offset.reset": "earliest", "log_level": 0}
    consumer = Consumer({**settings, "enable.auto.commit": False})
    consumer.subscribe([topic])
    values: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(values) < count and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            values.append(message.value() or b"")
    consumer.close()
    return values


def test_one_kafka_node_takes_and_returns_messages_and_keeps_them_over_kill(tmp_path: Path) -> None:
    need_kafka()
    values = [b"small", b"x" * (1024 * 1024 + 4096)]
    with KafkaCluster(1, tmp_path / "kafka") as cluster:
        cluster.create_topic("events", 1, retention_ms=3_600_000)
        assert produce(cluster.bootstrap, "events", values) == [None, None]
        assert consume(cluster.bootstrap, "events", 2) == values
        cluster.kill()
        cluster.restart()
        assert consume(cluster.bootstrap, "events", 2) == values


def test_three_kafka_nodes_take_messages_while_one_is_dead_and_lose_none(tmp_path: Path) -> None:
    need_kafka()
    with KafkaCluster(3, tmp_path / "kafka") as cluster:
        cluster.create_topic("events", 6)
        assert set(produce(cluster.bootstrap, "events", [b"before-%d" % n for n in range(500)])) == {None}
        cluster.kill(2)
        assert set(produce(cluster.bootstrap, "events", [b"during-%d" % n for n in range(500)])) == {None}
        cluster.restart(2)
        assert set(produce(cluster.bootstrap, "events", [b"after-%d" % n for n in range(500)])) == {None}
        wanted = {b"%s-%d" % (when, n) for when in (b"before", b"during", b"after") for n in range(500)}
        assert set(consume(cluster.bootstrap, "events", 1500)) == wanted


def test_a_paused_kafka_node_answers_again_when_it_is_resumed(tmp_path: Path) -> None:
    need_kafka()
    with KafkaCluster(1, tmp_path / "kafka") as cluster:
        cluster.create_topic("events")
        cluster.pause()
        time.sleep(0.5)
        cluster.resume()
        assert produce(cluster.bootstrap, "events", [b"x"]) == [None]


if docker_runs():

    def test_the_kafka_image_takes_and_returns_messages() -> None:
        from confluent_kafka.admin import AdminClient
        from confluent_kafka.cimpl import NewTopic

        with kafka_container() as bootstrap:
            admin = AdminClient({"bootstrap.servers": bootstrap})
            admin.create_topics([NewTopic("events", 1, 1)])["events"].result(timeout=30)
            assert produce(bootstrap, "events", [b"x"]) == [None]
            assert consume(bootstrap, "events", 1) == [b"x"]
