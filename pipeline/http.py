"""What every HTTP surface shares: problems for answers, keys from the header alone, bodies in time and under a cap."""

from __future__ import annotations

import asyncio
import re
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from pipeline import limits
from pipeline.errors import (
    BadBody,
    PercapitaError,
    Slow,
    StoreError,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnsupportedMedia,
)
from pipeline.keys import well_formed
from pipeline.problems import TITLES, problem, problem_of
from pipeline.server import HardenedServer, QuietConnection

_say = structlog.get_logger()
_KEY = re.compile(r"(?=(pc_(?:live|test)_[A-Za-z0-9]{32}_[A-Za-z0-9]{6}))")
_CREDENTIAL = re.compile(r"(?=pe_([A-Za-z0-9_-]{80}))")  # of a framed page: a mark of 32 bytes, then JSON


@web.middleware
async def problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Every trouble as a problem, nosniff on every answer, and a key in the URL refused even beside a good header."""
    answer: web.StreamResponse
    server = request.protocol._manager
    try:
        if _has_key(request.raw_path):
            raise Unauthorized("a key in a URL ends up in logs: revoke it, and send it in Authorization")
        if isinstance(server, HardenedServer) and server.draining and request.path != "/healthz":
            server.asked = asyncio.get_running_loop().time() if request.path != "/readyz" else server.asked
            raise Unavailable("shutting down")
        answer = await handler(request)
    except PercapitaError as error:
        if isinstance(error, StoreError):
            _say.warning("store_unavailable", store_code=error.store_code, detail=error.detail)
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
        if _is_last(request, answer):
            answer.force_close()
    return answer


def _has_key(path: str) -> bool:
    """Whether a path holds a key or a credential, percent-encoded or not.

    A key's checksum tells it from a name that begins like one, and a credential the JSON behind its mark.
    """
    if "pc_" not in path and "pe_" not in path and "%" not in path:
        return False
    return any(
        any(well_formed(found) for found in _KEY.findall(text))
        or any(urlsafe_b64decode(found)[32:34] == b'{"' for found in _CREDENTIAL.findall(text))
        for text in (path, unquote(unquote(path)))
    )


def _is_last(request: web.Request, answer: web.StreamResponse) -> bool:
    """Whether the connection ends with this answer.

    The server goes, or the rest of a refused body would have to be read, or aiohttp dropped what came behind an upgrade.
    """
    server = request.protocol._manager
    if answer.status == Slow.status and isinstance(request.protocol, QuietConnection):
        request.protocol.hurry()
    if answer.status >= 400 and not request.content.is_eof():
        return True
    return "Upgrade" in request.headers or (isinstance(server, HardenedServer) and server.draining)


def unmoved(request: web.Request, tag: str) -> bool:
    """Whether the client has what `tag`, quotes and all, names: in a list, weakened by a proxy, or any (RFC 9110, 13.1.2)."""
    held = request.if_none_match or ()
    return request.headers.get("If-None-Match", "").strip() == "*" or any(f'"{one.value}"' == tag for one in held)


def bearer(request: web.Request) -> str:
    """The key of a request. Raises Unauthorized."""
    values = request.headers.getall("Authorization", [])
    if len(values) != 1:
        raise Unauthorized("send one Authorization: Bearer header")
    scheme, _, token = values[0].partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("send one Authorization: Bearer header")
    return token.strip()


def encoding_of(request: web.Request) -> str:
    """The one Content-Encoding; "" without. Raises UnsupportedMedia."""
    encodings = request.headers.getall("Content-Encoding", [])
    if len(encodings) > 1 or "," in "".join(encodings):
        raise UnsupportedMedia("one Content-Encoding")
    return encodings[0] if encodings else ""


async def read_body(request: web.Request, cap: int, grown: Callable[[int], None] = lambda _: None) -> bytes:
    """The body as it came, at most `cap` bytes, at a minimum rate; `grown` is told how much is held.

    Raises TooLarge, Slow (408), BadBody for chunks that are none, and what `grown` raises.
    """
    length = request.content_length
    if length is not None and length > cap:
        raise TooLarge(f"at most {cap} bytes")
    content = request.content
    if content.is_eof():  # a small body came with its head: no clock, no task
        body = content.read_nowait(-1)
        if len(body) > cap:
            raise TooLarge(f"at most {cap} bytes")
        grown(len(body))
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
        except RequestPayloadError:
            raise BadBody("this is not HTTP as we read it") from None
        if not chunk:
            if content.at_eof():
                return bytes(taken)
            continue
        taken += chunk
        if len(taken) > cap:
            raise TooLarge(f"at most {cap} bytes")
        grown(len(taken))
