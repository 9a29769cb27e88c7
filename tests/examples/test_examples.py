"""Each example as it is started by hand: what every user spent, by the API, is what the provider served to that user."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.examples.conftest import PARTY, SECRET, Issuer
from tests.examples.running import (
    Example,
    Spent,
    ask_at_once,
    asking,
    served,
    told,
    told_in_time,
)
from tests.support.embedded import Running
from tests.support.needs import ROOT
from tests.support.providers import WORDS, ProviderServer

Start = Callable[..., Example]
EACH = 6  # questions of each user and path
APPS = {
    "fastapi": (("auth0|ada", "auth0|bob"), ("ask", "stream")),
    "flask": (("clerk_ada", "clerk_bob"), ("ask", "stream")),
    "django": (("own_ada", "own_bob"), ("ask",)),
    "starlette": (("asgi_ada", "asgi_bob"), ("ask", "stream")),
}
REFUSED = {
    "fastapi": ("auth0 expired", "auth0 for another API", "auth0 of another issuer", "auth0 of nobody", "forged", "no token", "changed", "own_ada"),
    "flask": ("clerk expired", "clerk not yet", "clerk for another page", "forged", "no token", "changed", "own_ada"),
    "django": ("own expired", "own without an end", "forged", "no token", "auth0|ada"),
    "starlette": ("own expired", "own without an end", "forged", "no token", "auth0|ada"),
}  # fmt: skip
TAGS = {
    "auth0|ada": {"org": "org_ada"}, "clerk_ada": {"org": "org_1"}, "clerk_bob": {"org": "org_2"}, "own_ada": {"plan": "pro"},
    "asgi_bob": {"plan": "pro", "feature": "chat"},
}  # fmt: skip


def settings_of(issuer: Issuer) -> dict[str, str]:
    return {
        "AUTH0_ISSUER": f"{issuer.url}/", "AUTH0_AUDIENCE": "https://api.example.com", "CLERK_ISSUER": issuer.url,
        "CLERK_PARTIES": PARTY, "APP_SECRET": SECRET,
    }  # fmt: skip


@pytest.mark.parametrize("name", APPS)
def test_users_who_ask_at_once_are_told_apart_to_the_last_digit(
    name: str, example: Start, issuer: Issuer, provider: ProviderServer, product: Running
) -> None:
    users, paths = APPS[name]
    asked = [
        (path, {"text": asking(user, 10 * n + m)}, issuer.tokens[user])
        for n in range(EACH)
        for m, path in enumerate(paths)
        for user in users
    ]
    with example(name, **settings_of(issuer)) as app:
        answers = ask_at_once(app, asked)
        said = "".join(WORDS)
        assert [(one.status, said in one.text) for one in answers] == [(200, True)] * len(asked), app.seen
        expected = {user: served(provider, user, EACH * len(paths)) for user in users}
        assert [one.calls for one in expected.values()] == [EACH * len(paths)] * len(users)
        assert told_in_time(product, expected) == expected, app.seen
    for user in users:
        tags = product.get(f"users/{user.replace('|', '%7C')}")["data"]["tags"]
        assert {key: tags.get(key) for key in TAGS.get(user, {})} == TAGS.get(user, {})


@pytest.mark.parametrize("name", REFUSED)
def test_without_a_good_token_nobody_asks_anything(
    name: str, example: Start, issuer: Issuer, provider: ProviderServer
) -> None:
    with example(name, **settings_of(issuer)) as app:
        for path in APPS[name][1]:
            for kind in REFUSED[name]:
                answer = app.post(path, {"text": "(of eve)"}, issuer.tokens[kind])
                assert answer.status == 401, (kind, answer.text)
            assert app.post(path, {"text": "(of eve)"}).status == 401
    assert provider.served == []


def test_clerks_token_may_come_in_its_cookie(
    example: Start, issuer: Issuer, provider: ProviderServer, product: Running
) -> None:
    before = told(product, "clerk_bob") or Spent(Decimal(0), 0, 0, 0)
    with example("flask", **settings_of(issuer)) as app:
        answer = app.post("ask", {"text": asking("clerk_bob", 1)}, Cookie=f"__session={issuer.tokens['clerk_bob']}")
        assert answer.status == 200
        mine = served(provider, "clerk_bob", 1)
        expected = Spent(*(was + now for was, now in zip(before, mine, strict=True)))
        assert told_in_time(product, {"clerk_bob": expected}) == {"clerk_bob": expected}


def test_while_the_issuers_keys_are_away_nobody_is_told_that_their_token_is_bad(example: Start, issuer: Issuer) -> None:
    gone = {"AUTH0_ISSUER": "http://127.0.0.1:9/", "CLERK_ISSUER": "http://127.0.0.1:9"}
    for name, user in (("fastapi", "auth0|ada"), ("flask", "clerk_ada")):
        with example(name, **{**settings_of(issuer), **gone}) as app:
            assert app.post("ask", {"text": "x"}, issuer.tokens[user]).status == 503


def visitor_in(answer: Any) -> str:
    return re.search(r"visitor=([^;]+)", answer.headers["Set-Cookie"]).group(1)  # type: ignore[union-attr]  # fails if not


def test_each_browser_is_a_visitor_of_its_own_until_its_id_rotates(
    example: Start, provider: ProviderServer, product: Running
) -> None:
    with example("anonymous") as app:
        first = app.post("ask", {"text": asking("browser 1", 1)})
        cookie = visitor_in(first)
        assert {"HttpOnly", "SameSite=lax", "Max-Age=2592000"} <= set(first.headers["Set-Cookie"].split("; "))
        again = app.post("ask", {"text": asking("browser 1", 2)}, Cookie=f"visitor={cookie}")
        assert again.headers["Set-Cookie"] is None
        cookies = {1: cookie, 2: visitor_in(app.post("ask", {"text": asking("browser 2", 1)}))}
        old = f"{int(time.time()) - 31 * 86_400}.{cookie.partition('.')[2]}"
        cookies[3] = visitor_in(app.post("ask", {"text": asking("browser 3", 1)}, Cookie=f"visitor={old}"))
        for number, written in enumerate(("ada@example.com", "9999999999.AAAAAAAAAAAAAAAAAAAAAA", ""), 4):
            cookies[number] = visitor_in(
                app.post("ask", {"text": asking(f"browser {number}", 1)}, Cookie=f"visitor={written}")
            )
        ids = {number: f"anon_{value.partition('.')[2]}" for number, value in cookies.items()}
        assert len(set(ids.values())) == len(ids)
        assert all(re.fullmatch(r"anon_[A-Za-z0-9_-]{22}", one) for one in ids.values())
        expected = {one: served(provider, f"browser {number}", 1 + (number == 1)) for number, one in ids.items()}
        assert told_in_time(product, expected) == expected, app.seen
    for one in ids.values():
        assert product.get(f"users/{one}")["data"]["tags"] == {"signedIn": "false"}
    assert told(product, "ada@example.com") is None


def test_jobs_of_a_worker_count_for_those_who_asked_for_them(
    example: Start, provider: ProviderServer, product: Running
) -> None:
    users = ("job_ada", "job_bob", "job_eve")
    jobs = [{"userId": user, "texts": [asking(user, 10 * n + m) for m in range(3)]} for n in range(4) for user in users]
    app = example("worker")
    app.process.communicate("".join(json.dumps(job) + "\n" for job in jobs).encode(), timeout=120)
    assert app.process.returncode == 0, app.seen
    assert app.seen.count("".join(WORDS)) == 36, app.seen
    # It has ended, so all of it was sent.
    expected = {user: served(provider, user, 4) for user in users}
    assert told_in_time(product, expected, seconds=5) == expected
    assert product.get("users/job_ada")["data"]["tags"]["source"] == "worker"


def test_two_configurations_record_the_same_calls_each_in_its_own_way(
    example: Start, provider: ProviderServer, product: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    customers = Running(tmp_path_factory.mktemp("customers") / "data")
    try:
        people = ("carol", "dave")
        asked = [
            ("ask", {"text": asking(person, n), "person": person, "purpose": "travel"}, "")
            for n in range(5)
            for person in people
        ]
        environment = {
            "OURS_URL": product.url, "OURS_KEY": product.keys["ingest"], "THEIRS_URL": customers.url, "THEIRS_KEY": customers.keys["ingest"],
        }  # fmt: skip
        with example("two_configurations", **environment) as app:
            assert {one.status for one in ask_at_once(app, asked)} == {200}
            theirs = {person: served(provider, person, 5) for person in people}
            whole = Spent(*(sum(parts) for parts in zip(*theirs.values(), strict=True)))  # type: ignore[arg-type]  # Decimal stays
            assert told_in_time(customers, theirs) == theirs, app.seen
            assert told_in_time(product, {"customer-17": whole}) == {"customer-17": whole}, app.seen
        assert told(product, "carol") is None
        assert told(customers, "customer-17") is None
        ours = [one for one in product.get("events?userId=customer-17")["data"] if one["type"] == "llm"]
        assert (len(ours), {one["privacy"] for one in ours}) == (10, {"minimal"})
        assert "carol" not in json.dumps(ours)
        assert "(of carol)" in json.dumps(customers.get("events?userId=carol")["data"])
        assert customers.get("users/carol")["data"]["tags"] == {"purpose": "travel"}
    finally:
        customers.end()
        assert customers.process.stdout is not None
        customers.process.stdout.close()


def test_every_example_is_tested_and_says_what_it_is() -> None:
    found = {path.parent.name: path.read_text() for path in (ROOT / "examples").glob("*/app.py")}
    assert found.keys() == {*APPS, "anonymous", "worker", "two_configurations"}
    for name, text in found.items():
        assert text.startswith('"""')
        assert f"python examples/{name}/app.py" in text.partition('"""\n\n')[0]
