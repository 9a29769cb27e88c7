"""API keys: their form, their hashes, and the book that verifies them.

`pc_<live|test>_<random>_<checksum>`, shown once, stored as SHA-256. A mistyped key is told without a look-up.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import string
import threading
import time
import zlib
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from pipeline.errors import Forbidden, Unauthorized, Unavailable
from pipeline.event import Privacy
from pipeline.record import Account

_KEPT = 10_000  # hashes and principals of keys that were used

SCOPES = ("ingest", "read", "admin")
_ALPHABET = string.ascii_letters + string.digits
_RELOAD_SECONDS = 1.0


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret. Times are unix us."""

    id: str
    account: str
    hash: str  # SHA-256 of the token, hex
    scopes: tuple[str, ...]
    name: str = ""
    privacy: Privacy | None = None  # stricter than the account's, for what comes in by this key
    restriction: tuple[tuple[str, str], ...] = ()  # tags added to every question on the server
    live: bool = True  # as the token says
    created_at: int = 0
    expires_at: int | None = None
    revoked_at: int | None = None


class Principal(NamedTuple):
    """Who asks: nothing of it comes from the request but the key."""

    account: str
    key_id: str
    scopes: frozenset[str]
    restriction: tuple[tuple[str, str], ...]
    settings: Account
    privacy: Privacy
    key: Key
    content: bool = True  # whether prompts and answers are shown
    wording: str = "user"  # what a user is called


class Keys(msgspec.Struct, frozen=True):
    """All accounts and keys at one time."""

    accounts: dict[str, Account]
    keys: dict[str, Key]  # by hash


class KeySource(Protocol):
    """Where keys come from."""

    def snapshot(self) -> Keys | None:
        """The newest known; None before the first read."""

    def reachable(self) -> bool:
        """Whether the snapshot is up to date: an unknown key is only then surely unknown."""


def make_key(
    *, account: str, scopes: tuple[str, ...], now: int, name: str = "", live: bool = True,
    restriction: tuple[tuple[str, str], ...] = (), privacy: Privacy | None = None, expires_at: int | None = None,
) -> tuple[str, Key]:  # fmt: skip
    """A new token, to be shown once, and what is kept of it."""
    head = f"pc_{'live' if live else 'test'}_{''.join(secrets.choice(_ALPHABET) for _ in range(32))}"
    token = f"{head}_{_checksum(head)}"
    key = Key(
        id=f"key_{secrets.token_hex(8)}", account=account, hash=hash_of(token), scopes=scopes, name=name, live=live, created_at=now,
        restriction=restriction, privacy=privacy, expires_at=expires_at,
    )  # fmt: skip
    return token, key


def _checksum(head: str) -> str:
    value, digits = zlib.crc32(head.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, len(_ALPHABET))
        digits += _ALPHABET[digit]
    return digits


def hash_of(token: str) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def well_formed(token: str) -> bool:
    """Form and checksum, without a look-up."""
    head, _, check = token.rpartition("_")
    return (
        len(token) < 128
        and token.isascii()
        and head.startswith(("pc_live_", "pc_test_"))
        and hmac.compare_digest(check, _checksum(head))
    )


class KeyBook:
    """Verifies tokens against the newest snapshot of a source."""

    def __init__(self, source: KeySource) -> None:
        self._source = source
        self._hashes: dict[str, str] = {}  # token -> hash, of keys that were good: hashing once per token
        self._principals: dict[str, tuple[Key, Account, Principal]] = {}

    def verify(self, token: str, scope: str, now: int) -> Principal:
        """Raises Unauthorized (unknown, revoked, expired, mistyped), Forbidden (scope), Unavailable (cannot know)."""
        if not well_formed(token):
            raise Unauthorized("this is no key of ours, or it is mistyped")
        digest = self._hashes.get(token) or hash_of(token)
        found = self.verify_hash(digest, scope, now)
        if len(self._hashes) < _KEPT:
            self._hashes[token] = digest
        return found

    def verify_hash(self, digest: str, scope: str, now: int) -> Principal:
        """The same for the hash of a token that was verified before: a session outlives no key. Raises as `verify`."""
        keys = self._source.snapshot()
        key = keys.keys.get(digest) if keys is not None else None
        if keys is None or key is None or key.account not in keys.accounts:
            if not self._source.reachable():
                raise Unavailable("keys cannot be checked now")
            raise Unauthorized("unknown key")
        if not hmac.compare_digest(key.hash, digest) or key.revoked_at is not None:
            raise Unauthorized("this key is revoked")
        if key.expires_at is not None and key.expires_at <= now:
            raise Unauthorized("this key has expired")
        if scope not in key.scopes:
            raise Forbidden(f"this key has no {scope} scope")
        settings = keys.accounts[key.account]
        known = self._principals.get(digest)
        if known is not None and known[0] is key and known[1] is settings:
            return known[2]
        privacy = key.privacy or settings.privacy
        found = Principal(key.account, key.id, frozenset(key.scopes), key.restriction, settings, privacy, key)
        if len(self._principals) < _KEPT:
            self._principals[digest] = (key, settings, found)
        return found


class FileKeys:
    """Accounts and keys in a JSON file of mode 600, read again when it changes: the embedded mode's source and store."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._checked = 0.0
        self._keys: Keys | None = None

    def snapshot(self) -> Keys | None:
        now = time.monotonic()
        if self._keys is None or now - self._checked > _RELOAD_SECONDS:
            with self._lock:
                self._checked = now
                self._reload()
        return self._keys

    def _reload(self) -> None:
        try:
            stat = self._path.stat()
            if self._seen == (stat.st_mtime_ns, stat.st_size):
                return
            held = msgspec.json.decode(self._path.read_bytes(), type=dict[str, list[msgspec.Raw]])
            accounts = [msgspec.json.decode(raw, type=Account) for raw in held["accounts"]]
            keys = [msgspec.json.decode(raw, type=Key) for raw in held["keys"]]
            self._keys = Keys({a.id: a for a in accounts}, {k.hash: k for k in keys})
            self._seen = (stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:
            self._keys = self._keys or Keys({}, {})

    def reachable(self) -> bool:
        return self._path.parent.exists()

    def accounts(self) -> list[Account]:
        """Every account."""
        keys = self._fresh()
        return list(keys.accounts.values())

    def keys(self) -> list[Key]:
        """Every key, revoked ones too."""
        return sorted(self._fresh().keys.values(), key=lambda key: (key.created_at, key.id))

    def put_account(self, account: Account) -> None:
        """Create or replace."""
        held = self._fresh()
        self._write(Keys({**held.accounts, account.id: account}, held.keys))

    def put_key(self, key: Key) -> None:
        """Create or replace."""
        held = self._fresh()
        self._write(Keys(held.accounts, {**held.keys, key.hash: key}))

    def _fresh(self) -> Keys:
        with self._lock:
            self._reload()
        return self._keys or Keys({}, {})

    def _write(self, keys: Keys) -> None:
        body = {
            "accounts": [msgspec.to_builtins(a) for a in keys.accounts.values()],
            "keys": [msgspec.to_builtins(k) for k in keys.keys.values()],
        }
        write_private(self._path, json.dumps(body, indent=1))
        with self._lock:
            self._reload()


def write_private(path: Path, text: str) -> None:
    """Replace a file whole, readable by its owner alone."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def encode_message(item: Account | Key) -> tuple[bytes, bytes]:
    """An account or key as one message of a compacted topic: (key, value)."""
    kind = "account" if isinstance(item, Account) else "key"
    return f"{kind}:{item.id}".encode(), msgspec.json.encode(item)


def apply_message(keys: Keys, name: bytes, value: bytes) -> Keys:
    """The snapshot with one message of the topic applied."""
    kind, _, _ = name.decode().partition(":")
    if kind == "account":
        account = msgspec.json.decode(value, type=Account)
        return Keys({**keys.accounts, account.id: account}, keys.keys)
    key = msgspec.json.decode(value, type=Key)
    return Keys(keys.accounts, {**keys.keys, key.hash: key})
