"""ClickHouse -> answers over HTTP: parameters to a question, a question to an answer, an answer to JSON."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from aiohttp import web

from pipeline import limits
from pipeline.errors import BadQuestion, Gone
from pipeline.http import bearer, problems
from pipeline.store import Store
from query import shapes
from query.answers import Answers
from query.events import Events
from query.question import MEASURES, Question, parse_question

BASE = "/v1/me/ai-apps"
_LIST = {"limit": (), "cursor": (), "sort": MEASURES}
_COUNTED = ("spend", "events", "calls", "traces", "tokens", "errors", "unpriced_events", "estimated_events")


class Asker(Protocol):
    """Who asks, from the key alone."""

    @property
    def account(self) -> str: ...
    @property
    def restriction(self) -> Sequence[tuple[str, str]]: ...


Authenticate = Callable[[str], Awaitable[Any]]


class Pages:
    """Ordered answers kept for later pages, and the signed cursors that name them."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._kept: OrderedDict[str, tuple[float, dict[str, Any]]] = OrderedDict()

    def keep(self, fingerprint: str, answer: dict[str, Any]) -> str:
        """A name for an answer, good for CURSOR_SECONDS."""
        name = hashlib.sha256(f"{fingerprint}{time.monotonic_ns()}".encode()).hexdigest()[:24]
        self._kept[name] = (time.monotonic() + limits.CURSOR_SECONDS, answer)
        while len(self._kept) > 200 or (self._kept and next(iter(self._kept.values()))[0] < time.monotonic()):
            self._kept.popitem(last=False)
        return name

    def kept(self, name: str) -> dict[str, Any]:
        """Raises Gone."""
        held = self._kept.get(name)
        if held is None or held[0] < time.monotonic():
            raise Gone("this cursor's answer is no longer kept: ask for the first page again")
        return held[1]

    def sign(self, parts: Sequence[Any]) -> str:
        """An opaque cursor."""
        body = json.dumps(parts, separators=(",", ":")).encode()
        mark = hmac.new(self._secret, body, hashlib.sha256).digest()[:16]
        return base64.urlsafe_b64encode(mark + body).decode().rstrip("=")

    def read(self, cursor: str, fingerprint: str) -> list[Any]:
        """Raises BadQuestion for a cursor that is not ours, or of another question."""
        try:
            held = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            parts: list[Any] = json.loads(held[16:])
        except (ValueError, UnicodeDecodeError):
            raise BadQuestion("not a cursor of ours", "cursor") from None
        if not hmac.compare_digest(hmac.new(self._secret, held[16:], hashlib.sha256).digest()[:16], held[:16]):
            raise BadQuestion("not a cursor of ours", "cursor")
        if parts[0] != fingerprint:
            raise BadQuestion("a cursor of another question", "cursor")
        return parts


class QueryService:
    """The routes."""

    def __init__(
        self,
        store: Store,
        authenticate: Authenticate,
        *,
        clock: Callable[[], int],
        cursor_secret: bytes,
        price_book: str,
    ) -> None:
        self._store = store
        self._authenticate = authenticate
        self._clock = clock
        self._answers = Answers(store)
        self._events = Events(store)
        self._pages = Pages(cursor_secret)
        self._price_book = price_book

    def routes(self) -> list[web.RouteDef]:
        """Every path; ids are matched with slashes, braces and newlines in them."""
        anything = r"{id:(?s:.+)}"
        return [
            web.get(f"{BASE}/overview", self.overview),
            web.get(f"{BASE}/users", self.users),
            web.get(f"{BASE}/users/{anything}", self.user),
            web.get(f"{BASE}/traces", self.traces),
            web.get(f"{BASE}/traces/{anything}", self.trace),
            web.get(f"{BASE}/events", self.events),
            web.get(f"{BASE}/events/{anything}", self.event),
            web.get(f"{BASE}/models", self.models),
            web.get(f"{BASE}/tools", self.tools),
            web.get(f"{BASE}/tags", self.tags),
            web.get(f"{BASE}/tags/{anything}", self.tag),
        ]

    async def _ask(self, request: web.Request, takes: Mapping[str, Sequence[str]]) -> tuple[Question, str]:
        asker: Asker = await self._authenticate(bearer(request))
        pairs = list(request.query.items())
        q = parse_question(asker.account, pairs, self._clock(), restriction=asker.restriction, takes=takes)
        given = sorted((k, v) for k, v in pairs if k != "cursor")
        fingerprint = hashlib.sha256(
            json.dumps([asker.account, list(asker.restriction), request.path, given]).encode()
        ).hexdigest()[:32]
        return q, fingerprint

    # --- answers that are one object

    async def overview(self, request: web.Request) -> web.Response:
        """GET overview."""
        q, fingerprint = await self._ask(
            request, {"group_by": (), "compare": (), "sort": (*MEASURES, "users", "key"), "limit": (), "cursor": ()}
        )
        if q.group_by:
            return await self._list(request, q, fingerprint, self._answers.overview)
        answer = await asyncio.to_thread(self._answers.overview, q)
        if q.compare:
            before = await asyncio.to_thread(self._answers.overview, q.before())
            answer["data"]["previous"] = before["data"]
        return await self._send(request, q, answer)

    async def user(self, request: web.Request) -> web.Response:
        """GET users/{id}."""
        q, _ = await self._ask(request, {})
        answer = await asyncio.to_thread(self._answers.user, q, request.match_info["id"])
        return await self._send(request, q, answer)

    async def trace(self, request: web.Request) -> web.Response:
        """GET traces/{id}."""
        q, _ = await self._ask(request, {})
        data = await asyncio.to_thread(self._events.trace, q, request.match_info["id"])
        return await self._send(request, q, {"data": data, "plan": "raw"})

    async def event(self, request: web.Request) -> web.Response:
        """GET events/{id}."""
        q, _ = await self._ask(request, {"trace_id": ()})
        data = await asyncio.to_thread(self._events.event, q, request.match_info["id"])
        return await self._send(request, q, {"data": data, "plan": "raw"})

    # --- lists of measured rows

    async def users(self, request: web.Request) -> web.Response:
        """GET users."""
        takes = {**_LIST, "q": (), "above": (), "compare": (), "sort": (*MEASURES, "user_id", "top_model", "share")}
        q, fingerprint = await self._ask(request, takes)
        return await self._list(request, q, fingerprint, self._answers.users)

    async def models(self, request: web.Request) -> web.Response:
        """GET models."""
        q, fingerprint = await self._ask(request, {**_LIST, "sort": (*MEASURES, "model", "provider", "share")})
        return await self._list(request, q, fingerprint, self._answers.models)

    async def tools(self, request: web.Request) -> web.Response:
        """GET tools."""
        q, fingerprint = await self._ask(
            request, {**_LIST, "sort": (*MEASURES, "tool_name", "users", "success_rate", "share")}
        )
        return await self._list(request, q, fingerprint, self._answers.tools)

    async def tags(self, request: web.Request) -> web.Response:
        """GET tags."""
        q, fingerprint = await self._ask(request, {**_LIST, "sort": (*MEASURES, "key", "values")})
        return await self._list(request, q, fingerprint, self._answers.tags)

    async def tag(self, request: web.Request) -> web.Response:
        """GET tags/{key}."""
        q, fingerprint = await self._ask(request, {**_LIST, "sort": (*MEASURES, "value", "users")})
        key = request.match_info["id"]
        return await self._list(request, q, fingerprint, lambda question: self._answers.tags(question, key))

    async def _list(
        self, request: web.Request, q: Question, fingerprint: str, answer: Callable[[Question], dict[str, Any]]
    ) -> web.Response:
        """One page of an ordered answer; the first page keeps the whole for the later ones."""
        if q.cursor:
            _, name, offset = self._pages.read(q.cursor, fingerprint)
            held = self._pages.kept(name)
        else:
            held, name, offset = await asyncio.to_thread(answer, q), "", 0
            held["as_of"] = self._clock()
        rows = held["rows"]
        page = rows[offset : offset + q.limit]
        body = {
            "data": [{k: v for k, v in row.items() if not k.startswith("_")} for row in page],
            "totals": held["totals"],
            "rest": _rest(rows, page, offset),
            "unattributed": held["unattributed"],
            "plan": held["plan"],
            "next_cursor": None,
        }
        if offset + q.limit < len(rows):
            name = name or self._pages.keep(fingerprint, held)
            body["next_cursor"] = self._pages.sign([fingerprint, name, offset + q.limit])
        return await self._send(request, q, body, held["as_of"])

    # --- lists of raw rows

    async def traces(self, request: web.Request) -> web.Response:
        """GET traces."""
        q, fingerprint = await self._ask(request, {"limit": (), "cursor": ()})
        return await self._raw_list(request, q, fingerprint, self._events.traces, untraced=True)

    async def events(self, request: web.Request) -> web.Response:
        """GET events."""
        q, fingerprint = await self._ask(request, {"limit": (), "cursor": ()})
        return await self._raw_list(request, q, fingerprint, self._events.events)

    async def _raw_list(
        self, request: web.Request, q: Question, fingerprint: str, answer: Callable[[Question, int, int], dict[str, Any]],
        *, untraced: bool = False,
    ) -> web.Response:  # fmt: skip
        offset, as_of = 0, self._clock()
        if q.cursor:
            from dataclasses import replace

            _, offset, as_of, start, end = self._pages.read(q.cursor, fingerprint)
            q = replace(q, window=q.window._replace(start=start, end=end))
        found = await asyncio.to_thread(answer, q, offset, as_of)
        total = await asyncio.to_thread(self._answers._total, q)
        body = {"data": found["rows"], "totals": shapes.measures(total[0]), "plan": "raw", "next_cursor": None}
        if untraced:
            body["untraced"] = await asyncio.to_thread(self._events.untraced, q)
        if found["more"]:
            body["next_cursor"] = self._pages.sign([fingerprint, offset + q.limit, as_of, q.start, q.end])
        return await self._send(request, q, body, as_of)

    # --- what stands around every answer

    async def _send(
        self, request: web.Request, q: Question, answer: dict[str, Any], as_of: int | None = None
    ) -> web.Response:
        as_of = as_of or self._clock()
        meta = await asyncio.to_thread(self._meta, q, as_of)
        meta["plan"] = answer.pop("plan", "raw")
        totals = answer.get("totals") or {}
        meta["unpriced_events"] = totals.get("unpriced_events", 0)
        for name in ("label", "_m"):
            if isinstance(answer.get("data"), dict):
                answer["data"].pop(name, None)
        body = {**answer, "meta": meta}
        moving = {"as_of", "from", "to", "freshness_seconds", "complete_through"}
        still = {
            **answer,
            "meta": {k: v for k, v in meta.items() if k not in moving},
            "next_cursor": bool(answer.get("next_cursor")),
        }
        tag = f'"{hashlib.sha256(json.dumps(still, sort_keys=True).encode()).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=json.dumps(body).encode(), content_type="application/json", headers=headers)

    def _meta(self, q: Question, as_of: int) -> dict[str, Any]:
        through = self._store.select(
            """SELECT min(through) FROM (
                SELECT argMax(complete_through, reported_at) AS through FROM progress
                WHERE log_id = (SELECT argMax(log_id, reported_at) FROM progress) GROUP BY log_partition)"""
        ).rows
        complete = through[0][0] if through and through[0][0] is not None and through[0][0].year > 1970 else None
        doubtful = self._store.select(
            """SELECT count() FROM (SELECT hour, id FROM doubtful_hours
                WHERE hour >= toStartOfHour(toDateTime({start:Int64}, 'UTC')) AND hour < toDateTime({end:Int64}, 'UTC')
                GROUP BY hour, id HAVING max(cleared) = 0)""",
            {"start": max(0, q.start) // 1_000_000, "end": min(q.end, 4_102_444_800_000_000) // 1_000_000},
        ).rows[0][0]
        freshness = None
        if complete is not None:
            freshness = round(max(0.0, (as_of - int((complete - shapes._EPOCH).total_seconds() * 1e6)) / 1e6), 3)
        return {
            "from": shapes.time(q.start), "to": shapes.time(q.end), "tz": q.tz, "currency": "USD", "as_of": shapes.time(as_of),
            "complete_through": shapes.time(complete), "freshness_seconds": freshness, "provisional": bool(doubtful),
            "price_book": self._price_book, "warnings": self._warnings(q),
        }  # fmt: skip

    def _warnings(self, q: Question) -> list[str]:
        """A tag key that the account never sent filters like any other, and is told."""
        import difflib

        asked = sorted({f.field[4:] for f in q.filters if f.field.startswith("tag.")})
        if not asked:
            return []
        rows = self._store.select(
            "SELECT DISTINCT substring(tag, 1, position(tag, '=') - 1) FROM tag_hours WHERE account = {account:String} AND tag != ''",
            {"account": q.account},
        ).rows
        known = [row[0] for row in rows]
        told = []
        for key in asked:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                told.append(f"no event carries the tag {key}{f'; did you mean {near[0]}?' if near else ''}")
        return told


def _rest(rows: list[dict[str, Any]], page: list[dict[str, Any]], offset: int) -> dict[str, Any]:
    """Measures of the rows not on this page."""
    others = shapes.NOTHING
    traces = 0
    for row in (*rows[:offset], *rows[offset + len(page) :]):
        others = others.plus(row["_m"])
        traces += row["traces"]
    return shapes.measures(others, traces)


def add_query_routes(app: web.Application, store: Store, authenticate: Authenticate, **given: Any) -> None:
    """Mount the query service's routes."""
    app.router.add_routes(QueryService(store, authenticate, **given).routes())


def create_query_app(store: Store, authenticate: Authenticate, **given: Any) -> web.Application:
    """The query service as an app of its own. Keywords as `QueryService`."""
    app = web.Application(middlewares=[problems])
    add_query_routes(app, store, authenticate, **given)

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    app.router.add_get("/healthz", healthz)
    return app
