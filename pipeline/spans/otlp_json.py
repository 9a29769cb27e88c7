"""ExportTraceServiceRequest as JSON -> the same spans: ids in hex, 64-bit numbers as strings or numbers, unknown fields ignored."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from pipeline import limits
from pipeline.body import is_utf8
from pipeline.errors import BadBody, TooLarge
from pipeline.spans.names import wanted
from pipeline.spans.span import Attributes, Span, SpanEvent, Spans, Unreadable, Value


class _Named(Struct, gc=False):
    name: str | None = None


class _KeyValue(Struct, gc=False):
    key: str | None = None
    value: Raw | UnsetType = UNSET


class _Attributes(Struct):
    attributes: list[_KeyValue] | None = None


class _Event(Struct):
    name: str | None = None
    attributes: list[_KeyValue] | None = None


class _Status(Struct, gc=False):
    message: str | None = None
    code: int | str | None = None


class _Span(Struct, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: int | float | str | None = None
    end_time_unix_nano: int | float | str | None = None
    attributes: list[_KeyValue] | None = None
    events: list[_Event] | None = None
    status: _Status | None = None


class _ScopeSpans(Struct, rename="camel"):
    scope: _Named | None = None
    spans: list[Raw] | None = None


class _ResourceSpans(Struct, rename="camel"):
    resource: _Attributes | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Request(Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] | None = None


class _Values(Struct):
    values: list[_AnyValue] | None = None


class _Pairs(Struct):
    values: list[_Pair] | None = None


class _AnyValue(Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | int | str | None = None
    array_value: _Values | None = None
    kvlist_value: _Pairs | None = None


class _Pair(Struct):
    key: str | None = None
    value: _AnyValue | None = None


_request = msgspec.json.Decoder(_Request).decode
_span = msgspec.json.Decoder(_Span).decode
_any_value = msgspec.json.Decoder(_AnyValue | None).decode
_PART = re.compile(rb'"(?:[^"\\]|\\.)*+"|[{,]', re.DOTALL)
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)", re.DOTALL
)
_DIGITS = re.compile(r"-?[0-9]{1,20}")
_KINDS = {
    f"SPAN_KIND_{name}": n
    for n, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
_CODES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError)


def read_json(body: bytes) -> Spans:
    """Every span. Raises BadBody for what is no such message, TooLarge above `limits.OTLP_SPANS` or `_OBJECTS`."""
    _count_objects(body)
    try:
        request, mended = _decoded(body)
    except RecursionError:
        raise BadBody("nested too deeply") from None
    spans = 0
    for resource_spans in request.resource_spans or ():
        resource = _attributes(resource_spans.resource.attributes if resource_spans.resource else None, every=True)
        for scope_spans in resource_spans.scope_spans or ():
            scope = (scope_spans.scope and scope_spans.scope.name) or ""
            for raw in scope_spans.spans or ():
                spans += 1
                if spans > limits.OTLP_SPANS:
                    raise TooLarge(f"at most {limits.OTLP_SPANS} spans")
                yield _read(raw, resource, scope, mended)


def answer(rejected: int, message: str) -> bytes:
    """An ExportTraceServiceResponse; without rejected spans it is empty."""
    if not rejected:
        return b"{}"
    told = {"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": message}}
    return json.dumps(told).encode()


def _count_objects(body: bytes) -> None:
    """Objects and elements are what decoding costs memory for. Those that texts spell are none: looked at only when there are many."""
    most = limits.OTLP_OBJECTS
    if body.count(b"{") <= most and body.count(b",") <= 2 * most:
        return
    objects = commas = 0
    for found in _PART.finditer(body):
        at = body[found.start()]
        objects += at == 0x7B
        commas += at == 0x2C
        if objects > most or commas > 2 * most:
            raise TooLarge(f"at most {most} spans, attributes and values")


def _decoded(body: bytes) -> tuple[_Request, bool]:
    """The message, and whether some text had to be mended: one that is not Unicode does not cost its neighbours."""
    text = body if is_utf8(body) else body.decode("utf-8", "replace").encode()
    try:
        return _request(text), text is not body
    except _ERRORS:
        pass
    mended = _mend(text)
    if mended == body:
        raise BadBody("not an OTLP message in JSON")
    try:
        return _request(mended), True
    except _ERRORS:
        raise BadBody("not an OTLP message in JSON") from None


def _mend(text: bytes) -> bytes:
    """Lone surrogates become U+FFFD, as in events; in place, there may be a million."""
    mended = bytearray(text)
    for escape in _ESCAPE.finditer(text):
        if escape.end() - escape.start() == 6:
            mended[escape.start() : escape.end()] = b"\\ufffd"
    return bytes(mended)


def _read(raw: Raw, resource: Attributes, scope: str, mended: bool) -> Span | Unreadable:
    try:
        found = _span(raw)
        start, end = _number(found.start_time_unix_nano), _number(found.end_time_unix_nano)
        attributes = _attributes(found.attributes)
        events = tuple(
            SpanEvent(event.name, _attributes(event.attributes))
            for event in found.events or ()
            if event.name and wanted(event.name)
        )
    except (*_ERRORS, RecursionError):
        return Unreadable("invalid_type", "a field of the span has another JSON type")
    status = found.status or _Status()
    return Span(
        resource, scope, _id(found.trace_id), _id(found.span_id), _id(found.parent_span_id), found.name or "",
        _enum(found.kind, _KINDS), start, end, attributes, events, _enum(status.code, _CODES), status.message or "", mended,
    )  # fmt: skip


def _id(given: str | None) -> str:
    return given.lower() if given and len(given) <= 32 else "long" if given else ""


def _enum(given: int | str | None, names: dict[str, int]) -> int:
    return names.get(given, 0) if isinstance(given, str) else given or 0


def _number(given: float | str | None) -> int:
    """A 64-bit number in any of its spellings; 0 where there is none."""
    if isinstance(given, str):
        return int(given) if _DIGITS.fullmatch(given) else 0
    return int(given) if given and abs(given) < 2**64 else 0


def _attributes(given: list[_KeyValue] | None, *, every: bool = False) -> Attributes:
    return {
        key: None if pair.value is UNSET else _plain(_any_value(pair.value), 0)
        for pair in given or ()
        for key in (pair.key or "",)
        if every or wanted(key)
    }


def _plain(value: _AnyValue | None, level: int) -> Value:
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return _number(value.int_value)
    if value.double_value is not None:
        return _float(value.double_value)
    if value.bool_value is not None:
        return value.bool_value
    if level == limits.OTLP_VALUE_LEVELS:
        return None
    if value.array_value is not None:
        return [_plain(item, level + 1) for item in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return {pair.key or "": _plain(pair.value, level + 1) for pair in value.kvlist_value.values or ()}
    return None


def _float(given: Any) -> Value:
    try:
        return float(given)  # "NaN", "Infinity" and "-Infinity" are spelled so
    except (ValueError, OverflowError):
        return None
