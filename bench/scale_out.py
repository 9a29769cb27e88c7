"""B9: 1, 2 and 4 workers on eight partitions: a backlog drained, then a live load while workers come and go; nothing lost or doubled."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bench.common import result, table, traffic
from bench.freshness import Probe, ask
from bench.processes import Cores
from pipeline.schema import Engines, migrate
from pipeline.store import open_clickhouse
from pipeline.traffic import send
from tests.support.stack import Stack

PARTITIONS = 8
WORKERS = (1, 2, 4)
LIVE = (1, 2, 4, 2)  # workers, one phase after the other
LIVE_RATE = 2_000


@dataclass
class Sent:
    """The sender's own list: every identity before it is sent, and what was acknowledged."""

    identities: set[tuple[str, str]] = field(default_factory=set)
    acknowledged: int = 0

    def note(self, event: Any) -> Any:
        """Just before it is sent."""
        self.identities.add((event["trace_id"], event["id"]))
        return event | {"timestamp": time.time_ns() // 1_000_000}

    def send(self, stack: Stack, events: Any, **given: Any) -> None:
        """All of it; every event must be acknowledged."""
        ledger = asyncio.run(send(stack.url, stack.account["keys"]["ingest"], events, stamp=self.note, **given))
        self.acknowledged += ledger.accepted
        if self.acknowledged != len(self.identities):
            raise SystemExit(f"{self.acknowledged} of {len(self.identities)} events were acknowledged")

    def against(self, stack: Stack, database: str) -> tuple[int, int]:
        """Identities without a row; rows more than identities, in the raw table or counted by the rollup."""
        rows = [tuple(row) for row in ask(stack, f"SELECT trace_id, toString(id) FROM {database}.events")]
        counted = int(ask(stack, f"SELECT sum(events) FROM {database}.usage_hours")[0][0])
        return len(self.identities - set(rows)), max(len(rows), counted) - len(self.identities)


class Drained(NamedTuple):
    """One drain: events a second from the workers' start, and between a tenth and nine tenths; cores by kind of process."""

    workers: int
    whole: float
    steady: float
    cores: dict[str, float]
    lost: int
    doubled: int

    @property
    def per_core(self) -> float:
        """Events a second for each core that the three kept busy: what other work on the machine leaves as it is."""
        return self.whole / sum(self.cores.values())


class Group:
    """Workers of one consumer group into one database."""

    def __init__(self, stack: Stack, name: str) -> None:
        self._stack, self.name = stack, name
        admin = open_clickhouse(stack.clickhouse.url, database="default", user="default", password="")
        admin.execute(f"CREATE DATABASE {name}")
        admin.close()
        store = open_clickhouse(stack.clickhouse.url, database=name, user="default", password="")
        migrate(store, Engines())
        store.close()
        self.workers: list[subprocess.Popen[bytes]] = []

    def resize(self, count: int) -> None:
        """Workers join, or end in good order."""
        while len(self.workers) < count:
            self.workers.append(
                self._stack.start("consumer", PERCAPITA_GROUP=self.name, PERCAPITA_CLICKHOUSE_DATABASE=self.name)
            )
        leaving, self.workers = self.workers[count:], self.workers[:count]
        for one in leaving:
            one.terminate()
        for one in leaving:
            one.wait(60)

    def stored(self) -> int:
        """Rows."""
        return int(ask(self._stack, f"SELECT count() FROM {self.name}.events")[0][0])

    def cores(self) -> Cores:
        """From now on."""
        stack = self._stack
        return Cores(
            {
                "workers": [one.pid for one in self.workers],
                "ClickHouse": [stack.clickhouse.pid],
                "Kafka": [stack.kafka.pid(1)],
            }
        )


def drain(stack: Stack, sent: Sent, workers: int) -> tuple[Drained, Group]:
    """All of the topic from its beginning, into a database of its own."""
    group = Group(stack, f"drain_{workers}")
    total = len(sent.identities)
    group.resize(workers)
    cores, began = group.cores(), time.monotonic()
    tenth = nine_tenths = 0.0
    low = high = 0
    while (held := group.stored()) < total:
        now = time.monotonic()
        if now - began > 1200:
            raise SystemExit(f"{held} of {total} stored")
        if not tenth and held >= total * 0.1:
            tenth, low = now, held
        if not nine_tenths and held >= total * 0.9:
            nine_tenths, high = now, held
        time.sleep(0.1)
    ended = time.monotonic()
    if not nine_tenths:
        nine_tenths, high = ended, total
    used = cores.used()
    group.resize(0)
    steady = (high - low) / (nine_tenths - tenth) if tenth and nine_tenths > tenth else 0.0
    return Drained(workers, total / (ended - began), steady, used, *sent.against(stack, group.name)), group


def live(stack: Stack, sent: Sent, group: Group, seconds: float) -> list[tuple[Any, ...]]:
    """A load of LIVE_RATE while the group grows and shrinks: for each phase what became visible, and how soon."""
    rows: list[tuple[Any, ...]] = [("workers", "visible/s", "p50 s", "p99 s", "cores of workers", "of ClickHouse")]
    group.resize(LIVE[0])
    time.sleep(6)
    probe = Probe(stack, f"{group.name}.events")
    time.sleep(2)
    events = list(traffic(int(LIVE_RATE * seconds * len(LIVE)), seed=5))
    sender = threading.Thread(
        target=sent.send, args=(stack, events), kwargs={"batch": 100, "connections": 4, "rate": LIVE_RATE}
    )
    sender.start()
    for workers in LIVE:
        group.resize(workers)
        cores, before, began = group.cores(), len(probe.waits), time.monotonic()
        time.sleep(seconds)
        waits = sorted(probe.waits[before:]) or [0.0]
        used = cores.used()
        took = [f"{waits[int(q * (len(waits) - 1))]:.2f}" for q in (0.5, 0.99)]
        rows.append(
            (
                workers,
                round(len(waits) / (time.monotonic() - began)),
                *took,
                f"{used['workers']:.2f}",
                f"{used['ClickHouse']:.2f}",
            )
        )
    sender.join()
    deadline = time.monotonic() + 300
    while group.stored() < len(sent.identities) and time.monotonic() < deadline:
        time.sleep(0.2)
    probe.end()
    group.resize(0)
    return rows


def run(scale: float) -> None:
    """A backlog of 400,000 events and four live phases of 30 s at scale 1."""
    backlog, seconds = int(400_000 * scale), max(10.0, 30 * scale)
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), partitions=PARTITIONS) as stack:
        stack.start_services()
        sent = Sent()
        sent.send(stack, traffic(backlog, seed=3), batch=500, connections=8)
        drained: list[Drained] = []
        for workers in WORKERS:
            one, group = drain(stack, sent, workers)
            drained.append(one)
            if workers != WORKERS[-1]:  # its merges would be on the next one's bill
                stack.store.execute(f"DROP DATABASE {group.name} SYNC")
        phases = live(stack, sent, group, seconds)
        lost, doubled = sent.against(stack, group.name)
        loadavg = os.getloadavg()[0]
    rows: list[tuple[Any, ...]] = [
        (
            "workers",
            "events/s",
            "of one",
            "events/s, steady",
            "cores: workers",
            "ClickHouse",
            "Kafka",
            "events/s a core",
            "lost",
            "doubled",
        )
    ]
    rows += [
        (
            d.workers, round(d.whole), f"{d.whole / drained[0].whole:.2f}", round(d.steady),
            *(f"{d.cores[name]:.2f}" for name in ("workers", "ClickHouse", "Kafka")),
            round(d.per_core), d.lost, d.doubled,
        )
        for d in drained
    ]  # fmt: skip
    table(f"B9 a backlog of {backlog:,} events on {PARTITIONS} partitions, from the workers' start", rows)
    table(f"B9 live at {LIVE_RATE:,} events/s, {seconds:.0f} s a phase: {lost} lost, {doubled} doubled", phases)
    wrong = lost or doubled or any(d.lost or d.doubled for d in drained)
    result(
        "B9", max(d.whole for d in drained), drained[0].whole, f"{backlog} events",
        unit="events per second; the baseline is one worker", load_average=round(loadavg, 2),
        drained=[d._asdict() for d in drained], live=[dict(zip(phases[0], row, strict=True)) for row in phases[1:]],
        lost=lost, doubled=doubled,
    )  # fmt: skip
    if wrong:
        raise SystemExit("events were lost or doubled")
