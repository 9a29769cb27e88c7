"""Accounts and keys in ClickHouse: the truth of a cluster; the compacted topic is its copy for collectors."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import msgspec

from pipeline.errors import StoreError
from pipeline.keys import Key, Keys
from pipeline.record import Account
from pipeline.store import Store

_REFRESH_SECONDS = 2.0


class StoreKeys:
    """A source of keys for the query service: read again every two seconds, kept while the store is away."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._keys: Keys | None = None
        self._read = float("-inf")
        self._fine = False

    def snapshot(self) -> Keys | None:
        """The newest known."""
        with self._lock:
            if time.monotonic() - self._read > _REFRESH_SECONDS:
                self._read = time.monotonic()
                try:
                    self._keys = read_keys(self._store)
                    self._fine = True
                except StoreError:
                    self._fine = False
            return self._keys

    def reachable(self) -> bool:
        """Whether the last read succeeded."""
        return self._fine


def read_keys(store: Store) -> Keys:
    """Every account and key. Raises StoreError."""
    accounts = store.select("SELECT argMax(settings, version) FROM accounts GROUP BY id").rows
    keys = store.select("SELECT argMax(record, version) FROM api_keys GROUP BY id").rows
    held = [msgspec.json.decode(row[0], type=Account) for row in accounts]
    found = [msgspec.json.decode(row[0], type=Key) for row in keys]
    return Keys({a.id: a for a in held}, {k.hash: k for k in found})


class ClusterKeys:
    """Writes accounts and keys to ClickHouse first, then to the topic."""

    def __init__(self, store: Store, kafka: Any) -> None:
        self._store = store
        self._kafka = kafka

    def accounts(self) -> list[Account]:
        """Every account."""
        return list(read_keys(self._store).accounts.values())

    def keys(self) -> list[Key]:
        """Every key, revoked ones too."""
        return sorted(read_keys(self._store).keys.values(), key=lambda key: (key.created_at, key.id))

    def put_account(self, account: Account) -> None:
        """Create or replace."""
        now = time.time_ns() // 1000
        columns = ("id", "name", "settings", "created_at", "version")
        self._store.insert(
            "accounts", columns, ([account.id], [account.name], [msgspec.json.encode(account).decode()], [now], [now])
        )
        self._publish(account)

    def put_key(self, key: Key) -> None:
        """Create or replace. `record` holds the whole as JSON; the other columns are for people."""
        now = time.time_ns() // 1000
        row = {
            "id": key.id, "account": key.account, "hash": key.hash, "name": key.name, "scopes": list(key.scopes),
            "privacy": key.privacy or "", "record": json.dumps(msgspec.to_builtins(key)), "created_at": key.created_at,
            "expires_at": key.expires_at, "revoked_at": key.revoked_at, "version": now,
        }  # fmt: skip
        self._store.insert("api_keys", tuple(row), [[value] for value in row.values()])
        self._publish(key)

    def _publish(self, item: Account | Key) -> None:
        from pipeline.kafka_log import publish_keys

        publish_keys(self._kafka, [item])
