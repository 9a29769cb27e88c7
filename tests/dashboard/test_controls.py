"""The row that scopes everything: pills, window, comparison, zone; and the keys that do the same."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Site
from tests.dashboard.shown import TODAY, WINDOW, money, settled, texts


def total(page: Page) -> Any:
    return page.locator("table.ledger").first.locator("tfoot tr").last


def pairs(page: Page) -> list[tuple[str, str]]:
    """The address's query."""
    return parse_qsl(urlsplit(page.url).query, keep_blank_values=True)


@pytest.mark.parametrize("field", ["tag.plan", "userId", "provider", "model", "agent", "status"])
def test_a_pill_of_each_kind_is_added_and_edited(page: Page, site: Site, field: str) -> None:
    """By the list of fields, its values, and "is" or "is not"; each step is what the API answers to the same filter."""
    name = {"tag.plan": "plan", "userId": "user"}.get(field, field)
    page.goto(f"{site.url}/users?{WINDOW}&tz=UTC&compare=off")
    settled(page)
    whole = site.api(f"users?{WINDOW}")["totals"]["spend"]
    page.get_by_role("button", name="Filter", exact=True).click()
    fields = page.get_by_role("dialog", name="Add a filter").locator(".options button")
    fields.filter(has_text=re.compile(f"^{name}(tag)?$")).first.click()
    values = page.get_by_role("listbox").get_by_role("option")
    expect(values.nth(1)).to_be_visible()
    first, second = (texts(values.nth(n).locator(".option-text"))[0] for n in (0, 1))

    def shows(asked: str, pill: str) -> None:
        page.get_by_role("button", name="Apply").click()
        expect(page.get_by_role("button", name=f"Remove {pill}")).to_be_visible()
        settled(page)
        expect(total(page)).to_contain_text(money(site.api(f"users?{WINDOW}&{asked}")["totals"]["spend"]))

    def edits(verb: str) -> None:
        page.get_by_role("button", name=re.compile(f"^{name} {verb}")).first.click()

    values.nth(0).click()
    shows(f"{field}={first}", f"{name} is {first}")
    edits("is")
    page.get_by_role("option", name=second).first.click()
    shows(f"{field}={first}&{field}={second}", f"{name} is any of {first}, {second}")
    edits("is any of")
    page.get_by_role("option", name=first).first.click()
    page.get_by_title("Is, or is not").click()
    shows(f"{field}!={second}", f"{name} is not {second}")
    page.get_by_role("button", name=f"Remove {name} is not").focus()
    page.keyboard.press("Backspace")
    expect(total(page)).to_contain_text(money(whole))


def test_a_value_that_is_not_offered_can_be_typed(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/users?{WINDOW}&tz=UTC")
    settled(page)
    page.keyboard.press("f")
    page.get_by_role("dialog", name="Add a filter").get_by_role("button", name="agent").click()
    page.keyboard.type("nobody's")
    page.get_by_role("button", name="Use “nobody's”").click()
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("h1")).to_have_text("No user is left by these filters")
    assert ("agent", "nobody's") in pairs(page)


def test_the_window_is_chosen_from_its_list_and_stepped(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/users?window=7d&tz=UTC")
    settled(page)
    group = page.get_by_role("group", name="Window")
    group.get_by_role("button", name="Last 7 days").click()
    page.get_by_role("button", name="Last month").click()
    expect(group).to_contain_text("Last month")
    settled(page)
    assert ("window", "last-month") in pairs(page)
    spend = site.api("users?window=last-month&tz=UTC")["totals"]["spend"]
    if spend not in (None, "0"):
        expect(total(page)).to_contain_text(money(spend))
    group.get_by_role("button", name="Later").click()
    expect(group).to_contain_text("Month to date")
    expect(group.get_by_role("button", name="Later")).to_be_disabled()
    group.get_by_role("button", name="Earlier").click()
    group.get_by_role("button", name="Earlier").click()
    before = (TODAY.replace(day=1) - timedelta(days=1)).replace(day=1)
    earlier = (before - timedelta(days=1)).replace(day=1)
    assert {("from", str(earlier)), ("to", str(before))} <= set(pairs(page))


def test_a_range_of_ones_own_includes_both_days(page: Page, site: Site) -> None:
    first, last = TODAY - timedelta(days=9), TODAY - timedelta(days=4)
    page.goto(f"{site.url}/users?window=28d&tz=UTC")
    settled(page)
    page.keyboard.press("w")
    page.keyboard.press("c")
    page.get_by_label("First day").fill(str(first))
    page.get_by_label("Last day").fill(str(last))
    page.get_by_role("button", name="Show", exact=True).click()
    asked = f"from={first}&to={last + timedelta(days=1)}"
    expect(page.get_by_role("group", name="Window")).to_contain_text("6 days")
    settled(page)
    expect(total(page)).to_contain_text(money(site.api(f"users?{asked}&tz=UTC")["totals"]["spend"]))
    assert asked in page.url


def test_a_zone_is_found_and_days_begin_in_it(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/?{WINDOW}&tz=UTC&show=table")
    settled(page)
    page.get_by_role("button", name="Time zone: UTC").click()
    page.get_by_label("Find a time zone").fill("tokyo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Time zone: Asia/Tokyo")).to_be_visible()
    settled(page)
    days = site.api(f"overview?{WINDOW}&tz=Asia/Tokyo&group_by=day&limit=1000")["data"]
    shown = page.get_by_role("region", name="Spend by day").locator("tbody tr")
    expect(shown).to_have_count(len(days))
    for day, row in zip(days, shown.all(), strict=True):
        assert texts(row.locator("td"))[-1] == money(day["spend"])


def test_comparison_is_on_or_off_in_every_figure(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/users?window=7d&tz=UTC")
    settled(page)
    answer = site.api("users?window=7d&tz=UTC&compare=previous&limit=1")
    before = answer["totals"]["previous"]["users"]
    users = page.locator(".kpi").filter(has=page.get_by_text("Users", exact=True))
    expect(users).to_contain_text(f"from {before:,}" if before != answer["totals"]["users"] else f"{before:,} before")
    expect(page.get_by_role("columnheader", name="Change")).to_be_visible()
    page.keyboard.press("x")
    expect(page.get_by_role("columnheader", name="Change")).to_have_count(0)
    expect(page.get_by_role("button", name="Not compared")).to_be_visible()
    assert ("compare", "off") in pairs(page)
    page.reload()
    settled(page)
    expect(page.locator(".kpi").filter(has_text="before")).to_have_count(0)
    page.get_by_role("button", name="Not compared").click()
    expect(page.get_by_role("columnheader", name="Change")).to_be_visible()


def test_keys_step_the_window_filter_group_and_turn_the_chart(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/users?window=7d&tz=UTC")
    settled(page)
    group = page.get_by_role("group", name="Window")
    page.keyboard.press("[")
    expect(group).not_to_contain_text("Last 7 days")
    page.keyboard.press("]")
    expect(group).to_contain_text("Last 7 days")
    page.keyboard.press("f")
    expect(page.get_by_role("dialog", name="Add a filter")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("g")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    settled(page)
    page.keyboard.press("t")
    expect(page.get_by_role("region", name="Spend by day")).to_be_visible()
    page.keyboard.press("t")
    expect(page.get_by_role("region", name="Spend by day")).to_have_count(0)


def test_arrows_go_from_row_to_row_and_enter_opens(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/users?{WINDOW}&tz=UTC")
    settled(page)
    second = site.api(f"users?{WINDOW}&limit=2")["data"][1]["user_id"]
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(second)
    page.keyboard.press("Escape")
    expect(page.locator("h1")).to_have_text("Users")


def test_c_copies_the_question_and_copy_link_the_address(page: Page, site: Site) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
    page.goto(f"{site.url}/users?{WINDOW}&tz=UTC&tag.plan=pro&sort=-tokens")
    settled(page)
    page.keyboard.press("c")
    expect(page.locator(".toast")).to_contain_text("curl copied")
    held = page.evaluate("navigator.clipboard.readText()")
    assert "Authorization: Bearer" in held
    asked = re.search(r"https?://[^'\"]+", held)
    assert asked is not None
    assert {("tag.plan", "pro"), ("sort", "-tokens"), ("tz", "UTC")} <= set(parse_qsl(urlsplit(asked[0]).query))
    trace = site.api(f"traces?{WINDOW}&limit=1")["data"][0]["trace_id"]
    page.goto(f"{site.url}/traces/{trace}?{WINDOW}&tz=UTC")
    settled(page)
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator(".toast")).to_contain_text("Link to this trace copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.url
