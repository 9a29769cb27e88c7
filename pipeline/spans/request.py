"""The body of POST /v1/traces -> events, and the spans that are refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.errors import UnsupportedMedia
from pipeline.event import Event
from pipeline.spans import otlp_json, protobuf
from pipeline.spans.around import Around
from pipeline.spans.calls import calls_of
from pipeline.spans.events import describe_call, describe_tool
from pipeline.spans.roles import kind_of
from pipeline.spans.salvage import salvage
from pipeline.spans.span import Spans, Unreadable, problem_of
from pipeline.spans.told import Told, told_of
from pipeline.wire import Rejected

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_WORST_TOLD = 5  # kinds of refusal that an answer names


class ParsedSpans(NamedTuple):
    """What a body holds."""

    events: list[Event]
    rejected: list[Rejected]  # by the place of the span; of a call of several spans, of its first
    rejected_spans: int
    spans: int


def media_type(content_type: str) -> str:
    """Raises UnsupportedMedia."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in (PROTOBUF, JSON):
        raise UnsupportedMedia(f"send {PROTOBUF} or {JSON}")
    return kind


def parse_spans(body: bytes, kind: str, now: int, resource_tags: Sequence[str] = ()) -> ParsedSpans:
    """Every call and tool of a decompressed body; `kind` as `media_type` gives it, `now` unix us. Raises BadBody, TooLarge.

    `resource_tags`: names of resource attributes that become tags.
    """
    rejected: list[Rejected] = []
    traces: dict[str, _Trace] = defaultdict(_Trace)
    seen = 0
    for index, span in enumerate(_read(body, kind)):
        seen += 1
        problem = span if isinstance(span, Unreadable) else problem_of(span)
        if problem is not None:
            rejected.append(Rejected(index, None, problem.code, problem.detail, ""))
            continue
        assert not isinstance(span, Unreadable)
        trace = traces[span.trace_id]
        trace.around.add(span)
        found = kind_of(span)
        if found.role == "tool":
            trace.tools.append(told_of(index, span, found))
        elif found.role:
            trace.calls.append(told_of(index, span, found))
    refused = len(rejected)
    events: list[Event] = []
    for trace in traces.values():
        refused += trace.read(now, resource_tags, events, rejected)
    return ParsedSpans(events, rejected, refused, seen)


class _Trace:
    """What a request holds of one trace."""

    def __init__(self) -> None:
        self.around = Around()
        self.calls: list[Told] = []
        self.tools: list[Told] = []

    def read(self, now: int, resource_tags: Sequence[str], events: list[Event], rejected: list[Rejected]) -> int:
        """Add what has come of it; how many spans were refused."""
        refused = 0
        described = [(call, describe_call(call, self.around, resource_tags)) for call in calls_of(self.calls)]
        described += [([tool], describe_tool(tool, self.around, resource_tags)) for tool in self.tools]
        described.sort(key=lambda item: item[1].start)
        for told, (fields, start, flags) in described:
            made = salvage(fields, start, told[0].place, now, flags)
            if isinstance(made, Event):
                events.append(made)
            else:
                rejected.append(made)
                refused += len(told)
        return refused


def _read(body: bytes, kind: str) -> Spans:
    return protobuf.read_protobuf(body) if kind == PROTOBUF else otlp_json.read_json(body)


def answer(parsed: ParsedSpans, kind: str) -> bytes:
    """ExportTraceServiceResponse in the encoding of the request."""
    said = _said(parsed.rejected)
    write = protobuf.answer if kind == PROTOBUF else otlp_json.answer
    return write(parsed.rejected_spans, said)


def _said(rejected: Sequence[Rejected]) -> str:
    """Why spans were refused, without a word of theirs."""
    counts: dict[str, int] = {}
    for item in rejected:
        reason = f"{item.code} ({item.detail})"
        counts[reason] = counts.get(reason, 0) + 1
    worst = sorted(counts.items(), key=lambda item: -item[1])[:_WORST_TOLD]
    return "; ".join(f"{count} x {reason}" for reason, count in worst)
