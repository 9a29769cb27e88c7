"""The dashboard's sign-in: a read key, posted once, becomes a cookie that a script cannot read.

The cookie is signed and holds the key's hash: every process of a cluster reads it, and it ends with its key. Signing out is noted
in the store. A request that changes something must carry a header that no foreign form can send.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import secrets
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from aiohttp import web

from pipeline import limits
from pipeline.errors import BadBody, Forbidden, Insecure, StoreError, Unauthorized
from pipeline.keys import hash_of
from pipeline.store import Store
from query.bodies import json_body

COOKIE = "__Host-percapita"
HEADER = "X-Percapita"
_REFRESH_SECONDS = 2.0


class Session(NamedTuple):
    """What a cookie says."""

    id: str
    key_hash: str
    ends_at: int  # unix us


class Ended:
    """Sessions that were signed out of: asked of the store every two seconds, kept while it is away."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._read = float("-inf")
        self._ids: frozenset[str] = frozenset()

    def holds(self, session: str) -> bool:
        """Whether it was ended, by this process or, two seconds ago, by another."""
        with self._lock:
            if time.monotonic() - self._read > _REFRESH_SECONDS:
                self._read = time.monotonic()
                try:
                    rows = self._store.select("SELECT id FROM ended_sessions WHERE ends_at > now64(6)").rows
                    self._ids = frozenset(row[0] for row in rows)
                except StoreError:
                    pass
            return session in self._ids

    def add(self, session: Session) -> None:
        """End it for good. Raises StoreError."""
        self._store.insert("ended_sessions", ("id", "ends_at"), [[session.id], [session.ends_at]], token=session.id)
        with self._lock:
            self._ids |= {session.id}


class Links:
    """One-time links that sign in the person at this machine."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, float]] = {}

    def make(self, key_hash: str) -> str:
        """A secret that is good once, for LINK_SECONDS, in this process."""
        link = secrets.token_urlsafe(24)
        self._held[hash_of(link)] = (key_hash, time.monotonic() + limits.LINK_SECONDS)
        return link

    def take(self, link: str) -> str:
        """The hash of the key that it stands for. Raises Unauthorized."""
        key_hash, until = self._held.pop(hash_of(link), ("", 0.0))
        if not key_hash or until < time.monotonic():
            raise Unauthorized("this link was used, or is of another run: `percapita sign-in` makes a new one")
        return key_hash


class Sessions:
    """Opens, reads and ends sessions."""

    def __init__(
        self,
        secret: bytes,
        ended: Ended,
        verify: Callable[[str], Awaitable[Any]],
        clock: Callable[[], int],
        links: Links | None = None,
    ) -> None:
        """`verify`: the hash of a key -> who it is, or what `KeyBook.verify_hash` raises."""
        self._secret = hashlib.sha256(b"session\0" + secret).digest()
        self._ended, self._verify, self._clock, self._links = ended, verify, clock, links

    async def who(self, request: web.Request) -> Any:
        """Who asks, by the cookie. Raises Unauthorized, Forbidden."""
        session = await self._session(request)
        if request.method not in ("GET", "HEAD"):
            same_site(request)
        return await self._verify(session.key_hash)

    async def open(self, request: web.Request) -> web.Response:
        """POST {"key"} or {"link"}: 204 and the cookie."""
        same_site(request)
        _can_keep(request)
        given = await json_body(request)
        key, link = given.get("key"), given.get("link")
        if isinstance(link, str) and self._links is not None:
            digest = self._links.take(link)
        elif isinstance(key, str):
            digest = hash_of(key)
        else:
            raise BadBody('the body is {"key": "pc_live_..."}')
        await self._verify(digest)
        session = Session(secrets.token_hex(16), digest, self._clock() + limits.SIGN_IN_SECONDS * 1_000_000)
        answer = web.Response(status=204, headers={"Cache-Control": "no-store"})
        _set(answer, self._signed(session), limits.SIGN_IN_SECONDS)
        return answer

    async def close(self, request: web.Request) -> web.Response:
        """DELETE: 204; the session is over everywhere within two seconds."""
        same_site(request)
        session = await self._session(request)
        await asyncio.to_thread(self._ended.add, session)
        answer = web.Response(status=204, headers={"Cache-Control": "no-store"})
        _set(answer, "", 0)
        return answer

    async def _session(self, request: web.Request) -> Session:
        cookie = request.cookies.get(COOKIE, "")
        session = self._read(cookie) if cookie else None
        if (
            session is None
            or session.ends_at <= self._clock()
            or await asyncio.to_thread(self._ended.holds, session.id)
        ):
            raise Unauthorized("sign in, or send one Authorization: Bearer header")
        return session

    def _signed(self, session: Session) -> str:
        body = json.dumps(session, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mark(body) + body).decode().rstrip("=")

    def _read(self, cookie: str) -> Session | None:
        try:
            held = base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
        except ValueError:
            return None
        if not hmac.compare_digest(self._mark(held[32:]), held[:32]):
            return None
        return Session(*json.loads(held[32:]))

    def _mark(self, body: bytes) -> bytes:
        return hmac.new(self._secret, body, hashlib.sha256).digest()


def same_site(request: web.Request) -> None:
    """Raises Forbidden for a request that a page of another site could have made."""
    if HEADER not in request.headers or request.headers.get("Sec-Fetch-Site", "same-origin") not in (
        "same-origin",
        "none",
    ):
        raise Forbidden(f"a request that changes something carries the header {HEADER}")


def _can_keep(request: web.Request) -> None:
    """A browser keeps such a cookie on https and on this machine alone: said here, or sign-in would seem to do nothing."""
    if request.secure or request.headers.get("X-Forwarded-Proto", "").split(",")[0].strip() == "https":
        return
    host = (request.url.host or "").strip("[]")
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost" or host.endswith(".localhost")
    if not local:
        raise Insecure("signing in needs https, or this machine's own address: the session would travel in the clear")


def _set(answer: web.Response, value: str, seconds: int) -> None:
    answer.set_cookie(COOKIE, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="Strict")
