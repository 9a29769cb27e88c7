"""A tenant's own page inside the vendor's: tokens that the vendor's backend mints, and what the framed page trades them for.

Nothing is kept: a token and a credential are signed, narrowed to tags, and end with their time or with the key that minted them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.errors import BadQuestion, Unauthorized
from pipeline.keys import Principal
from query import shapes
from query.bodies import Whole, body_of, json_body
from query.parameters import TAG_KEY
from query.sessions import same_site

PREFIX = "pe_"  # a credential, where a key stands
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:]+\]|[a-z0-9.-]{1,253})(:[0-9]{1,5})?")
_LONGEST_SECONDS = 24 * 3600


def _origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        raise ValueError("an origin is written https://admin.example.com")
    return value


def _tags(value: dict[str, str]) -> dict[str, str]:
    if any(not TAG_KEY.fullmatch(key) or not text or "\0" in text or len(text) > 256 for key, text in value.items()):
        raise ValueError('tags are written {"org": "acme"}')
    return value


Tags = Annotated[
    dict[str, str],
    AfterValidator(_tags),
    Field(
        json_schema_extra={
            "propertyNames": {"pattern": f"^{TAG_KEY.pattern}$"},
            "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": r"^[^\u0000]*$"},
        }
    ),
]


class Wanted(BaseModel):
    """What the vendor's backend asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    tags: Tags = Field(min_length=1, max_length=8, description="the tenant: every question is narrowed to these")
    expires_in: Whole = Field(3600, ge=60, le=_LONGEST_SECONDS, description="seconds")
    origins: list[
        Annotated[str, AfterValidator(_origin), Field(json_schema_extra={"pattern": f"^{_ORIGIN.pattern}$"})]
    ] = Field(default=[], max_length=10, description="who may frame the page; empty: nobody, it opens on its own")
    wording: str = Field("user", min_length=1, max_length=32, description="what a user is called on the page")
    accent: str = Field("", pattern="^(#[0-9a-f]{6})?$", description="a colour of at least 4.5:1 on the page's ground")
    show_prompts: bool = Field(default=False, description="whether content is shown")


class Embeds:
    """Mints tokens, trades them, and knows who asks by a credential."""

    def __init__(self, secret: bytes, verify: Callable[[str], Awaitable[Any]], clock: Callable[[], int]) -> None:
        """`verify`: the hash of a key -> who it is, or what `KeyBook.verify_hash` raises."""
        self._secret = hashlib.sha256(b"embed\0" + secret).digest()
        self._verify, self._clock = verify, clock

    async def mint(self, request: web.Request, asker: Principal) -> web.Response:
        """POST /v1/me/embed-tokens: 201 {"token", "url", "expires_at"}. The page is narrowed to the key's tags and these."""
        wanted = await body_of(request, Wanted)
        if not asker.content and wanted.show_prompts:
            raise BadQuestion("this credential shows no content itself", "show_prompts")
        for key, value in asker.restriction:
            if wanted.tags.get(key, value) != value:
                raise BadQuestion(f"this key reads tag.{key}={value} alone", "tags")
        ends_at = self._clock() + wanted.expires_in * 1_000_000
        token = self._signed("token", {
            "key": asker.key.hash, "tags": list(map(list, ({**wanted.tags} | dict(asker.restriction)).items())), "ends_at": ends_at,
            "wording": wanted.wording, "accent": wanted.accent, "content": wanted.show_prompts, "origins": wanted.origins,
            "nonce": secrets.token_hex(8),
        })  # fmt: skip
        frame = f"?frame={self._signed('frame', wanted.origins)}" if wanted.origins else ""
        made = {"token": token, "url": f"/embed{frame}#token={token}", "expires_at": shapes.time(ends_at)}
        return web.json_response(made, status=201, headers={"Cache-Control": "no-store"})

    async def trade(self, request: web.Request) -> web.Response:
        """POST /v1/embed/session {"token"}: a credential that the page keeps in memory alone."""
        same_site(request)
        token = (await json_body(request)).get("token")
        held = self._good("token", token if isinstance(token, str) else "")
        await self._verify(held["key"])
        told = {
            "credential": PREFIX + self._signed("credential", held), "expires_at": shapes.time(held["ends_at"]),
            "restriction": {f"tag.{key}": value for key, value in held["tags"]}, "wording": held["wording"],
            "accent": held["accent"] or None, "show_prompts": held["content"], "origins": held["origins"],
        }  # fmt: skip
        return web.json_response(told, headers={"Cache-Control": "no-store"})

    async def who(self, credential: str) -> Principal:
        """Who asks by a credential. Raises Unauthorized, and what `verify` raises."""
        held = self._good("credential", credential.removeprefix(PREFIX))
        asker: Principal = await self._verify(held["key"])
        tags = tuple((key, value) for key, value in held["tags"])
        # Counted apart: one tenant's questions take nothing from another's.
        key_id = f"{asker.key_id} {tags}"
        return asker._replace(key_id=key_id, restriction=tags, content=held["content"], wording=held["wording"])

    def origins(self, frame: str) -> list[str]:
        """Who may frame the page, from the signed part of its address; nobody, when it is not ours."""
        return self._read("frame", frame) or []

    def _good(self, kind: str, text: str) -> dict[str, Any]:
        held: dict[str, Any] | None = self._read(kind, text)
        if held is None or held["ends_at"] <= self._clock():
            raise Unauthorized("this token is not ours, or its time is over")
        return held

    def _signed(self, kind: str, what: Any) -> str:
        body = json.dumps(what, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mark(kind, body) + body).decode().rstrip("=")

    def _read(self, kind: str, text: str) -> Any:
        try:
            held = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            return None
        if not hmac.compare_digest(self._mark(kind, held[32:]), held[:32]):
            return None
        return json.loads(held[32:])

    def _mark(self, kind: str, body: bytes) -> bytes:
        return hmac.new(self._secret, kind.encode() + b"\0" + body, hashlib.sha256).digest()
