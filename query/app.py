"""ClickHouse -> answers over HTTP: parameters to a question, a question to an answer, an answer to JSON."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Protocol

from aiohttp import web

from pipeline import limits
from pipeline.errors import BadQuestion, Forbidden
from pipeline.http import problems
from pipeline.keys import Principal
from pipeline.store import Store
from query import compare, formats, openapi, rows
from query.answers import Answers
from query.diagnosis import diagnose
from query.embed import Embeds
from query.entry import Authenticate, Entry, credential_of, origin_of, tell_rate
from query.events import Events
from query.keys import KeyRoutes
from query.lists import Lists
from query.meta import Meta
from query.notices import notices
from query.pages import Pages
from query.parameters import (
    Asked,
    EventQuery,
    EventsQuery,
    Listed,
    ModelsQuery,
    OverviewQuery,
    TagsQuery,
    TagValuesQuery,
    ToolsQuery,
    TracesQuery,
    UserQuery,
    UsersQuery,
)
from query.question import Question, parse_question, safe
from query.rate import Rate
from query.replies import Replies
from query.sessions import Sessions
from query.site import Site
from query.sparks import Sparks
from query.standing import Standings
from query.stream import Watermarks
from query.tags import Tags
from query.traces import Traces

BASE = openapi.BASE


class Asker(Protocol):
    """Who asks, from the key alone: a `Principal`."""

    @property
    def account(self) -> str: ...
    @property
    def restriction(self) -> Sequence[tuple[str, str]]: ...


class Prices(Protocol):
    """What the process knows of its prices: a `PriceBook`."""

    version: str
    newest: str


class QueryService:
    """The routes."""

    def __init__(
        self,
        store: Store,
        authenticate: Authenticate,
        *,
        clock: Callable[[], int],
        cursor_secret: bytes,
        prices: Prices,
        sessions: Sessions | None = None,
        embeds: Embeds | None = None,
        keys: KeyRoutes | None = None,
        embedded: bool = False,
        ingest_url: str = "",
        path_prefix: str = "",
        questions_per_minute: int = limits.QUESTIONS_PER_MINUTE,
    ) -> None:
        """`ingest_url`: where SDKs send; an embedded server that is not told takes events where it answers questions."""
        rate = Rate(questions_per_minute, time.monotonic)
        self._entry = Entry(authenticate, sessions, embeds, rate)
        self._keys = [] if keys is None else keys.routes(Entry(keys.authenticate, None, None, rate).admit)
        self._clock = clock
        self._standings = Standings(store)
        self._answers = Answers(store, self._standings)
        self._tags = Tags(self._answers)
        self._store = store
        self._sparks = Sparks(self._answers)
        self._events = Events(store)
        self._traces = Traces(store, self._events)
        meta = Meta(self._standings, self._answers, prices.version)
        self._watermarks = Watermarks(self._answers, self._standings, clock)
        self._replies = Replies(meta, clock)
        self._lists = Lists(self._answers, self._sparks, Pages(cursor_secret), self._replies, clock)
        self._prices, self._sessions, self._embeds, self._embedded = prices, sessions, embeds, embedded
        self._ingest_url, self._path_prefix = ingest_url, path_prefix

    def answer_from_raw(self) -> None:
        """Read every answer from the raw table: what a benchmark measures beside the rollups."""
        self._answers.raw_alone = True
        self._traces.whole_window = True

    def routes(self) -> list[web.RouteDef]:
        """Every path; ids are matched with slashes, braces and newlines in them."""
        anything = r"{id:(?s:.+)}"
        signing = [] if self._sessions is None else [
            web.post("/v1/session", self._sessions.open),
            web.delete("/v1/session", self._sessions.close),
        ]  # fmt: skip
        if self._embeds is not None:
            signing += [
                web.post("/v1/me/embed-tokens", self.embed_tokens),
                web.post("/v1/embed/session", self._embeds.trade),
            ]
        return [
            *signing,
            *self._keys,
            web.get("/openapi.json", self.openapi),
            web.get("/v1/me", self.me),
            web.get("/v1/me/stream", self.stream),
            web.get(f"{BASE}/overview", self.overview),
            web.get(f"{BASE}/users", self.users),
            web.get(f"{BASE}/users/{anything}", self.user),
            web.get(f"{BASE}/traces", self.traces),
            web.get(f"{BASE}/traces/{anything}", self.trace),
            web.get(f"{BASE}/events", self.events),
            web.get(f"{BASE}/events/{anything}", self.event),
            web.get(f"{BASE}/models", self.models),
            web.get(f"{BASE}/tools", self.tools),
            web.get(f"{BASE}/diagnosis", self.diagnosis),
            web.get(f"{BASE}/notices", self.notices),
            web.get(f"{BASE}/tags", self.tags),
            web.get(f"{BASE}/tags/{anything}", self.tag),
        ]

    async def _ask(self, request: web.Request, takes: type[Asked]) -> tuple[Question, str]:
        asker: Asker = await self._entry.admit(request)
        pairs = list(request.query.items())
        q = parse_question(asker.account, pairs, self._clock(), restriction=asker.restriction, takes=takes)
        q = replace(q, content=getattr(asker, "content", True))
        if issubclass(takes, Listed) and "format" not in request.query:
            q = replace(q, format=formats.asked_for(request.headers.get("Accept", "")))
        if q.format != "json":
            _whole_alone(request)
        elif not q.cursor:
            self._standings.begin(q)
        given = sorted((k, v) for k, v in pairs if k != "cursor")
        fingerprint = hashlib.sha256(
            json.dumps([asker.account, list(asker.restriction), request.path, given]).encode()
        ).hexdigest()[:32]
        return q, fingerprint

    async def openapi(self, _: web.Request) -> web.Response:
        """GET /openapi.json."""
        return web.Response(body=_document(), content_type="application/json", headers={"Cache-Control": "no-cache"})

    async def me(self, request: web.Request) -> web.Response:
        """GET /v1/me: whose data this is, and what may be seen of it."""
        asker: Principal = await self._entry.admit(request)
        own = origin_of(request) if self._embedded else None
        told = {
            "account": asker.account, "name": asker.settings.name, "live": asker.key.live, "scopes": sorted(asker.scopes),
            "restriction": {"tag." + key: value for key, value in asker.restriction}, "privacy": asker.settings.privacy,
            "version": importlib.metadata.version("percapita-server"), "price_book": self._prices.version,
            "prices_as_of": self._prices.newest or None, "wording": asker.wording, "show_prompts": asker.content, "embedded": self._embedded,
            "ingest_url": self._ingest_url or (own and own + self._path_prefix),
        }  # fmt: skip
        return web.json_response(told, headers={"Cache-Control": "private, no-cache"})

    async def embed_tokens(self, request: web.Request) -> web.Response:
        """POST /v1/me/embed-tokens: a page for one tenant."""
        assert self._embeds is not None
        asker: Principal = await self._entry.admit(request)
        if credential_of(request):
            raise Forbidden("a framed page mints no tokens")
        return await self._embeds.mint(request, asker)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/me/stream: the watermark, pushed when data moved."""
        q, _ = await self._ask(request, Asked)
        if request.query:
            name = safe(next(iter(request.query)))
            raise BadQuestion("the stream takes no parameters: it tells of all that the key may read", name)
        return await self._watermarks.serve(request, q, lambda: self._entry.known(request))

    # --- answers that are one object

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """GET overview."""
        q, fingerprint = await self._ask(request, OverviewQuery)
        if q.group_by:
            key = q.group_by[-1] if q.group_by[-1] not in ("day", "hour") and len(q.group_by) == 1 else ""
            field = {"user": "user_id", "tag.userId": "user_id"}.get(key, key)
            return await self._lists.measured(
                request, q, fingerprint, self._answers.overview, rows.Group, spark=(field, "key")
            )
        if q.format != "json":
            return await self._lists.export(request, q, rows.Overview, lambda: self._one_row(q))
        answer = await asyncio.to_thread(self._everything, q)
        more = {"spark_days": await asyncio.to_thread(self._sparks.of, q, answer)} if q.spark else None
        return await self._replies.send(request, q, answer, more=more)

    def _one_row(self, q: Question) -> Iterator[list[dict[str, Any]]]:
        for asked in formats.by_month(q) if q.format == "focus" else [q]:
            yield [self._everything(asked)["data"] | ({formats.PERIOD: asked.window} if q.format == "focus" else {})]

    def _everything(self, q: Question) -> dict[str, Any]:
        answer = self._answers.overview(q)
        if q.compare:
            before = self._answers.overview(q.before())
            for part in ("data", "totals", "unattributed"):
                answer[part]["previous"] = before[part]
        return answer

    async def user(self, request: web.Request) -> web.Response:
        """GET users/{id}."""
        q, _ = await self._ask(request, UserQuery)
        answer = await asyncio.to_thread(self._answers.user, q, request.match_info["id"])
        if q.compare:
            before = await asyncio.to_thread(self._answers.user, q.before(), request.match_info["id"])
            answer["data"]["previous"] = compare.measured(before["data"])
        return await self._replies.send(request, q, answer)

    async def trace(self, request: web.Request) -> web.Response:
        """GET traces/{id}."""
        q, _ = await self._ask(request, Asked)
        data = await asyncio.to_thread(self._traces.trace, q, request.match_info["id"])
        warning = data.pop("_warning", "")
        return await self._replies.send(
            request, q, {"data": data, "plan": "raw"}, more={"warnings": [warning]} if warning else {}
        )

    async def event(self, request: web.Request) -> web.Response:
        """GET events/{id}."""
        q, _ = await self._ask(request, EventQuery)
        data = await asyncio.to_thread(self._events.event, q, request.match_info["id"])
        return await self._replies.send(request, q, {"data": data, "plan": "raw"})

    async def diagnosis(self, request: web.Request) -> web.Response:
        """GET diagnosis."""
        q, _ = await self._ask(request, Asked)
        data, unpriced_events = await asyncio.to_thread(diagnose, self._answers, self._store, q)
        return await self._replies.send(
            request, q, {"data": data, "plan": "rollups", "unpriced_events": unpriced_events}
        )

    async def notices(self, request: web.Request) -> web.Response:
        """GET notices."""
        q, _ = await self._ask(request, Asked)
        data = await asyncio.to_thread(notices, self._answers, self._store, q, self._prices.newest)
        return await self._replies.send(request, q, {"data": data, "plan": "rollups"})

    # --- lists of measured rows

    async def users(self, request: web.Request) -> web.StreamResponse:
        """GET users."""
        q, fingerprint = await self._ask(request, UsersQuery)
        return await self._lists.measured(
            request, q, fingerprint, self._answers.users, rows.UserRow, spark=("user_id", "user_id")
        )

    async def models(self, request: web.Request) -> web.StreamResponse:
        """GET models."""
        q, fingerprint = await self._ask(request, ModelsQuery)
        return await self._lists.measured(request, q, fingerprint, self._answers.models, rows.Model)

    async def tools(self, request: web.Request) -> web.StreamResponse:
        """GET tools."""
        q, fingerprint = await self._ask(request, ToolsQuery)
        return await self._lists.measured(request, q, fingerprint, self._answers.tools, rows.Tool)

    async def tags(self, request: web.Request) -> web.StreamResponse:
        """GET tags."""
        q, fingerprint = await self._ask(request, TagsQuery)
        return await self._lists.measured(request, q, fingerprint, self._tags.keys, rows.Tag)

    async def tag(self, request: web.Request) -> web.StreamResponse:
        """GET tags/{key}."""
        q, fingerprint = await self._ask(request, TagValuesQuery)
        key = request.match_info["id"]
        q = replace(q, group_by=(f"tag.{key}",))
        return await self._lists.measured(
            request, q, fingerprint, lambda question: self._tags.values(question, key), rows.TagValue
        )

    # --- lists of raw rows

    async def traces(self, request: web.Request) -> web.StreamResponse:
        """GET traces."""
        q, fingerprint = await self._ask(request, TracesQuery)
        return await self._lists.raw(request, q, fingerprint, self._traces, rows.Trace)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """GET events."""
        q, fingerprint = await self._ask(request, EventsQuery)
        return await self._lists.raw(request, q, fingerprint, self._events, rows.Event)


def _whole_alone(request: web.Request) -> None:
    """Raises BadQuestion for what an export has not: it is whole, and of rows that stand for themselves."""
    for name, why in {"cursor": "it has no pages", "limit": "it has no pages", "include": "sparks are of JSON"}.items():
        if name in request.query:
            raise BadQuestion(f"an export is whole: {why}", name)


@cache
def _document() -> bytes:
    return json.dumps(openapi.document()).encode()


def add_query_routes(
    app: web.Application, store: Store, authenticate: Authenticate, *, path_prefix: str = "", **given: Any
) -> None:
    """Mount the query service's routes and the dashboard's pages. Keywords as `QueryService`."""
    app.router.add_routes(QueryService(store, authenticate, path_prefix=path_prefix, **given).routes())
    app.on_response_prepare.append(tell_rate)
    embeds: Embeds | None = given.get("embeds")
    app.router.add_routes(Site.find(path_prefix, embeds.origins if embeds is not None else None).routes())


def create_query_app(store: Store, authenticate: Authenticate, **given: Any) -> web.Application:
    """The query service as an app of its own. Keywords as `add_query_routes`."""
    app = web.Application(middlewares=[problems])
    add_query_routes(app, store, authenticate, **given)

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    app.router.add_get("/healthz", healthz)
    return app
