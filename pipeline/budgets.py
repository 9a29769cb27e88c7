"""Tag budgets: keys with too many values are kept out of the counted sets, by immutable, published versions.

A key that is over stays over: what was counted without it is answered from raw rows, which have every tag.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Lock

import msgspec

from pipeline import limits
from pipeline.process import TagBudget
from pipeline.store import Store

_KIND = "tag_budget"
_decode = msgspec.json.Decoder(dict[str, list[str]]).decode


def read_budget(store: Store, version: int) -> TagBudget | None:
    """One version; None when it was never published."""
    if not version:
        return TagBudget()
    rows = store.select(
        "SELECT body FROM versions WHERE kind = {kind:String} AND version = {version:String} LIMIT 1",
        {"kind": _KIND, "version": str(version)},
    ).rows
    return _budget(version, rows[0][0]) if rows else None


def latest_budget(store: Store, *, aged_seconds: int = 0) -> TagBudget:
    """The latest version that has been published for `aged_seconds`; version 0 names no key."""
    rows = store.select(
        "SELECT toUInt32(version) AS v, body FROM versions WHERE kind = {kind:String} "
        "AND created_at <= now64(6) - toIntervalSecond({aged:UInt32}) ORDER BY v DESC LIMIT 1",
        {"kind": _KIND, "aged": aged_seconds},
    ).rows
    return _budget(int(rows[0][0]), rows[0][1]) if rows else TagBudget()


def _budget(version: int, body: str) -> TagBudget:
    return TagBudget(version, {account: frozenset(keys) for account, keys in _decode(body).items()})


def review(store: Store) -> TagBudget:
    """Count the values per key of the last day's sets, and publish a new version when keys are over that were not."""
    budget = latest_budget(store)
    rows = store.select(
        """
        SELECT account, key FROM (
            SELECT account, substring(tag, 1, position(tag, '=') - 1) AS key, uniq(tag) AS values FROM tag_hours
            WHERE tag != '' AND hour >= now() - toIntervalDay(1) GROUP BY account, key)
        WHERE values > {limit:UInt32} ORDER BY account, key
        """,
        {"limit": limits.TAG_VALUES_PER_KEY},
        seconds=120,
    ).rows
    over: dict[str, set[str]] = {account: set(keys) for account, keys in budget.over.items()}
    for account, key in rows:
        over.setdefault(account, set()).add(key)
    if over == {account: set(keys) for account, keys in budget.over.items()}:
        return budget
    return publish(store, budget.version + 1, over)


def publish(store: Store, version: int, over: Mapping[str, set[str]]) -> TagBudget:
    """Write a version; the same version is written once (the token), whoever comes second has its own next time."""
    body = msgspec.json.encode({account: sorted(keys) for account, keys in sorted(over.items())}).decode()
    store.insert(
        "versions",
        ("kind", "version", "body", "created_at"),
        ([_KIND], [str(version)], [body], [time.time_ns() // 1000]),
        token=f"{_KIND}:{version}",
    )
    return latest_budget(store)


class OverBudget:
    """Which keys of an account are over, as the query service knows it: never older than workers may act on."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._budget = TagBudget()
        self._read_at = float("-inf")

    def keys(self, account: str) -> frozenset[str]:
        """Raises StoreError when the store is away."""
        with self._lock:
            if time.monotonic() - self._read_at > limits.BUDGET_QUERY_SECONDS:
                self._budget = latest_budget(self._store)
                self._read_at = time.monotonic()
            return self._budget.over.get(account, frozenset())
