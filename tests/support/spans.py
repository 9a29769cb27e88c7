"""Spans as emitters send them: written down in short, encoded as OTLP by the official package."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from google.protobuf.json_format import MessageToDict
from msgspec import UnsetType
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from pipeline.event import Event
from pipeline.log import Entry
from pipeline.price import PriceBook
from pipeline.process import Context, Finished, decode_all, finish, to_rows
from pipeline.record import Account, to_record
from pipeline.row import Row
from pipeline.spans.request import parse_spans

PROTOBUF, JSON = "application/x-protobuf", "application/json"
SECOND = 1_000_000_000


class Sent(NamedTuple):
    """One span; ids are hex, times unix ns. `events`: (name, attributes)."""

    scope: str
    name: str
    attributes: Mapping[str, Any] = {}
    span_id: str = "00f067aa0ba902b7"
    parent_id: str = ""
    trace_id: str = "4bf92f3577b34da6a3ce929d0e0e4736"
    start: int = 0
    end: int = 0
    kind: int = 3
    status: int = 0
    message: str = ""
    events: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    resource: tuple[tuple[str, Any], ...] = ()


def value(given: Any) -> AnyValue:
    if isinstance(given, bool):
        return AnyValue(bool_value=given)
    if isinstance(given, int):
        return AnyValue(int_value=given)
    if isinstance(given, float):
        return AnyValue(double_value=given)
    if isinstance(given, str):
        return AnyValue(string_value=given)
    if isinstance(given, bytes):
        return AnyValue(bytes_value=given)
    found = AnyValue()
    if isinstance(given, dict):
        found.kvlist_value.values.extend(pairs(given))
    elif given is not None:
        found.array_value.values.extend(value(item) for item in given)
    return found


def pairs(given: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=value(item)) for key, item in given.items()]


def message(spans: Iterable[Sent]) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    for sent in spans:
        resource_spans = request.resource_spans.add()
        resource_spans.resource.attributes.extend(pairs(dict(sent.resource)))
        scope_spans = resource_spans.scope_spans.add()
        scope_spans.scope.name = sent.scope
        span = scope_spans.spans.add(
            trace_id=bytes.fromhex(sent.trace_id), span_id=bytes.fromhex(sent.span_id), parent_span_id=bytes.fromhex(sent.parent_id),
            name=sent.name, kind=Message.SpanKind.ValueType(sent.kind), start_time_unix_nano=sent.start, end_time_unix_nano=sent.end,
            attributes=pairs(sent.attributes),
        )  # fmt: skip
        span.status.code = sent.status  # type: ignore[assignment]
        span.status.message = sent.message
        for name, attributes in sent.events:
            span.events.add(name=name, time_unix_nano=sent.end, attributes=pairs(attributes))
    return request


def as_json(request: ExportTraceServiceRequest) -> bytes:
    """OTLP's JSON: proto3's, but for ids, which are hex, and enums, which are numbers."""
    found = MessageToDict(request, use_integers_for_enums=True)
    for resource_spans, told in zip(request.resource_spans, found.get("resourceSpans", []), strict=True):
        for scope_spans, inner in zip(resource_spans.scope_spans, told.get("scopeSpans", []), strict=True):
            for span, written in zip(scope_spans.spans, inner.get("spans", []), strict=True):
                written["traceId"], written["spanId"] = span.trace_id.hex(), span.span_id.hex()
                if span.parent_span_id:
                    written["parentSpanId"] = span.parent_span_id.hex()
    return json.dumps(found).encode()


def body(spans: Iterable[Sent], kind: str = PROTOBUF) -> bytes:
    request = message(spans)
    return request.SerializeToString() if kind == PROTOBUF else as_json(request)


def answered(text: bytes, kind: str) -> tuple[int, str]:
    """(rejected spans, why) of an answer."""
    if kind == PROTOBUF:
        found = ExportTraceServiceResponse.FromString(text)
        return found.partial_success.rejected_spans, found.partial_success.error_message
    told = json.loads(text).get("partialSuccess", {})
    return int(told.get("rejectedSpans", 0)), told.get("errorMessage", "")


NOW = 1_795_000_000_000_000_000  # unix ns


def taken(*spans: Sent, resource_tags: tuple[str, ...] = ()) -> list[Event]:
    """The events of spans that came in one request; the same in either encoding. Spans without times have some."""
    timed = [sent if sent.start else sent._replace(start=NOW - SECOND, end=NOW) for sent in spans]
    found = [parse_spans(body(timed, kind), kind, NOW // 1000, resource_tags) for kind in (PROTOBUF, JSON)]
    assert found[0] == found[1]
    assert found[0].rejected == []
    return found[0].events


def one(*spans: Sent, resource_tags: tuple[str, ...] = ()) -> Event:
    """The one event of spans that tell of one call."""
    (event,) = taken(*spans, resource_tags=resource_tags)
    return event


def usage_of(event: Event) -> Any:
    """The usage object that an event carries."""
    assert not isinstance(event.usage, UnsetType)
    return json.loads(bytes(event.usage))


def content_of(raw: Any) -> Any:
    """A content field of an event."""
    return json.loads(bytes(raw))


def row_of(event: Event) -> Row:
    """The row of an event: what it counts and costs."""
    account = Account(id="a")
    (decoded,) = decode_all([Entry(0, 0, to_record(event, account, "full", NOW // 1000).value)], "log").events
    finished = finish(decoded, "log", _CONTEXT)
    assert isinstance(finished, Finished)
    return to_rows([finished], [0], [0], "log", _CONTEXT)[0]


_CONTEXT = Context(PriceBook())
