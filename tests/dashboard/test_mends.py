"""What a page does where the usual way does not lead on: old cursors, warnings, ids of dots, events outside any trace."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.dashboard.conftest import Site, watched
from tests.dashboard.fresh import PRICE, PRICED, Fresh
from tests.dashboard.shown import WINDOW, settled


def told(page: Page, path: str, **meta: Any) -> None:
    """From now on answers of this path carry this in `meta`."""

    def answer(route: Route) -> None:
        real = route.fetch()
        body = real.json()
        body["meta"] |= meta
        route.fulfill(response=real, json=body)

    page.route(f"**/v1/me/ai-apps/{path}**", answer)


@pytest.mark.parametrize("status", [400, 410])
def test_a_page_that_is_no_longer_kept_leads_to_the_first(context: BrowserContext, site: Site, status: int) -> None:
    page, _ = watched(context)
    cursor = site.api(f"users?{WINDOW}&limit=50&sort=tokens")["next_cursor"]  # of another question: 400
    if status == 410:
        gone = {"status": 410, "code": "gone", "detail": "no longer kept", "request_id": "r-1"}
        page.route(
            "**/v1/me/ai-apps/users?*cursor=*",
            lambda route: route.fulfill(status=410, content_type="application/problem+json", body=json.dumps(gone)),
        )
    page.goto(f"{site.url}/users?{WINDOW}&tz=UTC&cursor={cursor}&page=2")
    expect(page.get_by_role("alert")).to_contain_text("no longer kept")
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    page.get_by_role("button", name="First page").click()
    first = site.api(f"users?{WINDOW}&limit=1")["data"][0]["user_id"]
    expect(page.locator("table.ledger tbody tr").first).to_contain_text(first)
    assert "cursor" not in page.url
    assert "page=" not in page.url


def test_a_filter_by_a_tag_that_nobody_sent_says_so(page: Page, site: Site) -> None:
    said = "No event carries the tag pln; did you mean plan?"
    for section in ("", "users", "traces", "models"):
        page.goto(f"{site.url}/{section}?{WINDOW}&tz=UTC&tag.pln=pro")  # nothing is left: the page says why
        expect(page.locator(".notice")).to_have_text(said)
        page.goto(f"{site.url}/{section}?{WINDOW}&tz=UTC&tag.pln!=pro")
        expect(page.locator(".notice").first).to_have_text(said)


@pytest.mark.parametrize(
    ("section", "path"), [("", "overview"), ("users", "users"), ("traces", "traces"), ("models", "models")]
)
def test_an_hour_that_waits_to_be_checked_makes_the_numbers_provisional(
    page: Page, site: Site, section: str, path: str
) -> None:
    told(page, path, provisional=True)
    page.goto(f"{site.url}/{section}?{WINDOW}&tz=UTC")
    expect(page.locator(".notice").first).to_contain_text("The numbers are provisional.")
    page.locator(".notice").first.get_by_role("link", name="What this means").click()
    expect(page.locator("main")).to_contain_text("marked provisional")


def test_a_trace_that_is_cut_says_so(page: Page, site: Site) -> None:
    trace = site.api(f"traces?{WINDOW}&limit=1")["data"][0]
    warning = "of 20,000 events the first 10,000 are told; `events` has them all"
    page.goto(f"{site.url}/traces/{trace['trace_id']}?{WINDOW}&tz=UTC")
    settled(page)
    expect(page.locator(".facts")).to_contain_text(f"Events{trace['events']}")
    told(page, f"traces/{trace['trace_id']}", warnings=[warning])
    page.reload()
    expect(page.locator(".facts")).to_contain_text(f"Eventsfirst {trace['events']}")
    expect(page.locator(".notice")).to_contain_text("Of 20,000 events the first 10,000 are told")


@pytest.mark.parametrize("user", [".", "..", ".;", "%2E"])
def test_ids_that_look_like_directories_open(page: Page, fresh: Fresh, user: str) -> None:
    fresh.calls(PRICED, userId=user)
    fresh.calls(PRICED, userId="ada", trace="t-2")
    fresh.arrived()
    fresh.opens("users?window=28d&tz=UTC")
    page.locator("table.ledger tbody").get_by_role("link", name=user, exact=True).click()
    for _ in range(2):
        expect(page.locator("h1")).to_have_text(user)
        settled(page)
        expect(page.locator(".kpi").first).to_contain_text(f"${PRICE}")
        expect(page.locator("main")).to_contain_text("1 – 1 of 1 traces")
        page.reload()


def test_the_finder_opens_events_in_and_outside_traces(context: BrowserContext, site: Site) -> None:
    page, _ = watched(context)  # asked for as a trace first: 404
    fresh = Fresh(page, site)
    inside, loose = str(uuid4()), str(uuid4())
    fresh.sends(id=inside, **PRICED, trace_id="t-1", metadata={"tags": {"userId": "ada"}})
    fresh.sends(id=loose, **PRICED, name="nightly batch", metadata={"tags": {"userId": "ada"}})
    fresh.arrived()
    fresh.opens("traces?window=28d&tz=UTC")
    finder = page.get_by_label("Find a trace or event id")
    panel = page.get_by_role("complementary", name="Event")
    finder.fill(loose)
    finder.press("Enter")
    expect(panel).to_contain_text("nightly batch")
    expect(panel).to_contain_text("0.450000")
    assert f"event={loose}" in page.url
    page.reload()
    expect(panel).to_be_visible()
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    assert "event=" not in page.url
    finder.fill(inside)
    finder.press("Enter")
    page.wait_for_url(f"**/traces/t-1?*event={inside}*")
    expect(panel).to_be_visible()


def test_the_finder_says_what_it_did_not_find(context: BrowserContext, site: Site) -> None:
    page, _ = watched(context)  # 404 twice
    page.goto(f"{site.url}/traces?{WINDOW}&tz=UTC")
    settled(page)
    finder = page.get_by_label("Find a trace or event id")
    finder.fill("nobody-sent-it")
    finder.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("No trace and no event has the id nobody-sent-it.")
