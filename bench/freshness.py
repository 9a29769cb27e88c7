"""B4: received -> queryable at 100, 1,000 and 5,000 events a second, on real Kafka, everything on this machine."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from bench.common import result, table, traffic
from pipeline.traffic import send
from tests.support.stack import Stack

RATES = (100, 1000, 5000)


def ask(stack: Stack, sql: str) -> list[list[str]]:
    """Rows of a query against the development server."""
    url = f"{stack.clickhouse.url}/?query={urllib.parse.quote(sql + ' FORMAT TSV')}"
    with urllib.request.urlopen(url, timeout=60) as answer:
        return [line.split("\t") for line in answer.read().decode().splitlines()]


class Probe:
    """Sees every 20 ms which rows a query can see for the first time, in the raw table and in the rollup behind it."""

    def __init__(self, stack: Stack, table: str = "events") -> None:
        self._stack = stack
        self._table = table
        self._ended = threading.Event()
        self.waits: list[float] = []
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        seen: dict[str, int] = {}
        while not self._ended.is_set():
            # Rows of each partition behind the largest offset seen so far, and when the collector received them.
            where = " OR ".join(f"(log_partition = {p} AND log_offset > {o})" for p, o in seen.items())
            known = ",".join(seen) or "-1"
            rows = ask(
                self._stack,
                f"SELECT log_partition, log_offset, toUnixTimestamp64Micro(received_at) FROM {self._table} "
                f"WHERE ({where or '0'}) OR toInt64(log_partition) NOT IN ({known})",
            )
            now = time.time()
            for partition, offset, received in rows:
                self.waits.append(now - int(received) / 1e6)
                seen[partition] = max(seen.get(partition, -1), int(offset))
            time.sleep(0.02)

    def end(self) -> list[float]:
        """The waits in seconds, sorted."""
        self._ended.set()
        self._thread.join()
        return sorted(self.waits)


def run(scale: float) -> None:
    """Thirty seconds of each rate at scale 1; three workers, six partitions."""
    rows: list[tuple[Any, ...]] = [("events/s asked", "events/s sent", "p50 s", "p95 s", "p99 s", "max s", "events")]
    found: dict[int, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        stack.start_services()
        for _ in range(3):
            stack.start_consumer()
        warm = list(traffic(2000, seed=99))
        asyncio.run(send(stack.url, stack.account["keys"]["ingest"], warm, batch=50))
        stack.wait_stored(2000)
        time.sleep(3)
        total = 2000
        for number, rate in enumerate(RATES):
            count = int(rate * 30 * scale)
            probe = Probe(stack)
            time.sleep(0.3)
            before = len(probe.waits)
            source = itertools.islice(traffic(count, seed=number), count)
            ledger = asyncio.run(
                send(
                    stack.url,
                    stack.account["keys"]["ingest"],
                    source,
                    batch=min(50, max(1, rate // 20)),
                    connections=4,
                    rate=rate,
                    stamp=_now,
                )
            )
            total += ledger.accepted
            stack.wait_stored(total)
            time.sleep(0.3)
            probe._ended.set()
            probe._thread.join()
            waits = sorted(probe.waits[before:])

            def at(q: float, waits: list[float] = waits) -> float:
                return round(waits[min(len(waits) - 1, int(q * len(waits)))], 3)

            found[rate] = (at(0.5), at(0.99))
            cells = [f"{at(q):.3f}" for q in (0.5, 0.95, 0.99)]
            rows.append((rate, round(ledger.accepted / ledger.seconds), *cells, f"{waits[-1]:.3f}", len(waits)))
    table("B4 freshness: received -> queryable in the raw table, real Kafka", rows)
    p50, p99 = found[1000]
    result("B4", p50, 0.6, "1000 events/s", unit="seconds, p50; the baseline is the goal", p99=p99, goal_p99=1.5)


def _now(event: Any) -> Any:
    return event | {"timestamp": time.time_ns() // 1_000_000}
