"""The watermark, pushed to whoever watches when data moved."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from pipeline.errors import Unauthorized
from pipeline.row import Row
from pipeline.server import HardenedRunner
from pipeline.store import ClickHouse
from query import stream
from query.app import create_query_app
from tests.support.rows import make_rows

NOW = time.time_ns() // 1000


def put(store: ClickHouse, account: str, count: int, **fields: Any) -> None:
    rows = [row._replace(sign=1, **fields) for row in make_rows(account, count, 1, NOW - 3_600_000_000, NOW)]
    store.insert("events", Row._fields, list(zip(*rows, strict=True)), token=str(uuid4()))


class Service(SimpleNamespace):
    """A running query service whose keys are names of accounts; `revoked` ones are unknown."""


@pytest.fixture
async def service(store: ClickHouse) -> AsyncIterator[Service]:
    revoked: set[str] = set()

    async def authenticate(token: str) -> Any:
        if token in revoked:
            raise Unauthorized("this key is revoked")
        account, _, org = token.partition("/")
        return SimpleNamespace(account=account, restriction=(("org", org),) if org else ())

    app = create_query_app(
        store, authenticate, clock=lambda: time.time_ns() // 1000, cursor_secret=b"s",
        prices=SimpleNamespace(version="book", newest=""),
    )  # fmt: skip
    runner = HardenedRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        yield Service(
            http=http, url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1/me/stream", revoked=revoked, runner=runner
        )
    await runner.cleanup()


async def marks(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    async for line in answer.content:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


def watch(service: Service, token: str) -> Any:
    return service.http.get(service.url, headers={"Authorization": f"Bearer {token}"})


async def test_a_watcher_is_told_where_things_stand_and_when_they_moved(service: Service, store: ClickHouse) -> None:
    put(store, "watched", 5)
    async with watch(service, "watched") as answer:
        assert answer.content_type == "text/event-stream"
        told = marks(answer)
        assert (await anext(told))["events"] == 5
        await asyncio.to_thread(put, store, "somebody_else", 3)
        await asyncio.to_thread(put, store, "watched", 4)
        began = time.monotonic()
        assert (await anext(told))["events"] == 9
        assert time.monotonic() - began < 5


async def test_a_restricted_key_hears_of_its_scope_alone(service: Service, store: ClickHouse) -> None:
    put(store, "tenants", 5, tags=["org=other"])
    put(store, "tenants", 2, tags=["org=acme"])
    async with watch(service, "tenants/acme") as answer:
        assert (await anext(marks(answer)))["events"] == 2


@pytest.mark.parametrize("name", ["userId", "tag.org", "window", "tz", "provider!", "nonsense"])
async def test_a_stream_takes_no_parameter_and_ignores_none(service: Service, name: str) -> None:
    value = {"window": "7d", "tz": "UTC"}.get(name, "x")
    headers = {"Authorization": "Bearer watched"}
    async with service.http.get(service.url, params={name: value}, headers=headers) as answer:
        assert answer.status == 400
        assert (await answer.json(content_type=None))["errors"][0]["parameter"] == name.rstrip("!")


async def test_a_stream_ends_with_its_key(service: Service, store: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CHECK_SECONDS", 0.5)
    async with watch(service, "ending") as answer:
        await anext(marks(answer))
        service.revoked.add("ending")
        assert [line async for line in answer.content if line.startswith(b"data:")] == []
    async with watch(service, "ending") as answer:
        assert answer.status == 401


async def test_a_silent_stream_is_kept_alive(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PING_SECONDS", 0.5)
    async with watch(service, "silent") as answer:
        lines = [await answer.content.readline() for _ in range(4)]
        assert lines[-1] == b": ping\n"


async def test_streams_end_when_the_process_goes(service: Service) -> None:
    async with watch(service, "draining") as answer:
        await anext(marks(answer))
        began = time.monotonic()
        drain = asyncio.ensure_future(service.runner.drain())
        assert [line async for line in answer.content if line.startswith(b"data:")] == []
        await drain
        assert time.monotonic() - began < 8


async def test_a_correction_is_heard_of_though_it_adds_no_event(service: Service, store: ClickHouse) -> None:
    first, second = (
        make_rows("corrected", 1, seed, NOW - 3_600_000_000, NOW)[0]._replace(
            sign=1, cost=Decimal(cost), tags=["org=acme"]
        )
        for seed, cost in ((1, 1), (2, 3))
    )
    store.insert("events", Row._fields, list(zip(first, strict=True)), token=str(uuid4()))
    for token in ("corrected", "corrected/acme"):
        async with watch(service, token) as answer:
            told = marks(answer)
            assert (await anext(told))["events"] == 1
            rows = [first._replace(sign=-1), second]
            await asyncio.to_thread(
                store.insert, "events", Row._fields, list(zip(*rows, strict=True)), token=str(uuid4())
            )
            began = time.monotonic()
            assert (await anext(told))["events"] == 1
            assert time.monotonic() - began < 5
        first, second = second, first
