"""Accounts, keys, audits: what commands and the embedded mode's admin API do. Values in, JSON-able values out."""

from __future__ import annotations

import time
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

import msgspec

from consumers.audit import audit, count_raw, span
from consumers.auditor import Lease
from consumers.difference import ROLLUPS
from pipeline.errors import BadQuestion, NotFound, Unavailable
from pipeline.keys import SCOPES, Key, make_key
from pipeline.record import Account
from pipeline.store import Store


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


def create_account(keys: KeyStore, name: str, **settings: Any) -> dict[str, Any]:
    """An account with a key for each scope: {"account", "keys": {"ingest", "read", "admin"}}; the keys are shown once."""
    if not name or len(name) > 120 or "\0" in name:
        raise BadQuestion("a name has 1 to 120 characters", "name")
    account = Account(id=f"acc_{uuid4().hex[:16]}", name=name, **settings)
    keys.put_account(account)
    made = {scope: create_key(keys, account.id, scope, f"first {scope} key")["key"] for scope in SCOPES}
    return {"account": account.id, "keys": made}


def create_key(keys: KeyStore, account: str, scope: str, name: str = "", *, restriction: str = "") -> dict[str, Any]:
    """A new key of an account, shown once; `restriction` like `org=acme` narrows every question asked with it."""
    if scope not in SCOPES:
        raise BadQuestion(f"a scope is one of {', '.join(SCOPES)}", "scope")
    if account not in {a.id for a in keys.accounts()}:
        raise NotFound("no such account")
    pairs: tuple[tuple[str, str], ...] = ()
    if restriction:
        key_name, _, value = restriction.removeprefix("tag.").partition("=")
        if not key_name or not value:
            raise BadQuestion("a restriction is written tag.org=acme", "restriction")
        pairs = ((key_name, value),)
    token, key = make_key(account=account, scopes=(scope,), name=name, restriction=pairs, now=now_us())
    keys.put_key(key)
    return {"id": key.id, "account": account, "scope": scope, "key": token}


def list_keys(keys: KeyStore, account: str = "") -> list[dict[str, Any]]:
    """Keys without their secrets."""
    held = keys.keys()
    return [
        {
            "id": key.id, "account": key.account, "name": key.name, "scopes": list(key.scopes),
            "created_at": _time(key.created_at), "expires_at": _time(key.expires_at), "revoked_at": _time(key.revoked_at),
        }
        for key in held
        if not account or key.account == account
    ]  # fmt: skip


def revoke_key(keys: KeyStore, key_id: str) -> dict[str, Any]:
    """Revoke at once and for good."""
    held = keys.keys()
    for key in held:
        if key.id == key_id:
            keys.put_key(msgspec.structs.replace(key, revoked_at=key.revoked_at or now_us()))
            return {"id": key_id, "revoked": True}
    raise NotFound("no such key")


def run_audit(store: Store, start: int | None, end: int | None, *, repair: bool) -> dict[str, Any]:
    """Raw against distinct identities, and every rollup against raw, over unix seconds (default: all that is stored)."""
    first, last = span(store)
    low = first if start is None else start
    high = last if end is None else end
    raw = count_raw(store, low - low % 3600, high + -high % 3600)
    turn = Lease(store) if repair else None
    if turn is not None and not turn.renew():
        raise Unavailable("another auditor repairs at this moment: try again in a minute")
    with turn.kept() if turn is not None else nullcontext():
        findings = audit(store, low, high, turn) if high > low else []
    clean = raw.rows == raw.distinct and not any(finding.differing for finding in findings)
    return {
        "from": _time(low * 1_000_000),
        "to": _time(high * 1_000_000),
        "rows": raw.rows,
        "distinct": raw.distinct,
        "rollups": [
            {
                "table": rollup.table,
                "differing_keys": sum(f.differing for f in findings if f.rollup == rollup.table),
                "repaired_keys": sum(f.repaired for f in findings if f.rollup == rollup.table),
            }
            for rollup in ROLLUPS
        ],
        "clean": clean,
    }


def _time(micros: int | None) -> str | None:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat().replace("+00:00", "Z") if micros else None
