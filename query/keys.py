"""Keys over HTTP, for who has one with the scope admin: made and shown once, listed, rotated, revoked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline import keyring
from pipeline.errors import BadQuestion, Forbidden
from pipeline.event import Privacy
from pipeline.keyring import KeyStore
from pipeline.keys import Principal
from query.bodies import Whole, body_of
from query.embed import Tags
from query.entry import Authenticate

YEARS_SECONDS = 10 * 365 * 86_400
_NAME = r"^[^\u0000]*$"


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("without NUL")
    return value.encode("utf-8", "replace").decode()


class KeyWanted(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    scope: Literal["ingest", "read", "admin"]
    name: Annotated[str, AfterValidator(_text)] = Field("", max_length=120, json_schema_extra={"pattern": _NAME})
    restriction: Tags = Field(
        default={}, max_length=8, description="tags that every question asked with it is narrowed to"
    )
    privacy: Privacy | None = Field(None, description="for what comes in by it; null: the account's")
    expires_in: Whole | None = Field(None, ge=60, le=YEARS_SECONDS, description="seconds; null: never")


class Rotation(BaseModel):
    """How a key gives way to another."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    overlap: Whole = Field(
        keyring.OVERLAP_SECONDS, ge=0, le=30 * 86_400, description="seconds for which the old key is still good"
    )


class KeyRoutes:
    """The routes."""

    def __init__(self, keys: KeyStore, authenticate: Authenticate) -> None:
        """`authenticate`: token -> Principal of a key with the scope admin."""
        self._keys, self.authenticate = keys, authenticate

    def routes(self, admit: Callable[[web.Request], Awaitable[Principal]]) -> list[web.RouteDef]:
        """Every path; `admit`: who asks, counted."""

        def owned(handler: Callable[[web.Request, str], Awaitable[web.Response]]) -> Any:
            async def handle(request: web.Request) -> web.Response:
                asker = await admit(request)
                if asker.restriction:
                    raise Forbidden("a key that is restricted to tags administers no others")
                return await handler(request, asker.account)

            return handle

        return [
            web.get("/v1/me/keys", owned(self.list)),
            web.post("/v1/me/keys", owned(self.create)),
            web.post("/v1/me/keys/{id}/rotate", owned(self.rotate)),
            web.delete("/v1/me/keys/{id}", owned(self.revoke)),
        ]

    async def list(self, _: web.Request, account: str) -> web.Response:
        """GET /v1/me/keys: of the account, oldest first, without their secrets."""
        return _answer({"data": await asyncio.to_thread(keyring.list_keys, self._keys, account)})

    async def create(self, request: web.Request, account: str) -> web.Response:
        """POST /v1/me/keys: 201, with the key, which is shown this once."""
        wanted = await body_of(request, KeyWanted)
        if wanted.restriction and wanted.scope != "read":
            raise BadQuestion("questions are asked with the scope read", "restriction")
        if wanted.privacy and wanted.scope != "ingest":
            raise BadQuestion("events come in with the scope ingest", "privacy")
        made = await asyncio.to_thread(
            keyring.create_key, self._keys, account, wanted.scope, wanted.name,
            restriction=tuple(sorted(wanted.restriction.items())), privacy=wanted.privacy, expires_in=wanted.expires_in or 0,
        )  # fmt: skip
        return _answer(made, 201)

    async def rotate(self, request: web.Request, account: str) -> web.Response:
        """POST /v1/me/keys/{id}/rotate: 201, with the new key, which is shown this once."""
        wanted = await body_of(request, Rotation)
        made = await asyncio.to_thread(
            keyring.rotate_key, self._keys, request.match_info["id"], account, overlap=wanted.overlap
        )
        return _answer(made, 201)

    async def revoke(self, request: web.Request, account: str) -> web.Response:
        """DELETE /v1/me/keys/{id}."""
        return _answer(await asyncio.to_thread(keyring.revoke_key, self._keys, request.match_info["id"], account))


def _answer(told: dict[str, Any], status: int = 200) -> web.Response:
    return web.json_response(told, status=status, headers={"Cache-Control": "no-store"})
