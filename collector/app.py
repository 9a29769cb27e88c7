"""HTTP -> log: authenticate, decompress, parse, strip what may not be logged, publish, answer per event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from pipeline import limits, metrics
from pipeline.encoding import decompress
from pipeline.errors import Unavailable, UnsupportedMedia
from pipeline.event import Event
from pipeline.http import bearer, problems, read_body
from pipeline.keys import KeyBook, Principal
from pipeline.log import LogWriter
from pipeline.parse import ParsedBatch, parse_batch
from pipeline.privacy import apply_privacy, strip_content
from pipeline.record import Record, stricter, to_record

Clock = Callable[[], int]
OnDropped = Callable[[str, dict[str, int]], None]

_encode = msgspec.json.Encoder().encode
_accepted = metrics.ingest_events.labels("accepted")


class Intake:
    """State of the collector's routes: bytes in flight, and whether it is shutting down."""

    def __init__(self, writer: LogWriter, keys: KeyBook, clock: Clock, on_dropped: OnDropped | None = None) -> None:
        self.writer = writer
        self.keys = keys
        self.clock = clock
        self.on_dropped = on_dropped
        self.draining = False
        self._in_flight = 0

    async def events(self, request: web.Request) -> web.Response:
        """POST /v1/events."""
        principal = self.keys.verify(bearer(request), "ingest", self.clock())
        encodings = request.headers.getall("Content-Encoding", [])
        if len(encodings) > 1 or "," in "".join(encodings):
            raise UnsupportedMedia("one Content-Encoding")
        if self.draining:
            raise Unavailable("shutting down")
        if self._in_flight > limits.PUBLISH_BUFFER_BYTES:
            raise Unavailable("the buffer before the log is full")
        body = await read_body(request, limits.BODY_BYTES)
        plain = decompress(body, encodings[0] if encodings else "", limits.BODY_BYTES)
        self._in_flight += len(plain)
        try:
            received_at = self.clock()
            parsed = parse_batch(plain, request.headers.get("Content-Type", "application/json"), received_at)
            records = [record_of(event, principal, received_at) for event in parsed.events]
            if records:
                with metrics.publish_seconds.time():
                    await self.writer.publish(records)
        finally:
            self._in_flight -= len(plain)
        return self._answer(principal, parsed, len(plain))

    def _answer(self, principal: Principal, parsed: ParsedBatch, size: int) -> web.Response:
        _accepted.inc(len(parsed.events))
        metrics.ingest_bytes.inc(size)
        for item in parsed.rejected:
            metrics.ingest_events.labels(item.code).inc()
        if parsed.dropped and self.on_dropped is not None:
            self.on_dropped(principal.account, parsed.dropped)
        answer = {"accepted": len(parsed.events), "rejected": parsed.rejected}
        return web.Response(status=202, body=_encode(answer), content_type="application/json")

    async def healthz(self, _: web.Request) -> web.Response:
        """GET /healthz: the process answers."""
        return web.json_response({"status": "ok"})

    async def readyz(self, _: web.Request) -> web.Response:
        """GET /readyz: it can take an event now; false from SIGTERM on."""
        if self.draining or not self.writer.ready():
            raise Unavailable("not taking events now")
        return web.json_response({"status": "ready"})


def record_of(event: Event, principal: Principal, received_at: int) -> Record:
    """The record of an event; what `minimal` forbids never reaches the log, a log segment is a disk too."""
    mode = stricter(principal.privacy, event.privacy)
    if mode == "minimal":
        event = strip_content(event)
    elif mode == "standard" and principal.settings.redact_before_log:
        event = apply_privacy(event, "standard")
    return to_record(event, principal.settings, principal.privacy, received_at)


def add_collector_routes(app: web.Application, intake: Intake) -> None:
    """Mount the routes; the embedded mode has them beside the query service."""
    app.router.add_post("/v1/events", intake.events)
    app.router.add_get("/healthz", intake.healthz)
    app.router.add_get("/readyz", intake.readyz)


INTAKE: web.AppKey[Intake] = web.AppKey("intake", Intake)


def create_collector_app(
    writer: LogWriter, keys: KeyBook, *, clock: Clock, on_dropped: OnDropped | None = None
) -> web.Application:
    """The collector as an app of its own."""
    app = web.Application(middlewares=[problems], client_max_size=limits.BODY_BYTES)
    intake = Intake(writer, keys, clock, on_dropped)
    app[INTAKE] = intake
    add_collector_routes(app, intake)

    async def close(_: Any) -> None:
        await writer.close()

    app.on_cleanup.append(close)
    return app
