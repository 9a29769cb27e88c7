"""An app served as the product serves it, on a port of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from pipeline.server import HardenedRunner


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[int]:
    """The port."""
    runner = HardenedRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()
