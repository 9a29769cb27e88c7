"""Questions made from the OpenAPI document by schemathesis, good and bad, to a running query service: answers keep to the document."""

from __future__ import annotations

import asyncio
import threading
import time
import zoneinfo
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

from pipeline.errors import Unauthorized
from pipeline.keys import FileKeys
from pipeline.record import Account
from pipeline.row import Row
from pipeline.schema import Engines, migrate
from pipeline.server import HardenedRunner, quiet_loggers
from pipeline.store import open_chdb
from query.app import create_query_app
from query.embed import Embeds
from query.keys import KeyRoutes
from query.openapi import document
from query.sessions import Ended, Links, Sessions
from tests.support.rows import make_rows

NOW = (time.time_ns() // 1000) // 1000 * 1000
DAY = 86_400_000_000
KEY = SimpleNamespace(live=True, hash="hash of a key")
ANSWERED: Counter[int] = Counter()
ZONES = zoneinfo.available_timezones()
# The systematic phase multiplies every filter with every other: hours of the same.
PHASES = {"phases": {"coverage": {"enabled": False}}}
SCHEMA = schemathesis.openapi.from_dict(document(), config=SchemathesisConfig.from_dict(PHASES))
SCHEMA = SCHEMA.exclude(path="/v1/me/stream")  # ends when the client leaves


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = open_chdb(tmp_path_factory.mktemp("store"))
    migrate(store, Engines())
    store.insert("events", Row._fields, list(zip(*make_rows("a", 200, 1, NOW - 20 * DAY, NOW), strict=True)))
    quiet_loggers()

    async def authenticate(token: str) -> Any:
        if token != "a":
            raise Unauthorized("unknown key")
        account = SimpleNamespace(name="Fieldnote", privacy="standard")
        return SimpleNamespace(
            account="a",
            restriction=(),
            settings=account,
            key=KEY,
            scopes=frozenset({"read"}),
            content=True,
            wording="user",
        )

    keys = FileKeys(tmp_path_factory.mktemp("keys") / "keys.json")
    keys.put_account(Account(id="a", name="Fieldnote", privacy="full"))
    loop = asyncio.new_event_loop()
    app = create_query_app(
        store,
        authenticate,
        clock=lambda: NOW,
        cursor_secret=b"secret",
        prices=SimpleNamespace(version="book", newest="2026-11-09"),
        sessions=Sessions(b"secret", Ended(store), authenticate, lambda: NOW, Links()),
        embeds=Embeds(b"secret", authenticate, lambda: NOW),
        keys=KeyRoutes(keys, authenticate),
    )

    async def begin() -> HardenedRunner:
        runner = HardenedRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(begin(), loop).result()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    store.close()


def mended(path: str, query: dict[str, Any]) -> dict[str, Any]:
    """What no schema can say: a zone exists, from lies before to, and both exclude the other ways to name a window; overview has
    pages only with `group_by`, names to search only with a key in it, and sparks not of days or hours."""
    if path.endswith("/overview"):
        group = query.get("group_by", "")
        needless = (
            {"cursor", "limit", "sort", "q"}
            if not group
            else {"include"}
            if group.startswith(("day", "hour"))
            else set()
        )
        if group in ("day", "hour"):
            needless |= {"q"}
        if "," not in group and query.get("sort", "").removeprefix("-") == "bucket":
            needless |= {"sort"}
        query = {name: value for name, value in query.items() if name not in needless}
    if query.get("tz", "UTC") not in ZONES:
        query = query | {"tz": "Asia/Kathmandu"}
    if "from" in query or "to" in query:
        query = {name: value for name, value in query.items() if name not in ("from", "to", "window", "windowDays")}
        return query | {"from": "2026-11-01", "to": "2027-11-01T00:00:00+05:45"}
    return {name: value for name, value in query.items() if name != "windowDays" or "window" not in query}


@SCHEMA.parametrize()
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_every_answer_is_one_that_the_document_names(case: schemathesis.Case, url: str) -> None:
    if case.meta is not None and case.meta.generation.mode.is_positive:
        case.query = mended(case.path, dict(case.query or {}))
        if case.path == "/v1/me/keys" and isinstance(case.body, dict):
            # A restriction is of questions, a privacy mode of events that come in.
            fitting = {"read": "privacy", "ingest": "restriction"}.get(case.body.get("scope", ""), "")
            left = {fitting} if fitting else {"privacy", "restriction"}
            case.body = {name: value for name, value in case.body.items() if name not in left}
    # A cursor is text that only we can make: good by the schema, and refused.
    left_out = [positive_data_acceptance] if "cursor" in (case.query or {}) else []
    answer = case.call_and_validate(base_url=url, headers={"Authorization": "Bearer a"}, excluded_checks=left_out)
    ANSWERED[answer.status_code] += 1


def test_good_questions_were_among_them() -> None:
    assert ANSWERED[200] > 50, ANSWERED
