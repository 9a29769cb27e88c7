"""The shapes of who may ask, as pydantic models: whose data it is, sign-in, keys, a tenant's page. Answers are as in `rows`."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from query.rows import Shape, Time


class Me(Shape):
    """Whose data this is, and what may be seen of it."""

    account: str
    name: str
    live: bool
    scopes: list[str]
    restriction: dict[str, str]
    privacy: str
    version: str
    price_book: str
    prices_as_of: str | None = Field(description="the day of the newest price in the data")
    wording: str
    show_prompts: bool
    embedded: bool
    ingest_url: str | None = Field(description="where SDKs send; null: this server was not told")


class SignIn(Shape):
    """Opens a session: by a key with the scope read, or by the link that `percapita up` prints."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["key"]}, {"required": ["link"]}]})

    key: str = Field("", description="pc_live_...")
    link: str = Field("", description="the secret of a one-time link")


class ApiKey(Shape):
    """A key without its secret."""

    id: str
    account: str
    name: str
    scopes: list[Literal["ingest", "read", "admin"]]
    restriction: dict[str, str] = Field(description="tag.KEY: every question asked with it is narrowed to these")
    privacy: str | None
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None


class ApiKeys(Shape):
    """Of an account, oldest first."""

    data: list[ApiKey]


class ApiKeyMade(ApiKey):
    """A new key."""

    scope: str
    key: str = Field(description="pc_live_...; shown this once")


class ReplacedKey(Shape):
    """A key that gave way to another."""

    id: str
    expires_at: Time


class ApiKeyRotated(ApiKey):
    """A key in the place of another."""

    key: str = Field(description="pc_live_...; shown this once")
    replaces: ReplacedKey


class ApiKeyRevoked(Shape):
    """A key that is good no more."""

    id: str
    revoked: bool


class EmbedMinted(Shape):
    """A tenant's page: frame `url` under your own origin."""

    token: str
    url: str = Field(description="a path of this server; the token stands in its fragment, which no server sees")
    expires_at: Time


class EmbedToken(Shape):
    """What a framed page has from its address."""

    token: str


class EmbedSession(Shape):
    """What a framed page asks with, as with a key, until it ends."""

    credential: str
    expires_at: Time
    restriction: dict[str, str]
    wording: str
    accent: str | None
    show_prompts: bool
    origins: list[str]
