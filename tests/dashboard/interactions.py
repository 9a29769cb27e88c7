"""`python -m tests.dashboard.interactions`: how long a click or key takes until the page has answered on screen, and until the
new data stands.

A measurement, not a test: it says what this machine did while it was as busy as it says. The first number is from the event's
own time to the end of the frame that shows what it did (a pressed button, the next section's head, old rows without colour);
the second to the frame in which nothing is asked any more and the new rows are there. The goal is 100 ms for the first.
"""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Page, sync_playwright

from tests.dashboard.conftest import ARGUMENTS, Site
from tests.dashboard.shown import settled
from tests.support.embedded import Running
from tests.support.needs import need_chromium

TIMES = 20
GOAL_MS = 100
EVENTS, USERS = 24_000, 160
GIVES_UP_MS = 60_000

# Armed before the act: the next such event is timed from when the browser took it. After a frame's callbacks comes its paint;
# a message sent from one of them arrives when that is done.
ARM = """({kind, until}) => {
    const painted = () => new Promise((done) => requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () => done(performance.now());
        channel.port2.postMessage(0);
    }));
    const stands = new Function(`return ${until}`);
    window.__told = new Promise((tell) => addEventListener(kind, async (event) => {
        const first = await painted();
        let last = first;
        while (document.querySelector('[aria-busy=true]') || !stands()) last = await painted();
        tell([first - event.timeStamp, last - event.timeStamp]);
    }, {capture: true, once: true}));
}"""


class Act(NamedTuple):
    """Something that a person does, again and again."""

    name: str
    path: str  # where it is done
    kind: str  # the event that starts it
    does: Callable[[Page, int], Any]  # the n-th time
    until: str = "true"  # JavaScript: the new data is there
    before: Callable[[Page, int], Any] | None = None  # not timed
    after: Callable[[Page, int], Any] | None = None  # not timed


def acts(site: Site) -> list[Act]:
    """All that is measured."""
    window = "window=28d&tz=UTC"
    trace = max(site.api("traces?window=28d&limit=200")["data"], key=lambda row: row["events"])["trace_id"]
    sections = ("Users", "Traces", "Models", "Tools", "Overview")
    rows = "document.querySelector('table.ledger tbody tr') !== null"

    def link(page: Page, name: str) -> Any:
        return page.get_by_role("navigation", name="Main").get_by_role("link", name=name)

    def head(page: Page, n: int) -> Any:
        name = ("Tokens", "Traces", "Spend, USD")[n % 3]
        return page.get_by_role("columnheader", name=name).get_by_role("button")

    def pick(page: Page, n: int) -> None:
        page.keyboard.press("f")
        page.locator(".options button", has_text="plan").click()
        page.get_by_role("option").nth(n % 2).click()

    def unpick(page: Page, _: int) -> None:
        page.get_by_role("button", name="Remove plan").click()

    def clear(page: Page, _: int) -> None:
        page.keyboard.press("Escape")
        page.wait_for_url(lambda url: "q=" not in url)

    return [
        Act(
            "switch section", f"?{window}", "click", lambda page, n: link(page, sections[n % 5]).click(),
            "document.querySelector('h1').textContent === document.querySelector('.rail [aria-current] span').textContent",
        ),
        Act(
            "open a user", f"users?{window}", "click", lambda page, n: page.locator("table.ledger tbody a").nth(n).click(),
            "location.pathname.includes('/users/')", after=lambda page, _: page.go_back(),
        ),
        Act(
            "open an event", f"traces/{trace}?{window}", "click", lambda page, n: page.locator(".fall-row.go").nth(n % 4).click(),
            "document.querySelector('.panel') !== null", after=lambda page, _: page.keyboard.press("Escape"),
        ),
        Act("sort", f"users?{window}", "click", lambda page, n: head(page, n).click(), rows),
        Act(
            "type in search", f"users?{window}", "keydown", lambda page, n: page.keyboard.press("abdegiklmr"[n % 10]),
            "location.search.includes('q=')", before=lambda page, _: page.locator(".head .field input").focus(), after=clear,
        ),
        Act(
            "add a pill", f"users?{window}", "click", lambda page, _: page.get_by_role("button", name="Apply").click(),
            "location.search.includes('tag.plan')", before=pick, after=unpick,
        ),
        Act("change the window", f"users?{window}", "keydown", lambda page, n: page.keyboard.press("lm"[n % 2]), rows),
        Act("toggle the theme", f"users?{window}", "click", lambda page, _: page.get_by_role("button", name="Light or dark").click()),
        Act(
            "page", f"users?{window}", "click",
            lambda page, n: page.get_by_role("button", name=("Next 50", "Previous")[n % 2]).click(), rows,
        ),
    ]  # fmt: skip


def measure(page: Page, site: Site, act: Act) -> list[tuple[float, float]]:
    """Milliseconds until painted and until the data stands, of each repetition."""
    page.goto(f"{site.url}/{act.path}")
    settled(page)
    found = []
    for number in range(TIMES):
        if act.before:
            act.before(page, number)
        page.evaluate(ARM, {"kind": act.kind, "until": act.until})
        act.does(page, number)
        first, last = page.evaluate("window.__told")
        found.append((first, last))
        if act.after:
            act.after(page, number)
        settled(page)
    return found


def quantiles(values: list[float]) -> str:
    """The median and the 95th percentile, in a table's cells."""
    return f"{statistics.median(values):>8.0f} {statistics.quantiles(values, n=20)[-1]:>8.0f}"


def main() -> None:
    """Measure them all."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        site = Site(Running(Path(folder) / "data"))
        try:
            sent = site.running.command(
                "demo", "--events", str(EVENTS), "--users", str(USERS), "--days", "56", "--json"
            )
            assert sent.returncode == 0, sent.stderr
            show(site)
        finally:
            site.running.end(signal.SIGTERM)


def show(site: Site) -> None:
    """The table."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need_chromium(), args=ARGUMENTS)
        page = browser.new_context(viewport={"width": 1440, "height": 900}, timezone_id="UTC").new_page()
        page.set_default_timeout(GIVES_UP_MS)
        page.goto(site.link())
        page.wait_for_url("**/?window=**")
        print(f"{EVENTS:,} events of {USERS} users; {TIMES} times each; milliseconds")
        print(f"load when it began: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
        print(f"{'':<20}{'painted':>17}{'data stands':>18}\n{'':<20}{'median':>8} {'p95':>8} {'median':>8} {'p95':>8}")
        for act in acts(site):
            found = measure(page, site, act)
            painted = [first for first, _ in found]
            slow = "" if statistics.quantiles(painted, n=20)[-1] <= GOAL_MS else f"  over {GOAL_MS}"
            print(f"{act.name:<20}{quantiles(painted)} {quantiles([last for _, last in found])}{slow}", flush=True)
        print(f"\nload when it ended: {os.getloadavg()[0]:.1f}")
        browser.close()


if __name__ == "__main__":
    main()
