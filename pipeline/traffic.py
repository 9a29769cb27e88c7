"""Posting events to a collector: batches over a few connections, gzip, with a ledger of what was answered."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import aiohttp
import msgspec


@dataclass
class Ledger:
    """What the collector answered."""

    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    unknown: int = 0  # no answer after every try
    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)  # seconds of each request

    def p(self, quantile: float) -> float:
        """A quantile of the requests' seconds."""
        ordered = sorted(self.waits) or [0.0]
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]


async def post(
    session: aiohttp.ClientSession, url: str, key: str, events: Sequence[Any], ledger: Ledger, *, tries: int = 8
) -> None:
    """One batch; repeated with the same ids on 429, 503 and broken connections, as an SDK does."""
    body = gzip.compress(msgspec.json.encode(events), 1)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Content-Encoding": "gzip"}
    ledger.sent += len(events)
    for attempt in range(tries):
        started = time.perf_counter()
        try:
            async with session.post(f"{url}/v1/events", data=body, headers=headers) as answer:
                content = await answer.read()
                ledger.waits.append(time.perf_counter() - started)
                if answer.status == 202:
                    said = msgspec.json.decode(content)
                    ledger.accepted += said["accepted"]
                    ledger.rejected += len(said["rejected"])
                    return
                if answer.status not in (429, 503):
                    raise RuntimeError(
                        f"the collector answered {answer.status}: {content[:300].decode(errors='replace')}"
                    )
        except (aiohttp.ClientError, TimeoutError):
            ledger.waits.append(time.perf_counter() - started)
        await asyncio.sleep(min(5.0, 0.2 * 2**attempt))
    ledger.unknown += len(events)


async def send(
    url: str,
    key: str,
    events: Iterable[Any],
    *,
    batch: int = 100,
    connections: int = 4,
    rate: float = 0,
    progress: Callable[[int], None] = lambda _: None,
    stamp: Callable[[Any], Any] = lambda event: event,
) -> Ledger:
    """Post everything; `rate` events a second (0: as fast as answers come). `stamp` sees each event just before it is sent."""
    ledger = Ledger()
    source = iter(events)
    began = time.perf_counter()
    taken = 0
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def one() -> None:
            nonlocal taken
            while chunk := [stamp(event) for event in islice(source, batch)]:
                taken += len(chunk)
                if rate:
                    await asyncio.sleep(max(0.0, began + taken / rate - time.perf_counter()))
                await post(session, url, key, chunk, ledger)
                progress(len(chunk))

        await asyncio.gather(*(one() for _ in range(connections)))
    ledger.seconds = time.perf_counter() - began
    return ledger
