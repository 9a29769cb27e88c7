"""The contract of the log, on every implementation: what is published is read once, in order; positions carry their notes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import limits
from pipeline.errors import Unavailable
from pipeline.log import Entry, InProcessLog, Position
from pipeline.record import Record, routing_key
from tests.support.needs import need_kafka


def record(number: int, trace: str = "t") -> Record:
    return Record(routing_key("a", trace, ""), b"value %d" % number)


class Twin:
    """One log of either kind: a writer, and readers that come and go."""

    def __init__(self, writer: Any, reader: Callable[[], Any]) -> None:
        self.writer = writer
        self._reader = reader
        self.seen: list[dict[int, Position]] = []

    def reader(self) -> Any:
        found = self._reader()
        found.on_change(self.seen.append, lambda _: None, lambda _: None)
        return found


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    need_kafka()
    from tests.support.kafka import KafkaCluster

    with KafkaCluster(nodes=1, directory=tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster


@pytest.fixture(params=["in process", "kafka"])
def twin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Twin]:
    if request.param == "in process":
        state = tmp_path / "position.json"
        log = InProcessLog(state, log_id="twin", next_offset=0)
        yield Twin(log, lambda: log)
        return
    cluster = request.getfixturevalue("kafka")
    from pipeline.kafka_log import KafkaReader, KafkaSettings, KafkaWriter, create_topics

    name = f"t{time.monotonic_ns()}"
    settings = KafkaSettings(cluster.bootstrap, topic=name, group=name, keys_topic=f"{name}.keys")
    create_topics(settings, partitions=1, replication=1)
    writer = KafkaWriter(settings)
    readers: list[Any] = []

    def reader() -> Any:
        readers.append(KafkaReader(settings, session_seconds=6))
        return readers[-1]

    yield Twin(writer, reader)
    for made in readers:
        made.leave()
    asyncio.run(writer.close())


def read(reader: Any, count: int, seconds: float = 20) -> list[Entry]:
    entries: list[Entry] = []
    deadline = time.monotonic() + seconds
    while len(entries) < count and time.monotonic() < deadline:
        entries += reader.read(1000, 0.1)
    return entries


async def publish_and_store(twin: Twin, reader: Any, records: list[Record]) -> list[Entry]:
    """Publish, read and commit: the in-process log answers only when its records are stored."""
    waiting = asyncio.create_task(twin.writer.publish(records))
    await asyncio.sleep(0)
    entries = await asyncio.to_thread(read, reader, len(records))
    await asyncio.to_thread(reader.commit, {entries[-1].partition: Position(entries[-1].offset + 1, "")})
    await asyncio.wait_for(waiting, 10)
    return entries


async def test_what_is_published_is_read_once_and_in_order(twin: Twin) -> None:
    reader = twin.reader()
    entries = await publish_and_store(twin, reader, [record(n) for n in range(500)])
    assert [e.value for e in entries] == [b"value %d" % n for n in range(500)]
    assert [e.offset for e in entries] == list(range(500))
    assert await asyncio.to_thread(reader.read, 10, 0.3) == []


async def test_read_moves_on_past_what_it_returned(twin: Twin) -> None:
    reader = twin.reader()
    waiting = asyncio.create_task(twin.writer.publish([record(n) for n in range(10)]))
    await asyncio.sleep(0)
    deadline = time.monotonic() + 20
    first: list[Entry] = []
    while len(first) < 4 and time.monotonic() < deadline:
        first += await asyncio.to_thread(reader.read, 4 - len(first), 0.1)
    rest = await asyncio.to_thread(read, reader, 6)
    assert [e.offset for e in (*first, *rest)] == list(range(10))
    reader.commit({0: Position(10, "")})
    await asyncio.wait_for(waiting, 10)


async def test_a_position_carries_its_note(twin: Twin) -> None:
    reader = twin.reader()
    await publish_and_store(twin, reader, [record(n) for n in range(3)])
    reader.commit({0: Position(3, "v1|9|prices|é")})
    assert reader.committed([0]) == {0: Position(3, "v1|9|prices|é")}


async def test_a_partition_never_committed_stands_at_its_low_watermark(twin: Twin) -> None:
    reader = twin.reader()
    await asyncio.to_thread(read, reader, 1, 6)
    assert twin.seen[0] == {0: Position(0, "")}
    assert reader.watermarks(0).low == 0


async def test_watermarks_span_what_the_partition_holds(twin: Twin) -> None:
    reader = twin.reader()
    await publish_and_store(twin, reader, [record(n) for n in range(5)])
    assert reader.watermarks(0).high == 5


async def test_a_paused_partition_is_not_read_until_it_is_resumed(twin: Twin) -> None:
    reader = twin.reader()
    await publish_and_store(twin, reader, [record(0)])
    reader.pause([0])
    waiting = asyncio.create_task(twin.writer.publish([record(1)]))
    assert await asyncio.to_thread(read, reader, 1, 1.0) == []
    reader.resume([0])
    assert [e.value for e in await asyncio.to_thread(read, reader, 1)] == [b"value 1"]
    reader.commit({0: Position(2, "")})
    await asyncio.wait_for(waiting, 10)


def test_records_of_one_trace_go_one_way_and_a_retry_the_same() -> None:
    assert routing_key("a", "t", "x") == routing_key("a", "t", "y")
    assert routing_key("a", "", "x") == routing_key("a", "", "x") != routing_key("b", "", "x")


async def test_a_full_buffer_before_the_worker_answers_at_once_and_takes_again_when_there_is_room(
    tmp_path: Path,
) -> None:
    log = InProcessLog(tmp_path / "position.json", log_id="full", next_offset=0)
    log.on_change(lambda _: None, lambda _: None, lambda _: None)
    large = Record(routing_key("a", "t", ""), b"x" * (limits.PUBLISH_BUFFER_BYTES - 10))
    waiting = asyncio.create_task(log.publish([large]))
    await asyncio.sleep(0)
    assert log.ready()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(log.publish([record(1), record(2)]), 1)
    (entry,) = await asyncio.to_thread(log.read, 10, 1.0)
    log.commit({0: Position(entry.offset + 1, "")})
    await asyncio.wait_for(waiting, 5)
    again = asyncio.create_task(log.publish([record(1), record(2)]))
    assert len(await asyncio.to_thread(log.read, 10, 1.0)) == 2
    again.cancel()
