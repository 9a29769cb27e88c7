"""What has no price is unknown, and no zero; spend per user is one number, wherever it stands."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Site
from tests.dashboard.fresh import DAY, PRICE, PRICED, UNPRICED, Fresh
from tests.dashboard.shown import WINDOW, money, settled, texts


def figure(page: Page, label: str) -> Any:
    settled(page)
    return page.locator(".kpi").filter(has=page.get_by_text(label, exact=True)).locator("dd")


def test_spend_per_user_is_the_same_on_every_page(page: Page, fresh: Fresh) -> None:
    """A user of whose spend nothing is known is in no mean."""
    fresh.calls(PRICED, userId="ada", plan="pro")
    fresh.calls(UNPRICED, userId="bob", plan="pro", trace="t-2")
    fresh.arrived()
    assert fresh.asks("users?window=28d")["totals"]["mean_spend"] == PRICE
    fresh.opens("?window=28d&tz=UTC")
    expect(figure(page, "Spend per user")).to_contain_text(f"${PRICE}")
    settled(page)
    legend = page.locator("table.legend").filter(has_text="Per user")
    expect(legend.locator("tbody tr", has_text="pro").locator(".per-user")).to_have_text(PRICE)
    expect(legend.locator("tfoot .per-user").last).to_have_text(f"${PRICE}")
    page.goto(f"{fresh.site.url}/users?window=28d&tz=UTC&group=tag.plan")
    expect(figure(page, "Spend per user")).to_contain_text(f"${PRICE}")
    mean = texts(page.locator("table.ledger thead th")).index("Per user")
    for part in ("tbody", "tfoot"):
        expect(page.locator(f"table.ledger {part} tr").last.locator("th, td").nth(mean)).to_have_text(PRICE)


def test_spend_per_user_is_the_servers_for_every_value_shown(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/users?{WINDOW}&tz=UTC&group=tag.org&sort=users")
    settled(page)
    mean = texts(page.locator("table.ledger thead th")).index("Per user")
    rows = site.api(f"overview?{WINDOW}&group_by=tag.org&limit=50&sort=users")["data"]
    assert len(rows) > 3
    for row, line in list(zip(rows, page.locator("table.ledger tbody tr").all(), strict=True))[:12]:
        wanted = site.api(f"users?{WINDOW}&tag.org={row['key'] or ''}&limit=1")["totals"]["mean_spend"]
        expect(line.locator("th, td").nth(mean)).to_contain_text("–" if wanted is None else money(wanted))


def test_values_beyond_the_largest_have_a_mean_too(page: Page, fresh: Fresh) -> None:
    """Each is asked for as it is shown, however many spend more."""
    costs = {f"b-{number:03}": 10_000 + number for number in range(210)} | {"least": 4_000}
    fresh.sends_all([
        {"trace_id": "t-1", "usage": {"prompt_tokens": prompt, "completion_tokens": 0}, "metadata": {"tags": {"userId": "ada", "batch": name}}}
        for name, prompt in costs.items()
    ])  # fmt: skip
    fresh.arrived()
    fresh.opens("users?window=28d&tz=UTC&group=tag.batch&sort=spend")
    settled(page)
    mean = texts(page.locator("table.ledger thead th")).index("Per user")
    first = page.locator("table.ledger tbody tr").first
    expect(first).to_contain_text("least")
    expect(first.locator("th, td").nth(mean)).to_have_text("0.01")


@pytest.fixture
def unpriced(fresh: Fresh) -> Fresh:
    """Yesterday nothing had a price; today one model has, another has not."""
    fresh.calls(UNPRICED, ago=DAY, userId="ada", plan="pro")
    fresh.calls(PRICED, userId="ada", plan="pro")
    fresh.calls(UNPRICED, userId="bob", plan="free")
    fresh.arrived()
    return fresh


def test_a_day_without_a_price_is_unknown_in_the_chart_and_its_table(page: Page, unpriced: Fresh) -> None:
    unpriced.opens("?window=7d&tz=UTC&show=table")
    settled(page)
    table = page.get_by_role("region", name="Spend by day").get_by_role("table")
    today, yesterday, before = (texts(table.locator("tbody tr").nth(-n).locator("td"))[1:] for n in (1, 2, 3))
    heads = texts(table.locator("thead th"))
    assert yesterday[-1] == "no price"
    assert set(before) == {"0.00"}
    assert today[-1] == PRICE
    assert "0.00" not in yesterday, heads
    assert texts(table.locator("tfoot tr").locator("th, td"))[-1] == f"${PRICE}"
    unpriced.opens("users/ada?window=7d&tz=UTC&show=table")
    settled(page)
    table = page.get_by_role("region", name="Spend by day").get_by_role("table")
    assert texts(table.locator("tbody tr").nth(-2).locator("td"))[-1] == "no price"
    unpriced.opens("users/ada?window=7d&tz=UTC")
    settled(page)
    chart = page.locator("svg.chart").first
    chart.focus()
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    expect(page.locator(".plot .tip")).to_contain_text("no price")


def test_where_nothing_has_a_price_no_figure_is_zero(page: Page, fresh: Fresh) -> None:
    fresh.calls(UNPRICED, userId="ada", plan="pro")
    fresh.arrived()
    fresh.opens("?window=7d&tz=UTC&compare=off")
    for label in ("Spend", "Spend per user"):
        expect(figure(page, label)).to_contain_text("–")
    expect(page.locator("main")).not_to_contain_text(re.compile(r"\$0\.00"))


def test_an_other_of_which_nothing_is_known_says_so(page: Page, fresh: Fresh) -> None:
    for number in range(9):
        fresh.calls(PRICED if number < 5 else UNPRICED, userId="ada", plan=f"p{number}")
    fresh.arrived()
    fresh.opens("?window=7d&tz=UTC&by=tag.plan")
    settled(page)
    legend = page.locator("table.legend").filter(has_text="Per user")
    expect(legend.locator("tfoot tr.rest")).to_contain_text("no price")
