"""What every HTTP surface shares: problems as RFC 9457, keys from the header alone, a server that repeats nothing it was sent."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from pipeline import limits
from pipeline.errors import BadQuestion, PercapitaError, Unauthorized, Unavailable

_say = structlog.get_logger()
_KEY = re.compile(r"pc_(?:live|test)_")

TITLES = {
    400: "Bad request", 401: "Unauthorized", 403: "Forbidden", 404: "Not found", 405: "Method not allowed", 408: "Too slow",
    409: "Conflict", 410: "Gone", 413: "Too large", 415: "Unsupported media type", 429: "Too many requests",
    500: "Internal error", 503: "Unavailable",
}  # fmt: skip


def problem(
    status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, errors: list[Any] | None = None
) -> web.Response:
    """A problem+json answer."""
    body: dict[str, Any] = {
        "type": "about:blank", "title": TITLES.get(status, "Error"), "status": status, "code": code, "detail": detail,
        "request_id": str(uuid4()),
    }  # fmt: skip
    if errors:
        body["errors"] = errors
    return web.Response(
        status=status, body=json.dumps(body).encode(), content_type="application/problem+json", headers=headers or {}
    )


def problem_of(error: PercapitaError) -> web.Response:
    """The answer that an exception suggests."""
    headers = {}
    errors = None
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(error.retry_after)
    elif error.status == 503:
        headers["Retry-After"] = "2"
    elif isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="percapita"'
    if isinstance(error, BadQuestion) and error.parameter:
        errors = [{"parameter": error.parameter, "detail": error.detail}]
    return problem(error.status, error.code, error.detail, headers=headers, errors=errors)


@web.middleware
async def problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Every trouble as a problem, nosniff on every answer, and a key in the URL refused even beside a good header."""
    answer: web.StreamResponse
    try:
        if _KEY.search(request.raw_path):
            raise Unauthorized("a key in a URL ends up in logs: revoke it, and send it in Authorization")
        answer = await handler(request)
    except PercapitaError as error:
        answer = problem_of(error)
    except web.HTTPMethodNotAllowed as error:
        allow = ", ".join(sorted(error.allowed_methods))
        answer = problem(405, "method_not_allowed", f"allowed: {allow}", headers={"Allow": allow})
    except web.HTTPNotFound:
        answer = problem(404, "not_found", "no such path")
    except web.HTTPRequestEntityTooLarge:
        answer = problem(413, "too_large", f"at most {limits.BODY_BYTES} bytes")
    except web.HTTPException as error:
        answer = problem(error.status, "http_error", TITLES.get(error.status, "Error"))
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception as error:  # noqa: BLE001  # the last wall: answered as 500, said without its text
        # Of the error only its type: its text may hold what was sent.
        _say.error("unexpected", error=type(error).__name__, method=request.method)
        answer = problem(500, "internal", "something went wrong here")
    if not answer.prepared:
        answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def bearer(request: web.Request) -> str:
    """The key of a request. Raises Unauthorized."""
    values = request.headers.getall("Authorization", [])
    if len(values) != 1:
        raise Unauthorized("send one Authorization: Bearer header")
    scheme, _, token = values[0].partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("send one Authorization: Bearer header")
    return token.strip()


class _QuietHandler(RequestHandler):
    """aiohttp's answer to malformed HTTP repeats the line it could not read, keys included, in answer and log: this one does not.

    It also bounds the time of a head, which aiohttp does not.
    """

    __slots__ = ("_head_timer",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._head_timer: asyncio.TimerHandle | None = self._loop.call_later(limits.HEAD_SECONDS, self._head_is_late)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages or self._current_request is not None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None
        elif self._head_timer is None:
            self._head_timer = self._loop.call_later(limits.HEAD_SECONDS, self._head_is_late)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport is not None and self._current_request is None and not self._messages:
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            self.transport.close()

    def handle_error(
        self, request: Any, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        malformed = isinstance(exc, HttpProcessingError) or status == 400
        answer = problem(
            400 if malformed else 500, "bad_request" if malformed else "internal", "this is not HTTP as we read it"
        )
        answer.force_close()
        return answer

    def log_exception(self, *_: Any, **__: Any) -> None:
        _say.warning("bad_request")


class HardenedServer(web.Server):
    """aiohttp's server with our error handler."""

    def __call__(self) -> RequestHandler:
        return _QuietHandler(self, loop=self._loop, **self._kwargs)


class HardenedRunner(web.AppRunner):
    """Runs an app on `HardenedServer`: no access log, short lingering, heads and bodies bounded in time."""

    def __init__(self, app: web.Application) -> None:
        super().__init__(
            app, access_log=None, handle_signals=False, lingering_time=1.0, keepalive_timeout=75.0,
            max_line_size=16_384, max_headers=128, max_field_size=16_384, auto_decompress=False, shutdown_timeout=limits.SHUTDOWN_SECONDS,
        )  # fmt: skip

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = HardenedServer
        return server


class _NoSecrets(logging.Filter):
    """aiohttp's own loggers speak of what was sent: nothing of them is kept but the level."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args, record.exc_info = "http event", (), None
        return True


def quiet_loggers() -> None:
    """Call once in a process that serves HTTP."""
    for name in ("aiohttp.server", "aiohttp.web", "aiohttp.access", "asyncio"):
        logging.getLogger(name).addFilter(_NoSecrets())


async def read_body(request: web.Request, cap: int) -> bytes:
    """The body as it came, at most `cap` bytes, at a minimum rate. Raises TooLarge, Slow (408)."""
    from pipeline.errors import TooLarge

    length = request.content_length
    if length is not None and length > cap:
        raise TooLarge(f"at most {cap} bytes")
    content = request.content
    if content.is_eof():  # a small body came with its head: no clock, no task
        body = content.read_nowait(-1)
        if len(body) > cap:
            raise TooLarge(f"at most {cap} bytes")
        return body
    loop = asyncio.get_running_loop()
    started = loop.time()
    taken = bytearray()
    while True:
        allowed = limits.BODY_SECONDS + len(taken) / limits.BODY_RATE_BYTES - (loop.time() - started)
        try:
            chunk = await asyncio.wait_for(content.readany(), max(0.01, allowed))
        except TimeoutError:
            raise Slow("the body came too slowly") from None
        if not chunk:
            if content.at_eof():
                return bytes(taken)
            continue
        taken += chunk
        if len(taken) > cap:
            raise TooLarge(f"at most {cap} bytes")


class Slow(PercapitaError):
    """A body below the minimum rate."""

    status = 408
    code = "too_slow"
