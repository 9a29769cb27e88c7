"""GET /v1/me/stream: says when an account's data moved, so that a page asks again only then (server-sent events)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, NamedTuple

from aiohttp import web

from pipeline.errors import PercapitaError
from pipeline.server import HardenedServer
from query import shapes
from query.answers import Answers
from query.question import Question
from query.standing import Standings
from query.windows import ALL_TIME

LOOK_SECONDS = 1.0
PING_SECONDS = 15.0  # proxies cut what is silent for longer
CHECK_SECONDS = 10.0  # a key that is revoked is shown the door


class Watermarks:
    """Looks once a second for each account and scope that somebody watches, whatever the number of watchers."""

    def __init__(self, answers: Answers, standings: Standings, clock: Callable[[], int]) -> None:
        self._answers, self._standings, self._clock = answers, standings, clock
        self._looks: dict[tuple[Any, ...], tuple[float, asyncio.Task[_Look]]] = {}

    async def serve(self, request: web.Request, q: Question, check: Callable[[], Awaitable[Any]]) -> web.StreamResponse:
        """Until the client leaves, its key ends (`check` raises), or the process goes."""
        answer = web.StreamResponse(headers={
            "Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no",
            "X-Content-Type-Options": "nosniff",
        })  # fmt: skip
        mark = await self._look(q)
        await answer.prepare(request)
        await answer.write(_event(mark.told))
        spoke = checked = time.monotonic()
        while not _ending(request):
            await asyncio.sleep(LOOK_SECONDS)
            now = time.monotonic()
            try:
                if now - checked > CHECK_SECONDS:
                    await check()
                    checked = now
                latest = await self._look(q)
            except PercapitaError as error:
                if error.status in (401, 403):
                    break
                continue  # the store is away: silence, not an end
            if (latest.moves, latest.told["provisional"]) != (mark.moves, mark.told["provisional"]):
                mark, spoke = latest, now
                await answer.write(_event(mark.told))
            elif now - spoke > PING_SECONDS:
                spoke = now
                await answer.write(b": ping\n\n")
        return answer

    async def _look(self, q: Question) -> _Look:
        key = (q.account, q.scope)
        at, task = self._looks.get(key, (0.0, None))
        if task is None or time.monotonic() - at > LOOK_SECONDS / 2:
            task = asyncio.ensure_future(asyncio.to_thread(self._read, q))
            self._looks[key] = (time.monotonic(), task)
            for old in [k for k, (seen, _) in self._looks.items() if time.monotonic() - seen > 60]:
                del self._looks[old]
        return await asyncio.shield(task)

    def _read(self, q: Question) -> _Look:
        everything = replace(q.anew(), filters=q.scope, window=ALL_TIME)
        standing = self._standings.ask(q)
        events, moves = self._answers.mark(everything)
        told = {
            "events": events, "as_of": shapes.time(self._clock()),
            "complete_through": shapes.time(standing.complete), "provisional": standing.provisional,
        }  # fmt: skip
        return _Look(told, (events, moves))


class _Look(NamedTuple):
    """What is told, and what says that something moved: a correction moves sums, and not how many events there are."""

    told: dict[str, Any]
    moves: Any


def _event(mark: dict[str, Any]) -> bytes:
    return f"event: watermark\ndata: {json.dumps(mark)}\n\n".encode()


def _ending(request: web.Request) -> bool:
    server = request.protocol._manager
    closed = request.transport is None or request.transport.is_closing()
    return closed or (isinstance(server, HardenedServer) and server.draining)
