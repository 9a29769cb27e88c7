"""On paper: what was read, whole, in light colours, without what can only be pressed."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Site
from tests.dashboard.shown import WINDOW, settled

# A4 upright, less its margins of 12 mm, in CSS pixels.
SHEET = {"width": 703, "height": 1032}
SECTIONS = ("", "users", "traces", "models", "tools", "users/USER", "traces/TRACE")
CUT = """[...document.querySelectorAll('body *')]
    .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map((one) => one.outerHTML.slice(0, 120))"""
CONTROLS = (".rail", ".tab-bar", ".pager", ".head .tools", ".pill.add", ".window-step", ".segments.small")


@pytest.mark.parametrize("section", SECTIONS)
def test_a_sheet_holds_the_whole_table_and_no_control(page: Page, site: Site, section: str) -> None:
    page.emulate_media(color_scheme="dark")
    user = site.api(f"users?{WINDOW}&limit=1")["data"][0]["user_id"]
    trace = site.api(f"traces?{WINDOW}&limit=1")["data"][0]["trace_id"]
    page.goto(f"{site.url}/{section.replace('USER', user).replace('TRACE', trace)}?{WINDOW}")
    settled(page)
    heads = page.locator("table.ledger").first.locator("thead th").all_inner_texts()
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size(SHEET)
    expect(page.locator("h1").first).to_be_visible()
    for control in CONTROLS:
        for one in page.locator(control).all():
            expect(one).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    # Nothing is cut at the sheet's edge, and no column was left out for being narrow.
    assert page.evaluate(CUT) == []
    assert page.locator("table.ledger").first.locator("thead th").all_inner_texts() == heads
    assert page.evaluate(
        "[...document.querySelectorAll('.ledger-scroll')].every((one) => getComputedStyle(one).overflowX === 'visible')"
    )


def test_it_prints(page: Page, site: Site, tmp_path: Path) -> None:
    page.goto(f"{site.url}/users?{WINDOW}")
    settled(page)
    page.pdf(path=tmp_path / "users.pdf", format="A4")
    assert (tmp_path / "users.pdf").stat().st_size > 10_000
