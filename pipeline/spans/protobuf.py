"""ExportTraceServiceRequest as protobuf -> spans, one at a time; its answer, likewise.

Read by hand: a parser that builds all of a message needs a hundred times the bytes of one that spells millions of empty parts, and
refuses a whole body for one text that is not UTF-8. Here what nobody reads is stepped over, and what is read is counted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pipeline import limits
from pipeline.errors import BadBody, TooLarge
from pipeline.spans.names import wanted
from pipeline.spans.span import Attributes, Span, SpanEvent, Spans, Value

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_U64 = struct.Struct("<Q").unpack_from
_F64 = struct.Struct("<d").unpack_from
_NAMES_KEPT = 4_096  # senders use the same few
_names: dict[bytes, str] = {}
_unread: set[bytes] = set()

# Tags, field number << 3 | wire type, of opentelemetry/proto/{collector/trace,trace,common,resource}/v1.
_RESOURCE_SPANS, _RESOURCE, _SCOPE_SPANS, _SCOPE, _SPAN = 0x0A, 0x0A, 0x12, 0x0A, 0x12
_RESOURCE_ATTRIBUTE, _SCOPE_NAME = 0x0A, 0x0A
_TRACE_ID, _SPAN_ID, _PARENT_ID, _NAME, _KIND, _START, _END = 0x0A, 0x12, 0x22, 0x2A, 0x30, 0x39, 0x41
_ATTRIBUTE, _EVENT, _STATUS, _MESSAGE, _CODE = 0x4A, 0x5A, 0x7A, 0x12, 0x18
_EVENT_NAME, _EVENT_ATTRIBUTE = 0x12, 0x1A
_KEY, _VALUE = 0x0A, 0x12
_STRING, _BOOL, _INT, _DOUBLE, _ARRAY, _LIST = 0x0A, 0x10, 0x18, 0x21, 0x2A, 0x32


def read_protobuf(body: bytes) -> Spans:
    """Every span. Raises BadBody for bytes that are no such message, TooLarge above `limits.OTLP_SPANS` or `_OBJECTS`."""
    try:
        yield from _Reader(body).spans()
    except (IndexError, struct.error):
        raise BadBody("not an OTLP message: it ends too early") from None


def answer(rejected: int, message: str) -> bytes:
    """An ExportTraceServiceResponse; without rejected spans it is empty."""
    if not rejected:
        return b""
    text = message.encode()
    partial = b"\x08" + _varint_of(rejected) + b"\x12" + _varint_of(len(text)) + text
    return b"\x0a" + _varint_of(len(partial)) + partial


def _varint_of(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number of at most 64 bits at a place, and the place behind it."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number & (2**64 - 1), at
        shift += 7
        if shift > 63:
            raise BadBody("not an OTLP message: a number is too long")


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Each field of a message: (tag, start, end) of what has a length, (tag, number, 0) of a varint, (tag, place, 0) else."""
    while at < end:
        tag = data[at]
        at += 1
        if tag > 127:
            tag, at = _varint(data, at - 1)
        kind = tag & 7
        if kind == _LENGTH:
            size = data[at]
            at += 1
            if size > 127:
                size, at = _varint(data, at - 1)
            start, at = at, at + size
            if at > end:
                break
            yield tag, start, at
        elif kind == _VARINT:
            number = data[at]
            at += 1
            if number > 127:
                number, at = _varint(data, at - 1)
            yield tag, number, 0
        elif kind == _FIXED64:
            yield tag, at, 0
            at += 8
        elif kind == _FIXED32:
            yield tag, at, 0
            at += 4
        else:
            raise BadBody("not an OTLP message")
    if at != end:
        raise BadBody("not an OTLP message: a part is longer than the whole")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._objects = 0
        self._spans = 0
        self._mended = False

    def spans(self) -> Spans:
        data = self._data
        for tag, start, end in _fields(data, 0, len(data)):
            if tag == _RESOURCE_SPANS:
                self._count()
                yield from self._resource_spans(start, end)

    def _count(self) -> None:
        self._objects += 1
        if self._objects > limits.OTLP_OBJECTS:
            raise TooLarge(f"at most {limits.OTLP_OBJECTS} spans, attributes and values")

    def _resource_spans(self, at: int, end: int) -> Spans:
        resource: dict[str, Value] = {}
        scopes: list[tuple[int, int]] = []
        for tag, start, stop in _fields(self._data, at, end):
            if tag == _RESOURCE:
                for inner, first, last in _fields(self._data, start, stop):
                    if inner == _RESOURCE_ATTRIBUTE:
                        self._attribute(first, last, resource, every=True)
            elif tag == _SCOPE_SPANS:
                self._count()
                scopes.append((start, stop))
        for start, stop in scopes:
            yield from self._scope_spans(start, stop, resource)

    def _scope_spans(self, at: int, end: int, resource: Attributes) -> Spans:
        scope = ""
        spans: list[tuple[int, int]] = []
        for tag, start, stop in _fields(self._data, at, end):
            if tag == _SCOPE:
                for inner, first, last in _fields(self._data, start, stop):
                    if inner == _SCOPE_NAME:
                        scope = self._text(first, last)
            elif tag == _SPAN:
                self._spans += 1
                if self._spans > limits.OTLP_SPANS:
                    raise TooLarge(f"at most {limits.OTLP_SPANS} spans")
                spans.append((start, stop))
        for start, stop in spans:
            yield self._span(start, stop, resource, scope)

    def _span(self, at: int, end: int, resource: Attributes, scope: str) -> Span:
        data = self._data
        self._count()
        self._mended = False
        trace_id = span_id = parent_id = name = message = ""
        kind = began = ended = status = 0
        attributes: dict[str, Value] = {}
        events: list[SpanEvent] = []
        for tag, start, stop in _fields(data, at, end):
            if tag == _ATTRIBUTE:
                self._attribute(start, stop, attributes)
            elif tag == _TRACE_ID:
                trace_id = _hex(data, start, stop)
            elif tag == _SPAN_ID:
                span_id = _hex(data, start, stop)
            elif tag == _PARENT_ID:
                parent_id = _hex(data, start, stop)
            elif tag == _NAME:
                name = self._text(start, stop)
            elif tag == _KIND:
                kind = start
            elif tag == _START:
                (began,) = _U64(data, start)
            elif tag == _END:
                (ended,) = _U64(data, start)
            elif tag == _EVENT:
                self._event(start, stop, events)
            elif tag == _STATUS:
                for inner, first, last in _fields(data, start, stop):
                    if inner == _CODE:
                        status = first
                    elif inner == _MESSAGE:
                        message = self._text(first, last)
        return Span(
            resource, scope, trace_id, span_id, parent_id, name, kind, began, ended, attributes, tuple(events), status,
            message, self._mended,
        )  # fmt: skip

    def _event(self, at: int, end: int, events: list[SpanEvent]) -> None:
        self._count()
        name, places = "", []
        for tag, start, stop in _fields(self._data, at, end):
            if tag == _EVENT_NAME:
                name = self._text(start, stop)
            elif tag == _EVENT_ATTRIBUTE:
                self._count()
                places.append((start, stop))
        if wanted(name):
            attributes: dict[str, Value] = {}
            for start, stop in places:
                self._attribute(start, stop, attributes)
            events.append(SpanEvent(name, attributes))

    def _attribute(self, at: int, end: int, into: dict[str, Value], *, every: bool = False) -> None:
        self._count()
        key, first, last = b"", 0, 0
        for tag, start, stop in _fields(self._data, at, end):
            if tag == _KEY:
                key = self._data[start:stop]
            elif tag == _VALUE:
                first, last = start, stop
        if every:
            into[key.decode("utf-8", "replace")] = self._value(first, last, 0)
        elif key not in _unread and (name := _names.get(key) or self._name(key)):
            into[name] = self._value(first, last, 0)

    def _name(self, key: bytes) -> str:
        """The name where anybody wants it, else ""."""
        name = key.decode("utf-8", "replace")
        if wanted(name):
            if len(_names) < _NAMES_KEPT:
                _names[key] = name
            return name
        if len(_unread) < _NAMES_KEPT and len(key) < 256:
            _unread.add(key)
        return ""

    def _value(self, at: int, end: int, level: int) -> Value:
        value: Value = None
        for tag, start, stop in _fields(self._data, at, end):
            if tag == _STRING:
                value = self._text(start, stop)
            elif tag == _INT:
                value = start if start < 2**63 else start - 2**64
            elif tag == _DOUBLE:
                (value,) = _F64(self._data, start)
            elif tag == _BOOL:
                value = start != 0
            elif tag in (_ARRAY, _LIST):
                value = None if level == limits.OTLP_VALUE_LEVELS else self._values(tag, start, stop, level + 1)
            else:
                value = None  # bytes: nobody's
        return value

    def _values(self, kind: int, at: int, end: int, level: int) -> Value:
        items: list[Value] = []
        named: dict[str, Value] = {}
        for tag, start, stop in _fields(self._data, at, end):
            if tag != 0x0A:
                continue
            self._count()
            if kind == _ARRAY:
                items.append(self._value(start, stop, level))
                continue
            key, first, last = "", 0, 0
            for inner, begin, over in _fields(self._data, start, stop):
                if inner == _KEY:
                    key = self._text(begin, over)
                elif inner == _VALUE:
                    first, last = begin, over
            named[key] = self._value(first, last, level)
        return items if kind == _ARRAY else named

    def _text(self, start: int, end: int) -> str:
        try:
            return self._data[start:end].decode()
        except UnicodeDecodeError:
            self._mended = True
            return self._data[start:end].decode("utf-8", "replace")


def _hex(data: bytes, start: int, end: int) -> str:
    return data[start:end].hex() if end - start <= 16 else "long"
