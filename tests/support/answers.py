"""A query service over random rows of two accounts, most of them folded, and who asks it: what suites of answers share."""

from __future__ import annotations

import random
import time
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from consumers.fold import Folder
from pipeline import limits
from pipeline.errors import Unauthorized
from pipeline.row import Row
from pipeline.schema import Engines, migrate
from pipeline.store import ClickHouse, open_clickhouse
from query.app import create_query_app
from tests.support.clickhouse import ChdbServer
from tests.support.rows import make_rows
from tests.support.serving import served

HOUR, DAY = 3_600_000_000, 86_400_000_000
NOW = (time.time_ns() // 1000) // 1000 * 1000
START = NOW - 40 * DAY
FIRST = {account: make_rows(account, 6000, seed, START, NOW) for seed, account in enumerate(("a", "b"))}
LATE = [row._replace(trace_id=f"late-{row.trace_id}") for row in make_rows("a", 40, 7, START, NOW)]
ROWS = FIRST | {"a": FIRST["a"] + LATE}


@contextmanager
def rows_stored(folder: Path) -> Iterator[ClickHouse]:
    """The rows of both accounts in ClickHouse's engine behind HTTP, most of their hours and days folded."""
    with ChdbServer(folder) as server:
        made = open_clickhouse(server.url, database="default", user="default", password="")
        migrate(made, Engines())
        for rows in FIRST.values():
            for start in range(0, len(rows), 1500):
                made.insert("events", Row._fields, list(zip(*rows[start : start + 1500], strict=True)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(limits, "FOLD_AGE_SECONDS", 0)
            fold_most(made)
            yield made
        made.close()


def fold_most(store: ClickHouse) -> None:
    """Every day and many hours folded; then events come that some of the folds do not hold."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "FOLD_EVENTS", 7)
        folder = Folder(store)
        assert folder.look(back_seconds=41 * 86_400) == 0, "a first look folds nothing: it may be moving"
        assert folder.look(back_seconds=41 * 86_400) > 100
    store.insert("events", Row._fields, list(zip(*LATE, strict=True)))


class Asker:
    """Asks a running query service."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session, self._port = session, port

    async def __call__(self, path: str, account: str = "a", status: int = 200, **headers: str) -> Any:
        url = f"http://127.0.0.1:{self._port}/v1/me/ai-apps/{path}"
        given = {"Authorization": f"Bearer {account}", **headers}
        import yarl

        async with self._session.get(yarl.URL(url, encoded=True), headers=given) as answer:
            assert answer.status == status, (answer.status, await answer.text())
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            body = await answer.json(content_type=None) if status != 304 else None
            return body if status == 200 else (body, answer.headers)


@asynccontextmanager
async def service(store: ClickHouse, **given: Any) -> AsyncIterator[Asker]:
    async def authenticate(token: str) -> Any:
        if token == "scoped":
            return SimpleNamespace(account="a", restriction=(("org", "o1"),))
        if token not in ROWS:
            raise Unauthorized("unknown key")
        return SimpleNamespace(account=token, restriction=())

    app = create_query_app(
        store,
        authenticate,
        clock=lambda: NOW,
        cursor_secret=b"secret",
        prices=SimpleNamespace(version="book", newest="2026-11-09"),
        **given,
    )
    async with served(app) as port, aiohttp.ClientSession() as session:
        yield Asker(session, port)


def instant(us: int) -> str:
    return urllib.parse.quote(datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds"))


def said(row: dict[str, Any]) -> dict[str, Any]:
    """What an answer's measures say, in the words of `sums`."""
    seen = row["last_seen"]
    return {
        "spend": None if row["spend"] is None else Decimal(row["spend"]),
        **{name: row[name] for name in ("events", "calls", "tokens", "errors", "unpriced_events")},
        "last_seen": round(datetime.fromisoformat(seen).timestamp() * 1e6) if seen else None,
    }


def windows(count: int) -> list[tuple[int, int]]:
    """Arbitrary instants to the millisecond, and whole hours, half hours and days among them."""
    rng = random.Random(3)
    found = []
    for number in range(count):
        step = (1000, HOUR // 2, HOUR, DAY)[number % 4]
        a, b = sorted(rng.randrange(START, NOW) for _ in range(2))
        found.append((a - a % step, b - b % step + step))
    return [*found, (NOW - 90 * 60_000_000, NOW), (NOW - 5_000_000, NOW)]


def within(rows: list[Row], start: int, end: int) -> list[Row]:
    return [row for row in rows if start <= row.ts < end]
