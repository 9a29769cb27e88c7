"""A running collector over a log in memory: what tests of its answers share."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from collector.app import create_collector_app
from pipeline.errors import Unavailable
from pipeline.keys import KeyBook, Keys, make_key
from pipeline.record import Account, Envelope, Record, from_bytes
from pipeline.server import HardenedRunner, quiet_loggers


@dataclass
class Taken:
    """A log in memory, which can be told to be away."""

    records: list[Record] = field(default_factory=list)
    away: bool = False

    async def publish(self, records: Sequence[Record]) -> None:
        if self.away:
            raise Unavailable("the log cannot be reached")
        self.records += records

    def ready(self) -> bool:
        return not self.away

    async def close(self) -> None:
        return

    def events(self) -> list[Envelope]:
        return [from_bytes(record.value) for record in self.records]


class Source:
    def __init__(self) -> None:
        self.keys = Keys({}, {})
        self.up = True

    def snapshot(self) -> Keys:
        return self.keys

    def reachable(self) -> bool:
        return self.up


@dataclass
class Collector:
    """A running collector, its log and its keys."""

    port: int
    log: Taken
    source: Source
    tokens: dict[str, str]
    runner: HardenedRunner
    session: aiohttp.ClientSession

    async def post(
        self, body: bytes | Any, *, token: str | None = None, path: str = "/v1/events", **headers: str
    ) -> tuple[int, Any, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Authorization": f"Bearer {token or self.tokens['ingest']}", "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.post(f"http://127.0.0.1:{self.port}{path}", data=data, headers=given) as answer:
            text = await answer.read()
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            return answer.status, json.loads(text) if text else None, answer.headers

    async def raw(self, data: bytes, seconds: float = 20) -> bytes:
        """Bytes over a socket of its own, to the end of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        await writer.drain()
        try:
            return await asyncio.wait_for(reader.read(100_000), seconds)
        finally:
            writer.close()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    quiet_loggers()
    log, source = Taken(), Source()
    accounts = {"a": Account(id="a"), "m": Account(id="m", privacy="minimal")}
    tokens, keys = {}, {}
    for name, account, scopes in (
        ("ingest", "a", ("ingest",)),
        ("read", "a", ("read",)),
        ("minimal", "m", ("ingest",)),
        ("revoked", "a", ("ingest",)),
    ):
        token, key = make_key(account=account, scopes=scopes, now=0)
        tokens[name] = token
        keys[key.hash] = msgspec.structs.replace(key, revoked_at=1) if name == "revoked" else key
    source.keys = Keys(accounts, keys)
    app = create_collector_app(log, KeyBook(source), clock=lambda: time.time_ns() // 1000)
    runner = HardenedRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield Collector(runner.addresses[0][1], log, source, tokens, runner, session)
    await runner.cleanup()


def event(**fields: Any) -> dict[str, Any]:
    return {"type": "llm", "provider": "openai", "model": "gpt-4o", **fields}
