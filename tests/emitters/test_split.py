"""However an emitter's spans are cut into requests, each call counts once: all at once in any order, and, but for what is listed, one by one."""

from __future__ import annotations

import json
import random
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from pipeline.event import Event
from pipeline.spans.request import JSON, parse_spans
from tests.emitters.captures import START, load
from tests.emitters.environments import NAMES
from tests.support.spans import row_of

NOW = START // 1000 + 600_000_000
Told = tuple[Any, Any, Any]  # resource, scope, span

FAILED = {
    "messages-error-429"
}  # nobody names an answer: the package's span and the instrumentation's are two failed calls
# Logfire's streams are a request and a line of a log, and of Anthropic the package's span, none of which names the answer.
STREAMS = {
    "chat-stream", "chat-stream-bare", "chat-abandoned", "chat-helper", "chat-writes-stream", "chat-flex-stream", "messages-stream",
    "messages-abandoned", "messages-helper", "messages-search-stream", "messages-error-in-stream",
}  # fmt: skip
TWICE = {"otel-genai": FAILED, "openinference": FAILED, "traceloop": FAILED, "logfire": STREAMS}


def spans_of(bodies: list[Any]) -> list[Told]:
    return [
        (resource_spans.get("resource", {}), scope_spans["scope"], span)
        for body in bodies for resource_spans in body["resourceSpans"] for scope_spans in resource_spans["scopeSpans"]
        for span in scope_spans["spans"]
    ]  # fmt: skip


def taken(requests: list[list[Told]]) -> list[Event]:
    """The calls that requests count, as the store does: the first of an id in a trace."""
    found: dict[tuple[str, str], Event] = {}
    for request in requests:
        told = [{"resource": r, "scopeSpans": [{"scope": scope, "spans": [span]}]} for r, scope, span in request]
        parsed = parse_spans(json.dumps({"resourceSpans": told}).encode(), JSON, NOW)
        assert parsed.rejected == []
        for event in parsed.events:
            found.setdefault((event.trace_id, event.id), event)
    return [event for event in found.values() if event.type == "llm"]


def case_of(event: Event) -> str:
    return next((tag.removeprefix("case=") for tag in event.tags if tag.startswith("case=")), event.trace_id)


def costs(events: list[Event]) -> list[tuple[str, str, Decimal | None]]:
    return sorted((event.trace_id, event.id, row_of(event).cost) for event in events)


@pytest.mark.parametrize("name", NAMES)
def test_all_calls_in_one_request_are_the_same_calls_in_any_order(name: str) -> None:
    bodies, _ = load(name)
    spans = spans_of(bodies)
    ordered = costs(taken([spans]))
    assert len(ordered) >= 17
    for seed in range(3):
        shuffled = spans[:]
        random.Random(seed).shuffle(shuffled)
        assert costs(taken([shuffled])) == ordered
    assert costs(taken([spans_of([body]) for body in bodies])) == ordered


@pytest.mark.parametrize("name", NAMES)
def test_spans_that_come_one_by_one_count_twice_only_where_it_is_listed_and_none_is_lost(name: str) -> None:
    spans = spans_of(load(name)[0])
    together = taken([spans])
    calls, names = Counter(event.trace_id for event in together), {event.trace_id: case_of(event) for event in together}
    alone = Counter(event.trace_id for event in taken([[span] for span in spans]))
    assert {names[trace] for trace in alone if alone[trace] > calls[trace]} == TWICE.get(name, set())
    assert [names[trace] for trace in calls if alone[trace] < calls[trace]] == []
