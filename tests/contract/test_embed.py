"""A tenant's own page: what a minted token reaches, and that nothing outside its tags is reachable by any way of asking."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from pipeline import keyring
from pipeline.keys import FileKeys, KeyBook
from pipeline.price import PriceBook
from pipeline.row import Row
from pipeline.server import HardenedRunner
from pipeline.store import ClickHouse
from query.app import create_query_app
from query.embed import Embeds
from tests.support.rows import make_rows

OURS = {"X-Percapita": "dashboard"}
NOW = time.time_ns() // 1000
BASE = "/v1/me/ai-apps"


class Service(NamedTuple):
    http: aiohttp.ClientSession
    url: str
    keys: FileKeys
    read: str
    account: str
    clock: list[int]
    rows: list[Row]

    async def mint(self, status: int = 201, key: str = "", **wanted: Any) -> Any:
        headers = {"Authorization": f"Bearer {key or self.read}"}
        async with self.http.post(f"{self.url}/v1/me/embed-tokens", json=wanted, headers=headers) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json(content_type=None)

    async def trade(self, token: str, status: int = 200) -> Any:
        async with self.http.post(f"{self.url}/v1/embed/session", json={"token": token}, headers=OURS) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json(content_type=None)

    async def get(self, path: str, credential: str, status: int = 200) -> Any:
        async with self.http.get(f"{self.url}{path}", headers={"Authorization": f"Bearer {credential}"}) as answer:
            assert answer.status == status, await answer.text()
            text = await answer.text()
            return text if answer.content_type.endswith(("csv", "ndjson")) else json.loads(text)


@pytest.fixture
async def service(store: ClickHouse, tmp_path: Path) -> AsyncIterator[Service]:
    keys = FileKeys(tmp_path / "keys.json")
    made = keyring.create_account(keys, "Fieldnote")
    book, clock, account = KeyBook(keys), [NOW], made["account"]
    rows = []
    for number, row in enumerate(make_rows(account, 120, 1, NOW - 20 * 86_400_000_000, NOW)):
        org = "acme" if number % 3 == 0 else "foreign"
        rows.append(row._replace(
            sign=1, tags=[f"org={org}", f"{org}Key=1"], user_id=f"{org}-user-{number % 4}", model=f"{org}-model", agent=f"{org}-agent",
            trace_id=f"{org}-trace-{number % 9}", tool_name=f"{org}-tool" if row.type == "tool" else "", prompt='"secret prompt"',
            metadata='{"question":"secret text"}',
            raw_usage='{"prompt_tokens":5,"note":"secret usage"}',
        ))  # fmt: skip
    store.insert("events", Row._fields, list(zip(*rows, strict=True)), token=str(uuid4()))

    async def authenticate(token: str) -> Any:
        return book.verify(token, "read", clock[0])

    async def verify(digest: str) -> Any:
        return book.verify_hash(digest, "read", clock[0])

    app = create_query_app(
        store, authenticate, clock=lambda: clock[0], cursor_secret=b"secret", prices=PriceBook(),
        embeds=Embeds(b"secret", verify, lambda: clock[0]),
    )  # fmt: skip
    runner = HardenedRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as http:
        yield Service(http, url, keys, made["keys"]["read"], account, clock, rows)
    await runner.cleanup()


async def test_a_tenant_sees_its_share_and_no_prompt(service: Service) -> None:
    made = await service.mint(tags={"org": "acme"}, wording="Person", accent="#0a6b4e")
    assert made["url"].endswith(f"#token={made['token']}")
    told = await service.trade(made["token"])
    assert (told["restriction"], told["wording"], told["show_prompts"]) == ({"tag.org": "acme"}, "Person", False)
    overview = await service.get(f"{BASE}/overview", told["credential"])
    mine = [row for row in service.rows if "org=acme" in row.tags]
    assert overview["data"]["events"] == len(mine)
    event = await service.get(f"{BASE}/events/{mine[0].id}?trace_id={mine[0].trace_id}", told["credential"])
    assert event["data"]["prompt"] == {"absent": "not shown on this page"}
    shown = await service.trade((await service.mint(tags={"org": "acme"}, show_prompts=True))["token"])
    event = await service.get(f"{BASE}/events/{mine[0].id}?trace_id={mine[0].trace_id}", shown["credential"])
    assert event["data"]["prompt"] == "secret prompt"


async def test_nothing_outside_the_scope_is_reachable(service: Service) -> None:
    credential = (await service.trade((await service.mint(tags={"org": "acme"}))["token"]))["credential"]
    foreign = next(row for row in service.rows if "org=foreign" in row.tags)
    whole = await service.get(f"{BASE}/users?limit=2", service.read)
    paths = [
        f"{list_}{mark}" for list_ in ("users", "traces", "events", "models", "tools", "tags", "tags/org", "notices", "diagnosis", "overview")
        for mark in ("", "?tag.org=foreign", "?tag.org!=acme", "?tag.org=", "?userId=foreign-user-1", "?tag.org=acme&tag.org=foreign", "?window=90d")
    ]  # fmt: skip
    paths += [
        f"overview?group_by={key}"
        for key in ("user", "model", "agent", "provider", "tag.org", "tag.foreignKey", "day,tag.org")
    ]
    paths += [
        f"{list_}?format={kind}"
        for list_ in ("users", "traces", "events", "tags")
        for kind in ("csv", "ndjson", "focus")
    ]
    paths += ["users?q=foreign", "users?include=spark&compare=previous", "traces?tag.forignKey=1"]
    for path in paths:
        answer = await service.get(f"{BASE}/{path}", credential)
        told = answer if isinstance(answer, str) else json.dumps(answer)
        asked = path.count("foreign")
        assert told.count("foreign") <= (asked if "diagnosis" in path or "tag.foreignKey" in path else 0), (
            path,
            told[:500],
        )
    for path in (
        f"users/{foreign.user_id}",
        f"traces/{foreign.trace_id}",
        f"events/{foreign.id}",
        f"events/{foreign.id}?trace_id={foreign.trace_id}",
    ):
        await service.get(f"{BASE}/{path}", credential, 404)
    cursor = whole["next_cursor"]
    await service.get(f"{BASE}/users?limit=2&cursor={quote(cursor)}", credential, 400)
    async with service.http.get(
        f"{service.url}/v1/me/stream", headers={"Authorization": f"Bearer {credential}"}
    ) as answer:
        line = await anext(line async for line in answer.content if line.startswith(b"data:"))
    assert json.loads(line[5:])["events"] == sum("org=acme" in row.tags for row in service.rows)


async def test_a_token_of_a_restricted_key_is_narrowed_twice_and_never_wider(service: Service) -> None:
    narrow = keyring.create_key(service.keys, service.account, "read", restriction=[("org", "acme")])["key"]
    for tags, events in (({"org": "acme"}, 40), ({"acmeKey": "1"}, 40), ({"foreignKey": "1"}, 0)):
        told = await service.trade((await service.mint(key=narrow, tags=tags))["token"])
        assert (await service.get(f"{BASE}/overview", told["credential"]))["data"]["events"] == events
        assert told["restriction"] == {f"tag.{key}": value for key, value in ({"org": "acme"} | tags).items()}
    refused = await service.mint(400, key=narrow, tags={"org": "foreign"})
    assert refused["errors"] == [{"parameter": "tags", "detail": "this key reads tag.org=acme alone"}]


async def test_without_prompts_no_text_is_told_in_any_field(service: Service) -> None:
    credential = (await service.trade((await service.mint(tags={"org": "acme"}))["token"]))["credential"]
    mine = next(row for row in service.rows if "org=acme" in row.tags)
    for path in (
        f"events/{mine.id}?trace_id={mine.trace_id}",
        "events",
        "events?format=ndjson",
        "events?format=csv",
        f"traces/{mine.trace_id}",
    ):
        answer = str(await service.get(f"{BASE}/{path}", credential))
        assert "secret" not in answer, path
    event = (await service.get(f"{BASE}/events/{mine.id}?trace_id={mine.trace_id}", credential))["data"]
    assert (event["metadata"], event["raw_usage"]) == (None, {"prompt_tokens": 5})
    with_key = (await service.get(f"{BASE}/events/{mine.id}?trace_id={mine.trace_id}", service.read))["data"]
    assert (with_key["metadata"], with_key["raw_usage"]["note"]) == ({"question": "secret text"}, "secret usage")


async def test_a_credential_in_a_url_is_refused(service: Service) -> None:
    credential = (await service.trade((await service.mint(tags={"org": "acme"}))["token"]))["credential"]
    for path in (f"{BASE}/overview?t={credential}", f"{BASE}/users/{credential}"):
        assert "in a URL" in (await service.get(path, service.read, 401))["detail"]


async def test_a_framed_page_mints_nothing_and_ends_in_time_and_with_its_key(service: Service) -> None:
    made = await service.mint(tags={"org": "acme"}, expires_in=60)
    credential = (await service.trade(made["token"]))["credential"]
    assert (await service.mint(403, key=credential, tags={"org": "foreign"}))["code"] == "forbidden"
    service.clock[0] += 61_000_000
    await service.get(f"{BASE}/overview", credential, 401)
    await service.trade(made["token"], 401)
    credential = (await service.trade((await service.mint(tags={"org": "acme"}))["token"]))["credential"]
    held = service.keys.keys()
    for key in held:
        keyring.revoke_key(service.keys, key.id)
    await service.get(f"{BASE}/overview", credential, 401)


async def test_what_was_not_signed_as_such_is_nobodys(service: Service) -> None:
    made = await service.mint(tags={"org": "acme"}, origins=["https://admin.example.com"])
    frame = made["url"].split("frame=")[1].split("#")[0]
    for token in ("", "x", frame, made["token"][:-4] + "AAAA", made["token"][1:]):
        await service.trade(token, 401)
        await service.get(f"{BASE}/overview", f"pe_{token}", 401)
    await service.get(f"{BASE}/overview", f"pe_{made['token']}", 401)  # a token is no credential


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({}, "tags"), ({"tags": {}}, "tags"), ({"tags": {"org": ""}}, "tags"), ({"tags": {"or g": "x"}}, "tags"), ({"tags": ["org"]}, "tags"),
        ({"tags": {"org": "a"}, "expires_in": 5}, "expires_in"), ({"tags": {"org": "a"}, "expires_in": 10**9}, "expires_in"),
        ({"tags": {"org": "a"}, "origins": ["javascript:alert(1)"]}, "origins.0"), ({"tags": {"org": "a"}, "origins": ["https://a b"]}, "origins.0"),
        ({"tags": {"org": "a"}, "accent": "red;}"}, "accent"), ({"tags": {"org": "a"}, "account": "b"}, "account"),
    ],
)  # fmt: skip
async def test_a_token_that_makes_no_sense_is_refused_by_name(
    service: Service, wanted: dict[str, Any], named: str
) -> None:
    told = await service.mint(400, **wanted)
    assert told["errors"][0]["parameter"] == named
