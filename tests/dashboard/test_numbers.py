"""Every number on every page is the API's, and rows add up to the total."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Site
from tests.dashboard.shown import WINDOW, money, settled, share, texts, tokens


def rows(page: Page, part: str = "tbody") -> list[list[str]]:
    """The cells of the page's first ledger."""
    settled(page)
    table = page.locator("table.ledger").first
    return [texts(row.locator("th, td")) for row in table.locator(f"{part} tr").all()]


def head(page: Page) -> list[str]:
    return texts(page.locator("table.ledger").first.locator("thead th"))


def test_every_user_row_and_the_sums_are_the_apis(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/users?{WINDOW}")
    told = rows(page)
    answer = site.api(f"users?{WINDOW}&limit=50&above=20")
    assert head(page)[0] == "User"
    assert len(told) == len(answer["data"]) == 50
    whole = Decimal(answer["totals"]["spend"])
    for cells, row in zip(told, answer["data"], strict=True):
        assert row["user_id"] in cells[0]
        assert (row["label"] or "") in cells[0]
        assert money(row["spend"]) in cells[1], cells
        # Of the amounts, as the page does: the API's share is rounded already, and 0.0295 may be 3.0 % or 2.9 %.
        assert share(float(Decimal(row["spend"]) / whole)) in " ".join(cells[2:5])
        assert [f"{row['traces']:,}", tokens(row["tokens"])] == cells[5:7]
        assert cells[-1] == row["top_model"]
        assert ("unpriced" in cells[0]) == (row["unpriced_events"] > 0)
    rest, nobody, total = rows(page, "tfoot")
    assert money(answer["rest"]["spend"]) in rest[1]
    assert money(answer["unattributed"]["spend"]) in nobody[1]
    assert money(answer["totals"]["spend"]) in total[1]
    overview = site.api(f"overview?{WINDOW}")
    assert answer["totals"]["spend"] == overview["data"]["spend"]
    parts = [*answer["data"], answer["rest"], answer["unattributed"]]
    assert sum(Decimal(part["spend"] or 0) for part in parts) == Decimal(overview["data"]["spend"])


def test_the_key_figures_are_the_apis(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/users?{WINDOW}")
    settled(page)
    told = texts(page.locator(".kpi"))
    totals = site.api(f"users?{WINDOW}&above=20")["totals"]
    for figure, value in zip(told, ("mean_spend", "spend", "users", "median_spend", "users_above"), strict=True):
        wanted = money(totals[value]) if "spend" in value else f"{totals[value]:,}"
        assert wanted in figure, (figure, value, wanted)
    page.goto(f"{site.url}/?{WINDOW}")
    settled(page)
    told = texts(page.locator(".kpi"))
    data = site.api(f"overview?{WINDOW}")["data"]
    assert money(data["spend"]) in told[0]
    assert f"{data['users']:,}" in told[2]
    assert f"{data['traces']:,}" in told[3]
    assert tokens(data["tokens"]) in told[4]


@pytest.mark.parametrize("section", ["models", "tools"])
def test_models_and_tools_are_the_apis(page: Page, site: Site, section: str) -> None:
    page.goto(f"{site.url}/{section}?{WINDOW}")
    told = rows(page)
    answer = site.api(f"{section}?{WINDOW}")
    assert len(told) == len(answer["data"])
    for cells, row in zip(told, answer["data"], strict=True):
        line = " ".join(cells)
        assert (row.get("model") or row.get("tool_name") or "") in line
        assert f"{row['calls']:,}" in line, (cells, row["calls"])
        if section == "models" and row["spend"] not in (None, "0"):
            assert money(row["spend"]) in line


@pytest.mark.parametrize("tag", ["plan", "org"])
def test_every_row_of_a_grouped_page_is_the_apis(page: Page, site: Site, tag: str) -> None:
    page.goto(f"{site.url}/users?{WINDOW}&tz=UTC&compare=off&group=tag.{tag}")
    told = rows(page)
    answer = site.api(f"overview?{WINDOW}&group_by=tag.{tag}&limit=50")
    assert head(page)[:3] == [tag, "Spend, USD", "Share"]
    at = {label: head(page).index(label) for label in ("Users", "Traces", "Tokens")}
    assert len(told) == len(answer["data"])
    whole = Decimal(answer["totals"]["spend"])
    for cells, row in zip(told, answer["data"], strict=True):
        assert (row["key"] or "(none)") in cells[0]
        assert money(row["spend"]) in cells[1], cells
        if row["spend"]:
            assert share(float(Decimal(row["spend"]) / whole)) in cells[2]
        assert [cells[at["Users"]], cells[at["Traces"]]] == [f"{row['users']:,}", f"{row['traces']:,}"]
        assert cells[at["Tokens"]] == tokens(row["tokens"])
        assert ("unpriced" in cells[0]) == (row["unpriced_events"] > 0)
    assert money(answer["totals"]["spend"]) in rows(page, "tfoot")[-1][1]
    assert answer["totals"]["spend"] == site.api(f"overview?{WINDOW}")["data"]["spend"]


def test_the_traces_are_the_apis_newest_first(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/traces?{WINDOW}")
    told = rows(page)
    answer = site.api(f"traces?{WINDOW}&limit=50")
    assert len(told) == 50
    for cells, row in zip(told, answer["data"], strict=True):
        line = " ".join(cells)
        assert row["started_at"][11:19] in line or row["started_at"][11:16] in line
        assert (row["user_id"] or "(unattributed)") in line
        assert money(row["spend"], 4) in line, (cells, row["spend"])


@pytest.mark.parametrize(
    "narrowed",
    [
        "tag.plan=pro",
        "userId=FIRST",
        "model=claude-sonnet-5",
        "provider=openai&tag.plan!=free",
        "tz=Asia/Kathmandu&from=2026-11-01&to=2026-12-01",
    ],
)
def test_pills_and_zones_narrow_every_section_as_they_narrow_the_api(page: Page, site: Site, narrowed: str) -> None:
    narrowed = narrowed.replace("FIRST", site.api(f"users?{WINDOW}&limit=1")["data"][0]["user_id"])
    window = "" if "from" in narrowed else f"{WINDOW}&"
    for path in ("users", "models"):
        answer = site.api(f"{path}?{window}{narrowed}")
        page.goto(f"{site.url}/{path}?{window}{narrowed}")
        assert money(answer["totals"]["spend"]) in " ".join(rows(page, "tfoot")[-1])
    for name in ("Overview", "Traces", "Tools"):
        page.get_by_role("navigation", name="Main").get_by_role("link", name=name).click()
        settled(page)
        for pair in narrowed.split("&"):
            assert pair in unquote(page.url)


def test_a_trace_and_its_events_add_up(page: Page, site: Site) -> None:
    listed = site.api(f"traces?{WINDOW}&limit=200")["data"]
    trace = max(listed, key=lambda row: (row["unpriced_events"] == 0, row["events"]))
    whole: Any = site.api(f"traces/{trace['trace_id']}")["data"]
    page.goto(f"{site.url}/traces/{trace['trace_id']}?{WINDOW}")
    expect(page.locator("h1")).to_be_visible()
    settled(page)
    told = texts(page.get_by_role("table", name="Events in order").locator(".fall-row"))
    for event in whole["events"]:
        if event["cost"] and Decimal(event["cost"]):
            assert any(money(event["cost"], 4) in line for line in told), (told, event["cost"])
    assert money(whole["spend"], 4) in told[-1]
    priced = next(event for event in whole["events"] if event["cost_parts"])
    page.goto(f"{site.url}/traces/{trace['trace_id']}?{WINDOW}&event={priced['id']}")
    panel = page.get_by_role("complementary", name="Event")
    expect(panel).to_be_visible()
    text = " ".join(panel.inner_text().split())
    for part in priced["cost_parts"]:
        assert f"{part['tokens']:,}" in text
        assert money(part["amount"], 6) in text
    assert sum(Decimal(part["amount"]) for part in priced["cost_parts"]).quantize(Decimal("1e-9")) == Decimal(
        priced["cost"]
    )


def test_overview_counts_the_models_that_were_called(page: Page, site: Site) -> None:
    called = [
        row for row in site.api(f"overview?{WINDOW}&group_by=model&limit=200")["data"] if row["key"] and row["calls"]
    ]
    page.goto(f"{site.url}/?{WINDOW}")
    settled(page)
    page.get_by_role("link", name=f"All {len(called)} models").click()
    expect(page.locator("h1")).to_have_text("Models")
