"""Zoomed to 200 %, on phones, and with the longest names: the page never scrolls sideways; a wide table does, within itself."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

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
    assert wider(page, site, {"USER": user, "TRACE": trace, "EVENT": event}) == []


def wider(page: Page, site: Site, names: dict[str, str]) -> list[Any]:
    """The pages that scroll sideways."""
    wide = []
    for path in PAGES:
        there = path
        for name, value in names.items():
            there = there.replace(name, value)
        page.goto(f"{site.url}/{there}{'&' if '?' in there else '?'}{WINDOW}")
        settled(page)
        found = page.evaluate("[document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]")
        if found[0] > found[1]:
            wide.append((path, *found))
    return wide


def long(start: str) -> str:
    """Sixty characters that no line can break in."""
    return f"{start}{'abcdefghij' * 6}"[:60]


@pytest.mark.parametrize("width", [1440, 1280, 1000, 390])
def test_names_of_sixty_characters_widen_no_page(page: Page, site: Site, width: int) -> None:
    keys = site.admin("create_account", name=long("account-"), privacy="standard")["keys"]
    others, site.running.keys = site.running.keys, keys
    try:
        for number in range(6):
            tags = {"userId": long(f"user-{number}-"), "org": long("org-"), "plan": long("plan-")}
            told = site.running.post({
                "type": "llm", "provider": "openai", "model": "gpt-4o" if number % 2 else long(f"model-{number}-"), "trace_id": "TRACE-long",
                "timestamp": int(time.time() * 1000), "usage": {"prompt_tokens": 900_000_000, "completion_tokens": 90_000_000},
                "name": long("operation-"), "agent": long("agent-"), "metadata": {"tags": tags},
                **({"status": "error", "error_code": long("rate_limit_")} if number == 5 else {}),
            })  # fmt: skip
            assert told["accepted"] == 1, told
    finally:
        site.running.keys = others
    page.context.clear_cookies()
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{site.url}/sign-in")
    page.get_by_label("Access key").fill(keys["read"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".kpi").first).to_be_visible()
    assert wider(page, site, {"USER": long("user-0-"), "TRACE": "TRACE-long", "?event=EVENT": ""}) == []
