"""OpenTelemetry over HTTP -> log: spans become events, and go the way that events go."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from collector.held import Hold
from collector.records import record_of
from pipeline import limits, metrics
from pipeline.encoding import decompress
from pipeline.errors import NotFound, Unauthorized
from pipeline.http import bearer, encoding_of, read_body
from pipeline.keys import Principal, well_formed
from pipeline.record import Record, to_dropped_record
from pipeline.spans import request as spans
from pipeline.wire import Rejected

if TYPE_CHECKING:
    from collector.app import Intake

PATHS = ("/v1", "/api/public/otel/v1")  # the second is where Langfuse's SDKs send
_AT_ONCE_BYTES = 128 * 1024  # a larger body is read beside the loop, so that the others are answered meanwhile


class _Taken(NamedTuple):
    records: list[Record]
    accepted: int
    rejected: list[Rejected]
    spans: int
    size: int  # of the body after decompression
    answer: bytes


class Traces:
    """The routes, beside those of `Intake`, whose log, keys and bounds they share."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._reading = asyncio.Semaphore(1)  # large bodies, one after the other: each may take many times its bytes

    async def traces(self, request: web.Request) -> web.Response:
        """POST /v1/traces."""
        intake = self._intake
        principal = intake.keys.verify(key_of(request), "ingest", intake.clock())
        encoding = encoding_of(request)
        kind = spans.media_type(request.headers.get("Content-Type", ""))
        with intake.held.hold(principal.account) as hold:
            taken = await self._take(request, principal, encoding, kind, hold)
            await intake.publish(taken.records, hold)
        intake.count(taken.accepted, taken.rejected, taken.size)
        metrics.ingest_spans.inc(taken.spans)
        return web.Response(body=taken.answer, content_type=kind)

    async def _take(self, request: web.Request, principal: Principal, encoding: str, kind: str, hold: Hold) -> _Taken:
        """Body, spans and events are gone when this returns: what waits for the log is the records alone."""
        intake = self._intake
        body = await read_body(request, limits.BODY_BYTES, hold.be)
        plain = decompress(body, encoding, limits.BODY_BYTES)
        hold.be(len(body) + len(plain))
        now = intake.clock()
        tags = principal.settings.resource_tags
        if len(plain) <= _AT_ONCE_BYTES:
            parsed = spans.parse_spans(plain, kind, now, tags)
        else:
            async with self._reading:
                parsed = await asyncio.to_thread(spans.parse_spans, plain, kind, now, tags)
        records = [record_of(event, principal, now) for event in parsed.events]
        if rejected := intake.rejections.due(principal.account, parsed.rejected, now):
            records.append(to_dropped_record(principal.settings, rejected, now))
        answer = spans.answer(parsed, kind)
        return _Taken(records, len(parsed.events), parsed.rejected, parsed.spans, len(plain), answer)


async def no_such_signal(_: web.Request) -> web.Response:
    """POST /v1/metrics, /v1/logs: exporters send them to the same base URL. Answered before a byte of the body is read."""
    raise NotFound("of OpenTelemetry's signals only traces are taken")


def key_of(request: web.Request) -> str:
    """The key of a request: a bearer's, or user or password of Basic authentication. Raises Unauthorized."""
    given = request.headers.get("Authorization", "")
    if given[:6].lower() != "basic ":
        return bearer(request)
    if len(request.headers.getall("Authorization")) != 1:
        raise Unauthorized("send one Authorization header")
    try:
        user, _, password = base64.b64decode(given[6:].strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise Unauthorized("this is no Basic authentication") from None
    return password if well_formed(password) else user


def add_trace_routes(app: web.Application, intake: Intake) -> None:
    """Mount the routes."""
    routes = Traces(intake)
    for path in PATHS:
        app.router.add_post(f"{path}/traces", routes.traces)
        app.router.add_post(f"{path}/metrics", no_such_signal)
        app.router.add_post(f"{path}/logs", no_such_signal)
