"""A file that a page saves is the API's answer to the question on screen, byte for byte, in the order on screen."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Site
from tests.dashboard.shown import WINDOW, settled

FORMATS = {"CSV": "csv", "NDJSON": "ndjson", "Parquet": "parquet", "FOCUS": "focus"}


def answer(site: Site, path: str, asked: str, kind: str) -> bytes:
    query = urlencode([*parse_qsl(asked, keep_blank_values=True), ("format", kind)])
    request = urllib.request.Request(f"{site.url}/v1/me/ai-apps/{path}?{query}")
    request.add_header("Authorization", f"Bearer {site.running.keys['read']}")
    with urllib.request.urlopen(request, timeout=60) as told:
        held: bytes = told.read()
        return held


def saved(page: Page, name: str) -> tuple[str, bytes]:
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("dialog", name="Export").get_by_role("button", name=name).click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_is_the_apis(page: Page, site: Site, name: str) -> None:
    page.goto(f"{site.url}/users?{WINDOW}&tz=UTC&compare=off&tag.plan=pro")
    settled(page)
    file, held = saved(page, name)
    assert file == {"FOCUS": "percapita-users-focus.csv"}.get(name, f"percapita-users.{FORMATS[name]}")
    wanted = answer(site, "users", f"{WINDOW}&tz=UTC&tag.plan=pro", FORMATS[name])
    assert len(held) > 100
    assert held == wanted
    expect(page.locator(".toast")).to_contain_text("Export of users saved")


@pytest.mark.parametrize(("page_of", "path", "asked"), [
    ("users?sort=tokens", "users", "sort=tokens"),
    ("users?sort=tokens&group=tag.org", "overview", "group_by=tag.org&sort=tokens"),
    ("models?sort=calls", "models", "sort=calls"),
    ("models?sort=calls&view=provider", "overview", "group_by=provider&sort=calls"),
    ("tools?sort=tool_name", "tools", "sort=tool_name"),
])  # fmt: skip
def test_rows_are_saved_in_the_order_on_screen(page: Page, site: Site, page_of: str, path: str, asked: str) -> None:
    page.goto(f"{site.url}/{page_of}&{WINDOW}&tz=UTC&compare=off")
    settled(page)
    _, held = saved(page, "CSV")
    assert held == answer(site, path, f"{WINDOW}&tz=UTC&{asked}", "csv")
    assert held != answer(site, path, f"{WINDOW}&tz=UTC&{asked.replace('sort=', 'sort=-')}", "csv")
