"""B7: what a collector and a worker take in memory, and whether it is flat.

1. A collector under as much load as the machine gives.
2. A worker that keeps up with KEPT_UP events a second, and one that is always behind, on real Kafka and the engine behind HTTP. Times
   of receipt on their records run ahead, so that each run covers three hours of them: windows fill, and then stay.
3. The windows of a worker at 20,000 events a second for three hours of receipts, in a process of their own.
4. Such windows rebuilt from the raw table, as at an assignment.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from bench.common import ROOT, entries, result, table, traffic
from bench.processes import Memory, Sampler, cpu_seconds
from bench.windows import EVENTS_PER_TRACE
from pipeline.kafka_log import KafkaSettings, create_topics
from pipeline.record import partition_of, routing_key
from pipeline.schema import Engines, migrate
from pipeline.store import open_clickhouse
from tests.support.clickhouse import ChdbServer
from tests.support.stack import Stack, wait_http

RATE = 20_000  # events a second, of the goal
GOALS = {"collector": 200, "worker": 500}  # megabytes
PARTITIONS = 6
HORIZON_SECONDS = 3_600  # of the longest window
BEHIND = (60_000, 120_000)  # records that a worker is kept behind
KEPT_UP = 4_000  # events a second that a worker keeps up with beside everything else on two cores


# --- 1: the collector


def collector(stack: Stack, seconds: float) -> tuple[Memory, float]:
    """Bodies made before, posted over eight connections, up to RATE; answers memory and events a second."""
    events = list(traffic(4_000, seed=1))
    bodies = [gzip.compress(msgspec.json.encode(events[i : i + 200]), 1) for i in range(0, len(events), 200)]
    process = stack.start("collector", "--port", str(stack.collector_port))
    try:
        wait_http(f"{stack.url}/readyz")
        sampler = Sampler(process.pid)
        taken = asyncio.run(_post(stack, bodies, seconds))
        return sampler.end(), taken / seconds
    finally:
        process.terminate()
        process.wait(60)


async def _post(stack: Stack, bodies: list[bytes], seconds: float) -> int:
    headers = {"Authorization": f"Bearer {stack.account['keys']['ingest']}", "Content-Encoding": "gzip"}
    headers["Content-Type"] = "application/json"
    began, taken = time.monotonic(), 0

    async def one(session: aiohttp.ClientSession, turn: int) -> None:
        nonlocal taken
        while (now := time.monotonic()) < began + seconds:
            await asyncio.sleep(max(0.0, began + taken / RATE - now))
            turn += 1
            async with session.post(
                f"{stack.url}/v1/events", data=bodies[turn % len(bodies)], headers=headers
            ) as answer:
                if answer.status == 202:
                    taken += json.loads(await answer.read())["accepted"]

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(one(session, n * 3) for n in range(8)))
    return taken


# --- 2: a worker


class Stream:
    """Records without end, made of some thousands: other ids, traces and times each round, and the partition of the first."""

    def __init__(self, count: int, start: int) -> None:
        """`start`: unix us of the first receipt."""
        self._templates = [_cut(entry.value) for entry in entries(count)]
        self._start, self._next = start, 0
        self._began = 0

    def next(self, received: int) -> tuple[int, bytes]:
        """A record received then (unix us): its partition and bytes."""
        if self._next == len(self._templates):
            self._next = 0
        if not self._next:
            self._began = received
        partition, pieces, order = self._templates[self._next]
        self._next += 1
        stamps = {"at": str(received), "id": _minted(received // 1000), "trace": _minted(self._began // 1000)}
        made = [pieces[0].decode()]
        for kind, piece in zip(order, pieces[1:], strict=True):
            made += [stamps[kind], piece.decode()]
        return partition, "".join(made).encode()


_FIELDS = (
    (b'"received_at":', 16, "at"),
    (b'"timestamp":', 16, "at"),
    (b'"id":"', 13, "id"),
    (b'"trace_id":"', 13, "trace"),
)


def _cut(value: bytes) -> tuple[int, list[bytes], list[str]]:
    """A record's partition, and its bytes without the places that change: the times, and the time in each id."""
    spots = sorted((value.index(name) + len(name), size, kind) for name, size, kind in _FIELDS)
    pieces, order, at = [], [], 0
    for place, size, kind in spots:
        pieces.append(value[at:place])
        order.append(kind)
        at = place + size
    envelope = json.loads(value)
    key = routing_key(envelope["account"], envelope["event"].get("trace_id", ""), envelope["event"]["id"])
    return partition_of(key, PARTITIONS), [*pieces, value[at:]], order


def _minted(milliseconds: int) -> str:
    """The first 13 characters of a UUIDv7."""
    digits = f"{milliseconds:012x}"
    return f"{digits[:8]}-{digits[8:]}"


def worker(stack: Stack, seconds: float, rate: float) -> tuple[Memory, dict[str, float]]:
    """Records at a rate, or, where it is infinite, always BEHIND of them; three horizons of receipts in `seconds`."""
    topic = f"memory.worker.{rate:.0f}"
    create_topics(KafkaSettings(stack.kafka.bootstrap, topic), partitions=PARTITIONS, replication=1)
    speed = 3 * HORIZON_SECONDS / seconds
    first = time.time_ns() // 1000 - int((3 * HORIZON_SECONDS + 60) * 1e6)
    process = stack.start("consumer", PERCAPITA_TOPIC=topic, PERCAPITA_GROUP=topic)
    feeding = threading.Event()
    produced = [0]

    def feed() -> None:
        producer = Producer(
            {"bootstrap.servers": stack.kafka.bootstrap, "linger.ms": 20, "compression.type": "zstd", "log_level": 2}
        )
        stream, began, done = Stream(30_000, first), time.monotonic(), 0
        behind = _Behind(stack, topic)
        while not feeding.is_set():
            if done - behind.committed() > BEHIND[1] or done > rate * (time.monotonic() - began):
                time.sleep(0.05)
                continue
            received = first + int((time.monotonic() - began) * speed * 1e6)
            for _ in range(2_000):
                partition, value = stream.next(received)
                producer.produce(topic, value=value, partition=partition)
            producer.poll(0)
            done += 2_000
            produced[0] = done
        producer.flush(30)
        behind.close()

    feeder = threading.Thread(target=feed, name="feed")
    try:
        feeder.start()
        while not produced[0]:
            time.sleep(0.1)
        sampler, before, cpu = Sampler(process.pid), stack.stored(), cpu_seconds(process.pid)
        time.sleep(seconds)
        told = {
            "events per second": (stack.stored() - before) / seconds,
            "events per second of receipts": (stack.stored() - before) / seconds / speed,
            "cores": (cpu_seconds(process.pid) - cpu) / seconds,
        }
        return sampler.end(), told
    finally:
        feeding.set()
        feeder.join()
        process.kill()
        process.wait()


class _Behind:
    """How many records the group has committed, asked once a second."""

    def __init__(self, stack: Stack, group: str) -> None:
        self._consumer = Consumer({"bootstrap.servers": stack.kafka.bootstrap, "group.id": group, "log_level": 2})
        self._asked = [TopicPartition(group, n) for n in range(PARTITIONS)]
        self._known, self._at = 0, 0.0

    def committed(self) -> int:
        if time.monotonic() - self._at > 1:
            self._at = time.monotonic()
            with suppress(KafkaException):  # the group has no coordinator yet: asked again
                self._known = sum(max(0, p.offset) for p in self._consumer.committed(self._asked, timeout=15))
        return self._known

    def close(self) -> None:
        self._consumer.close()


# --- 3 and 4: windows, see bench.windows


def _fill(server: ChdbServer, partitions: int, rows: int, rate: float) -> None:
    """`rows` raw rows of each partition, received at `rate` a second; no rollups."""
    store = open_clickhouse(server.url, database="default", user="default", password="")
    migrate(store, Engines())
    for view in ("events_to_usage_hours", "usage_hours_to_days", "events_to_tag_hours"):
        store.execute(f"DROP VIEW IF EXISTS {view}")
    for partition in range(partitions):
        for low in range(0, rows, 1_000_000):
            count = min(1_000_000, rows - low)
            store.execute(
                "INSERT INTO events (account, id, trace_id, user_id, ts, received_at, sign, retention_days, log_id, log_partition, log_offset) "
                f"SELECT 'acc', generateUUIDv7(), toString(toUInt64(number / {EVENTS_PER_TRACE})), toString(intDiv(number, 700)), t, t, "
                f"1, 400, 'memory', {partition}, number FROM (SELECT number, "
                f"now64(6) - toIntervalMicrosecond(toInt64(({rows} - number) * {1e6 / rate})) AS t FROM numbers({low}, {count}))",
                max_execution_time=300,
            )
    store.close()


# --- all


def _apart(*arguments: object) -> dict[str, Any]:
    """A part in a process of its own; its answer."""
    command = [sys.executable, "-m", "bench.windows", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def run(scale: float) -> None:
    """Ten minutes for each process at scale 1; windows at the full rate from a scale of 0.2, always over three hours."""
    seconds = max(30.0, 600 * scale)
    rate = int(RATE * min(1.0, 5 * scale))
    began_load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), partitions=PARTITIONS) as stack:
        of_collector, taken = collector(stack, seconds)
        of_easy, easy = worker(stack, seconds, KEPT_UP)
        of_worker, told = worker(stack, seconds, math.inf)
    filled = _apart("fill", rate, PARTITIONS, 3)
    rows = int(75 * 60 * rate / PARTITIONS)
    with tempfile.TemporaryDirectory() as folder, ChdbServer(Path(folder)) as server:
        _fill(server, 2, rows, rate / PARTITIONS)
        rebuilt = _apart("rebuild", server.url, 2, rows)
    of_windows = Memory(filled["parts"], filled["peak"])
    minutes = seconds / 60
    parts: list[tuple[Any, ...]] = [
        ("MB resident, medians of tenths", *(f"{n * 10}%" for n in range(1, 11)), "peak", "goal", "2nd half", "flat")
    ]
    for name, memory, goal in (
        (f"collector, {minutes:.1f} min at {taken:,.0f} events/s", of_collector, GOALS["collector"]),
        (f"worker that keeps up with {easy['events per second']:,.0f} events/s", of_easy, GOALS["worker"]),
        (f"worker, always behind, {told['events per second']:,.0f} events/s", of_worker, GOALS["worker"]),
        (f"windows alone, 3 h of receipts at {rate:,} events/s", of_windows, GOALS["worker"]),
    ):
        cells = (f"{memory.growth:+.1%}", "yes" if memory.flat else "NO")
        parts.append((name, *(round(part) for part in memory.parts), round(memory.peak), goal, *cells))
    table("B7 memory", parts)
    held = [("MB", "filled", "rebuilt")]
    held += [(name, f"{filled['bytes'][name]:.0f}", f"{rebuilt['bytes'][name]:.0f}") for name in filled["bytes"]]
    table(f"B7 what windows hold; {filled['identities']:,} identities, {filled['traces']:,} traces filled", held)
    table(
        f"B7 rebuilt from the raw table: 2 of {PARTITIONS} partitions, {rows:,} rows each",
        [("", "MB"), *((name, rebuilt[name]) for name in ("base", "peak", "after")), ("seconds", rebuilt["seconds"])],
    )
    result(
        "B7", of_worker.peak, GOALS["worker"], f"{minutes:.1f} min, windows at {rate} events/s",
        unit="megabytes of a worker; the baseline is the goal", worker=told,
        load_average=[round(began_load, 2), round(os.getloadavg()[0], 2)],
        keeps_up={"peak": of_easy.peak} | easy, collector={"peak": of_collector.peak, "goal": GOALS["collector"], "events per second": round(taken)},
        windows=filled, rebuilt=rebuilt,
    )  # fmt: skip
