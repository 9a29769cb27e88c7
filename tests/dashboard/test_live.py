"""Pages follow the data: after a stream that failed too, and not while nobody looks."""

from __future__ import annotations

import json
import re
import time
from uuid import uuid4

from playwright.sync_api import BrowserContext, Page, expect

from tests.dashboard.conftest import Site, watched
from tests.dashboard.fresh import PRICED
from tests.dashboard.shown import WINDOW, settled

REFRESHED_MS = 6_000  # a page follows a move of the data within five seconds


def sends(site: Site, user: str) -> None:
    event = PRICED | {"type": "llm", "trace_id": f"t-{user}", "timestamp": int(time.time() * 1000)}
    site.running.post(event | {"metadata": {"tags": {"userId": user}}})


def test_a_stream_that_is_refused_is_asked_for_again_when_it_may_be(context: BrowserContext, site: Site) -> None:
    page, _ = watched(context)
    asked: list[float] = []
    refusals = [429, 403, 503]

    def refuse_first(route) -> None:  # type: ignore[no-untyped-def]
        asked.append(time.monotonic())
        if len(asked) > len(refusals):
            return route.continue_()
        status = refusals[len(asked) - 1]
        body = json.dumps({"status": status, "code": "refused", "detail": "d"})
        headers = {"Retry-After": "4"} if status == 429 else {}
        return route.fulfill(status=status, headers=headers, content_type="application/problem+json", body=body)

    page.route("**/v1/me/stream", refuse_first)
    page.goto(f"{site.url}/users?{WINDOW}&tz=UTC")
    settled(page)
    while len(asked) <= len(refusals):
        page.wait_for_timeout(100)
        assert time.monotonic() < asked[0] + 60
    assert asked[1] - asked[0] >= 3.9  # as the answer asked


def test_nothing_is_asked_while_the_page_is_hidden(page: Page, site: Site) -> None:
    user = f"hidden-{uuid4().hex[:8]}"
    page.goto(f"{site.url}/users?{WINDOW}&tz=UTC&q={user}")
    settled(page)
    stamp = page.locator(".stamp")
    expect(stamp).not_to_contain_text("paused")
    hide = """hidden => {
        Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.evaluate(hide, True)
    expect(stamp).to_contain_text("paused")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    sends(site, user)
    page.wait_for_timeout(REFRESHED_MS)
    assert asked == []
    page.evaluate(hide, False)
    expect(stamp).to_contain_text(re.compile("behind|As of"))
    expect(stamp).not_to_contain_text("paused")
    expect(page.locator("table.ledger tbody tr").first).to_contain_text(user)
