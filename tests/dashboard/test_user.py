"""A user's page: figures that are not known yet look like it, and shares stand with what they are shares of."""

from __future__ import annotations

from contextlib import suppress

from playwright.sync_api import BrowserContext, Error, Page, Route, expect

from tests.dashboard.conftest import Site, watched
from tests.dashboard.shown import WINDOW, settled, share, tokens


def test_a_figure_that_another_question_answers_is_blank_until_then(context: BrowserContext, site: Site) -> None:
    page, wrong = watched(context)
    user = site.api(f"users?{WINDOW}&limit=1")["data"][0]["user_id"]
    held: list[Route] = []
    waits = [True]
    # The mean is of all users: a question of its own.
    page.route("**/v1/me/ai-apps/users?*above=*", lambda route: held.append(route) if waits else route.continue_())
    page.goto(f"{site.url}/users/{user}?{WINDOW}")
    figure = page.locator(".kpi", has_text="Against the mean")
    expect(figure.locator("svg.skeleton").first).to_be_visible()
    expect(figure).to_have_attribute("aria-busy", "true")
    expect(page.locator(".kpi", has_text="Per trace").locator("svg.skeleton")).to_have_count(0)
    assert "–" not in figure.inner_text()
    waits.clear()
    for route in held:
        with suppress(Error):  # asked anew meanwhile: the page gave this one up
            route.continue_()
    expect(figure).to_contain_text("×")
    expect(figure).to_contain_text("mean user $")
    assert wrong == []


def test_the_share_from_cache_is_of_all_input_and_exact_in_its_tip(page: Page, site: Site) -> None:
    user = site.api(f"users?{WINDOW}&limit=1")["data"][0]["user_id"]
    classes = site.api(f"users/{user}?{WINDOW}")["data"]["tokens_by_class"]
    read, written, rest = (classes[f"input_{name}"] for name in ("cache_read", "cache_write", "uncached"))
    whole = read + written + rest
    assert read > 0
    page.goto(f"{site.url}/users/{user}?{WINDOW}")
    settled(page)
    figure = page.locator(".kpi", has_text="From cache")
    expect(figure).to_contain_text(share(read / whole))
    expect(figure).to_contain_text(f"{tokens(read)} of {tokens(whole)} input tokens")
    figure.locator("[data-tip]").hover()
    tip = page.get_by_role("tooltip")
    for count in (read, written, rest, whole):
        expect(tip).to_contain_text(f"{count:,}")
