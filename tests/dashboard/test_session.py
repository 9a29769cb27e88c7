"""Sessions begin, end and begin anew; what one of them read is never shown in the next."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.dashboard.conftest import Site, watched
from tests.dashboard.shown import WINDOW, settled

OURS = {"X-Percapita": "dashboard"}


class Session:
    """A browser of its own, signed in by key: other tests keep their cookie."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page, self.site = page, site

    def enters(self, key: str) -> None:
        """Signs in on the page that asks for it."""
        self.page.get_by_label("Access key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()

    def ends_elsewhere(self) -> None:
        """As signing out in another tab does: the same cookie, and this page is not told."""
        assert self.page.request.delete(f"{self.site.url}/v1/session", headers=OURS).ok


@pytest.fixture
def session(browser: Browser, site: Site) -> Iterator[Session]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, timezone_id="UTC", reduced_motion="reduce")
    page, wrong = watched(context)
    opened = Session(page, site)
    page.goto(f"{site.url}/users?{WINDOW}&tz=UTC")
    opened.enters(site.running.keys["read"])
    settled(page)
    yield opened
    context.close()
    assert all("401" in line for line in wrong), wrong  # what is asked without a session


@pytest.fixture
def other(site: Site) -> dict[str, Any]:
    """Another account, with one user: its keys."""
    made: dict[str, Any] = site.admin("create_account", name=f"other-{uuid4().hex[:6]}", privacy="standard")["keys"]
    keys, site.running.keys = site.running.keys, made
    try:
        site.running.post({
            "type": "llm", "provider": "openai", "model": "gpt-4o", "trace_id": "t-1", "timestamp": int(time.time() * 1000),
            "usage": {"prompt_tokens": 1000, "completion_tokens": 200}, "metadata": {"tags": {"userId": "only-theirs"}},
        })  # fmt: skip
    finally:
        site.running.keys = keys
    return made


def test_after_a_session_has_ended_a_key_begins_another(session: Session, site: Site) -> None:
    page = session.page
    user = site.api(f"users?{WINDOW}&limit=1")["data"][0]["user_id"]
    expect(page.locator("table.ledger tbody tr").first).to_contain_text(user)
    session.ends_elsewhere()
    page.get_by_role("columnheader", name="Tokens").get_by_role("button").click()  # asks, and is refused
    expect(page.get_by_label("Access key")).to_be_visible()
    session.enters(site.running.keys["read"])
    expect(page.locator("h1")).to_have_text("Users")
    expect(page.locator("table.ledger tbody tr").first).to_be_visible()
    assert "sort=-tokens" in page.url  # back to what was asked for


@pytest.mark.parametrize("ended", ["elsewhere", "here"])
def test_another_accounts_key_shows_nothing_of_the_first(
    session: Session, site: Site, other: dict[str, Any], ended: str
) -> None:
    page = session.page
    theirs = [row["user_id"] for row in site.api(f"users?{WINDOW}&limit=50")["data"]]
    expect(page.locator("body")).to_contain_text(theirs[0])
    if ended == "elsewhere":
        session.ends_elsewhere()
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Traces").click()
    else:
        page.get_by_role("button", name="local").click()
        page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Access key")).to_be_visible()
    # Every text that stands on the page from now on, however briefly.
    page.evaluate("""() => {
        window.__seen = [];
        new MutationObserver(() => window.__seen.push(document.body.innerText)).observe(document.body, {childList: true, subtree: true, characterData: true});
    }""")
    session.enters(other["read"])
    expect(page.get_by_role("button", name=re.compile("other-"))).to_be_visible()
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Users").click()
    expect(page.locator("table.ledger tbody tr").first).to_contain_text("only-theirs")
    seen = "\n".join(page.evaluate("window.__seen"))
    assert "only-theirs" in seen
    assert not [user for user in theirs if user in seen]


def test_signing_out_ends_the_session_for_good(session: Session, site: Site) -> None:
    page = session.page
    page.get_by_role("button", name="local").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Access key")).to_be_visible()
    assert page.request.get(f"{site.url}/v1/me").status == 401
    page.go_back()
    expect(page.get_by_label("Access key")).to_be_visible()
    assert page.locator("table.ledger").count() == 0
