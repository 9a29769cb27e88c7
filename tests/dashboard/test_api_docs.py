"""The API's document as a page: all of it, without signing in, within the policy, also below a path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.dashboard.conftest import Site, watched
from tests.dashboard.shown import settled
from tests.dashboard.test_pages import AXE


@pytest.fixture
def stranger(browser: Browser) -> Iterator[BrowserContext]:
    """Nobody who signed in."""
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, reduced_motion="reduce", permissions=["clipboard-read", "clipboard-write"]
    )  # fmt: skip
    yield context
    context.close()


def document(page: Page, site: Site) -> Any:
    return page.request.get(f"{site.url}/openapi.json").json()


def test_every_operation_stands_on_the_page(stranger: BrowserContext, site: Site) -> None:
    page, wrong = watched(stranger)
    page.goto(f"{site.url}/docs/api")
    settled(page)
    told = document(page, site)
    sections = page.locator("section.operation")
    operations = [(path, method, one) for path, methods in told["paths"].items() for method, one in methods.items()]
    expect(sections).to_have_count(len(operations) + 1)  # and what an error looks like
    for path, method, one in operations:
        section = page.locator(f"section#{one['operationId']}")
        expect(section.locator("h2")).to_have_text(f"{method.upper()} {path}")
        words = section.inner_text()
        assert one["summary"] in words
        for parameter in one.get("parameters", []):
            assert parameter["name"] in words, (path, parameter["name"])
            assert " ".join(parameter.get("description", "").split()) in " ".join(words.split())
        for status in one["responses"]:
            assert status in section.locator("table").last.inner_text(), (path, status)
        line = f"curl -H \"Authorization: Bearer $PERCAPITA_KEY\" '{site.url}{path.replace('{id}', 'ID')}'"
        assert (line in words) == (method == "get"), path
        for content in (one.get("requestBody", {}), *one["responses"].values()):
            shape = content.get("content", {}).get("application/json", {}).get("schema", {})
            for reference in shape.get("anyOf", [shape]):
                assert reference.get("$ref", "").rsplit("/", 1)[-1] in words, (path, reference)
    assert wrong == []


def test_fields_open_inside_and_the_search_finds(stranger: BrowserContext, site: Site) -> None:
    page, wrong = watched(stranger)
    page.goto(f"{site.url}/docs/api")
    settled(page)
    users = page.locator("section#users")
    expect(users.get_by_role("rowheader", name="user_id")).to_be_visible()
    expect(users.get_by_role("rowheader", name="users_above")).to_have_count(0)
    users.get_by_role("button", name="totals").click()
    expect(users.get_by_role("rowheader", name="users_above")).to_be_visible()
    users.get_by_role("button", name="Copy users as curl").click()
    expect(page.get_by_text("curl copied", exact=True)).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("curl -H")
    page.keyboard.press("/")
    page.keyboard.type("models")
    expect(page.locator("section#models")).to_be_visible()
    expect(page.locator("section#users")).to_have_count(0)
    expect(page.get_by_text("operation of", exact=False)).to_be_visible()
    assert wrong == []


def test_an_address_leads_to_its_operation(stranger: BrowserContext, site: Site) -> None:
    page, wrong = watched(stranger)
    page.goto(f"{site.url}/docs/api#tools")
    settled(page)
    expect(page.locator("section#tools h2")).to_be_in_viewport()
    page.get_by_role("navigation", name="Operations").get_by_role("link", name="users", exact=True).click()
    expect(page.locator("section#users h2")).to_be_in_viewport()
    assert page.url == f"{site.url}/docs/api#users"
    assert wrong == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390, 320])
def test_it_is_for_everybody(stranger: BrowserContext, site: Site, theme: str, width: int) -> None:
    page, wrong = watched(stranger)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.goto(f"{site.url}/docs/api")
    settled(page)
    assert page.evaluate("document.scrollingElement.scrollWidth <= document.scrollingElement.clientWidth")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice']})")
    assert [(one["id"], one["nodes"][0]["html"][:160]) for one in found["violations"]] == []
    assert wrong == []


def test_it_stands_below_a_path_too(stranger: BrowserContext, site: Site) -> None:
    page, wrong = watched(stranger)

    def proxied(route: Route) -> None:
        answer = route.fetch(url=site.url + route.request.url.removeprefix("http://localhost:9/costs"))
        # What the server writes when it is told its prefix.
        body = answer.body().replace(b'<base href="/"', b'<base href="/costs/"')
        route.fulfill(response=answer, body=body)

    page.route("http://localhost:9/costs/**", proxied)
    page.goto("http://localhost:9/costs/docs/api")
    settled(page)
    expect(page.locator("section#users h2")).to_have_text("GET /v1/me/ai-apps/users")
    expect(page.locator("section#users pre")).to_contain_text("http://localhost:9/costs/v1/me/ai-apps/users")
    assert wrong == []


def test_the_keyboards_list_leads_there(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/?window=28d")
    settled(page)
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_role("link", name="The API, operation by operation").click()
    expect(page.locator("h1")).to_have_text("API")
    assert page.url == f"{site.url}/docs/api"
