"""A span as it was sent, in plain values, whatever its encoding."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

Value = str | bool | int | float | list["Value"] | dict[str, "Value"] | None
Attributes = Mapping[str, Value]

CLIENT = 3  # SpanKind
ERROR = 2  # StatusCode

_TRACE_ID = re.compile("[0-9a-f]{32}")
_SPAN_ID = re.compile("[0-9a-f]{16}")


class SpanEvent(NamedTuple):
    """An event on a span."""

    name: str
    attributes: Attributes


class Span(NamedTuple):
    """One span. Times are unix nanoseconds; ids are hex in lower case, as they came, good or bad.

    Of attributes and events only those that `names.wanted`: what nobody reads is not decoded.
    """

    resource: Attributes
    scope: str  # name of the instrumentation scope
    trace_id: str
    span_id: str
    parent_id: str  # "": a root
    name: str
    kind: int
    start: int
    end: int
    attributes: Attributes
    events: tuple[SpanEvent, ...] = ()
    status: int = 0
    message: str = ""  # of the status
    mended: bool = False  # some text was not Unicode


class Unreadable(NamedTuple):
    """In place of a span that alone cannot be read; `code` is one of `reasons.REJECTED`."""

    code: str
    detail: str


Spans = Iterator[Span | Unreadable]


def problem_of(span: Span) -> Unreadable | None:
    """Why a span is refused: ids that are none, times that are zero."""
    if not _TRACE_ID.fullmatch(span.trace_id) or span.trace_id == "0" * 32:
        return Unreadable("invalid_id", "a trace id is 16 bytes, not all zero")
    if not _SPAN_ID.fullmatch(span.span_id) or span.span_id == "0" * 16:
        return Unreadable("invalid_id", "a span id is 8 bytes, not all zero")
    if span.parent_id and not _SPAN_ID.fullmatch(span.parent_id):
        return Unreadable("invalid_id", "a parent span id is 8 bytes, or empty")
    if span.start <= 0 or span.end <= 0:
        return Unreadable("invalid_timestamp", "start and end are not zero")
    return None
