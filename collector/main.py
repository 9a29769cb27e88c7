"""Serving an app: readiness off at SIGTERM, drain, flush, exit 0."""

from __future__ import annotations

import asyncio
import signal

import structlog
from aiohttp import web

from pipeline import metrics
from pipeline.memory import settle
from pipeline.server import HardenedRunner, quiet_loggers

_say = structlog.get_logger()


async def serve(
    app: web.Application, host: str, port: int, *, metrics_port: int = 0, metrics_host: str = "127.0.0.1"
) -> None:
    """Until SIGTERM or SIGINT; then answer what is in flight and 503 to all else, stop listening, flush."""
    quiet_loggers()
    if metrics_port:
        metrics.serve(metrics_port, metrics_host)
    runner = HardenedRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=1024)
    await site.start()
    settle()
    _say.info("serving", host=host, port=runner.addresses[0][1])
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    _say.info("draining")
    await runner.drain()
    await runner.cleanup()
