"""Windows high contrast: the reader's few colours, and still every part is told apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.dashboard.conftest import Site, watched
from tests.dashboard.shown import WINDOW, settled

FILL = "(part) => getComputedStyle(part).fill"


@pytest.fixture
def forced(browser: Browser, signed_in: Path) -> Iterator[BrowserContext]:
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, storage_state=signed_in, forced_colors="active", timezone_id="UTC", reduced_motion="reduce"
    )  # fmt: skip
    yield context
    context.close()


def test_series_are_patterns_not_colours(forced: BrowserContext, site: Site) -> None:
    page, wrong = watched(forced)
    page.goto(f"{site.url}/?{WINDOW}&by=model")
    settled(page)
    series = page.locator(".legend .swatch rect")
    expect(series.nth(3)).to_be_visible()
    fills = [series.nth(index).evaluate(FILL) for index in range(1, 4)]
    assert all(fill.startswith("url(") for fill in fills), fills
    assert len(set(fills)) == len(fills)
    assert page.locator(".chart rect.fill-2").first.evaluate(FILL) in fills
    assert wrong == []


def test_what_is_chosen_and_what_is_marked_has_an_edge(forced: BrowserContext, site: Site) -> None:
    page, wrong = watched(forced)
    page.goto(f"{site.url}/traces?{WINDOW}&tag.plan=pro")
    settled(page)
    ground = "(one) => getComputedStyle(one).backgroundColor"
    pressed = page.locator(".segments > button[aria-pressed=true]").first
    other = page.locator(".segments > button[aria-pressed=false]").first
    assert pressed.evaluate(ground) != other.evaluate(ground)
    edge = "(one) => getComputedStyle(one).borderTopStyle"
    assert page.locator(".pill").first.evaluate(edge) == "solid"
    here = page.locator(".rail a[aria-current=page]")
    assert here.evaluate("(one) => getComputedStyle(one).outlineStyle") == "solid"
    page.goto(f"{site.url}/models?{WINDOW}")
    settled(page)
    assert page.locator(".mark").first.evaluate(edge) == "solid"
    assert wrong == []


def test_how_a_call_went_is_told_by_its_shape(forced: BrowserContext, site: Site) -> None:
    page, wrong = watched(forced)
    failed = [trace["trace_id"] for trace in site.api(f"traces?{WINDOW}&status=error&limit=100")["data"]]
    events = {trace: site.api(f"traces/{quote(trace, safe='')}")["data"]["events"] for trace in failed[:40]}
    # One in which something went well too: the newest may hold its failure alone.
    mixed = next(
        trace
        for trace in events
        if {event["status"] for event in events[trace] if event["type"] == "llm"} >= {"ok", "error"}
    )
    page.goto(f"{site.url}/traces/{mixed}?{WINDOW}")
    settled(page)
    shapes = {name: page.locator(f".lane .lane-{name}") for name in ("llm", "wait", "tool", "failed")}
    fills = [lane.first.evaluate(FILL) for lane in shapes.values() if lane.count() > 0]
    assert len(fills) > 1
    assert len(set(fills)) == len(fills)
    assert wrong == []
