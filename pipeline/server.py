"""The server under every HTTP surface: aiohttp's, with bounds on what it leaves open, repeating nothing that it was sent."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError, HttpVersion10, HttpVersion11
from aiohttp.web_protocol import RequestHandler

from pipeline import limits
from pipeline.errors import BadBody, Unavailable
from pipeline.problems import TITLES, problem

_say = structlog.get_logger()


def _canned(status: int, *headers: str) -> bytes:
    """An answer for who has not asked a whole question."""
    lines = [f"HTTP/1.1 {status} {TITLES[status]}", "Connection: close", "Content-Length: 0", *headers]
    return "\r\n".join([*lines, "X-Content-Type-Options: nosniff", "", ""]).encode()


_LATE, _GARBAGE, _FULL = _canned(408), _canned(400), _canned(503, "Retry-After: 2")


class QuietConnection(RequestHandler):
    """One connection. aiohttp's answer to malformed HTTP repeats the line it could not read, keys included, in answer and log: not so here.

    It also bounds what aiohttp leaves open: the time and size of a head, what is sent ahead of an answer, and what
    stands around the chunks of a body.
    """

    __slots__ = ("_around", "_head", "_head_timer", "heard")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        server = self._manager
        assert isinstance(server, HardenedServer)
        self._head = self._around = 0
        self.heard = self._loop.time()
        self._head_timer: asyncio.TimerHandle | None = self._loop.call_later(limits.HEAD_SECONDS, self._head_is_late)
        if hasattr(transport, "max_size"):  # asyncio's own transport; uvloop reads as it likes
            transport.max_size = limits.READ_BYTES
        room = server.make_room()
        super().connection_made(transport)
        if not room:
            self._leave(_FULL)

    def waiting(self) -> bool:
        """Whether nothing is being answered: the connection is new, idle, or its next head has not ended."""
        return self._waiter is not None and not self._waiter.done()

    def data_received(self, data: bytes) -> None:
        waiting, seen = self.waiting(), self._request_count
        self.heard = self._loop.time()
        super().data_received(data)
        if self._request_count != seen:
            self._head_ended()
        elif waiting:
            self._head_goes_on(len(data))
        elif data and self._current_request is not None:
            self._goes_on_behind(self._current_request, len(data))

    def _head_ended(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        self._hold_head(-self._head)
        self._around = 0

    def _head_goes_on(self, size: int) -> None:
        if self._head_timer is None and size:
            self._head_timer = self._loop.call_later(limits.HEAD_SECONDS, self._head_is_late)
        self._hold_head(size)
        if self._head > limits.HEAD_BYTES:
            self._leave(_GARBAGE)
        elif size and isinstance(self._manager, HardenedServer) and self._manager.heads > limits.HEADS_BYTES:
            self._leave(_FULL)

    def _hold_head(self, size: int) -> None:
        self._head += size
        if isinstance(self._manager, HardenedServer):
            self._manager.heads += size

    def _goes_on_behind(self, request: Any, size: int) -> None:
        content = request.content
        if content.is_eof():
            # The next requests, sent ahead: not read before this one is answered.
            if not self._buffer_paused:
                self._pause_reading_for_buffer()
                self._loop.call_later(0.02, self._resume_when_answered)
            return
        self._around += size
        if self._around - content.total_bytes > limits.HEAD_BYTES + 8 * content.total_bytes:
            content.set_exception(BadBody("chunks with too much around them"))

    def _resume_when_answered(self) -> None:
        if self.transport is None or not self._buffer_paused:
            return
        if self.waiting():
            self._resume_reading_if_drained()
        else:
            self._loop.call_later(0.02, self._resume_when_answered)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._head_ended()
        super().connection_lost(exc)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.waiting():
            self._leave(_LATE)

    def make_way(self) -> None:
        """Close this idle connection; one that was answered before knows that idle ones are closed."""
        self._leave(b"" if self._request_count else _FULL)

    def _leave(self, answer: bytes) -> None:
        if self.transport is not None:
            self.transport.write(answer)
        self.force_close()

    def cut(self) -> None:
        """Give up on a body that is still coming in."""
        request = self._current_request
        if request is not None and not request.content.is_eof():
            request.content.set_exception(Unavailable("shutting down"))

    def hurry(self) -> None:
        """Do not wait for the rest of a body that was answered as too slow."""
        self._lingering_time = 0.0

    def handle_error(
        self, request: Any, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        malformed = isinstance(exc, HttpProcessingError) or status == 400
        answer = problem(
            400 if malformed else 500, "bad_request" if malformed else "internal", "this is not HTTP as we read it"
        )
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.force_close()
        return answer

    def log_exception(self, *_: Any, **__: Any) -> None:
        _say.warning("bad_request")


class HardenedServer(web.Server):
    """aiohttp's server with our connections, a bound on their number, and a way to send everybody elsewhere."""

    draining = False
    asked = 0.0  # when somebody last wanted something of a draining server, in the loop's time
    heads = 0  # bytes of heads that have not ended
    most = limits.CONNECTIONS

    def __call__(self) -> RequestHandler:
        return QuietConnection(self, loop=self._loop, **self._kwargs)

    def make_room(self) -> bool:
        """For one more connection: the one that has been idle longest goes. False when all are at work."""
        if len(self._connections) < self.most:
            return True
        idle = [one for one in self._connections if isinstance(one, QuietConnection) and one.waiting()]
        if not idle:
            return False
        min(idle, key=lambda one: one.heard).make_way()
        return True

    def busy(self) -> bool:
        """Whether any request is being answered."""
        return any(isinstance(one, QuietConnection) and not one.waiting() for one in self._connections)

    def _quiet(self, now: float) -> bool:
        """Whether nobody has wanted anything for a while; who was just answered or has just come may be about to."""
        if self.busy():
            self.asked = now
        heard = max((one.heard for one in self._connections if isinstance(one, QuietConnection)), default=0.0)
        return now - self.asked >= limits.DRAIN_QUIET_SECONDS and now - heard >= limits.DRAIN_QUIET_SECONDS / 4

    async def drain(self, seconds: float) -> None:
        """Answer what is in flight and tell everybody else 503, until nobody asks any more or time is up."""
        self.draining, self.asked = True, self._loop.time()
        end = self.asked + seconds
        if not self._connections:
            return
        while (now := self._loop.time()) < end and not self._quiet(now):  # noqa: ASYNC110  # no event tells of quiet
            await asyncio.sleep(0.02)

    async def cut(self) -> None:
        """Answer 503 to what is still coming in."""
        for one in self.connections:
            if isinstance(one, QuietConnection):
                one.cut()
        await asyncio.sleep(0)


class HardenedRunner(web.AppRunner):
    """Runs an app on `HardenedServer`: no access log, short lingering, heads and bodies bounded in time."""

    def __init__(self, app: web.Application) -> None:
        super().__init__(
            app, access_log=None, handle_signals=False, lingering_time=1.0, keepalive_timeout=75.0,
            max_line_size=16_384, max_headers=128, max_field_size=16_384, auto_decompress=False,
            read_bufsize=limits.READ_BYTES, shutdown_timeout=limits.SHUTDOWN_SECONDS - limits.DRAIN_SECONDS - limits.LAST_SECONDS,
        )  # fmt: skip

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = HardenedServer
        assert isinstance(server, HardenedServer)
        server.request_handler = _outside_middlewares(server.request_handler)
        server.most = connections_allowed()
        return server

    async def drain(self) -> None:
        """Before `cleanup`: nobody is cut off without an answer, not even who never stops asking."""
        server = self.server
        if isinstance(server, HardenedServer):
            await server.drain(limits.DRAIN_SECONDS)
            await self._stop_listening(server)
            await server.drain(limits.LAST_SECONDS)
            await server.cut()

    async def _stop_listening(self, server: HardenedServer) -> None:
        """No new connections. Those that the kernel has made and nobody has taken yet would be reset with the socket: they are taken first."""
        loop = asyncio.get_running_loop()
        for site in list(self.sites):
            listening = getattr(site._server, "sockets", ())
            held = [socket.socket(fileno=os.dup(one.fileno())) for one in listening]
            await site.stop()
            for listener in held:
                listener.setblocking(False)
                with listener:
                    waiting = list(_waiting(listener))
                for connection in waiting:
                    await loop.connect_accepted_socket(server, connection)


def _waiting(listener: socket.socket) -> Iterator[socket.socket]:
    while True:
        try:
            connection, _ = listener.accept()
        except ConnectionAbortedError:
            continue  # it went away by itself
        except OSError:
            return  # none waits, or there are no descriptors left
        connection.setblocking(False)
        yield connection


def connections_allowed() -> int:
    """CONNECTIONS, or what the limit of descriptors leaves of it; the soft limit is raised for them where that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.CONNECTIONS + _OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return limits.CONNECTIONS
    return max(16, min(limits.CONNECTIONS, soft - min(_OTHER_DESCRIPTORS, soft // 2)))


_OTHER_DESCRIPTORS = 1_000  # files of the store, the log's sockets

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def _outside_middlewares(handler: _Handler) -> _Handler:
    """What comes before any middleware: other versions of HTTP, and what aiohttp answers by repeating it, like `Expect`."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request._version not in (HttpVersion10, HttpVersion11):
            request._version = HttpVersion11
            answer = problem(400, "bad_request", "HTTP/1.1 is spoken here")
        else:
            try:
                return await handler(request)
            except web.HTTPException as error:
                answer = problem(error.status, "http_error", TITLES.get(error.status, "Error"))
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.force_close()
        return answer

    return handle


class _NoSecrets(logging.Filter):
    """aiohttp's own loggers speak of what was sent: nothing of them is kept but the level."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args, record.exc_info = "http event", (), None
        return True


def quiet_loggers() -> None:
    """Call once in a process that serves HTTP."""
    for name in ("aiohttp.server", "aiohttp.web", "aiohttp.access", "aiohttp.internal", "asyncio"):
        logging.getLogger(name).addFilter(_NoSecrets())
