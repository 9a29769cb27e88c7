"""Wrapped and bare: the host sees the same of every call, and every call is an event with the usage that the provider served.

On the newest packages and on the oldest that are still common, each in an environment of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from pipeline.usage import CLASSES, Usage, read_usage
from pipeline.wire import Rejected, parse_event
from tests.support.intake import Intake
from tests.support.needs import ROOT, need_environment
from tests.support.providers import ProviderServer, Served

HERE = Path(__file__).parent
# What a release does not have.
LACKS = {
    "newest": set[str](),
    "oldest": {
        *("responses", "responses_stream", "responses_stream_helper", "responses_stream_broken_off", "responses_parse"),
        *(
            "responses_ended_otherwise",
            "responses_raw",
            "responses_background",
            "chat_parse",
            "chat_parse_too_long",
            "chat_stream_helper",
        ),
        *("tokens_counted", "beta_messages", "beta_messages_stream"),
    },
}
# Calls that no provider answered, or whose usage no stream told: the events say so, and are checked by their own tests.
UNTOLD = (
    "broken_off", "closed", "forgotten", "left_at", "drops", "malformed", "error_event", "cut", "unread", "timeout", "errors",
    "ended_otherwise", "without_usage",
)  # fmt: skip


class Ran(NamedTuple):
    """One run of `calls.py`."""

    release: str
    cases: dict[str, dict[str, Any]]
    events: list[dict[str, Any]]
    served: list[Served]


@pytest.fixture(scope="module", params=["newest", "oldest"])
def ran(request: pytest.FixtureRequest) -> Iterator[Ran]:
    release = request.param
    python = need_environment(f"sdk-{release}", HERE / "requirements" / f"{release}.txt")
    with ProviderServer() as provider, Intake() as intake:
        done = subprocess.run(
            [str(python), str(HERE / "calls.py"), provider.url, intake.url],
            env={
                **os.environ, "PYTHONPATH": str(ROOT / "sdk" / "python" / "src"), "NO_PROXY": "*", "PERCAPITA_INCLUDE_USAGE": "1",
            },
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3_000:]
        assert "Traceback" not in done.stderr
        yield Ran(release, json.loads(done.stdout)["cases"], intake.events, list(provider.served))


def of(ran: Ran, case: str) -> list[dict[str, Any]]:
    """The calls recorded under a case."""
    return [e for e in ran.events if e["type"] == "llm" and e["metadata"]["tags"]["userId"] == case]


def usage_of(event: dict[str, Any]) -> Usage | None:
    raw = event.get("usage")
    return read_usage(None if raw is None else msgspec.json.encode(raw), event["provider"]).usage


def test_the_host_sees_the_same_wrapped_and_bare(ran: Ran) -> None:
    different = {name: seen for name, seen in ran.cases.items() if seen["bare"] != seen["wrapped"]}
    assert not different, json.dumps(next(iter(different.items())), indent=1)[:4_000]


def test_every_case_ran(ran: Ran) -> None:
    names = set(re.findall(r"^async def (\w+)\(client: Any, say: Say\)", (HERE / "calls.py").read_text(), re.MULTILINE))
    assert len(names) > 50
    assert {name.partition(",")[0] for name in ran.cases} == names - LACKS[ran.release]
    assert not [name for name, seen in ran.cases.items() if seen["bare"][:1] == ["raised"]]


def test_every_call_is_recorded_once_and_the_collector_takes_it(ran: Ran) -> None:
    now = max(int(e["timestamp"] * 1000) for e in ran.events) + 1_000_000
    for event in ran.events:
        taken = parse_event(json.dumps(event).encode(), 0, now)
        assert not isinstance(taken, Rejected), (taken, event)
    ids = [e["id"] for e in ran.events]
    assert len(ids) == len(set(ids))
    several = {
        "chat_errors": 5, "messages_errors": 5, "responses_ended_otherwise": 2, "responses_background": 2, "tokens_counted": 0,
        "chat_wrong_arguments": 0,
    }  # fmt: skip
    counts = {case: len(of(ran, case)) for case in ran.cases}
    assert counts == {case: several.get(case.partition(",")[0], 1) for case in ran.cases}


def test_usage_is_what_the_provider_served_class_by_class(ran: Ran) -> None:
    compared = 0
    for case in ran.cases:
        name = case.partition(",")[0]
        if any(word in name for word in UNTOLD) or name in ("tokens_counted", "chat_wrong_arguments"):
            continue
        (event, *_) = reversed(of(ran, case))
        truth = truth_of(ran, event)
        assert usage_of(event) == truth, (case, event.get("usage"))
        assert "usage_estimated" not in event, case
        compared += 1
    assert compared > (40 if ran.release == "oldest" else 60)


def truth_of(ran: Ran, event: dict[str, Any]) -> Usage | None:
    """Of the request with the same text: the bare and the wrapped client asked alike."""
    found = {
        read_usage(msgspec.json.encode(s.usage), event["provider"]).usage
        for s in ran.served
        if s.usage is not None and s.model == event["model"] and _asks(s.body) == _asks(event["prompt"])
    }
    assert len(found) == 1, (event["prompt"], list(found))
    return found.pop()


def _asks(body: Any) -> str:
    """The words that decide the answer."""
    found = re.search(r"(?:one )?tokens:[^\"]*", json.dumps(body))
    return found.group(0) if found else ""


def test_model_tier_and_latency_are_as_served(ran: Ran) -> None:
    for case in ("chat_tier", "chat_tier, async"):
        (event,) = of(ran, case)
        assert (event["model"], event["service_tier"], event["provider"]) == ("gpt-4o", "default", "openai")
    for case in ran.cases:
        for event in of(ran, case):
            assert event.get("latency_ms", 0) >= 0
    (streamed,) = of(ran, "chat_stream")
    assert 0 < streamed["time_to_first_token_ms"] <= streamed["latency_ms"]


def test_streams_that_were_not_told_to_tell_their_usage_do_and_the_host_does_not_see_it(ran: Ran) -> None:
    for case in ("chat_stream", "chat_stream, async"):
        (event,) = of(ran, case)
        assert usage_of(event) == Usage(input_uncached=600, input_cache_read=400, output=50)
        assert "usage" not in json.dumps([chunk[1].get("usage") for chunk in ran.cases[case]["wrapped"][2:]]).replace(
            "null", ""
        )


def test_a_host_that_says_no_to_usage_is_obeyed_and_its_usage_is_an_estimate(ran: Ran) -> None:
    for case in ("chat_stream_without_usage", "chat_stream_without_usage, async", "chat_raw_stream_without_usage"):
        (event,) = of(ran, case)
        assert event["usage_estimated"] is True
        assert set(event["usage"]) <= CLASSES
        assert event["usage"]["output"] > 0
        assert event["status"] == "ok"
    asked = [
        s.body for s in ran.served if s.streamed and (s.body.get("stream_options") or {}).get("include_usage") is False
    ]
    assert len(asked) == 4


@pytest.mark.parametrize(
    "case",
    [
        "chat_stream_broken_off",
        "chat_stream_closed",
        "chat_stream_forgotten",
        "chat_streaming_response_unread",
        "messages_stream_broken_off",
    ],
)
def test_a_stream_that_was_left_is_aborted_and_estimated_never_dropped(ran: Ran, case: str) -> None:
    for name in (case, f"{case}, async"):
        (event,) = of(ran, name)
        assert event["status"] == "aborted", name
        if "unread" not in case:
            assert event["usage_estimated"] is True
            assert event["usage"]


def test_a_stream_left_at_its_finish_is_no_aborted_one(ran: Ran) -> None:
    (event,) = of(ran, "chat_stream_left_at_its_finish")
    assert (event["status"], event["finish_reason"], event["usage_estimated"]) == ("ok", "stop", True)


def test_an_abandoned_message_keeps_what_its_start_told(ran: Ran) -> None:
    for name in ("messages_stream_broken_off", "messages_stream_broken_off, async"):
        (event,) = of(ran, name)
        usage = usage_of(event)
        assert usage is not None
        assert usage[:5] == (1000, 400, 200, 0, 100)
        assert usage.output >= 1


@pytest.mark.parametrize(("case", "codes"), [("chat_errors", ["as_asked"]), ("messages_errors", [])])
def test_errors_are_recorded_as_errors(ran: Ran, case: str, codes: list[str]) -> None:
    for name in (case, f"{case}, async"):
        found = of(ran, name)
        assert {e["status"] for e in found} == {"error"}
        assert all(e["error_code"] and e["error_message"] for e in found)
        assert all("usage" not in e for e in found)


def test_a_stream_that_raises_is_an_error_with_what_was_heard(ran: Ran) -> None:
    for case in ("chat_stream_drops", "chat_stream_error_event", "chat_timeout", "messages_stream_error_event"):
        for name in (case, f"{case}, async"):
            (event,) = of(ran, name)
            assert event["status"] == "error", name
            assert event["error_code"]


def test_a_background_response_is_told_when_it_has_ended(ran: Ran) -> None:
    if ran.release == "oldest":
        assert "responses" in LACKS["oldest"]  # there were no responses yet
        return
    for name in ("responses_background", "responses_background, async"):
        first, whole = of(ran, name)
        assert "usage" not in first
        assert whole["replaces"] == first["id"]
        assert (whole["trace_id"], whole["timestamp"]) == (first["trace_id"], first["timestamp"])
        assert usage_of(whole) == Usage(input_uncached=750, input_cache_read=50, output=30)


def test_content_is_told_whole(ran: Ran) -> None:
    (plain,), (streamed,) = of(ran, "chat"), of(ran, "chat_stream")
    assert plain["response"][0]["content"] == streamed["response"][0]["content"] != ""
    (tools,), (streamed_tools,) = of(ran, "chat_tools"), of(ran, "chat_stream_tools")
    call, streamed_call = (e["response"][0]["tool_calls"][0]["function"] for e in (tools, streamed_tools))
    assert (call["name"], json.loads(call["arguments"])) == (
        streamed_call["name"],
        json.loads(streamed_call["arguments"]),
    )
    (two,) = of(ran, "chat_two_choices")
    assert len(two["response"]) == 2
    (embedded,) = of(ran, "embeddings")
    assert "response" not in embedded


def test_clouds_are_named_as_prices_know_them(ran: Ran) -> None:
    for kind, provider in (("azure_chat", "azure"), ("bedrock_messages", "aws"), ("vertex_messages", "google")):
        for name in (kind, f"{kind}_stream", f"{kind}, async"):
            assert {e["provider"] for e in of(ran, name)} == {provider}
