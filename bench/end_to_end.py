"""B3: load generator -> collector -> Kafka -> workers -> ClickHouse on this machine; beside a plain at-least-once consumer."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.common import ROOT, result, table, traffic
from bench.freshness import Probe, _now, ask
from pipeline.schema import Engines, migrate
from pipeline.store import open_clickhouse
from pipeline.traffic import send
from tests.support.stack import Stack

WORKERS = 2
RATES = (5_000, 10_000, 20_000)


def run(scale: float) -> None:
    """Each rate for 60 s and a backlog of 600,000 events at scale 1."""
    backlog = int(600_000 * scale)
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        stack.start_services()
        workers = [stack.start_consumer() for _ in range(WORKERS)]
        key = stack.account["keys"]["ingest"]
        asyncio.run(send(stack.url, key, traffic(2000, seed=99), batch=200))
        stack.wait_stored(2000)
        total = 2000
        rows: list[tuple[Any, ...]] = [
            ("events/s asked", "sent and acked/s", "p50 s", "p99 s visible", "stored after s")
        ]
        for number, rate in enumerate(RATES):
            events = list(traffic(int(rate * 60 * scale), seed=number))
            probe = Probe(stack)
            time.sleep(0.3)
            before = len(probe.waits)
            ledger = asyncio.run(send(stack.url, key, events, batch=200, connections=8, rate=rate, stamp=_now))
            total += ledger.accepted
            after = stack.wait_stored(total, 600)
            time.sleep(0.3)
            waits = probe.waits
            probe.end()
            waits = sorted(waits[before:])
            cells = [f"{waits[int(q * (len(waits) - 1))]:.2f}" for q in (0.5, 0.99)]
            rows.append((rate, round(ledger.accepted / ledger.seconds), *cells, f"{after:.2f}"))
        table(f"B3 sustained, {60 * scale:.0f} s each, {WORKERS} workers, load generator and all on this machine", rows)

        for worker in workers:
            worker.terminate()
            worker.wait()
        asyncio.run(send(stack.url, key, traffic(backlog, seed=77), batch=500, connections=8, stamp=_now))
        began = time.monotonic()
        workers = [stack.start_consumer() for _ in range(WORKERS)]
        stack.wait_stored(total + backlog, 1200)
        ours = backlog / (time.monotonic() - began)
        for worker in workers:
            worker.terminate()
            worker.wait()
        plain = _plain(stack, total + backlog)
    table(
        f"B3 a backlog of {backlog:,} events drained by {WORKERS} processes, from their start",
        [("", "events/s"), ("ours", ours), ("plain at-least-once consumer", plain)],
    )
    result(
        "B3",
        ours,
        plain,
        f"{backlog} events",
        unit="events per second",
        sustained=[dict(zip(rows[0], row, strict=True)) for row in rows[1:]],
    )


def _plain(stack: Stack, count: int) -> float:
    """The same topic, all of it, into the same tables of another database."""
    ask(stack, "SELECT 1")
    admin = open_clickhouse(stack.clickhouse.url, database="default", user="default", password="")
    admin.execute("CREATE DATABASE plain")
    store = open_clickhouse(stack.clickhouse.url, database="plain", user="default", password="")
    migrate(store, Engines())
    arguments = [stack.kafka.bootstrap, "percapita.events", "plain", stack.clickhouse.url, "plain"]
    began = time.monotonic()
    processes = [
        subprocess.Popen([sys.executable, "-m", "bench.plain_consumer", *arguments], cwd=ROOT) for _ in range(WORKERS)
    ]
    try:
        while int(ask(stack, "SELECT count() FROM plain.events")[0][0]) < count:
            if any(p.poll() is not None for p in processes):
                raise SystemExit("the plain consumer ended")
            time.sleep(0.2)
        return count / (time.monotonic() - began)
    finally:
        for process in processes:
            process.kill()
            process.wait()
