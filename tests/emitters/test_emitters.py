"""Real instrumentations against the product: one event a call, with the usage, cost, user, session and tags of the truth.

The truth is computed outside the product, from what the provider server serves, by the price package. What an emitter does not send stands
in `listed.py`, and the checks fail in both directions.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.emitters import page
from tests.emitters.calls import arguments
from tests.emitters.captures import START, capture, load
from tests.emitters.cases import BY_NAME, CASES, Case
from tests.emitters.compare import events_of, send, shifted, wrong
from tests.emitters.environments import NAMES, OURS, ROOT
from tests.emitters.gaps import Gap
from tests.emitters.listed import GAPS
from tests.emitters.run import drive
from tests.emitters.truth import served_usage
from tests.support.embedded import Running
from tests.support.needs import need_emitter
from tests.support.providers import ProviderServer

_MINUTE_NS = 60_000_000_000
_BEGUN_NS = time.time_ns() // _MINUTE_NS * _MINUTE_NS
_PATHS = {
    "chat": "/v1/chat/completions", "responses": "/v1/responses", "embeddings": "/v1/embeddings", "messages": "/v1/messages",
    "beta": "/v1/messages?beta=true",
}  # fmt: skip


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = Running(Path(tmp_path_factory.mktemp("emitters")) / "data")
    yield found
    found.end()
    assert found.process.stdout is not None
    found.process.stdout.close()


@pytest.mark.parametrize("name", NAMES)
def test_what_an_emitter_sent_becomes_one_event_a_call_as_the_call_was(name: str, running: Running) -> None:
    bodies, calls = load(name)
    number = NAMES.index(name) + 1
    to = _BEGUN_NS - number * _MINUTE_NS  # each has a minute of its own
    moved = shifted(bodies, {"from": START, "to": to}, f"{number:02x}")
    with ThreadPoolExecutor(len(moved)) as senders:  # side by side, so that they share inserts
        answers = list(senders.map(lambda body: send(running, body), moved))
    assert [answer for answer in answers if answer.get("partialSuccess")] == []
    later = (to - START) // 1000
    done = [replace(call, start=call.start + later, end=call.end + later) for call in calls]
    events = events_of(running, to // 1000, (to + _MINUTE_NS) // 1000)
    assert wrong(done, events, GAPS[name]) == []
    for gap in GAPS[name]:
        assert wrong(done, events, [other for other in GAPS[name] if other != gap]), f"{gap} is listed in vain"
    assert wrong(done, events, [*GAPS[name], Gap("user")]), "a gap that is not there must be told"


@pytest.mark.parametrize("name", [OURS, *NAMES])
def test_the_packages_themselves_tell_each_call_as_it_was(name: str, running: Running) -> None:
    need_emitter(name)
    with ProviderServer() as provider:
        started = time.time_ns() // 1000
        done = drive(name, to=running.url, key=running.keys["ingest"], provider=provider.url)
        served = _by_case(provider)
    for call in done:
        if call.ended != "not offered":
            assert served[call.case] == served_usage(BY_NAME[call.case]), call.case
    assert wrong(done, events_of(running, started, time.time_ns() // 1000 + 1), GAPS[name]) == []


@pytest.mark.parametrize("name", NAMES)
def test_captures_are_what_the_packages_send(name: str) -> None:
    need_emitter(name)
    told, kept = _spans(capture(name)[0]), _spans(load(name)[0])
    assert list((told - kept).elements()) == []
    assert list((kept - told).elements()) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_truth_is_what_the_provider_server_serves(case: Case) -> None:
    with ProviderServer() as provider:
        provider.post(_PATHS[case.api], json.dumps(arguments(case)).encode())
        (served,) = provider.served
    assert served.usage == served_usage(case)


def test_the_page_of_emitters_is_made_of_the_same_lists() -> None:
    assert (ROOT / "docs" / "emitters.md").read_text() == page.text()


def _by_case(provider: ProviderServer) -> dict[str, Any]:
    """Case -> the usage that was served for it. A package may retry: the last answer counts."""
    found: dict[str, Any] = {}
    for served in provider.served:
        name = json.dumps(served.body).partition("case:")[2].partition(" ")[0]
        found[name] = served.usage
    return found


def _spans(bodies: list[Any]) -> Counter[str]:
    """Spans without their ids and times, each as text."""
    return Counter(
        json.dumps([scope["scope"].get("name"), span["name"], span.get("attributes")], sort_keys=True)
        for body in bodies
        for resource in body["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    )
