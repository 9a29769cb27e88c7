"""B2: the collector on one core, batches of 50 and single events; beside an aiohttp handler that only reads the body."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import aiohttp
import msgspec
import uvloop
from aiohttp import web

from bench.common import result, table, traffic
from collector.app import create_collector_app
from pipeline.keys import KeyBook, Keys, make_key
from pipeline.record import Account, Record
from pipeline.server import HardenedRunner


class _Taken:
    """A log that takes everything at once: the collector's own work is measured, not the broker's."""

    async def publish(self, records: Sequence[Record]) -> None:
        return

    def ready(self) -> bool:
        return True

    async def close(self) -> None:
        return


class _Keys:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def snapshot(self) -> Keys:
        return self._keys

    def reachable(self) -> bool:
        return True


def _serve(kind: str, keys: Keys, pipe: Connection) -> None:
    os.sched_setaffinity(0, {0})

    async def run() -> None:
        if kind == "ours":
            app = create_collector_app(_Taken(), KeyBook(_Keys(keys)), clock=lambda: time.time_ns() // 1000)
            runner: web.AppRunner = HardenedRunner(app)
        else:
            app = web.Application(client_max_size=16 * 1024 * 1024)

            async def read_only(request: web.Request) -> web.Response:
                await request.read()
                return web.Response(status=202, body=b'{"accepted":1,"rejected":[]}', content_type="application/json")

            app.router.add_post("/v1/events", read_only)
            runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    uvloop.run(run())


async def _load(port: int, token: str, bodies: list[bytes], seconds: float) -> float:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    done, until = 0, time.perf_counter() + seconds
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=16)) as session:

        async def one(start: int) -> None:
            nonlocal done
            turn = start
            while time.perf_counter() < until:
                turn += 1
                async with session.post(
                    f"http://127.0.0.1:{port}/v1/events", data=bodies[turn % len(bodies)], headers=headers
                ) as answer:
                    if answer.status != 202:
                        raise SystemExit(f"answered {answer.status}: {await answer.text()}")
                    await answer.read()
                done += 1

        began = time.perf_counter()
        await asyncio.gather(*(one(n * 7) for n in range(16)))
        return done / (time.perf_counter() - began)


def run(scale: float) -> None:
    """Ten seconds each at scale 1. The server has core 0, the client the others."""
    account = Account(id="acc_bench")
    token, key = make_key(account=account.id, scopes=("ingest",), now=0)
    keys = Keys({account.id: account}, {key.hash: key})
    events: list[Any] = list(traffic(2000))
    shapes = {
        "batch of 50": (50, [msgspec.json.encode(events[i : i + 50]) for i in range(0, 2000, 50)]),
        "single": (1, [msgspec.json.encode(event) for event in events]),
    }
    os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)) or {0})
    rates: dict[tuple[str, str], float] = {}
    for kind in ("read only", "ours"):
        here, there = multiprocessing.Pipe()
        server = multiprocessing.Process(target=_serve, args=(kind, keys, there), daemon=True)
        server.start()
        port = here.recv()
        for name, (size, bodies) in shapes.items():
            rates[kind, name] = uvloop.run(_load(port, token, bodies, 10 * scale)) * size
        server.terminate()
        server.join()
    rows: list[tuple[Any, ...]] = [("", "ours, events/s", "read only, events/s", "ratio")]
    rows += [
        (n, rates["ours", n], rates["read only", n], f"{rates['ours', n] / rates['read only', n]:.2f}") for n in shapes
    ]
    table("B2 collector, one core", rows)
    result(
        "B2", rates["ours", "batch of 50"], rates["read only", "batch of 50"], f"{10 * scale:.0f} s each",
        unit="events per second", single={"ours": round(rates["ours", "single"]), "baseline": round(rates["read only", "single"])},
    )  # fmt: skip
