"""Models: a row is of one provider, and its days go to the last one."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.fresh import DAY, PRICE, PRICED, Fresh
from tests.dashboard.shown import settled, texts


def test_a_row_opens_the_spend_of_its_own_provider(page: Page, fresh: Fresh) -> None:
    fresh.calls(PRICED, userId="ada")
    fresh.calls(PRICED | {"provider": "azure"}, userId="bob", trace="t-2")
    fresh.arrived()
    users = {"openai": "ada", "azure": "bob"}
    for provider, user in users.items():
        fresh.opens("models?window=28d&tz=UTC")
        settled(page)
        row = page.locator("table.ledger tbody tr", has_text=provider)
        spend = texts(row.locator("td"))[1]
        row.get_by_role("link").click()
        expect(page.locator("h1")).to_have_text("Users")
        expect(page.locator("table.ledger tbody tr")).to_have_count(1)
        expect(page.locator("table.ledger tbody tr")).to_contain_text(user)
        expect(page.locator("table.ledger tfoot tr").last).to_contain_text(spend)
        expect(page.locator("figure.mini")).to_have_count(0)


@pytest.mark.parametrize("path", ["models", "?show=table", "users/ada?show=table"])
def test_days_of_several_answers_are_all_drawn(page: Page, fresh: Fresh, path: str) -> None:
    """Three years have more days than one answer holds; here one holds ten."""
    for ago in range(25):
        fresh.calls(PRICED, ago=ago * DAY, userId="ada")
    fresh.arrived()
    page.route(
        re.compile("group_by=day(&|$)"),
        lambda route: route.fulfill(response=route.fetch(url=route.request.url.replace("limit=1000", "limit=10"))),
    )
    fresh.opens(f"{path}{'&' if '?' in path else '?'}window=28d&tz=UTC")
    settled(page)
    if path == "models":
        bars = page.locator("figure.mini rect")
        expect(bars).to_have_count(29)
        assert sum(float(bar.get_attribute("height") or 0) > 0 for bar in bars.all()) == 25
    else:
        table = page.get_by_role("region", name="Spend by day").locator("tbody tr")
        expect(table).to_have_count(29)
        expect(table.last).to_contain_text(PRICE)
