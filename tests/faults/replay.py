"""A recorded topic: read once, replayed record for record into another, and watched until a query sees every event of it."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from pipeline.errors import StoreError
from pipeline.record import from_bytes
from pipeline.store import Store
from tests.faults.ledger import Identity

LOOK_SECONDS = 0.05  # between two looks at what is visible

Place = tuple[int, int]  # partition, offset


class Recorded(NamedTuple):
    """One record of the topic: where it stands, when it came (seconds from the first), its bytes."""

    place: Place
    at: float
    value: bytes


def read_topic(bootstrap: str, topic: str, partitions: int) -> list[Recorded]:
    """All of it, in the order in which it came."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "recorder", "enable.auto.commit": False})
    try:
        ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=15)[1] for p in range(partitions)}
        consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
        found: dict[int, list[Recorded]] = {p: [] for p in range(partitions)}
        while any(len(found[p]) < end for p, end in ends.items()):
            for message in consumer.consume(10_000, 1.0):
                if message.error() is None:
                    place = (message.partition() or 0, message.offset() or 0)
                    found[place[0]].append(Recorded(place, message.timestamp()[1] / 1000, message.value() or b""))
    finally:
        consumer.close()
    merged = list(heapq.merge(*found.values(), key=lambda record: record.at))
    began = merged[0].at
    return [record._replace(at=record.at - began) for record in merged]


def first_places(records: Sequence[Recorded]) -> set[Place]:
    """Of every event the place of its first record: the others are repeats."""
    firsts: dict[Identity, Place] = {}
    for one in records:
        with suppress(msgspec.MsgspecError):
            envelope = from_bytes(one.value)
            firsts.setdefault((envelope.account, envelope.event.trace_id, envelope.event.id), one.place)
    return set(firsts.values())


class Replay(threading.Thread):
    """The recorded topic into another one, over `seconds`; `published` says when each record was handed to the log."""

    def __init__(self, bootstrap: str, topic: str, records: Sequence[Recorded], seconds: float) -> None:
        super().__init__(name="replay")
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "log_level": 2}
        )
        self._topic, self._records = topic, records
        self._slower = seconds / max(1e-9, records[-1].at)
        self.published: dict[Place, float] = {}
        self.moved = 0  # records that did not get the offset they had

    def run(self) -> None:
        """To the end."""
        began = time.time()
        for record in self._records:
            while (wait := began + record.at * self._slower - time.time()) > 0:
                self._producer.poll(min(wait, 0.05))
            self.published[record.place] = time.time()
            self._producer.produce(
                self._topic, value=record.value, partition=record.place[0], on_delivery=self._delivered(record.place)
            )
        self.moved += self._producer.flush(30)

    def _delivered(self, place: Place) -> Any:
        def delivered(error: object, message: Message) -> None:
            self.moved += error is not None or message.offset() != place[1]

        return delivered


class Sight(threading.Thread):
    """Looks at the raw table again and again; `seen` says when each of the wanted places was there for the first time."""

    def __init__(self, store: Store, wanted: Iterable[Place]) -> None:
        super().__init__(name="sight", daemon=True)
        self._store = store
        self._ended = threading.Event()
        self._waiting: dict[int, list[int]] = {}
        for partition, offset in sorted(wanted):
            self._waiting.setdefault(partition, []).append(offset)
        self.seen: dict[Place, float] = {}

    def run(self) -> None:
        """Until `end`."""
        while not self._ended.wait(LOOK_SECONDS):
            with suppress(StoreError):  # the server is down: nobody sees anything
                self._look()

    def _look(self) -> None:
        where = [
            f"(log_partition = {p} AND log_offset >= {offsets[0]})" for p, offsets in self._waiting.items() if offsets
        ]
        if not where:
            return
        rows = self._store.select(
            f"SELECT DISTINCT log_partition, log_offset FROM events WHERE {' OR '.join(where)}", seconds=10
        ).rows
        now = time.time()
        for partition, offset in rows:
            self.seen.setdefault((int(partition), int(offset)), now)
        for partition, offsets in self._waiting.items():
            behind = next((i for i, offset in enumerate(offsets) if (partition, offset) not in self.seen), len(offsets))
            del offsets[:behind]

    def end(self) -> None:
        """No more looks."""
        self._ended.set()
        self.join()


def quantile(values: Iterable[float], q: float) -> float:
    """The value below which a share q of the values lies; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0
