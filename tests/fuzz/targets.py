"""What is fuzzed, as functions of bytes that raise AssertionError (or anything) when a promise is broken.

A collector's body ends in events, rejections or one of our own 4xx errors; a record is read back as it was written and
becomes a row or a dead letter. A query string ends in a Question or one of our own 4xx errors.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from urllib.parse import parse_qsl

from pipeline import limits
from pipeline.body import CLOUD_EVENT, CLOUD_EVENTS
from pipeline.encoding import decompress
from pipeline.errors import PercapitaError
from pipeline.fields import FIELDS
from pipeline.log import Entry
from pipeline.parse import parse_batch
from pipeline.price import PriceBook
from pipeline.process import Context, Finished, decode_all, finish, to_rows
from pipeline.reasons import REJECTED
from pipeline.record import Account, from_bytes, to_record
from pipeline.row import Row
from pipeline.spans.request import JSON, PROTOBUF, parse_spans
from query.parameters import MEASURES, EventQuery, OverviewQuery, UsersQuery, names_of
from query.question import FIELDS as FILTERS
from query.question import parse_question
from query.windows import spans

NOW = 1_795_000_000_000_000  # unix us; the corpus replays the same on any day
ENCODINGS = ("", "gzip", "deflate", "zstd", "br", "GZIP", "gzip, gzip")
KINDS = (
    "application/json", "application/x-ndjson", "", "application/json; charset=utf-8", "application/json; charset=utf-16",
    "text/plain", "APPLICATION/JSON;charset=\"UTF8\"",
)  # fmt: skip
DOORS = (CLOUD_EVENT, CLOUD_EVENTS, "application/json", "")
_CONTEXT = Context(PriceBook())


class Everything(OverviewQuery, UsersQuery, EventQuery):
    """Every parameter that any endpoint takes."""


TAKES = Everything
NAMES = frozenset({*names_of(Everything), *FILTERS})


def decode(data: bytes) -> None:
    """The first byte picks encoding and type, the rest is a body."""
    choice = data[0] if data else 0
    _collect(data[1:], ENCODINGS[choice % 7], KINDS[choice // 7 % 7], None)


def doors(data: bytes) -> None:
    """The first byte picks a type that is not ours, or attributes in headers, which are then the first line; the rest is a body."""
    kind = DOORS[data[0] % len(DOORS)] if data else ""
    body, attributes = data[1:], None
    if not kind:
        line, _, body = body.partition(b"\n")
        attributes = dict(parse_qsl(line.decode("latin-1"), keep_blank_values=True, encoding="latin-1"))
    _collect(body, "", kind or "application/json", attributes)


def _collect(body: bytes, encoding: str, kind: str, attributes: dict[str, str] | None) -> None:
    try:
        batch = parse_batch(decompress(body, encoding, limits.BODY_BYTES), kind, NOW, attributes)
    except PercapitaError as error:
        assert 400 <= error.status < 500  # noqa: PT017  # the kind of the error is the promise
        return
    places = [item.index for item in batch.rejected]
    assert len(set(places)) == len(places)
    assert all(item.code in REJECTED for item in batch.rejected)
    assert len(batch.events) + len(places) <= limits.BATCH_EVENTS
    for event in batch.events:
        assert from_bytes(to_record(event, Account(id="a"), "full", NOW).value).event == event
    for privacy in ("full", "standard"):
        _to_rows([to_record(event, Account(id="a"), privacy, NOW).value for event in batch.events])


def _to_rows(values: list[bytes]) -> None:
    decoded, dead, _ = decode_all([Entry(0, offset, value) for offset, value in enumerate(values)], "log")
    assert dead == []
    done = [finish(item, "log", _CONTEXT) for item in decoded]
    assert len(done) == len(values)
    finished = [item for item in done if isinstance(item, Finished)]
    marks = [0] * len(finished)
    rows = to_rows(finished, marks, marks, "log", _CONTEXT)
    assert len(rows) == len(finished)
    assert len(rows.columns) == len(Row._fields)


def ask(data: bytes) -> None:
    """A query string, read as aiohttp reads one."""
    pairs = parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10_000)
    try:
        question = parse_question("a", pairs, NOW, takes=TAKES)
    except PercapitaError as error:
        assert 400 <= error.status < 500  # noqa: PT017  # as above
        return
    assert question.account == "a"
    assert question.start < question.end
    assert 1 <= question.limit <= limits.PAGE_ROWS
    covered = spans(question.start, question.end)
    assert covered[0].start == question.start
    assert covered[-1].end == question.end
    assert all(one.end == other.start for one, other in pairwise(covered))
    for one in question.filters:
        for value in one.values:
            assert value.encode().decode() == value
    before = question.before()
    assert 0 <= before.start <= before.end


# What a fuzzer would take long to guess.
WORDS = sorted({
    *FIELDS, *MEASURES, "tags", "userId", "events", "dropped", '{"', '":', "NaN", "Infinity", "-Infinity", "1e999", "\\ud800", "\\u0000",
    "null", "true", "[]", "{}", "llm", "tool", "ok", "error", "minimal", "openai", "anthropic", "gpt-4o", "claude-sonnet-4-5", "prompt_tokens",
    "completion_tokens", "input_tokens", "output_tokens", "input_uncached", "output", "cached_tokens", "prompt_tokens_details",
    "cache_read_input_tokens", "cache_creation", "agentId", "durationMs", "outcome", "success", "failed", "pending", "reasoning", "toolExecuted",
    "tokensBreakdown", "inputBase", "cacheRead", "cache_read", "spanId", "traceId", "toolCalls", "responseText", "privacyLevel", "dedupKey",
    "openai-sdk", "anthropic-sdk", "specversion", "1.0", "source", "subject", "time", "data", "data_base64", "datacontenttype", "traceparent",
    "percapita.llm", "2026-11-18T10:00:00Z", "resourceSpans", "scopeSpans", "attributes", "stringValue", "intValue",
    "gen_ai.operation.name", "gen_ai.usage.input_tokens", "openinference.span.kind", "output.value", "request_data",
    "tag.plan=", "window=", "windowDays=", "from=", "to=", "tz=",
    "group_by=", "sort=-", "limit=", "cursor=", "compare=previous", "above=", "q=", "mtd", "last-month", "Asia/Kathmandu", "%00", "%ff",
})  # fmt: skip


def otlp(data: bytes) -> None:
    """The first byte picks the encoding of OTLP, the rest is a body."""
    kind = PROTOBUF if data[:1] < b"\x80" else JSON
    try:
        parsed = parse_spans(data[1:], kind, NOW, ("service.name",))
    except PercapitaError as error:
        assert 400 <= error.status < 500  # noqa: PT017  # as above
        return
    assert len(parsed.events) + parsed.rejected_spans <= parsed.spans
    assert all(item.code in REJECTED for item in parsed.rejected)
    for event in parsed.events:
        assert from_bytes(to_record(event, Account(id="a"), "full", NOW).value).event == event
    for privacy in ("full", "standard"):
        _to_rows([to_record(event, Account(id="a"), privacy, NOW).value for event in parsed.events])


TARGETS: dict[str, Callable[[bytes], None]] = {"decode": decode, "doors": doors, "otlp": otlp, "ask": ask}
