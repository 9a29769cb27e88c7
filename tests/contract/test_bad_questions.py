"""Questions that are hostile or make no sense, to a running query service over two accounts' rows.

Each is answered with 200, 400 or 404 (410 for an old cursor), never with 5xx, never with a row or a name of the other account.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_from_bytes

import aiohttp
import pytest
import yarl

from pipeline.errors import StoreError, Unauthorized
from pipeline.problems import problem_of
from pipeline.row import Row
from pipeline.schema import Engines, migrate
from pipeline.server import quiet_loggers
from pipeline.store import ClickHouse, open_chdb
from query import windows
from query.app import create_query_app
from tests.support.rows import make_rows
from tests.support.serving import served

DAY = 86_400_000_000
NOW = (time.time_ns() // 1000) // 1000 * 1000
FOREIGN = "foreign"
BASE = "/v1/me/ai-apps"
LISTS = ("users", "models", "tools", "tags", "tags/plan", "traces", "events", "overview")


def foreign(row: Row) -> Row:
    """Everything of the other account can be told by its name."""
    return row._replace(
        user_id=FOREIGN, model=f"{FOREIGN}-model", provider=f"{FOREIGN}-provider", agent=f"{FOREIGN}-agent", tags=[f"plan={FOREIGN}"],
        trace_id=f"{FOREIGN}-{row.trace_id}", tool_name=f"{FOREIGN}-tool", name=f"{FOREIGN}-name",
    )  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    opened = open_chdb(tmp_path_factory.mktemp("store"))
    migrate(opened, Engines())
    mine = make_rows("a", 300, 1, NOW - 20 * DAY, NOW)
    for rows in (mine, [foreign(row) for row in make_rows("b", 300, 2, NOW - 20 * DAY, NOW)]):
        opened.insert("events", Row._fields, list(zip(*rows, strict=True)))
    yield opened
    opened.close()


class Asker:
    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session, self._port = session, port

    async def __call__(self, path: str) -> tuple[int, str]:
        url = yarl.URL(f"http://127.0.0.1:{self._port}{BASE}/{path}", encoded=True)
        async with self._session.get(url, headers={"Authorization": "Bearer a"}) as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def ask(store: ClickHouse) -> AsyncIterator[Asker]:
    quiet_loggers()

    async def authenticate(token: str) -> Any:
        if token != "a":
            raise Unauthorized("unknown key")
        return SimpleNamespace(account="a", restriction=())

    app = create_query_app(
        store,
        authenticate,
        clock=lambda: NOW,
        cursor_secret=b"secret",
        prices=SimpleNamespace(version="book", newest="2026-11-09"),
    )
    connector = aiohttp.TCPConnector(limit=8)
    async with served(app) as port, aiohttp.ClientSession(connector=connector) as session:
        yield Asker(session, port)


async def failures(ask: Asker, paths: list[str], wanted: frozenset[int] = frozenset({200, 400, 404})) -> dict[str, Any]:
    """The paths that were answered otherwise, or with something of the other account that the path did not name."""
    answers = await asyncio.gather(*(ask(path) for path in paths))
    return {
        path: (status, text[:200])
        for path, (status, text) in zip(paths, answers, strict=True)
        if status not in wanted or (FOREIGN in text and FOREIGN not in path)
    }


HOSTILE = [
    value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    for value in (
        "' OR 1=1 --", "') OR account = 'b' --", "\\' OR 1=1 --", "'; DROP TABLE events; --", '" OR ""="', "`", "\\", "%", "_", "%%%",
        "{account:String}", "{f0:Array(String)}", "{", "}", "{}", "{{account}}", "${7*7}", "file('/etc/passwd')", "a\0b", "\0",
        "\n", "\r\nX-Injected: 1", "\t", "a" * 1024, "a" * 1025, "\ud800", "\uffff", "💶" * 200, "=HYPERLINK(1)", "<script>", "![](x)",
        "../../etc/passwd", "b", "1e999", "-1", "0", "null", "[]", "", " ", "*", b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80",
    )
]  # fmt: skip


async def test_a_hostile_value_is_a_value_like_any_other(ask: Asker) -> None:
    paths = []
    names = ("userId", "userId!", "provider", "model", "agent", "status", "tag.plan", "tag.plan!", "q")
    for number, value in enumerate(map(quote_from_bytes, HOSTILE)):
        if number % 3 == 0:
            paths.append(f"users?{names[number // 3 % 9]}={value}")
        paths.append(f"{LISTS[number % 8]}?" + "&".join(f"{name}={value}" for name in names[:8]))
    assert await failures(ask, paths) == {}


async def test_the_other_accounts_names_select_nothing(ask: Asker) -> None:
    for filters in (
        f"userId={FOREIGN}", f"model={FOREIGN}-model", f"provider={FOREIGN}-provider", f"agent={FOREIGN}-agent", f"tag.plan={FOREIGN}",
    ):  # fmt: skip
        for path in ("users", "tags/plan", "traces", "overview"):
            status, text = await ask(f"{path}?{filters}")
            answer = json.loads(text)
            assert status == 200
            assert answer["data"] == [] or answer["data"]["events"] == 0
            assert (answer.get("totals") or answer["data"])["events"] == 0
    for path in (f"users/{FOREIGN}", f"traces/{FOREIGN}-t-b-1"):
        assert (await ask(path))[0] == 404


async def test_hostile_ids_are_ids_like_any_other(ask: Asker) -> None:
    kinds = ("users", "traces", "events", "tags")
    paths = [
        f"{kinds[(number + step) % 4]}/{quote_from_bytes(value, safe='')}"
        for number, value in enumerate(HOSTILE)
        if value
        for step in ((0, 1) if number % 4 == 0 else (0,))
    ]
    assert await failures(ask, paths) == {}


async def test_hostile_names_of_parameters_are_refused(ask: Asker) -> None:
    names = [quote_from_bytes(value, safe="") for value in HOSTILE]
    paths = [f"users?{name}=1" for name in names if name] + [
        f"users?tag.{name}=1" for name in names if name not in ("b", "0", "-1", "null", "_")
    ]
    assert await failures(ask, [path for path in paths if "a" * 1024 not in path], frozenset({400, 200})) == {}
    for path in (
        "users?tag.a'--=1",
        "users?tag.=1",
        f"users?tag.{'k' * 65}=1",
        "users?tag.a%00=1",
        "users?%ff=1",
        "users?tags.plan=1",
    ):
        assert (await ask(path))[0] == 400, path


REFUSED = [
    "users?limit=0", "users?limit=1001", "users?limit=-1", "users?limit=1e3", "users?limit=", "users?limit=%D9%A1", "users?limit=" + "9" * 5000,
    "users?limit=1&limit=1", "users?window=0d", "users?window=7D", "users?window=", "users?window=7d&windowDays=7", "users?windowDays=0",
    "users?windowDays=401", "users?windowDays=9999999999", "users?windowDays=%D9%A1", "users?window=7d&from=2026-01-01", "users?to=2026-01-01",
    "users?from=2026-02-30", "users?from=2026-01-02&to=2026-01-01", "users?from=2026-01-01&to=2026-01-01", "users?from=0001-01-01",
    "users?from=9999-12-31T23:59:59-14:00", "users?from=-1", "users?from=" + "9" * 400, "users?from=2026-01-01T25:00",
    "users?from=20260101", "users?" + "&".join(["model="] * 1001), "users?from=1795132800",
    "overview?from=0&to=36000000001&group_by=hour", "overview?from=0&to=864000000001&group_by=day",
    "users?from=0&to=253402300799000", "overview?from=0&to=253402300799000&group_by=day&tz=Asia/Kathmandu", "users?from=NaN", "users?from=%00",
    "users?tz=Europe/Atlantis", "users?tz=", "users?tz=../../etc/passwd", "users?tz=/etc/passwd", "users?tz=Europe", "users?tz=tzdata.zi",
    "users?tz=right/UTC", "users?tz=posix/Europe/Berlin", "users?tz=localtime", "users?tz=posixrules", "users?tz=Factory",
    "users?tz=Europe%00/Berlin", "users?tz=%FF", "users?tz=" + "a" * 5000, "users?sort=spend;DROP", "users?sort=--spend", "users?sort=account",
    "users?sort=spend&sort=events", "traces?sort=agent", "overview?group_by=account", "overview?group_by=tag.", "overview?group_by=day,hour",
    "overview?group_by=user,provider", "overview?group_by=tag.a,day", "overview?group_by=" + "tag.a," * 100, "overview?group_by=tag.a%27",
    "users?group_by=user", "users?compare=next", "users?above=-1", "users?above=1e9", "users?above=NaN", "users?above=" + "9" * 13,
    "users?q=" + "a" * 1025, "users?cursor=%FF", "users?cursor=a b".replace(" ", "%20"), "users?cursor=" + "A" * 513, "users?cursor=AAAA",
    "users?cursor=%3D%3D%3D", "users?windw=7d", "users?userid=ada", "users?" + "&".join(f"tag.k{n}=v" for n in range(65)),
    "events?cursor=AAAA", "traces?cursor=AAAA", "users/ada?limit=1", "traces/x?sort=spend",
]  # fmt: skip


async def test_a_question_that_makes_no_sense_is_400(ask: Asker) -> None:
    assert await failures(ask, REFUSED, frozenset({400})) == {}
    for _, text in await asyncio.gather(*(ask(path) for path in REFUSED)):
        assert json.loads(text)["errors"][0]["parameter"]


def test_the_store_knows_every_zone_that_may_be_asked_for(store: ClickHouse) -> None:
    known = {row[0] for row in store.select("SELECT time_zone FROM system.time_zones").rows}
    assert windows.zones() <= known
    assert {"UTC", "Europe/Berlin", "Asia/Calcutta", "US/Eastern"} <= windows.zones()


def test_a_trouble_of_the_store_is_told_without_its_words(store: ClickHouse) -> None:
    with pytest.raises(StoreError) as told:
        store.select("SELECT nothing_like_it FROM events")
    assert "nothing_like_it" in told.value.detail  # for the log
    answer = json.loads(problem_of(told.value).body)
    assert (answer["status"], answer["code"]) == (503, "store_unavailable")
    assert answer["detail"] == "the database did not answer this question"


ODD_BUT_GOOD = [
    "users?from=0&to=4102444800000", "overview?from=0&to=36000000000&group_by=hour&limit=1", "overview?from=0&to=4102444800000&group_by=day,agent",
    "overview?from=0&to=864000000000&group_by=day&tz=Asia/Kathmandu&limit=1",
    "overview?from=1970-01-01&to=1970-01-02&group_by=day&tz=America/New_York&compare=previous", "overview?from=0&to=4102444800000&compare=previous",
    "users?from=0&to=4102444800000&compare=previous", "events?from=0&to=4102444800000", "traces?from=9998-01-01&to=9998-12-31", "users?tz=Etc/GMT-14",
    "users?" + "&".join(f"userId=u{n}" for n in range(1000)), "users?" + "&".join(f"tag.k{n}=v" for n in range(64)), "users?sort=-user_id&limit=1",
    "users?above=999999999999.999999999", "overview?group_by=day,tag.plan", "users?userId=&userId!=",
]  # fmt: skip


async def test_every_bucket_is_there_up_to_the_most(ask: Asker) -> None:
    status, text = await ask("overview?from=1800000&to=36001800000&group_by=hour&format=ndjson")
    assert (status, len(text.splitlines())) == (200, 10_001)
    status, text = await ask("overview?from=0&to=4102444800000&group_by=hour")
    assert (status, json.loads(text)["errors"][0]["parameter"]) == (400, "group_by")


async def test_a_question_at_an_edge_is_answered(ask: Asker) -> None:
    assert await failures(ask, ODD_BUT_GOOD, frozenset({200})) == {}


def cursor(body: bytes, secret: bytes = b"another") -> str:
    mark = hmac.new(secret, body, hashlib.sha256).digest()[:16]
    return base64.urlsafe_b64encode(mark + body).decode().rstrip("=")


async def test_a_cursor_of_somebody_else_is_400_whatever_it_holds(ask: Asker) -> None:
    page = json.loads((await ask("users?limit=2"))[1])["next_cursor"]
    forged = [
        cursor(body)
        for body in (
            b"",
            b"[]",
            b"{}",
            b"1" * 300,
            b"[" * 360,
            b"NaN",
            b"\xff",
            b'["x","y",0]',
            b'["",1,1e999]',
            b"null",
            b'"\\ud800"',
        )
    ]
    changed = [page[:-1], page + "A", page[:20] + ("A" if page[20] != "A" else "B") + page[21:], page.swapcase()]
    paths = [f"{of}?limit=2&cursor={one}" for one in [*forged, *changed] for of in ("users", "events")]
    assert (
        await failures(ask, [*paths, f"users?limit=3&cursor={page}", f"events?limit=2&cursor={page}"], frozenset({400}))
        == {}
    )
    assert (await ask(f"users?limit=2&cursor={page}"))[0] == 200
