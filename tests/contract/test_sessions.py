"""Signing in to the dashboard: keys, links and cookies against a running query service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiohttp import web

from pipeline import keyring
from pipeline.keys import FileKeys, KeyBook, hash_of
from pipeline.price import PriceBook
from pipeline.server import HardenedRunner
from pipeline.store import ClickHouse
from query.app import create_query_app
from query.sessions import COOKIE, Ended, Links, Sessions
from tests.support.serving import served

OURS = {"X-Percapita": "dashboard"}
SECRET = b"secret"


class Service(NamedTuple):
    http: aiohttp.ClientSession
    url: str
    keys: FileKeys
    tokens: dict[str, str]
    account: str
    links: Links
    clock: list[int]

    async def sign_in(self, status: int = 204, headers: dict[str, str] = OURS, **body: Any) -> Any:
        async with self.http.post(f"{self.url}/v1/session", json=body, headers=headers) as answer:
            assert answer.status == status, await answer.text()
            return answer.cookies[COOKIE] if status == 204 else await answer.json(content_type=None)

    async def get(self, path: str, cookie: str, status: int = 200, **headers: str) -> Any:
        given = {"Cookie": f"{COOKIE}={cookie}", **headers}
        async with self.http.get(f"{self.url}{path}", headers=given) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json(content_type=None)


def sessions(store: ClickHouse, book: KeyBook, clock: list[int], links: Links | None = None) -> Sessions:
    async def verify(digest: str) -> Any:
        return book.verify_hash(digest, "read", clock[0])

    return Sessions(SECRET, Ended(store), verify, lambda: clock[0], links)


@pytest.fixture
async def service(store: ClickHouse, tmp_path: Path) -> AsyncIterator[Service]:
    keys = FileKeys(tmp_path / "keys.json")
    made = keyring.create_account(keys, "Fieldnote")
    book, links, clock = KeyBook(keys), Links(), [keyring.now_us()]

    async def authenticate(token: str) -> Any:
        return book.verify(token, "read", clock[0])

    app = create_query_app(
        store, authenticate, clock=lambda: clock[0], cursor_secret=SECRET, prices=PriceBook(),
        sessions=sessions(store, book, clock, links),
    )  # fmt: skip
    async with served(app) as port, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield Service(http, f"http://127.0.0.1:{port}", keys, made["keys"], made["account"], links, clock)


async def test_a_read_key_becomes_a_cookie_that_no_script_reads_and_no_other_site_sends(service: Service) -> None:
    cookie = await service.sign_in(key=service.tokens["read"])
    assert cookie.key.startswith("__Host-")
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"], cookie["path"]) == (True, True, "Strict", "/")
    assert int(cookie["max-age"]) == 12 * 3600
    assert service.tokens["read"] not in cookie.value
    me = await service.get("/v1/me", cookie.value)
    assert (me["account"], me["name"], me["live"], me["scopes"]) == (service.account, "Fieldnote", True, ["read"])
    assert (await service.get("/v1/me/ai-apps/overview", cookie.value))["data"]["events"] == 0


@pytest.mark.parametrize("key", ["", "pc_live_x", "pc_live_" + "a" * 32 + "_000000", 7, None, {"$ne": 1}])
async def test_what_is_no_key_signs_nobody_in(service: Service, key: Any) -> None:
    await service.sign_in(401 if isinstance(key, str) else 400, key=key)


async def test_an_ingest_key_reads_nothing(service: Service) -> None:
    assert (await service.sign_in(403, key=service.tokens["ingest"]))["code"] == "forbidden"


async def test_a_link_is_good_once(service: Service) -> None:
    link = service.links.make(hash_of(service.tokens["read"]))
    cookie = await service.sign_in(link=link)
    assert (await service.get("/v1/me", cookie.value))["account"] == service.account
    assert (await service.sign_in(401, link=link))["code"] == "unauthorized"


async def test_a_form_of_another_site_neither_signs_in_nor_out(service: Service) -> None:
    await service.sign_in(403, headers={}, key=service.tokens["read"])
    await service.sign_in(403, headers=OURS | {"Sec-Fetch-Site": "cross-site"}, key=service.tokens["read"])
    cookie = await service.sign_in(key=service.tokens["read"])
    async with service.http.delete(
        f"{service.url}/v1/session", headers={"Cookie": f"{COOKIE}={cookie.value}"}
    ) as answer:
        assert answer.status == 403
    await service.get("/v1/me", cookie.value)


async def test_plain_http_beyond_this_machine_says_why_it_cannot(service: Service) -> None:
    away = OURS | {"Host": "percapita.example.com"}
    told = await service.sign_in(400, headers=away, key=service.tokens["read"])
    assert told["code"] == "insecure"
    assert "https" in told["detail"]
    await service.sign_in(headers=away | {"X-Forwarded-Proto": "https"}, key=service.tokens["read"])


async def test_signing_out_ends_the_session_in_every_process(service: Service, store: ClickHouse) -> None:
    cookie = await service.sign_in(key=service.tokens["read"])
    headers = OURS | {"Cookie": f"{COOKIE}={cookie.value}"}
    async with service.http.delete(f"{service.url}/v1/session", headers=headers) as answer:
        assert answer.status == 204
        assert answer.cookies[COOKIE]["max-age"] == "0"
    await service.get("/v1/me", cookie.value, 401)
    other = sessions(store, KeyBook(service.keys), service.clock)
    assert other._ended.holds(other._read(cookie.value).id)  # type: ignore[union-attr]


async def test_a_session_ends_with_its_key_and_with_its_time(service: Service) -> None:
    first = await service.sign_in(key=service.tokens["read"])
    service.clock[0] += 12 * 3_600_000_000
    await service.get("/v1/me", first.value, 401)
    second = await service.sign_in(key=service.tokens["read"])
    await service.get("/v1/me", second.value)
    for key in service.keys.keys():  # noqa: SIM118  # no dict: a method of the store of keys
        keyring.revoke_key(service.keys, key.id)
    await service.get("/v1/me", second.value, 401)


async def test_a_cookie_that_was_changed_or_made_up_is_nobodys(service: Service) -> None:
    cookie = (await service.sign_in(key=service.tokens["read"])).value
    for place in (0, 10, 50, len(cookie) - 2):
        changed = cookie[:place] + ("A" if cookie[place] != "A" else "B") + cookie[place + 1 :]
        await service.get("/v1/me", changed, 401)
    for made_up in ("", "a", "A" * 60, "=" * 40, "%00", "W10"):
        await service.get("/v1/me", made_up, 401)


async def test_a_restricted_key_stays_restricted_in_its_session(service: Service) -> None:
    made = keyring.create_key(service.keys, service.account, "read", restriction=[("org", "acme")])
    cookie = (await service.sign_in(key=made["key"])).value
    assert (await service.get("/v1/me", cookie))["restriction"] == {"tag.org": "acme"}


async def test_a_key_in_the_header_is_asked_before_the_cookie(service: Service) -> None:
    cookie = (await service.sign_in(key=service.tokens["read"])).value
    await service.get("/v1/me", cookie, 401, Authorization="Bearer pc_live_nonsense")


async def test_a_body_that_is_none_is_refused(service: Service) -> None:
    for body, kind in ((b"{", "application/json"), (b"[]", "application/json"), (b"key=x", "application/x-www-form-urlencoded"),
                       (b"[" * 5_000, "application/json")):  # fmt: skip
        headers = OURS | {"Content-Type": kind}
        async with service.http.post(f"{service.url}/v1/session", data=body, headers=headers) as answer:
            assert answer.status == (415 if "form" in kind else 413 if len(body) > 4_096 else 400)
            assert answer.content_type == "application/problem+json"


async def test_a_key_that_asks_too_often_is_told_when_to_ask_again(service: Service) -> None:
    headers = {"Authorization": f"Bearer {service.tokens['read']}"}
    left = []
    for _ in range(3):
        async with service.http.get(f"{service.url}/v1/me", headers=headers) as answer:
            assert answer.headers["RateLimit-Policy"] == '"key";q=1200;w=60'
            left.append(answer.headers["RateLimit"].split(";")[1])
    assert left == ["r=1199", "r=1198", "r=1197"]


@pytest.mark.parametrize(
    ("given", "headers", "told"),
    [
        ({}, {}, None),
        ({"ingest_url": "https://in.example.com"}, {}, "https://in.example.com"),
        ({"embedded": True}, {}, "http://{address}"),
        (
            {"embedded": True, "path_prefix": "/percapita"},
            {"X-Forwarded-Proto": "https"},
            "https://{address}/percapita",
        ),
        ({"embedded": True}, {"Host": "[::1]:8900"}, "http://[::1]:8900"),
        ({"embedded": True}, {"Host": 'a"<b>'}, None),
        ({"embedded": True, "ingest_url": "https://in.example.com/x"}, {}, "https://in.example.com/x"),
    ],
)
async def test_me_says_where_sdks_send(
    store: ClickHouse, tmp_path: Path, given: dict[str, Any], headers: dict[str, str], told: str | None
) -> None:
    keys = FileKeys(tmp_path / "keys.json")
    read = keyring.create_account(keys, "Fieldnote")["keys"]["read"]

    async def authenticate(token: str) -> Any:
        return KeyBook(keys).verify(token, "read", keyring.now_us())

    app = create_query_app(store, authenticate, clock=keyring.now_us, cursor_secret=SECRET, prices=PriceBook(), **given)
    runner = HardenedRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"127.0.0.1:{runner.addresses[0][1]}"
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://{address}/v1/me", headers={"Authorization": f"Bearer {read}", **headers}) as answer,
    ):
        assert (await answer.json())["ingest_url"] == (told and told.format(address=address))
    await runner.cleanup()
