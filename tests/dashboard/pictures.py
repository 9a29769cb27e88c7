"""`python -m tests.dashboard.pictures`: every page in light and dark, on a desk and on a phone, into docs/pictures."""

from __future__ import annotations

import json
import signal
import tempfile
from pathlib import Path

from playwright.sync_api import Page, Request, sync_playwright

from tests.dashboard.conftest import ARGUMENTS, Site
from tests.support.embedded import Running
from tests.support.needs import ROOT, need_chromium

FOLDER = ROOT / "docs" / "pictures"
SIZES = {"": (1440, 900), "-phone": (390, 844)}


def main() -> None:
    """Take them all, over demo traffic of two months."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site = Site(Running(Path(folder) / "data"))
        for days, events in ((56, 24_000), (1, 800)):
            sent = site.running.command(
                "demo", "--events", str(events), "--users", "160", "--days", str(days), "--seed", "3", "--json"
            )
            assert sent.returncode == 0, sent.stderr
        trace = max(site.api("traces?window=1d&limit=200")["data"], key=lambda row: row["events"])
        events_of = site.api(f"traces/{trace['trace_id']}")["data"]["events"]
        event = next(one["id"] for one in events_of if one["cost_parts"])
        user = site.api("users?window=28d&limit=1")["data"][0]["user_id"]
        pages = {
            "overview": "?window=28d", "users": "users?window=28d", "user": f"users/{user}?window=28d", "traces": "traces?window=28d",
            "trace": f"traces/{trace['trace_id']}?window=28d&event={event}", "models": "models?window=28d", "tools": "tools?window=28d",
            "api": "docs/api#users",
        }  # fmt: skip
        browser = playwright.chromium.launch(executable_path=need_chromium(), args=ARGUMENTS)
        for theme in ("light", "dark"):
            for size, (width, height) in SIZES.items():
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme=theme,
                    reduced_motion="reduce",
                    timezone_id="Europe/Berlin",
                )  # type: ignore[arg-type]
                page = context.new_page()
                asked = _asked(page)
                page.goto(site.link())
                page.wait_for_url("**/?window=**")
                for name, path in pages.items():
                    page.goto(f"{site.url}/{path}")
                    page.locator("h1").wait_for()
                    _settle(page, asked)
                    page.screenshot(path=FOLDER / f"{name}-{theme}{size}.png")
                context.close()
        browser.close()
        site.running.end(signal.SIGTERM)
    print(json.dumps(sorted(path.name for path in FOLDER.glob("*.png"))))


def _asked(page: Page) -> set[Request]:
    """The questions that are under way; the stream never ends."""
    asked: set[Request] = set()

    def ask(request: Request) -> None:
        if "/ai-apps/" in request.url:
            asked.add(request)

    page.on("request", ask)
    page.on("requestfinished", lambda request: asked.discard(request))
    page.on("requestfailed", lambda request: asked.discard(request))
    return asked


def _settle(page: Page, asked: set[Request]) -> None:
    """Until nothing has been asked for a second."""
    quiet = 0
    while quiet < 5:
        page.wait_for_timeout(200)
        quiet = 0 if asked or page.locator("[aria-busy=true]").count() else quiet + 1


if __name__ == "__main__":
    main()
