"""Keys over HTTP and by command: shown once, of one account, and never wider than who made them."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from pipeline import keyring
from pipeline.errors import BadQuestion, NotFound, Unauthorized
from pipeline.keys import FileKeys, KeyBook, hash_of
from pipeline.price import PriceBook
from pipeline.schema import Engines, migrate
from pipeline.services import run_operation
from pipeline.store import ClickHouse, open_chdb
from query.app import create_query_app
from query.keys import KeyRoutes
from query.sessions import COOKIE, Ended, Sessions
from tests.support.serving import served

SECOND = 1_000_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    opened = open_chdb(tmp_path_factory.mktemp("store"))
    migrate(opened, Engines())
    yield opened
    opened.close()


class Service(NamedTuple):
    http: aiohttp.ClientSession
    url: str
    keys: FileKeys
    book: KeyBook
    tokens: dict[str, str]
    account: str
    other: dict[str, Any]  # another account

    async def ask(self, method: str, path: str = "", status: int = 200, token: str = "", **body: Any) -> Any:
        headers = {"Authorization": f"Bearer {token or self.tokens['admin']}"}
        given: dict[str, Any] = {"json": body} if method == "POST" else {}
        async with self.http.request(method, f"{self.url}/v1/me/keys{path}", headers=headers, **given) as answer:
            assert answer.status == status, await answer.text()
            assert status >= 400 or answer.headers["Cache-Control"] == "no-store"
            return await answer.json(content_type=None)

    def good(self, token: str, scope: str) -> Any:
        return self.book.verify(token, scope, time.time_ns() // 1000)


@pytest.fixture
async def service(store: ClickHouse, tmp_path: Path) -> AsyncIterator[Service]:
    keys = FileKeys(tmp_path / "keys.json")
    made, other = keyring.create_account(keys, "Fieldnote"), keyring.create_account(keys, "Other")
    book = KeyBook(keys)

    def by(scope: str) -> Any:
        async def authenticate(token: str) -> Any:
            return book.verify(token, scope, keyring.now_us())

        return authenticate

    async def verify(digest: str) -> Any:
        return book.verify_hash(digest, "read", keyring.now_us())

    app = create_query_app(
        store, by("read"), clock=keyring.now_us, cursor_secret=b"secret", prices=PriceBook(),
        sessions=Sessions(b"secret", Ended(store), verify, keyring.now_us), keys=KeyRoutes(keys, by("admin")),
    )  # fmt: skip
    async with served(app) as port, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield Service(http, f"http://127.0.0.1:{port}", keys, book, made["keys"], made["account"], other)


async def test_a_key_is_shown_once_and_kept_as_a_hash(service: Service, tmp_path: Path) -> None:
    made = await service.ask(
        "POST", status=201, scope="read", name="for the nightly report", restriction={"org": "acme"}
    )
    assert made["key"].startswith("pc_live_")
    assert (made["scopes"], made["restriction"], made["expires_at"]) == (["read"], {"tag.org": "acme"}, None)
    asker = service.good(made["key"], "read")
    assert (asker.account, asker.restriction) == (service.account, (("org", "acme"),))
    listed = await service.ask("GET")
    mine = next(key for key in listed["data"] if key["id"] == made["id"])
    assert mine == {name: made[name] for name in mine}
    for held in (json.dumps(listed), (tmp_path / "keys.json").read_text(encoding="utf-8")):
        assert made["key"] not in held
    assert hash_of(made["key"]) not in json.dumps(listed)


async def test_a_key_ends_when_it_was_said_to(service: Service) -> None:
    made = await service.ask("POST", status=201, scope="ingest", privacy="minimal", expires_in=60)
    assert service.good(made["key"], "ingest").privacy == "minimal"
    with pytest.raises(Unauthorized, match="expired"):
        service.book.verify(made["key"], "ingest", time.time_ns() // 1000 + 61 * SECOND)


async def test_a_rotated_key_gives_way_after_a_while(service: Service) -> None:
    old = await service.ask(
        "POST", status=201, scope="read", name="backend", restriction={"org": "acme"}, expires_in=3_600
    )
    new = await service.ask("POST", f"/{old['id']}/rotate", 201, overlap=60)
    assert new["key"] != old["key"]
    assert {name: new[name] for name in ("name", "scopes", "restriction")} == {
        name: old[name] for name in ("name", "scopes", "restriction")
    }
    assert new["replaces"]["id"] == old["id"]
    assert service.good(old["key"], "read").restriction == service.good(new["key"], "read").restriction
    later = time.time_ns() // 1000 + 61 * SECOND
    with pytest.raises(Unauthorized, match="expired"):
        service.book.verify(old["key"], "read", later)
    service.book.verify(new["key"], "read", later)
    with pytest.raises(Unauthorized, match="expired"):
        service.book.verify(new["key"], "read", later + 3_600 * SECOND)
    assert (await service.ask("POST", f"/{new['id']}/rotate", 201))["replaces"]["expires_at"] == new["expires_at"], (
        "a rotation makes no key live longer"
    )


async def test_a_revoked_key_is_good_no_more_and_cannot_be_rotated(service: Service) -> None:
    made = await service.ask("POST", status=201, scope="read")
    assert await service.ask("DELETE", f"/{made['id']}") == {"id": made["id"], "revoked": True}
    with pytest.raises(Unauthorized, match="revoked"):
        service.good(made["key"], "read")
    assert (await service.ask("POST", f"/{made['id']}/rotate", 400))["code"] == "bad_parameter"
    assert any(key["id"] == made["id"] and key["revoked_at"] for key in (await service.ask("GET"))["data"])


async def test_no_account_sees_or_touches_the_keys_of_another(service: Service) -> None:
    theirs = {key["id"] for key in keyring.list_keys(service.keys, service.other["account"])}
    assert theirs.isdisjoint(key["id"] for key in (await service.ask("GET"))["data"])
    for one in theirs:
        await service.ask("DELETE", f"/{one}", 404)
        await service.ask("POST", f"/{one}/rotate", 404)
    assert all(key["revoked_at"] is None for key in keyring.list_keys(service.keys, service.other["account"]))


async def test_nobody_makes_keys_without_the_scope_for_it(service: Service) -> None:
    for scope in ("read", "ingest"):
        for method, path in (("GET", ""), ("POST", ""), ("DELETE", "/key_1")):
            await service.ask(method, path, 403, token=service.tokens[scope], scope="admin")
    narrow = keyring.create_key(service.keys, service.account, "admin", restriction=[("org", "acme")])["key"]
    await service.ask("POST", status=403, token=narrow, scope="admin")
    headers = {"X-Percapita": "1"}
    async with service.http.post(
        f"{service.url}/v1/session", json={"key": service.tokens["read"]}, headers=headers
    ) as answer:
        cookie = answer.cookies[COOKIE].value
    given = headers | {"Cookie": f"{COOKIE}={cookie}"}
    async with service.http.post(f"{service.url}/v1/me/keys", json={"scope": "admin"}, headers=given) as answer:
        assert answer.status == 401, "a session of the dashboard administers nothing"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "scope"),
        ({"scope": "root"}, "scope"),
        ({"scope": "read", "name": "n" * 121}, "name"),
        ({"scope": "read", "name": "a\0b"}, "name"),
        ({"scope": "read", "expires_in": 59}, "expires_in"),
        ({"scope": "read", "expires_in": "60"}, "expires_in"),
        ({"scope": "read", "restriction": {"or g": "acme"}}, "restriction"),
        ({"scope": "ingest", "restriction": {"org": "acme"}}, "restriction"),
        ({"scope": "read", "privacy": "minimal"}, "privacy"),
        ({"scope": "ingest", "privacy": "full"}, "privacy"),
        ({"scope": "read", "account": "acc_of_another"}, "account"),
    ],
)
async def test_a_wrong_wish_is_told_by_its_field(service: Service, body: dict[str, Any], field: str) -> None:
    count = len(service.keys.keys())
    said = await service.ask("POST", status=400, **body)
    assert said["errors"][0]["parameter"].split(".")[0] == field, said
    assert len(service.keys.keys()) == count


def test_commands_do_the_same(service: Service) -> None:
    def run(operation: str, **given: Any) -> Any:
        return run_operation(service.keys, None, operation, given)

    asked = {
        "account": service.account,
        "scope": "read",
        "name": "cron",
        "restriction": "tag.org=acme",
        "privacy": None,
    }
    made = run("create_key", **asked, expires_days=30)
    assert made["restriction"] == {"tag.org": "acme"}
    rotated = run("rotate_key", key_id=made["id"], overlap_hours=0)
    with pytest.raises(Unauthorized, match="expired"):
        service.book.verify(made["key"], "read", keyring.now_us() + 1)
    run("revoke_key", key_id=rotated["id"])
    with pytest.raises(Unauthorized, match="revoked"):
        service.good(rotated["key"], "read")
    with pytest.raises(NotFound):
        run("rotate_key", key_id="key_0", overlap_hours=1)
    with pytest.raises(BadQuestion, match=r"tag\.org=acme"):
        run("create_key", **asked | {"restriction": "acme"}, expires_days=0)
