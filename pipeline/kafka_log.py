"""The log over Kafka. The only import of confluent_kafka."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # exported, but not by name
from confluent_kafka.cimpl import NewTopic

from pipeline import limits
from pipeline.disks import disks_of
from pipeline.errors import Fenced, LogError, LogLost, Unavailable
from pipeline.keys import Key, Keys, apply_message, encode_message
from pipeline.log import Entry, Position, Watermarks
from pipeline.record import Account, Record, partition_of

_say = structlog.get_logger()

_NEAR_OFFSETS = 2_000  # reading on is quicker than asking anew
_FENCED = frozenset({KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION, KafkaError.FENCED_INSTANCE_ID})


@dataclass(frozen=True)
class KafkaSettings:
    """Where the log is: `bootstrap` host:port list, the topic of events, the consumer group."""

    bootstrap: str
    topic: str = "percapita.events"
    group: str = "percapita.consumers"
    keys_topic: str = "percapita.keys"


def in_sync(replication: int) -> int:
    """How many replicas must have a record before it is acknowledged."""
    return 2 if replication > 2 else 1


def create_topics(settings: KafkaSettings, *, partitions: int, replication: int) -> None:
    """Make the topic of events and the compacted topic of keys where they do not exist."""
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    common = {"min.insync.replicas": str(in_sync(replication))}
    events = NewTopic(settings.topic, partitions, replication, config={**common, "max.message.bytes": "2097152"})
    keys = NewTopic(settings.keys_topic, 1, replication, config={**common, "cleanup.policy": "compact"})
    for future in admin.create_topics([events, keys]).values():
        try:
            future.result(timeout=30)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise LogError(f"cannot create the topics: {error.args[0].str()}") from None


def topic_id(bootstrap: str, topic: str, *, seconds: float = 15) -> str:
    """The topic's id: a topic that was deleted and made again is another log."""
    from confluent_kafka import TopicCollection

    admin = AdminClient({"bootstrap.servers": bootstrap})
    deadline = time.monotonic() + seconds
    while True:
        try:
            described = admin.describe_topics(TopicCollection([topic]), request_timeout=5)[topic].result(timeout=10)
            return str(described.topic_id)
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise LogError(f"topic {topic}: {error.args[0].str()}") from None
            time.sleep(0.2)


class KafkaWriter:
    """Idempotent producer with acks=all and an explicit partitioner; the queue is bounded and a full one answers."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._topic = settings.topic
        self._producer = Producer(
            {
                "bootstrap.servers": settings.bootstrap,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "zstd",
                "linger.ms": 5,
                "message.max.bytes": 2 * 1024 * 1024,
                "message.timeout.ms": int(limits.PUBLISH_SECONDS * 1000 * 0.9),
                "queue.buffering.max.kbytes": limits.PUBLISH_BUFFER_BYTES // 1024,
                "queue.buffering.max.messages": 500_000,
                "topic.metadata.refresh.interval.ms": 30_000,
                "socket.timeout.ms": 4_000,
            }
        )
        self._partitions = 0
        self._closed = False
        self._full = False  # too many of the brokers' disks are
        self._last_failure = 0.0
        threading.Thread(target=self._poll, name="kafka-writer", daemon=True).start()
        threading.Thread(target=self._look_at_disks, name="kafka-disks", daemon=True).start()

    def _poll(self) -> None:
        while not self._closed:
            self._producer.poll(0.1)
            if not self._partitions:
                self._find_partitions()

    def _find_partitions(self) -> None:
        try:
            found = self._producer.list_topics(self._topic, timeout=2).topics.get(self._topic)
        except KafkaException:
            return
        if found is not None and not found.error and found.partitions:
            self._partitions = len(found.partitions)

    def _look_at_disks(self) -> None:
        """More full disks than the topic has replicas to spare, and nothing is taken: what is full must not be filled."""
        while not self._closed:
            time.sleep(limits.DISK_LOOK_SECONDS)
            with suppress(KafkaException, LogError):
                told = self._producer.list_topics(self._topic, timeout=2)
                parts = list(told.topics[self._topic].partitions.values())
                copies = min((len(part.replicas) for part in parts), default=1)
                spare = copies - in_sync(copies)
                full = sum(any(d.nearly_full for d in disks_of(b.host, b.port)) for b in told.brokers.values())
                if (full > spare) != self._full:
                    self._full = full > spare
                    (_say.error if self._full else _say.info)("log_disks", full=full, spare=spare)

    def ready(self) -> bool:
        recently = time.monotonic() - self._last_failure < 1.0
        return bool(self._partitions) and not self._closed and not recently and not self._full

    async def publish(self, records: Sequence[Record]) -> None:
        if not records:
            return
        if self._full:
            raise Unavailable("the log's disks are nearly full", retry_after=10)
        deadline = time.monotonic() + limits.PUBLISH_SECONDS
        while not self._partitions:
            if self._closed or time.monotonic() > deadline - 1:
                raise Unavailable("the log cannot be reached")
            await asyncio.sleep(0.05)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[KafkaError | None] = loop.create_future()
        acknowledged = _Acknowledgements(len(records), loop, done)
        try:
            for record in records:
                self._producer.produce(
                    self._topic,
                    value=record.value,
                    key=record.key,
                    partition=partition_of(record.key, self._partitions),
                    on_delivery=acknowledged,
                )
        except BufferError:
            raise Unavailable("the buffer before the log is full") from None
        error = await done
        if error is not None:
            self._last_failure = time.monotonic()
            raise Unavailable("the log did not take the batch")

    async def close(self) -> None:
        left = await asyncio.get_running_loop().run_in_executor(None, self._producer.flush, limits.PUBLISH_SECONDS)
        self._closed = True
        if left:
            _say.warning("log_flush_incomplete", messages=left)


class _Acknowledgements:
    """Resolves its future when the last of `count` deliveries is reported; with the first error if there was one."""

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop, done: asyncio.Future[KafkaError | None]) -> None:
        self._left = count
        self._loop = loop
        self._done = done
        self._error: KafkaError | None = None

    def __call__(self, error: KafkaError | None, _message: Message) -> None:
        self._left -= 1
        self._error = self._error or error
        if self._left == 0:
            self._loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        if not self._done.done():
            self._done.set_result(self._error)


class KafkaReader:
    """One member of the consumer group. Classic protocol, cooperative-sticky, commits only by hand and with metadata."""

    replays = True

    def __init__(self, settings: KafkaSettings, *, session_seconds: float = limits.SESSION_SECONDS) -> None:
        self._topic = settings.topic
        self.log_id = topic_id(settings.bootstrap, settings.topic)
        self._assigned: set[int] = set()
        self._on_assigned: Callable[[dict[int, Position]], None] = lambda _: None
        self._on_revoked: Callable[[set[int]], None] = lambda _: None
        self._on_lost: Callable[[set[int]], None] = lambda _: None
        self._commit_started: float | None = None
        self._left = False
        self._admin = AdminClient({"bootstrap.servers": settings.bootstrap})
        self._session_seconds = session_seconds
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap,
                "group.id": settings.group,
                "group.protocol": "classic",
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": int(session_seconds * 1000),
                "heartbeat.interval.ms": max(200, int(session_seconds * 1000 / 5)),
                "max.poll.interval.ms": 300_000,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 50,
                "fetch.error.backoff.ms": 100,
                "queued.max.messages.kbytes": 65_536,
                "fetch.message.max.bytes": 4 * 1024 * 1024,
                "topic.metadata.refresh.interval.ms": 10_000,
            }
        )
        threading.Thread(target=self._watch_commits, name="commit-watchdog", daemon=True).start()

    def _watch_commits(self) -> None:
        # A blocked C call cannot be interrupted: a worker whose commit hangs past its session must not go on afterwards.
        while not self._left:
            time.sleep(0.25)
            started = self._commit_started
            if (
                started is not None
                and time.monotonic() - started > max(limits.COMMIT_SECONDS, self._session_seconds) + 5
            ):
                _say.error("commit_past_its_deadline")
                os._exit(70)

    def on_change(
        self,
        assigned: Callable[[dict[int, Position]], None],
        revoked: Callable[[set[int]], None],
        lost: Callable[[set[int]], None],
    ) -> None:
        self._on_assigned, self._on_revoked, self._on_lost = assigned, revoked, lost
        self._consumer.subscribe([self._topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose)

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = [p.partition for p in partitions]
        positions = self.committed(numbers)
        consumer.incremental_assign([TopicPartition(self._topic, n, positions[n].offset) for n in numbers])
        self._assigned |= set(numbers)
        self._on_assigned(positions)

    def _revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = {p.partition for p in partitions}
        try:
            self._on_revoked(numbers)
        finally:
            self._assigned -= numbers
            consumer.incremental_unassign(partitions)

    def _lose(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = {p.partition for p in partitions}
        self._assigned -= numbers
        self._on_lost(numbers)
        consumer.incremental_unassign(partitions)

    def read(self, max_records: int, max_seconds: float) -> list[Entry]:
        entries: list[Entry] = []
        try:
            messages = self._consumer.consume(max_records, max_seconds)
        except KafkaException as error:
            raise LogError(error.args[0].str()) from None
        for message in messages:
            trouble = message.error()
            if trouble is None:
                entries.append(Entry(message.partition() or 0, message.offset() or 0, message.value() or b""))
            elif trouble.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
                # With any other reset policy this would be loss or doubling in silence.
                raise LogLost(f"partition {message.partition()}: its committed offset is no longer in the log")
            elif trouble.fatal():
                raise LogError(trouble.str())
            elif trouble.code() not in (KafkaError._PARTITION_EOF, KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
                _say.warning("log_event", code=trouble.name())
        return entries

    def assigned(self) -> frozenset[int]:
        return frozenset(self._assigned)

    def committed(self, partitions: Iterable[int]) -> dict[int, Position]:
        asked = [TopicPartition(self._topic, n) for n in partitions]
        try:
            found = self._consumer.committed(asked, timeout=15)
        except KafkaException as error:
            raise LogError(error.args[0].str()) from None
        positions = {}
        for p in found:
            if p.error is not None:
                raise LogError(p.error.str())
            if p.offset < 0:
                positions[p.partition] = Position(self.watermarks(p.partition).low, "")
            else:
                positions[p.partition] = Position(p.offset, p.metadata or "")
        return positions

    def seek(self, partition: int, offset: int) -> None:
        self._consumer.seek(TopicPartition(self._topic, partition, offset))

    def pause(self, partitions: Iterable[int]) -> None:
        self._consumer.pause([TopicPartition(self._topic, n) for n in partitions])

    def resume(self, partitions: Iterable[int]) -> None:
        self._consumer.resume([TopicPartition(self._topic, n) for n in partitions])

    def commit(self, positions: Mapping[int, Position]) -> None:
        """Only partitions assigned now: the broker checks member and generation, never ownership."""
        foreign = set(positions) - self._assigned
        if foreign:
            raise LogError(f"partitions {sorted(foreign)} are not assigned")
        offsets = []
        for number, (offset, note) in positions.items():
            if len(note.encode()) > limits.COMMIT_METADATA_BYTES:
                raise LogError("commit metadata above the broker's limit")
            offsets.append(TopicPartition(self._topic, number, offset, metadata=note))
        self._commit_started = time.monotonic()
        try:
            answered = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            code = error.args[0].code()
            raise (Fenced if code in _FENCED else LogError)(error.args[0].str()) from None
        finally:
            self._commit_started = None
        for p in answered or ():
            if p.error is not None:
                raise (Fenced if p.error.code() in _FENCED else LogError)(p.error.str())

    def watermarks(self, partition: int) -> Watermarks:
        try:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=10)
        except KafkaException as error:
            raise LogError(error.args[0].str()) from None
        return Watermarks(low, high)

    def ends(self, partitions: Iterable[int]) -> dict[int, Watermarks]:
        asked = [TopicPartition(self._topic, n) for n in partitions]
        found: dict[int, list[int]] = {}
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):  # type: ignore[no-untyped-call]  # has no types
            answers = self._admin.list_offsets(dict.fromkeys(asked, spec), request_timeout=5)
            for part, answer in answers.items():
                try:
                    found.setdefault(part.partition, []).append(answer.result(timeout=6).offset)
                except (KafkaException, TimeoutError):
                    raise LogError("the log's ends cannot be asked") from None
        return {partition: Watermarks(*pair) for partition, pair in found.items()}

    def leave(self) -> None:
        self._left = True
        self._consumer.close()


def probe_metadata(settings: KafkaSettings) -> None:
    """Refuse to start on a broker that does not keep commit metadata: the intents would be lost."""
    group = f"{settings.group}.probe"
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": group, "enable.auto.commit": False})
    try:
        mark = TopicPartition(settings.topic, 0, 0, metadata="percapita-probe")
        consumer.commit(offsets=[mark], asynchronous=False)
        kept = consumer.committed([TopicPartition(settings.topic, 0)], timeout=10)[0].metadata
    except KafkaException as error:
        raise LogError(f"cannot probe commit metadata: {error.args[0].str()}") from None
    finally:
        consumer.close()
    if kept != "percapita-probe":
        raise LogError("the broker does not keep commit metadata (offset.metadata.max.bytes)")


def read_values(settings: KafkaSettings, wanted: Sequence[tuple[str, int, int]]) -> dict[tuple[str, int, int], bytes]:
    """The values at (log id, partition, offset) that the topic still holds. Raises LogError when it cannot be asked."""
    log_id = topic_id(settings.bootstrap, settings.topic)
    places = sorted((partition, offset) for log, partition, offset in wanted if log == log_id)
    found: dict[tuple[str, int, int], bytes] = {}
    if not places:
        return found
    consumer = Consumer(
        {"bootstrap.servers": settings.bootstrap, "group.id": f"{settings.group}.values", "enable.auto.commit": False}
        | {"auto.offset.reset": "error"}
    )
    try:
        for partition in sorted({partition for partition, _ in places}):
            offsets = [offset for held, offset in places if held == partition]
            for offset, value in _values_of(consumer, TopicPartition(settings.topic, partition), offsets):
                found[log_id, partition, offset] = value
    except KafkaException as error:
        raise LogError(f"the log cannot be asked: {error.args[0].str()}") from None
    finally:
        consumer.close()
    return found


def _values_of(consumer: Consumer, part: TopicPartition, offsets: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Those of one partition that it still holds; offsets in order, near ones are read in one go."""
    low, high = consumer.get_watermark_offsets(part, timeout=10)
    at = -1  # where the consumer reads next
    for offset in offsets:
        if not low <= offset < high:
            continue
        if not 0 <= offset - at <= _NEAR_OFFSETS or at < 0:
            consumer.assign([TopicPartition(part.topic, part.partition, offset)])
            at = offset
        while at <= offset:
            message = consumer.poll(10)
            if message is None or message.error() is not None:
                return
            at = (message.offset() or 0) + 1
            if message.offset() == offset:
                yield offset, message.value() or b""


class TopicKeys:
    """Accounts and keys from the compacted topic: a collector starts and works while ClickHouse is down."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._keys: Keys | None = None
        self._heard = 0.0
        threading.Thread(target=self._follow, name="keys", daemon=True).start()

    def snapshot(self) -> Keys | None:
        """As read so far; None until the topic was read to its end once."""
        return self._keys

    def reachable(self) -> bool:
        """Whether the broker has answered lately, so that what is unknown here is unknown."""
        return self._keys is not None and time.monotonic() - self._heard < 10

    def _follow(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._settings.bootstrap,
                "group.id": "percapita.keys.unused",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
            }
        )
        consumer.assign([TopicPartition(self._settings.keys_topic, 0, 0)])
        keys, last_ask = Keys({}, {}), 0.0
        while True:
            message = consumer.poll(0.5)
            if message is not None:
                error = message.error()
                if error is None:
                    keys = apply_message(keys, message.key() or b"", message.value() or b"")
                    if self._keys is not None:
                        self._keys = keys
                elif error.code() == KafkaError._PARTITION_EOF:
                    self._keys, self._heard = keys, time.monotonic()
            elif time.monotonic() - last_ask > 3:
                last_ask = time.monotonic()
                try:
                    consumer.get_watermark_offsets(TopicPartition(self._settings.keys_topic, 0), timeout=2)
                    self._heard = time.monotonic()
                except KafkaException:
                    continue


def publish_keys(settings: KafkaSettings, items: Sequence[Account | Key]) -> None:
    """Accounts and keys into the compacted topic; returns when the broker has them. Raises LogError."""
    producer = Producer({"bootstrap.servers": settings.bootstrap, "acks": "all", "message.timeout.ms": 10_000})
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    for item in items:
        name, value = encode_message(item)
        producer.produce(settings.keys_topic, key=name, value=value, partition=0, on_delivery=delivered)
    if producer.flush(12) or failed:
        raise LogError("the topic of keys did not take the change")
