"""HTTP -> log: authenticate, decompress, parse, strip what may not be logged, publish, answer per event."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from collector.held import Held, Hold
from collector.records import record_of
from collector.rejections import Rejections
from collector.traces import add_trace_routes
from pipeline import limits, metrics
from pipeline.encoding import decompress
from pipeline.errors import BadBody, Unavailable
from pipeline.http import bearer, encoding_of, problems, read_body
from pipeline.keys import KeyBook, Principal
from pipeline.log import LogWriter
from pipeline.parse import parse_batch
from pipeline.record import Record, to_dropped_record
from pipeline.wire import Rejected

Clock = Callable[[], int]

_REASON = re.compile(r"[a-z][a-z0-9_]*")
_encode = msgspec.json.Encoder().encode
_accepted = metrics.ingest_events.labels("accepted")


class Taken(NamedTuple):
    """What is left of a body once it is read: its records, and what the answer says."""

    records: list[Record]  # of the events that are taken, and one of what the SDK dropped and what was rejected
    accepted: int
    rejected: list[Rejected]
    size: int  # of the body after decompression


class Intake:
    """The collector's routes, and the bytes they hold."""

    def __init__(self, writer: LogWriter, keys: KeyBook, clock: Clock) -> None:
        self.writer = writer
        self.keys = keys
        self.clock = clock
        self.held = Held()
        self.rejections = Rejections()

    async def events(self, request: web.Request) -> web.Response:
        """POST /v1/events."""
        principal = self.keys.verify(bearer(request), "ingest", self.clock())
        encoding = encoding_of(request)
        with self.held.hold(principal.account) as hold:
            taken = await self._take(request, principal, encoding, hold)
            await self.publish(taken.records, hold)
        self.count(taken.accepted, taken.rejected, taken.size)
        answer = {"accepted": taken.accepted, "rejected": taken.rejected}
        return web.Response(status=202, body=_encode(answer), content_type="application/json")

    async def publish(self, records: list[Record], hold: Hold) -> None:
        """Returns when the log has them."""
        if records:
            # The log's client copies what it sends.
            hold.be(2 * sum(len(record.value) for record in records))
            with metrics.publish_seconds.time():
                await self.writer.publish(records)

    def count(self, accepted: int, rejected: list[Rejected], size: int) -> None:
        """What has become of a body of `size` bytes."""
        _accepted.inc(accepted)
        metrics.ingest_bytes.inc(size)
        for item in rejected:
            metrics.ingest_events.labels(item.code).inc()

    async def _take(self, request: web.Request, principal: Principal, encoding: str, hold: Hold) -> Taken:
        """Body and events are gone when this returns: what waits for the log is the records alone."""
        body = await read_body(request, limits.BODY_BYTES, hold.be)
        plain = decompress(body, encoding, limits.BODY_BYTES)
        hold.be(len(body) + len(plain))
        received_at = self.clock()
        kind = request.headers.get("Content-Type", "application/json")
        parsed = parse_batch(plain, kind, received_at, _cloud_event(request))
        records = [record_of(event, principal, received_at) for event in parsed.events]
        accepted = len(records)
        rejected = self.rejections.due(principal.account, parsed.rejected, received_at)
        if dropped := _by_reason(parsed.dropped) | rejected:
            records.append(to_dropped_record(principal.settings, dropped, received_at))
        return Taken(records, accepted, parsed.rejected, len(plain))

    async def healthz(self, _: web.Request) -> web.Response:
        """GET /healthz: the process answers."""
        return web.json_response({"status": "ok"})

    async def readyz(self, _: web.Request) -> web.Response:
        """GET /readyz: it can take an event now; a draining server answers for it."""
        if not self.writer.ready():
            raise Unavailable("not taking events now")
        return web.json_response({"status": "ready"})


def _by_reason(told: dict[str, int]) -> dict[str, int]:
    """An SDK's counts. A reason is a word: other text is counted, and kept nowhere."""
    counts: dict[str, int] = {}
    for reason, count in told.items():
        name = reason if _REASON.fullmatch(reason) else "other"
        if count:
            counts[name] = counts.get(name, 0) + count
    return counts


def _cloud_event(request: web.Request) -> dict[str, str]:
    """The attributes of a CloudEvent in binary mode; empty when the body is all there is."""
    attributes: dict[str, str] = {}
    for header, value in request.headers.items():
        if header[:3].lower() == "ce-":
            name = header[3:].lower()
            if name in attributes:
                raise BadBody("an attribute of a CloudEvent twice")
            attributes[name] = value
    return attributes


def add_collector_routes(app: web.Application, intake: Intake) -> None:
    """Mount the routes; the embedded mode has them beside the query service."""
    app.router.add_post("/v1/events", intake.events)
    add_trace_routes(app, intake)
    app.router.add_get("/healthz", intake.healthz)
    app.router.add_get("/readyz", intake.readyz)


def create_collector_app(writer: LogWriter, keys: KeyBook, *, clock: Clock) -> web.Application:
    """The collector as an app of its own."""
    app = web.Application(middlewares=[problems], client_max_size=limits.BODY_BYTES)
    intake = Intake(writer, keys, clock)
    add_collector_routes(app, intake)

    async def close(_: Any) -> None:
        await writer.close()

    app.on_cleanup.append(close)
    return app
