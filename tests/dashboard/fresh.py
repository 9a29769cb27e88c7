"""An account of a test's own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from tests.dashboard.conftest import Site  # whose fixture this is

DAY = 86_400
PRICED = {"provider": "openai", "model": "gpt-4o", "usage": {"prompt_tokens": 100_000, "completion_tokens": 20_000}}
PRICE = "0.45"
UNPRICED = PRICED | {"model": "nobody-knows-it"}


class Fresh:
    """An account of its own, signed in to."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page, self.site, self.sent = page, site, 0
        self.keys = site.admin("create_account", name=f"fresh-{uuid4().hex[:6]}", privacy="standard")["keys"]

    def sends(self, **more: Any) -> None:
        """One event of this account."""
        self.sends_all([more])

    def sends_all(self, events: list[dict[str, Any]]) -> None:
        """So many in one request."""
        basis = {
            "type": "llm", "provider": "openai", "model": "gpt-4o", "timestamp": int(time.time() * 1000),
            "usage": {"prompt_tokens": 1000, "completion_tokens": 200},
        }  # fmt: skip
        others, self.site.running.keys = self.site.running.keys, self.keys
        try:
            told = self.site.running.post([basis | event for event in events])
        finally:
            self.site.running.keys = others
        assert told["accepted"] == len(events), told
        self.sent += len(events)

    def calls(self, what: dict[str, Any], *, ago: float = 0, trace: str = "t-1", **tags: str) -> None:
        """One call, so many seconds ago."""
        at = int((time.time() - ago) * 1000)
        self.sends(**what, timestamp=at, trace_id=trace, metadata={"tags": tags})

    def asks(self, path: str) -> Any:
        """The same question as the pages ask."""
        others, self.site.running.keys = self.site.running.keys, self.keys
        try:
            return self.site.api(path)
        finally:
            self.site.running.keys = others

    def arrived(self) -> None:
        """Until all that was sent is in the numbers."""
        until = time.monotonic() + 60
        while self.asks("overview?window=90d")["data"]["events"] < self.sent:
            assert time.monotonic() < until
            time.sleep(0.2)

    def opens(self, path: str) -> None:
        """A page, as who this account is."""
        self.page.context.clear_cookies()
        self.page.goto(f"{self.site.url}/sign-in")
        self.page.get_by_label("Access key").fill(self.keys["read"])
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.locator("h1")).to_be_visible()
        self.page.goto(f"{self.site.url}/{path}")
