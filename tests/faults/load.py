"""The load client: seeded traffic of several accounts, sent and repeated as an SDK does, every step written into the ledger."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from pipeline.demo import Traffic, uuid7
from tests.faults.ledger import Ledger

MODES = ("standard", "minimal", "full")


@dataclass(frozen=True)
class Tenant:
    """An account under load: its privacy mode, its keys, the agent of its events, and the canary that its content carries."""

    id: str
    mode: str
    ingest: str
    read: str
    agent: str
    canary: str


class Load:
    """Runs in a thread of its own between `start` and `finish`.

    `rate` is events a second over all tenants; each tenant gets the same events, ids, users and seconds as its neighbours.
    `repeats` is the share of batches that are sent again after they were acknowledged, up to 20 times; `old` the share of
    events of last month, `odd_times` of ten years ago or ahead; `pad` makes prompts so many characters longer.
    """

    def __init__(
        self, urls: Sequence[str], tenants: Sequence[Tenant], ledger: Ledger, *, seed: int, rate: float = 400,
        repeats: float = 0.02, batch: int = 20, senders: int = 6, timeout: float = 8.0, old: float = 0.03, pad: int = 0,
        odd_times: float = 0.0,
    ) -> None:  # fmt: skip
        self.urls, self.tenants, self.ledger = list(urls), list(tenants), ledger
        self.rate, self.repeats, self.batch = rate, repeats, batch
        self.old, self.pad, self.odd_times = old, pad, odd_times
        self._senders, self._timeout = senders, timeout
        self._rng = random.Random(seed)
        self._stop = threading.Event()
        self._give_up = 0.0
        self._source = self._batches(seed)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")
        # Seconds between two acknowledgements while it ran, less those in which this process itself had no processor: a promise
        # about a broker that died says nothing of a machine that stands still.
        self.slowest_ok = 0.0
        self._last_ok = 0.0
        self._starved = 0.0
        self.unavailable_seconds: list[float] = []  # how long each 503 took
        self._taken = 0

    def start(self) -> Load:
        """Begin."""
        self._thread.start()
        return self

    def finish(self, seconds: float) -> None:
        """No new events; what is unanswered is repeated until it is answered, for at most `seconds`."""
        self._give_up = time.monotonic() + seconds
        self._stop.set()
        self._thread.join()

    def wait_acknowledged(self, events: int, seconds: float = 60) -> None:
        """Until that many more events are ok: the path works now. Raises TimeoutError."""
        wanted, deadline = self.ledger.count("ok") + events, time.monotonic() + seconds
        while self.ledger.count("ok") < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError("nothing is acknowledged")
            time.sleep(0.1)

    # --- traffic

    def _batches(self, seed: int) -> Iterator[tuple[Tenant, list[dict[str, Any]]]]:
        """The same events for every tenant, a batch at a time."""
        end = datetime.now(UTC)
        traffic = Traffic(seed=seed, users=60, start=end - timedelta(minutes=25), end=end).events()
        while True:
            events = [self._changed(next(traffic)) for _ in range(self._rng.randint(1, 2 * self.batch))]
            for tenant in self.tenants:
                yield tenant, [_of_tenant(event, tenant, self.pad) for event in events]

    def _changed(self, event: dict[str, Any]) -> dict[str, Any]:
        """Some live, some of minutes ago as they come, a few of last month: batches then span two partitions."""
        now = int(time.time() * 1000)
        if self._rng.random() < self.odd_times:
            event["timestamp"] += self._rng.choice((1, -1)) * 3_650 * 86_400_000
            return event
        kind = self._rng.random()
        if kind < self.old:
            event["timestamp"] -= 40 * 86_400_000
        elif kind < 0.7:
            event["timestamp"] = now - self._rng.randrange(2_000)
            event["id"] = uuid7(event["timestamp"], self._rng)
        # A trace that begins late runs on past the end of the span; an answer up to now would not hold it yet.
        event["timestamp"] = min(event["timestamp"], now)
        return event

    # --- sending

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=self._timeout)
        began = time.monotonic()
        self._last_ok = began
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=64)) as session:
            watch = asyncio.create_task(self._watch())
            await asyncio.gather(*(self._one(session, began, n) for n in range(self._senders)))
            watch.cancel()

    async def _watch(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.1)
            self._starved += time.monotonic() - before - 0.1

    async def _one(self, session: aiohttp.ClientSession, began: float, number: int) -> None:
        while not self._stop.is_set():
            tenant, events = next(self._source)
            self._taken += len(events)
            await asyncio.sleep(max(0.0, began + self._taken / self.rate - time.monotonic()))
            self.ledger.sending(tenant.id, events)
            await self._until_answered(session, tenant, events, number)
            if self._rng.random() < self.repeats:
                for _ in range(self._rng.randint(1, 20)):
                    await self._until_answered(session, tenant, events, number)

    async def _until_answered(
        self, session: aiohttp.ClientSession, tenant: Tenant, events: list[dict[str, Any]], number: int
    ) -> None:
        attempt = 0
        while not self._stop.is_set() or time.monotonic() < self._give_up:
            if await self._post(session, self.urls[(number + attempt) % len(self.urls)], tenant, events):
                return
            attempt += 1
            await asyncio.sleep(min(1.0, 0.05 * 2**attempt) * self._rng.uniform(0.5, 1))

    async def _post(
        self, session: aiohttp.ClientSession, url: str, tenant: Tenant, events: list[dict[str, Any]]
    ) -> bool:
        """Whether it was answered for good."""
        headers = {"Authorization": f"Bearer {tenant.ingest}", "Content-Type": "application/json"}
        body = gzip.compress(json.dumps(events).encode(), 1)
        started = time.monotonic()
        try:
            async with session.post(
                f"{url}/v1/events", data=body, headers=headers | {"Content-Encoding": "gzip"}
            ) as answer:
                content = await answer.read()
        except aiohttp.ClientConnectorError:
            self.ledger.answered(tenant.id, events, "refused", {})  # nothing was sent
            return False
        except TimeoutError:
            self.ledger.answered(tenant.id, events, "unknown", {})
            return False
        except (aiohttp.ClientError, OSError):
            self.ledger.answered(tenant.id, events, "cut off", {})
            return False
        now = time.monotonic()
        if answer.status == 202:
            said = json.loads(content)
            rejected = {item["index"]: item["code"] for item in said["rejected"]}
            if said["accepted"] + len(rejected) != len(events):
                self.ledger.protest(f"accepted {said['accepted']} and rejected {len(rejected)} of {len(events)}")
            self.ledger.answered(tenant.id, events, "ok", rejected)
            self.slowest_ok = max(self.slowest_ok, now - self._last_ok - self._starved)
            self._last_ok, self._starved = now, 0.0
            return True
        if answer.status == 503:
            self.unavailable_seconds.append(now - started)
            if "Retry-After" not in answer.headers:
                self.ledger.protest("503 without Retry-After")
            self.ledger.answered(tenant.id, events, "unavailable", {})
        else:
            self.ledger.protest(f"{answer.status}: {content[:200].decode(errors='replace')}")
            self.ledger.answered(tenant.id, events, f"status {answer.status}", {})
        return False


def _of_tenant(event: dict[str, Any], tenant: Tenant, pad: int) -> dict[str, Any]:
    """The event as this tenant sends it: its agent, and its canary in every field that holds content."""
    canary = tenant.canary
    marked = {
        **event,
        "agent": tenant.agent,
        "error_message": f"failed on {canary}",
        "logs": [{"line": f"saw {canary}"}],
        "metadata": {**event["metadata"], "note": canary} if tenant.mode == "minimal" else event["metadata"],
    }
    if event["type"] == "llm":
        marked["prompt"] = [{"role": "user", "content": f"tell me about {canary}{'x' * pad}"}]
        marked["response"] = f"{canary} is this"
    if event["type"] == "tool":
        marked["tool_arguments"], marked["tool_result"] = {"q": canary}, [canary]
    return marked
