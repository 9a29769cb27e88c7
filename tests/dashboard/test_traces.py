"""Traces are sorted on the server, by their heads or by name, and say what is not shown."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Site
from tests.dashboard.shown import WINDOW, settled, texts


def shown(page: Page) -> list[str]:
    """The ids of the rows, from where they lead."""
    settled(page)
    links = page.locator("table.ledger:has(th:has-text('Operation')) tbody a[data-row-link]")
    return [link.get_attribute("href").split("/traces/")[1].split("?")[0] for link in links.all()]  # type: ignore[union-attr]


def ids(answer: Any) -> list[str]:
    return [row["trace_id"] for row in answer["data"]]


@pytest.mark.parametrize(("label", "column"), [
    ("Spend, USD", "spend"), ("Tokens", "tokens"), ("Duration", "duration_ms"), ("Notes", "errors"),
])  # fmt: skip
def test_a_head_sorts_traces(page: Page, site: Site, label: str, column: str) -> None:
    page.goto(f"{site.url}/traces?{WINDOW}")
    head = page.get_by_role("columnheader", name=label)
    for order, sign in (("descending", "-"), ("ascending", "")):
        settled(page)
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", order)
        told = shown(page)
        assert f"sort={sign}{column}" in page.url
        assert told == ids(site.api(f"traces?{WINDOW}&limit=50&sort={sign}{column}"))
    assert "other traces" in " ".join(texts(page.locator("tfoot").first))


def test_newest_costliest_and_slowest_have_names(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/traces?{WINDOW}")
    settled(page)
    lists = page.get_by_role("group", name="Which traces")
    for name, sort in (("Costliest", "-spend"), ("Slowest", "-duration_ms"), ("Newest", "-started_at")):
        lists.get_by_role("button", name=name).click()
        assert shown(page) == ids(site.api(f"traces?{WINDOW}&limit=50&sort={sort}"))
        expect(lists.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
    assert "sort=" not in page.url
    assert "earlier traces" in " ".join(texts(page.locator("tfoot").first))


def test_pages_of_a_sorted_list_go_on_and_an_address_keeps_it(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/traces?{WINDOW}&sort=-spend")
    first = shown(page)
    page.get_by_role("button", name="Next").click()
    second = shown(page)
    assert "sort=-spend" in page.url
    assert [*first, *second] == ids(site.api(f"traces?{WINDOW}&limit=100&sort=-spend"))


def test_a_users_traces_sort_too(page: Page, site: Site) -> None:
    user = site.api(f"users?{WINDOW}&limit=1")["data"][0]["user_id"]
    page.goto(f"{site.url}/users/{user}?{WINDOW}")
    settled(page)
    expect(page.locator("main")).to_contain_text("newest first")
    page.get_by_role("columnheader", name="Duration").get_by_role("button").click()
    expect(page.locator("main")).to_contain_text("slowest first")
    assert shown(page) == ids(site.api(f"traces?{WINDOW}&userId={user}&limit=50&sort=-duration_ms"))
