"""Accounts and keys: made, listed, rotated, revoked; by commands and by the API. Values in, JSON-able values out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

import msgspec

from pipeline import limits
from pipeline.errors import BadQuestion, NotFound
from pipeline.event import Privacy
from pipeline.fields import is_tag_key
from pipeline.keys import SCOPES, Key, make_key
from pipeline.record import Account

_STRICTEST_FIRST: tuple[Privacy, ...] = ("minimal", "standard", "full")
OVERLAP_SECONDS = 86_400  # how long a key that was rotated is still good


class KeyStore(Protocol):
    """Where accounts and keys are kept: a file in the embedded mode, ClickHouse and a compacted topic in a cluster."""

    def accounts(self) -> list[Account]:
        """Every account."""

    def keys(self) -> list[Key]:
        """Every key, revoked ones too; hashes only."""

    def put_account(self, account: Account) -> None:
        """Create or replace."""

    def put_key(self, key: Key) -> None:
        """Create or replace."""


def now_us() -> int:
    """Unix microseconds."""
    return time.time_ns() // 1000


def create_account(store: KeyStore, name: str, **settings: Any) -> dict[str, Any]:
    """An account with a key for each scope: {"account", "keys": {"ingest", "read", "admin"}}; the keys are shown once."""
    if not name or len(name) > 120 or "\0" in name:
        raise BadQuestion("a name has 1 to 120 characters", "name")
    account = Account(id=f"acc_{uuid4().hex[:16]}", name=name, **settings)
    store.put_account(account)
    made = {scope: create_key(store, account.id, scope, f"first {scope} key")["key"] for scope in SCOPES}
    return {"account": account.id, "keys": made}


def set_resource_tags(store: KeyStore, account: str, names: Sequence[str]) -> dict[str, Any]:
    """Which OpenTelemetry resource attributes of its spans become tags: from now on these, and no others."""
    held = next((a for a in store.accounts() if a.id == account), None)
    if held is None:
        raise NotFound("no such account")
    if len(names) > limits.TAG_KEYS or not all(is_tag_key(name) for name in names):
        raise BadQuestion(
            f"at most {limits.TAG_KEYS} names of 1 to {limits.TAG_KEY_CHARS} of A-Z a-z 0-9 _ . -", "names"
        )
    store.put_account(msgspec.structs.replace(held, resource_tags=tuple(names)))
    return {"account": account, "resource_tags": list(names)}


def create_key(
    store: KeyStore, account: str, scope: str, name: str = "", *, restriction: Sequence[tuple[str, str]] = (),
    privacy: Privacy | None = None, expires_in: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """A new key of an account, shown once.

    `restriction`: tags that narrow every question asked with it; `privacy`: for what comes in by it, in place of the account's;
    `expires_in`: seconds, 0 for never.
    """
    if scope not in SCOPES:
        raise BadQuestion(f"a scope is one of {', '.join(SCOPES)}", "scope")
    settings = next((a for a in store.accounts() if a.id == account), None)
    if settings is None:
        raise NotFound("no such account")
    if privacy is not None and privacy not in _STRICTEST_FIRST:
        raise BadQuestion(f"one of {', '.join(_STRICTEST_FIRST)}", "privacy")
    if privacy is not None and _STRICTEST_FIRST.index(privacy) > _STRICTEST_FIRST.index(settings.privacy):
        raise BadQuestion(f"a key's privacy is no looser than its account's, {settings.privacy}", "privacy")
    now = now_us()
    token, key = make_key(
        account=account, scopes=(scope,), name=name, restriction=tuple(restriction), privacy=privacy, now=now,
        expires_at=now + expires_in * 1_000_000 if expires_in else None,
    )  # fmt: skip
    store.put_key(key)
    return _told(key) | {"account": account, "scope": scope, "key": token}


def tags_of(restriction: str) -> tuple[tuple[str, str], ...]:
    """`tag.org=acme`, as it is written in a command, as tags. Raises BadQuestion."""
    if not restriction:
        return ()
    name, _, value = restriction.removeprefix("tag.").partition("=")
    if not name or not value:
        raise BadQuestion("a restriction is written tag.org=acme", "restriction")
    return ((name, value),)


def list_keys(store: KeyStore, account: str = "") -> list[dict[str, Any]]:
    """Keys without their secrets, oldest first."""
    held = store.keys()
    return [{"account": key.account} | _told(key) for key in held if not account or key.account == account]


def rotate_key(store: KeyStore, key_id: str, account: str = "", *, overlap: int = OVERLAP_SECONDS) -> dict[str, Any]:
    """A key in the place of another, shown once; the other is good for `overlap` seconds more, and then for good not.

    It may do what the other may, and lives as long from now as the other was made to live.
    """
    now, old = now_us(), _find(store, key_id, account)
    if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
        raise BadQuestion("this key is no longer good: create another", "id")
    token, key = make_key(
        account=old.account, scopes=old.scopes, name=old.name, live=old.live, restriction=old.restriction, privacy=old.privacy,
        now=now, expires_at=now + old.expires_at - old.created_at if old.expires_at is not None else None,
    )  # fmt: skip
    store.put_key(key)
    ends = now + overlap * 1_000_000
    ends = ends if old.expires_at is None else min(ends, old.expires_at)
    store.put_key(msgspec.structs.replace(old, expires_at=ends))
    return _told(key) | {"account": key.account, "key": token, "replaces": {"id": old.id, "expires_at": _time(ends)}}


def revoke_key(store: KeyStore, key_id: str, account: str = "") -> dict[str, Any]:
    """Revoke at once and for good."""
    key = _find(store, key_id, account)
    store.put_key(msgspec.structs.replace(key, revoked_at=key.revoked_at or now_us()))
    return {"id": key_id, "revoked": True}


def _find(store: KeyStore, key_id: str, account: str) -> Key:
    """Of one account, when it is named. Raises NotFound."""
    held = store.keys()
    for key in held:
        if key.id == key_id and account in ("", key.account):
            return key
    raise NotFound("no such key")


def _told(key: Key) -> dict[str, Any]:
    return {
        "id": key.id, "name": key.name, "scopes": list(key.scopes), "restriction": {f"tag.{k}": v for k, v in key.restriction},
        "privacy": key.privacy, "created_at": _time(key.created_at), "expires_at": _time(key.expires_at),
        "revoked_at": _time(key.revoked_at),
    }  # fmt: skip


def _time(micros: int | None) -> str | None:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat().replace("+00:00", "Z") if micros else None
