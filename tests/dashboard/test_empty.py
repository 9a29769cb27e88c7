"""Why a page is empty: the cause is the headline, the data its evidence, and one action leads on."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.fresh import DAY, Fresh
from tests.dashboard.shown import settled


def cause(page: Page) -> Any:
    return page.locator(".checks .cause")


def test_without_an_event_the_first_one_is_at_hand(page: Page, fresh: Fresh) -> None:
    fresh.opens("users?window=28d")
    expect(page.locator("h1")).to_have_text("No users yet, because no event has arrived")
    expect(page.locator("pre")).to_contain_text("curl ")
    expect(page.locator("pre")).to_contain_text("/v1/events")
    expect(page.locator(".waiting")).to_contain_text("Waiting for the first event")
    expect(cause(page)).to_have_count(1)


def test_events_outside_any_trace_lead_to_the_lines_that_open_one(page: Page, fresh: Fresh) -> None:
    for _ in range(2):
        fresh.sends()
    fresh.opens("users?window=28d&tz=UTC")
    expect(page.locator("h1")).to_have_text("2 events arrived, but none inside a trace", timeout=60_000)
    expect(cause(page)).to_contain_text("No event stands in a trace")
    expect(page.locator("pre")).to_contain_text("with_trace")
    expect(page.locator(".waiting")).to_contain_text("Waiting for the first trace")
    fresh.opens("traces?window=28d&tz=UTC")
    expect(page.locator("h1")).to_have_text("2 events arrived, but none inside a trace", timeout=60_000)


def test_events_of_nobody_name_the_tags_that_they_carry(page: Page, fresh: Fresh) -> None:
    fresh.sends(trace_id="t-1", metadata={"tags": {"plan": "pro", "user_id": "ada"}})
    fresh.opens("users?window=28d&tz=UTC")
    expect(page.locator("h1")).to_have_text("1 event arrived, but none says whose", timeout=60_000)
    expect(cause(page)).to_contain_text("No event says whose it is")
    expect(page.locator("main")).to_contain_text("Closest is user_id, on 1 event")
    expect(page.locator(".waiting")).to_contain_text("Waiting for the first userId")


@pytest.mark.parametrize(("days", "window", "said", "action"), [
    (9, "7d", "No user in these 7 days; the last was 9 days ago", "Switch to last 28 days"),
    (40, "28d", "No user in these 28 days; the last was 40 days ago", "Switch to last 90 days"),
])  # fmt: skip
def test_events_outside_the_window_lead_to_the_window_that_holds_them(
    page: Page, fresh: Fresh, days: int, window: str, said: str, action: str
) -> None:
    at = int((time.time() - days * DAY) * 1000)
    fresh.sends(trace_id="t-1", timestamp=at, metadata={"tags": {"userId": "ada"}})
    fresh.opens(f"users?window={window}&tz=UTC")
    expect(page.locator("h1")).to_have_text(said, timeout=60_000)
    expect(cause(page)).to_contain_text("Not in this window")
    page.get_by_role("button", name=action).click()
    expect(page.locator("table.ledger tbody tr").first).to_contain_text("ada", timeout=60_000)


def test_other_sections_miss_events_not_users(page: Page, fresh: Fresh) -> None:
    at = int((time.time() - 9 * DAY) * 1000)
    fresh.sends(trace_id="t-1", timestamp=at, metadata={"tags": {"userId": "ada"}})
    for section in ("", "traces", "models"):
        fresh.opens(f"{section}?window=7d&tz=UTC")
        expect(page.locator("h1")).to_have_text("No event in these 7 days; the last was 9 days ago", timeout=60_000)


def test_what_is_listed_is_never_called_missing(page: Page, fresh: Fresh) -> None:
    """Totals count a trace where its first event stands: a pill may leave that one out, and a window too."""
    fresh.sends(trace_id="t-1", timestamp=int((time.time() - 9 * DAY) * 1000), metadata={"tags": {"userId": "ada"}})
    fresh.sends(trace_id="t-1", metadata={"tags": {"userId": "ada", "step": "draft"}})
    fresh.arrived()
    for asked in ("window=28d&tag.step=draft", "window=7d"):
        answer = fresh.asks(f"traces?{asked}")
        assert (len(answer["data"]), answer["totals"]["traces"]) == (1, 0)
        fresh.opens(f"traces?{asked}&tz=UTC")
        expect(page.locator("h1")).to_have_text("Traces")
        settled(page)
        expect(page.locator("table.ledger tbody tr")).to_have_count(1)
        expect(page.locator(".under")).to_contain_text("1 – 1 of 1 traces")
    fresh.opens("users/ada?window=7d&tz=UTC")
    expect(page.locator(".under")).to_contain_text("1 – 1 of 1 traces")
