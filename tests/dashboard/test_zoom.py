"""Zoomed to 200 % and on phones: the page never scrolls sideways; a wide table does, within itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.dashboard.conftest import Site
from tests.dashboard.shown import WINDOW, settled

SIZES = [(720, 450), (640, 400), (390, 844), (320, 640)]
PAGES = (
    "", "?by=model&show=table", "users", "users?group=tag.org", "users/USER", "traces", "traces?list=failed", "traces/TRACE",
    "traces/TRACE?event=EVENT", "models", "models?view=provider", "tools", "notices", "users?tag.plan=nobody",
)  # fmt: skip


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_no_page_scrolls_sideways(page: Page, site: Site, size: tuple[int, int]) -> None:
    width, height = size
    page.set_viewport_size({"width": width, "height": height})
    user = site.api(f"users?{WINDOW}&limit=1")["data"][0]["user_id"]
    trace = max(site.api(f"traces?{WINDOW}&limit=200")["data"], key=lambda row: row["events"])["trace_id"]
    event = next(one["id"] for one in site.api(f"traces/{trace}")["data"]["events"] if one["cost_parts"])
    wide = []
    for path in PAGES:
        there = path.replace("USER", user).replace("TRACE", trace).replace("EVENT", event)
        page.goto(f"{site.url}/{there}{'&' if '?' in there else '?'}{WINDOW}")
        settled(page)
        found = page.evaluate("[document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]")
        if found[0] > found[1]:
            wide.append((path, *found))
    assert wide == []
