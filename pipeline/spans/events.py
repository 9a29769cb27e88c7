"""A call, or a tool -> the fields of an event, as its sender would have written them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from pipeline import limits
from pipeline.spans import names, told
from pipeline.spans.around import Around, Whose
from pipeline.spans.calls import responses
from pipeline.spans.content import arguments_of, prompt_of, response_of, result_of
from pipeline.spans.read import first_text
from pipeline.spans.span import Attributes, Span
from pipeline.spans.tokens import Used, chosen
from pipeline.spans.told import Told

NAMESPACE = UUID("3f0a5e5e-8c0c-5b2b-9d0e-6f7c1f4f6c11")  # of ids that are made from those of spans
_DATED = re.compile(r"(?:20\d\d-\d\d-\d\d|20\d{6})(?:-v\d+(?::\d+)?)?$")
_EMITTERS = (
    "opentelemetry.instrumentation",
    "openinference",
    "com.anthropic.sdk",
    "logfire",
    "litellm",
    "openlit",
    "langfuse",
    "ai",
    "@",
)
_UNKNOWN_SERVICE = "unknown_service"


class Described(NamedTuple):
    """An event's fields under the names of the wire, and what is to be said of them. `start` is unix us."""

    fields: dict[str, Any]
    start: int
    flags: tuple[str, ...]


def describe_call(call: Sequence[Told], around: Around, resource_tags: Sequence[str]) -> Described:
    """The event of a call; its spans stand the outermost first."""
    spans = [one.span for one in call]
    by_sdk = sorted(call, key=lambda one: not one.of_sdk)
    timed = [span for span in spans if span.scope.startswith(_EMITTERS)] or spans
    outer = timed[0]
    start, end = min(_start(span) for span in timed), max(span.end for span in timed)
    provider = _first(told.provider_of(one.span) for one in by_sdk)
    usage = chosen(by_sdk, provider)
    tier, asked = _tier(call, usage)
    response_id = next(responses(call), "")
    fields = {
        "id": _id(outer.trace_id, f"response {response_id}" if response_id else f"span {outer.span_id}"),
        "type": "llm",
        "operation": _first(one.kind.operation for one in sorted(call, key=lambda one: one.kind.role == "raw")),
        "provider": provider,
        "model": _model(by_sdk),
        "usage": usage.usage if usage else None,
        "service_tier": tier,
        "cost_usd": _first(told.cost_of(span) for span in spans),
        "finish_reason": _first(first_text(span.attributes, names.FINISH_REASON) for span in spans),
        "time_to_first_token_ms": next((ms for span in spans if (ms := _first_chunk(span)) is not None), None),
        "prompt": _content(prompt_of, spans),
        "response": _content(response_of, spans),
        **_common(call, outer, end - start),
        **_whose(spans, around, resource_tags),
    }
    flags = (*(usage.flags if usage else ()), *(("tier_requested",) if asked else ()), *_mended(spans))
    return Described(_present(fields), start // 1000, flags)


def describe_tool(one: Told, around: Around, resource_tags: Sequence[str]) -> Described:
    """The event of a call of a tool."""
    span = one.span
    fields = {
        "id": _id(span.trace_id, f"span {span.span_id}"),
        "type": "tool",
        "operation": one.kind.operation,
        "tool_name": first_text(span.attributes, names.TOOL) or span.name,
        "tool_arguments": arguments_of(span),
        "tool_result": result_of(span),
        **_common([one], span, span.end - span.start),
        **_whose([span], around, resource_tags),
    }
    return Described(_present(fields), span.start // 1000, _mended([span]))


def _id(trace_id: str, what: str) -> str:
    return str(uuid5(NAMESPACE, f"{trace_id} {what}"))


def _common(call: Sequence[Told], outer: Span, nanoseconds: int) -> dict[str, Any]:
    spans = [one.span for one in call]
    failed = any(one.failed for one in call)
    aborted = any(told.abandoned(span) for span in spans)
    return {
        "trace_id": outer.trace_id,
        "span_id": outer.span_id,
        "parent_span_id": outer.parent_id,
        "name": outer.name,
        "latency_ms": nanoseconds / 1e6 if nanoseconds >= 0 else None,
        "status": "aborted" if aborted else "error" if failed else "ok",
        "error_code": _first(told.error_code(span) for span in spans) if failed or aborted else "",
        "error_message": _first(told.error_text(span) for span in spans)[: limits.SPAN_ERROR_CHARS]
        if failed or aborted
        else "",
    }


def _whose(spans: Sequence[Span], around: Around, resource_tags: Sequence[str]) -> dict[str, Any]:
    """User, session and agent from the nearest span that names them; tags from all of them, the nearest first."""
    chain = [*map(around.of, spans), *around.outwards(spans[0].parent_id)]
    tags: dict[str, Any] = {}
    for found in chain:
        for key, value in found.tags.items():
            tags.setdefault(key, value)
    resource = spans[0].resource
    for name in resource_tags:
        if name in resource:
            tags.setdefault(name, resource[name])
    if user := _nearest(chain, "user"):
        tags["userId"] = user
    labels = next((words for span in spans if (words := told.labels_of(span))), None)
    metadata = _present({"tags": tags or None, "labels": labels})
    return {
        "session_id": _nearest(chain, "session"),
        "agent": _nearest(chain, "agent") or _service(resource),
        "metadata": metadata or None,
    }


def _nearest(chain: Sequence[Whose], field: str) -> str:
    return _first(getattr(found, field) for found in chain)


def _service(resource: Attributes) -> str:
    found = first_text(resource, (names.SERVICE,))
    return "" if found.startswith(_UNKNOWN_SERVICE) else found


def _model(call: Sequence[Told]) -> str:
    """A dated name before an alias: some emitters repeat the request's as the answer's."""
    answered, first = zip(*(told.models_of(one.span) for one in call), strict=True)
    return _first(name for name in (*answered, *first) if _DATED.search(name)) or _first(answered) or _first(first)


def _tier(call: Sequence[Told], usage: Used | None) -> tuple[str, bool]:
    """The tier, and whether it was only asked for."""
    served = _first(told.served_tier(one) for one in call)
    if served or (usage and isinstance(usage.usage.get("service_tier"), str)):
        return served, False
    asked = _first(told.asked_tier(one) for one in call)
    return asked, asked != ""


def _start(span: Span) -> int:
    """A log line of logfire's is written at the end of what it tells, and says how long that took."""
    seconds = (
        _number(span.attributes.get(names.LOGFIRE_SECONDS))
        if span.attributes.get(names.LOGFIRE_TYPE) == "log"
        else None
    )
    return span.start if seconds is None else max(1, span.start - int(seconds * 1e9))


def _first_chunk(span: Span) -> float | None:
    given = span.attributes
    seconds = _number(given.get(names.FIRST_CHUNK_SECONDS))
    return _number(given.get(names.FIRST_CHUNK_MS)) if seconds is None else seconds * 1000


def _number(value: object) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= limits.DURATION_MS:
        return float(value)
    return None


def _content(read: Callable[[Span], Any], spans: Sequence[Span]) -> Any:
    return next((found for span in spans if (found := read(span)) is not None), None)


def _mended(spans: Sequence[Span]) -> tuple[str, ...]:
    return ("text_repaired",) if any(span.mended for span in spans) else ()


def _first(texts: Iterator[str] | Sequence[str]) -> str:
    return next((text for text in texts if text), "")


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None and value != ""}
