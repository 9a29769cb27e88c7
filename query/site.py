"""The dashboard's files, read once at start and served from memory, under a strict content security policy."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from pipeline.errors import NotFound
from pipeline.http import unmoved

# In a checkout the dashboard is built beside this package; in a wheel it lies inside it.
PLACES = (Path(__file__).parent / "dashboard", Path(__file__).parent.parent / "dashboard" / "dist")
PAGES = ("/", "/users", "/traces", "/models", "/tools", "/notices", "/sign-in", "/docs/api")
_IDS = ("users", "traces")
_BASE = b'<base href="/"'
_COMPRESSED_FROM = 1_024  # bytes
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors {ancestors}"
)


class File(NamedTuple):
    """A file as it is sent."""

    body: bytes
    packed: bytes | None  # gzip
    kind: str
    tag: str
    lasting: bool  # its name changes with its content


class Site:
    """Routes of the pages and their files."""

    def __init__(
        self, folder: Path | None, prefix: str = "", origins: Callable[[str], Sequence[str]] | None = None
    ) -> None:
        """`prefix`: the path under which a proxy serves us, like /percapita; `origins`: who a signed `frame` lets frame the page."""
        self._origins = origins or (lambda _: ())
        self._files = {} if folder is None else _read(folder, prefix)

    @classmethod
    def find(cls, prefix: str = "", origins: Callable[[str], Sequence[str]] | None = None) -> Site:
        """The dashboard of this installation; one that says so when it was not built."""
        return cls(next((place for place in PLACES if (place / "index.html").exists()), None), prefix, origins)

    def routes(self) -> list[web.RouteDef]:
        """Pages by name, not a catch-all: what is no page is 404."""
        anything = r"{id:(?s:.+)}"
        pages = [web.get(path, self.page) for path in PAGES]
        pages += [web.get(f"/{name}/{anything}", self.page) for name in _IDS]
        names = [name for name in self._files if name != "index.html"]
        return [*pages, web.get("/embed", self.embed), *(web.get(f"/{name}", self.file) for name in names)]

    async def page(self, request: web.Request) -> web.Response:
        """The one page; what it shows is in its path."""
        return self._page(request, "'none'")

    async def embed(self, request: web.Request) -> web.Response:
        """The page for frames: who may frame it stands, signed, in its address, for the browser asks before the page runs."""
        return self._page(request, " ".join(self._origins(request.query.get("frame", ""))) or "'none'")

    async def file(self, request: web.Request) -> web.Response:
        """A script, style, font or picture."""
        held = self._files[request.path.lstrip("/")]
        lasting = "public, max-age=31536000, immutable" if held.lasting else "no-cache"
        return _send(request, held, {"Cache-Control": lasting})

    def _page(self, request: web.Request, ancestors: str) -> web.Response:
        index = self._files.get("index.html")
        if index is None:
            raise NotFound("the dashboard is not built here: `make setup` builds it; the API is under /v1")
        return _send(request, index, {
            "Cache-Control": "no-cache", "Content-Security-Policy": _POLICY.format(ancestors=ancestors),
            "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        })  # fmt: skip


def _read(folder: Path, prefix: str) -> dict[str, File]:
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name, body = path.relative_to(folder).as_posix(), path.read_bytes()
        if name == "index.html":
            body = body.replace(_BASE, f'<base href="{prefix.rstrip("/")}/"'.encode(), 1)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        packed = gzip.compress(body, 9, mtime=0) if len(body) >= _COMPRESSED_FROM and "font" not in kind else None
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        found[name] = File(body, packed, kind, tag, name.startswith("assets/"))
    return found


def _send(request: web.Request, held: File, headers: dict[str, str]) -> web.Response:
    headers = headers | {"ETag": held.tag, "Vary": "Accept-Encoding"}
    if unmoved(request, held.tag):
        return web.Response(status=304, headers=headers)
    body = held.body
    if held.packed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        body, headers["Content-Encoding"] = held.packed, "gzip"
    return web.Response(
        body=body, content_type=held.kind, charset="utf-8" if held.kind.startswith("text/") else None, headers=headers
    )
