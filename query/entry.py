"""A request -> who asks: by a key, by a framed page's credential, or by the dashboard's cookie; counted, whoever it is."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from pipeline.errors import TooMany
from pipeline.http import bearer
from query.embed import PREFIX, Embeds
from query.rate import Rate
from query.sessions import Sessions

HEADERS = web.RequestKey("headers", dict[str, str])  # of the answer, known once we know who asks
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]{1,253})(:[0-9]{1,5})?")
Authenticate = Callable[[str], Awaitable[Any]]


class Entry:
    """Where every question comes in."""

    def __init__(
        self, authenticate: Authenticate, sessions: Sessions | None, embeds: Embeds | None, rate: Rate
    ) -> None:
        self._authenticate, self._sessions, self._embeds, self._rate = authenticate, sessions, embeds, rate

    async def admit(self, request: web.Request) -> Any:
        """Who asks; counted, and the answer's headers of that are left with the request. Raises Unauthorized, TooMany."""
        asker = await self.known(request)
        key = getattr(asker, "key_id", asker.account)
        try:
            request[HEADERS] = self._rate.ask(key)
        except TooMany:
            request[HEADERS] = self._rate.told(key)
            raise
        return asker

    async def known(self, request: web.Request) -> Any:
        """The same, not counted: for who asked before and still listens."""
        credential = credential_of(request)
        if credential and self._embeds is not None:
            return await self._embeds.who(credential)
        if self._sessions is None or "Authorization" in request.headers:
            return await self._authenticate(bearer(request))
        return await self._sessions.who(request)


def origin_of(request: web.Request) -> str | None:
    """Where the client reaches us, as it says, before any path."""
    if not _HOST.fullmatch(request.host):
        return None
    forwarded = request.headers.get("X-Forwarded-Proto", "").split(",")[0].strip()
    return f"{'https' if forwarded == 'https' else request.scheme}://{request.host}"


async def tell_rate(request: web.Request, answer: web.StreamResponse) -> None:
    """Before any answer is sent, whatever it is: how much is left to ask, if it was counted. A signal `on_response_prepare`."""
    answer.headers.update(request.get(HEADERS, {}))


def credential_of(request: web.Request) -> str:
    """What a framed page shows in place of a key; "" for anything else."""
    token = bearer(request) if "Authorization" in request.headers else ""
    return token if token.startswith(PREFIX) else ""
