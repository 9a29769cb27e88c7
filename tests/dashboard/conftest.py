"""One embedded Percapita with demo traffic, one Chromium; each test has a signed-in page of its own and fails on any error in it."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.dashboard.fresh import Fresh
from tests.support.embedded import Running
from tests.support.needs import need_chromium, need_dashboard

# A browser that asks nobody else for anything.
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
EVENTS = 6_000
expect.set_options(
    timeout=30_000
)  # how long a machine may take that is busy with other things; nothing waits for it to pass


class Site(NamedTuple):
    """A running Percapita and the same questions as its pages ask."""

    running: Running

    @property
    def url(self) -> str:
        return self.running.url

    def api(self, path: str) -> Any:
        return self.running.get(path)

    def link(self) -> str:
        """A sign-in link, good once."""
        made = self.running.command("sign-in", "--json")
        assert made.returncode == 0, made.stderr
        url: str = json.loads(made.stdout)["url"]
        return url

    def admin(self, operation: str, **given: Any) -> Any:
        held = json.loads((self.running.data / "running.json").read_text())
        request = urllib.request.Request(f"{held['url']}/v1/admin/{operation}", data=json.dumps(given).encode())
        request.add_header("Authorization", f"Bearer {held['token']}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need_dashboard()
    running = Running(tmp_path_factory.mktemp("dashboard") / "data")
    sent = running.command("demo", "--events", str(EVENTS), "--users", "120", "--json")
    assert sent.returncode == 0, sent.stderr
    yield Site(running)
    running.end(signal.SIGKILL)
    assert running.process.stdout is not None
    running.process.stdout.close()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = need_chromium()
    # Ends with this package: while it is open its loop runs, and no other test's could.
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def signed_in(site: Site, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cookie of a session, signed in to once."""
    held = tmp_path_factory.mktemp("session") / "state.json"
    context = browser.new_context()
    page = context.new_page()
    page.goto(site.link())
    page.wait_for_url("**/?window=28d**")
    context.storage_state(path=held)
    context.close()
    return held


def watched(context: BrowserContext) -> tuple[Page, list[str]]:
    """A page, and what went wrong in it: errors of scripts, refusals of the policy, failed requests."""
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.set_default_timeout(60_000)
    return page, wrong


@pytest.fixture
def context(browser: Browser, signed_in: Path) -> Iterator[BrowserContext]:
    opened = browser.new_context(
        viewport={"width": 1440, "height": 900}, storage_state=signed_in, timezone_id="UTC", reduced_motion="reduce"
    )
    yield opened
    for page in opened.pages:
        page.unroute_all(behavior="ignoreErrors")  # what is still asked is nobody's any more
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    opened, wrong = watched(context)
    yield opened
    assert wrong == []


@pytest.fixture
def fresh(page: Page, site: Site) -> Fresh:
    return Fresh(page, site)
