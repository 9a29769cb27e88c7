"""What a person does on the pages: signs in, narrows, sorts, finds, drills down, exports; what the pages do when things go wrong."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote, unquote
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.dashboard.conftest import Site, watched
from tests.dashboard.shown import WINDOW, money, settled
from tests.support.needs import ROOT

SECTIONS = ("", "users", "traces", "models", "tools", "notices")
AXE = ROOT / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
HOSTILE = [
    "<script>window.__ran=1</script>", "<img src=x onerror=window.__ran=1>", "\"><svg onload=window.__ran=1>", "javascript:window.__ran=1",
    "{{7*7}}", "${7*7}", "../../etc/passwd", "a/b/c", "a?b#c", "a%2Fb", "%00", "&lt;b&gt;", "' OR 1=1 --", "\u202ereversed", "line\nbreak",
    "tab\there", "(unattributed)", "null", "undefined", "NaN", "0", "-1", "=1+1", "ünï©ødé", "日本語", "🧮" * 20, "x" * 200, " lead", "trail ",
    "a&b=c", "a;b", "a,b", "`id`", "$(id)", "\\", "*", "%", "_", "__proto__", "constructor",
]  # fmt: skip


def first_user(page: Page) -> Any:
    return page.locator("table.ledger tbody tr").first


def test_a_link_signs_in_once_and_a_key_signs_in_too(site: Site, browser: Browser) -> None:
    context = browser.new_context()
    page, wrong = watched(context)
    page.goto(f"{site.url}/users")
    expect(page.get_by_label("Access key")).to_be_visible()
    page.get_by_label("Access key").fill("pc_live_nonsense")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Access key").fill(site.running.keys["read"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("h1")).to_have_text("Users")
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("Object.keys(localStorage).concat(Object.keys(sessionStorage)).join()").find("pc_live") == -1
    assert all("401" in line for line in wrong), wrong  # the refused key, and the questions before signing in
    context.close()


@pytest.mark.parametrize("section", SECTIONS)
def test_back_and_forward_and_a_copied_address_lead_to_the_same_page(page: Page, site: Site, section: str) -> None:
    page.goto(f"{site.url}/{section}?{WINDOW}&tag.plan=pro")
    settled(page)
    heading, address = page.locator("h1").inner_text(), page.url
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Models").click()
    settled(page)
    page.go_back()
    settled(page)
    assert (page.locator("h1").inner_text(), page.url) == (heading, address)
    page.go_forward()
    expect(page.locator("h1")).to_have_text("Models")
    assert "tag.plan=pro" in page.url


def test_a_header_sorts_on_the_server(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/users?{WINDOW}")
    settled(page)
    for label, column in (("Tokens", "tokens"), ("Traces", "traces"), ("Last seen", "last_seen")):
        page.get_by_role("columnheader", name=label).get_by_role("button").click()
        settled(page)
        expect(page.get_by_role("columnheader", name=label)).to_have_attribute("aria-sort", "descending")
        wanted = site.api(f"users?{WINDOW}&sort=-{column}&limit=1")["data"][0]["user_id"]
        expect(first_user(page)).to_contain_text(wanted)
    page.get_by_role("columnheader", name="Last seen").get_by_role("button").click()
    settled(page)
    expect(page.get_by_role("columnheader", name="Last seen")).to_have_attribute("aria-sort", "ascending")


def test_a_user_is_found_and_pages_go_on(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/users?{WINDOW}")
    settled(page)
    answer = site.api(f"users?{WINDOW}&limit=50")
    page.get_by_role("button", name="Next").click()
    settled(page)
    second = site.api(f"users?{WINDOW}&limit=50&cursor={answer['next_cursor']}")["data"][0]["user_id"]
    expect(first_user(page)).to_contain_text(second)
    page.keyboard.press("/")
    page.keyboard.type(second)
    expect(page.locator("table.ledger tbody tr")).to_have_count(1)
    expect(first_user(page)).to_contain_text(second)
    page.go_back()


def test_a_pill_is_added_changed_and_removed(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/users?{WINDOW}&tag.plan=pro")
    settled(page)
    narrowed = money(site.api(f"users?{WINDOW}&tag.plan=pro")["totals"]["spend"])
    whole = money(site.api(f"users?{WINDOW}")["totals"]["spend"])
    expect(page.locator("table.ledger tfoot tr").last).to_contain_text(narrowed)
    page.get_by_role("button", name="Remove plan is pro").click()
    expect(page.locator("table.ledger tfoot tr").last).to_contain_text(whole)
    assert "tag.plan" not in page.url
    page.go_back()
    expect(page.locator("table.ledger tfoot tr").last).to_contain_text(narrowed)


def test_from_a_user_to_its_trace_to_an_event_and_back(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/users?{WINDOW}")
    settled(page)
    user = site.api(f"users?{WINDOW}&limit=1")["data"][0]["user_id"]
    first_user(page).get_by_role("link").first.click()
    expect(page.locator("h1")).to_contain_text(user)
    settled(page)
    page.locator("main a[href*='/traces/']").first.click()
    events = page.get_by_role("table", name="Events in order")
    expect(events).to_be_visible()
    events.locator(".fall-row.go").last.click()
    panel = page.get_by_role("complementary", name="Event")
    expect(panel).to_be_visible()
    address = page.url
    assert "event=" in address
    page.goto(address)
    expect(page.get_by_role("complementary", name="Event")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary", name="Event")).to_have_count(0)


def test_an_export_is_the_apis(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/users?{WINDOW}&tag.plan=pro")
    settled(page)
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_text("CSV", exact=False).first.click()
    held = Path(download.value.path()).read_text(encoding="utf-8")
    rows = site.api(f"users?{WINDOW}&tag.plan=pro&limit=1000")["data"]
    assert len(held.splitlines()) == len(rows) + 1
    assert all(row["user_id"] in held and row["spend"] in held for row in rows if row["spend"])


def test_the_theme_is_kept(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/users?{WINDOW}")
    settled(page)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Light or dark").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    settled(page)
    assert page.evaluate(ground) == dark


def test_the_keyboard_leads_everywhere(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/?{WINDOW}")
    settled(page)
    for key, heading in (("2", "Users"), ("3", "Traces"), ("4", "Models"), ("5", "Tools"), ("1", "Overview")):
        page.keyboard.press(key)
        expect(page.locator("h1")).to_have_text(heading)
    page.keyboard.press("m")
    expect(page.get_by_role("group", name="Window")).to_contain_text("Month to date")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_a_failing_question_says_so_in_its_card_and_can_be_asked_again(context: BrowserContext, site: Site) -> None:
    page, _ = watched(context)
    broken = {"on": True}

    def answer(route: Route) -> None:
        if broken["on"]:
            told = {
                "type": "about:blank",
                "title": "Unavailable",
                "status": 503,
                "code": "store_unavailable",
                "detail": "d",
                "request_id": "r-1",
            }
            route.fulfill(status=503, content_type="application/problem+json", body=json.dumps(told))
        else:
            route.continue_()

    page.route("**/v1/me/ai-apps/models**", answer)
    page.goto(f"{site.url}/models?{WINDOW}")
    failed = page.get_by_role("alert").first
    expect(failed).to_be_visible(timeout=60_000)
    expect(failed).to_contain_text("r-1")
    broken["on"] = False
    page.get_by_role("button", name="Try again").first.click()
    settled(page)
    expect(page.locator("table.ledger tbody tr").first).to_be_visible()


def test_the_page_moves_when_data_does(page: Page, site: Site) -> None:
    user = f"live-{uuid4().hex[:8]}"
    page.goto(f"{site.url}/users?{WINDOW}&q={user}")
    settled(page)
    site.running.post({
        "type": "llm", "provider": "openai", "model": "gpt-4o", "trace_id": f"t-{user}", "timestamp": int(time.time() * 1000),
        "usage": {"prompt_tokens": 100_000, "completion_tokens": 20_000}, "metadata": {"tags": {"userId": user}},
    })  # fmt: skip
    expect(page.locator("table.ledger tbody tr").first).to_contain_text(user, timeout=60_000)
    expect(page.locator("table.ledger tbody tr").first).to_contain_text("0.45")


def test_hostile_strings_are_text(page: Page, site: Site) -> None:
    made = site.admin("create_account", name="hostile <b>account</b>", privacy="full")["keys"]
    keys, site.running.keys = site.running.keys, made
    try:
        for number, text in enumerate(HOSTILE):
            told = site.running.post({
                "type": "llm", "provider": "openai", "model": "gpt-4o", "trace_id": f"h-{number}", "timestamp": int(time.time() * 1000),
                "usage": {"prompt_tokens": 1000 + number, "completion_tokens": 10}, "name": text[:100], "prompt": [{"role": "user", "content": text}],
                "response": text, "metadata": {"tags": {"userId": text, "org": text, "feature": text}},
            })  # fmt: skip
            assert told["accepted"] == 1, (text, told)
        users = site.api("users?window=1d&limit=1000")["data"]
    finally:
        site.running.keys = keys
    assert len(users) >= len(HOSTILE) - 2
    context = page.context
    context.clear_cookies()
    page.goto(f"{site.url}/sign-in")
    page.get_by_label("Access key").fill(made["read"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("h1")).to_be_visible()
    for path in ("users", "traces", "", "models"):
        page.goto(f"{site.url}/{path}?window=1d")
        settled(page)
    for user in [row["user_id"] for row in users][:12]:
        page.goto(f"{site.url}/users/{quote(user, safe='')}?window=1d")
        settled(page)
        assert " ".join(user.split()) in " ".join(page.locator("body").inner_text().split()) or len(user) > 24
    for number in (0, 1, 2, 13):
        page.goto(f"{site.url}/traces/h-{number}?window=1d")
        settled(page)
        page.locator(".fall-row.go").first.click()
        expect(page.get_by_role("complementary", name="Event")).to_be_visible()
    assert page.evaluate("window.__ran") is None
    assert page.locator("svg[onload], img[onerror]").count() == 0


def test_an_empty_account_says_what_is_missing_and_wakes_with_the_first_event(page: Page, site: Site) -> None:
    made = site.admin("create_account", name="fresh", privacy="standard")["keys"]
    page.context.clear_cookies()
    page.goto(f"{site.url}/sign-in")
    page.get_by_label("Access key").fill(made["read"])
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"{site.url}/users?window=28d")
    expect(page.locator("body")).to_contain_text("event", timeout=60_000)
    assert page.locator("table.ledger tbody tr").count() == 0
    keys, site.running.keys = site.running.keys, made
    try:
        site.running.post({
            "type": "llm", "provider": "openai", "model": "gpt-4o", "trace_id": "t-1", "timestamp": int(time.time() * 1000),
            "usage": {"prompt_tokens": 1000, "completion_tokens": 200}, "metadata": {"tags": {"userId": "first-user"}},
        })  # fmt: skip
    finally:
        site.running.keys = keys
    expect(page.locator("table.ledger tbody tr").first).to_contain_text("first-user", timeout=60_000)


def test_filters_that_leave_nothing_offer_their_removal(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/users?{WINDOW}&tag.plan=nobody")
    expect(page.locator("body")).to_contain_text("plan", timeout=60_000)
    answer = site.api(f"diagnosis?{WINDOW}&tag.plan=nobody")["data"]
    assert answer["state"] == "filtered_out"
    expect(page.locator("main")).to_contain_text(f"{answer['filters'][0]['events']:,}")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 1000, 390])
def test_axe_finds_nothing_serious(context: BrowserContext, site: Site, theme: str, width: int) -> None:
    page, wrong = watched(context)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    trace = site.api(f"traces?{WINDOW}&limit=1")["data"][0]["trace_id"]
    user = site.api(f"users?{WINDOW}&limit=1")["data"][0]["user_id"]
    for path in (*SECTIONS, f"traces/{trace}", f"users/{user}", "users?group=tag.org"):
        page.goto(f"{site.url}/{path}{'&' if '?' in path else '?'}{WINDOW}")
        settled(page)
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice']})")
        serious = [
            (v["id"], v["nodes"][0]["html"][:160])
            for v in found["violations"]
            if v["impact"] in ("serious", "critical")
        ]
        assert serious == [], (path, theme, width)
    assert wrong == []


def test_a_narrow_rail_keeps_its_names_its_notices_and_its_account(page: Page, site: Site) -> None:
    page.set_viewport_size({"width": 1000, "height": 800})
    page.goto(f"{site.url}/users?{WINDOW}")
    settled(page)
    rail = page.get_by_role("navigation", name="Main")
    for name in ("Overview", "Users", "Traces", "Models", "Tools", "Notices", "API"):
        link = rail.get_by_role("link", name=name, exact=name != "Notices")  # which says how many are open
        expect(link).to_be_visible()
        expect(link).to_have_attribute("title", re.compile(name))
    rail.get_by_role("button", name="Keyboard").click()
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    rail.get_by_role("button", name="local").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_a_phone_reaches_what_the_rail_and_the_tools_hold(page: Page, site: Site) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{site.url}/users?{WINDOW}&tag.plan=pro")
    settled(page)
    more = page.get_by_role("button", name="More", exact=True)
    more.click()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    held = Path(download.value.path()).read_text(encoding="utf-8")
    assert len(held.splitlines()) == len(site.api(f"users?{WINDOW}&tag.plan=pro&limit=1000")["data"]) + 1
    more.click()
    page.get_by_role("dialog", name="More").get_by_role("link", name="Notices").click()
    expect(page.locator("h1")).to_have_text("Notices")
    more.click()
    expect(page.get_by_role("button", name="Light or dark")).to_be_visible()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def embedded(site: Site, org: str, origin: str) -> Any:
    """What the vendor's backend is given: the address of its tenant's page."""
    wanted = {"tags": {"org": org}, "origins": [origin], "wording": "Person"}
    request = urllib.request.Request(f"{site.url}/v1/me/embed-tokens", data=json.dumps(wanted).encode())
    request.add_header("Authorization", f"Bearer {site.running.keys['read']}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_tenants_page_shows_its_share_inside_the_vendors_page_alone(browser: Browser, site: Site) -> None:
    org = site.api(f"users?{WINDOW}&limit=1")["data"][0]["label"]
    made = embedded(site, org, "http://127.0.0.1:9")
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    page, wrong = watched(context)
    answer = page.request.get(f"{site.url}{made['url'].split('#')[0]}")
    assert "frame-ancestors http://127.0.0.1:9;" in answer.headers["content-security-policy"] + ";"
    assert (
        "frame-ancestors 'none'"
        in page.request.get(f"{site.url}/embed?frame=forged").headers["content-security-policy"]
    )
    page.goto(f"{site.url}{made['url']}")
    settled(page)
    shares = site.api(f"users?window=28d&tag.org={org}&limit=1000")
    # The credential is traded first, and the page asks with it then: there is a heading before there is a question.
    expect(page.locator("body")).to_contain_text(money(shares["totals"]["spend"]))
    body = page.locator("body").inner_text()
    assert "Person" in body
    assert org in body
    assert money(shares["totals"]["spend"]) in body
    others = {row["user_id"] for row in site.api("users?window=28d&limit=1000")["data"]} - {
        row["user_id"] for row in shares["data"]
    }
    assert others
    assert not [user for user in others if user in body]
    assert "token=" not in page.url
    assert wrong == []
    context.close()


@contextmanager
def vendor() -> Iterator[tuple[str, list[str]]]:
    """A server of another origin, and the page that it serves: what a test puts there."""
    pages: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write("".join(pages).encode())

        def log_message(self, *_: Any) -> None:
            """Not in the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", pages
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("allowed", [True, False])
def test_a_tenants_page_stands_in_the_frame_of_its_vendor_alone(browser: Browser, site: Site, allowed: bool) -> None:
    org = site.api(f"users?{WINDOW}&limit=1")["data"][0]["label"]
    context = browser.new_context(viewport={"width": 1200, "height": 900}, timezone_id="UTC")
    page = context.new_page()
    page.set_default_timeout(60_000)
    with vendor() as (origin, pages):
        made = embedded(site, org, origin if allowed else "http://127.0.0.1:9")
        pages.append(f"""<script>addEventListener('message', (event) => (window.__told ??= []).push(event.data))</script>
            <iframe src="{site.url}{made["url"]}" width="1100" height="800"></iframe>""")
        page.goto(origin)
        if allowed:
            frames_its_share(page, site, org)
        else:
            page.wait_for_function("document.querySelector('iframe').contentDocument === null")
            assert page.frame_locator("iframe").locator(".embed").count() == 0
    context.close()


def frames_its_share(page: Page, site: Site, org: str) -> None:
    frame = page.frame_locator("iframe")
    answer = site.api(f"users?window=28d&tag.org={org}&limit=1000")
    expect(frame.locator("table.ledger tfoot")).to_contain_text(money(answer["totals"]["spend"]))
    expect(frame.locator(".kpi").nth(1)).to_contain_text("People")
    page.wait_for_function("window.__told?.some((told) => told.type === 'percapita:height' && told.height > 200)")
    frame.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        frame.get_by_role("button", name="CSV").click()
    held = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert sorted(line.split(",")[0] for line in held[1:]) == sorted(row["user_id"] for row in answer["data"])


def test_pages_carry_a_strict_policy_and_what_is_no_page_is_404(page: Page, site: Site) -> None:
    answer = page.request.get(f"{site.url}/users")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    for path in (
        "nothing",
        "assets/nothing.js",
        "assets/../../pyproject.toml",
        "..%2f..%2fpyproject.toml",
        "index.html.gz",
    ):
        assert page.request.get(f"{site.url}/{path}").status == 404, path
    assert unquote(page.url) == "about:blank"
