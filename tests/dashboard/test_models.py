"""Models: a row is of one provider, and its days go to the last one."""

from __future__ import annotations

import time

from playwright.sync_api import Page, expect

from tests.dashboard.fresh import DAY, PRICED, Fresh
from tests.dashboard.shown import TODAY, settled, texts


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


def test_the_days_of_a_year_are_drawn_to_the_last(page: Page, fresh: Fresh) -> None:
    """More rows than one answer holds: they were cut, and the last days stood at nothing."""
    models = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini")
    for start in (260, 130, 0):
        fresh.sends_all([
            PRICED | {"model": model, "trace_id": "t-1", "timestamp": int((time.time() - ago * DAY) * 1000), "metadata": {"tags": {"userId": "ada"}}}
            for ago in range(start, start + 130) if ago < 350 for model in models
        ])  # fmt: skip
    until = time.monotonic() + 60
    window = f"from={TODAY.replace(year=TODAY.year - 1)}&to={TODAY.replace(year=TODAY.year + 1)}"
    while fresh.asks(f"overview?{window}")["data"]["events"] < fresh.sent:
        assert time.monotonic() < until
        time.sleep(0.2)
    fresh.opens(f"models?{window}&tz=UTC")
    settled(page)
    expect(page.locator("figure.mini")).to_have_count(4)
    days = [
        sum(float(rect.get_attribute("height") or 0) > 0 for rect in figure.locator("rect").all())
        for figure in page.locator("figure.mini").all()
    ]
    assert days == [350] * 4
