"""OTLP in protobuf and in JSON: the same spans from either, as the official package writes them, and no garbage that does harm."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipeline import limits
from pipeline.errors import PercapitaError, TooLarge
from pipeline.reasons import REJECTED
from pipeline.record import Account, from_bytes, to_record
from pipeline.spans import names, otlp_json, protobuf
from pipeline.spans.request import ParsedSpans, parse_spans
from pipeline.spans.span import Span, Spans
from pipeline.wire import Rejected
from tests.support.spans import JSON, NOW, PROTOBUF, SECOND, Sent, answered, as_json, body, message

HEX = st.sampled_from(["", "00" * 8, "00f067aa0ba902b7", "ab" * 16, "01" * 7, "00" * 16])
NAMES = st.sampled_from(sorted({
    *names.OPERATION, *names.PROVIDER, *names.MODEL, *names.RESPONSE_ID, *names.RAW_USAGE, *names.INPUT, *names.OUTPUT_TOKENS, *names.CACHE_READ,
    *names.CACHE_WRITE, *names.USER, *names.SESSION, *names.LABELS, *names.PROMPT, *names.RESPONSE, *names.COST, *names.SERVED_TIER,
    names.WRITE_5M, names.METADATA, names.OUTPUT, names.LOGFIRE_TYPE, names.REQUEST, "percapita.tags.plan", "percapita.tags.a b",
    "langfuse.trace.metadata.x", "llm.input_messages.0.message.content", "llm.input_messages.0.message", "gen_ai.prompt.1.content",
    "llm.anthropic.id", "llm.anthropic.usage", "http.route",
}))  # fmt: skip
TEXT = st.sampled_from([
    "chat", "LLM", "invoke_agent", "execute_tool", "generation", "log", "anthropic", "claude-sonnet-4-5", "gpt-4o-2024-08-06", "[]", "{}", "null",
    '{"id": "r", "usage": {"input_tokens": 5, "output_tokens": 2}}', "{'prompt_tokens': 3, 'completion_tokens': None}", '{"stream":true}', "a\0b",
    "x" * 300, "[" * 90, "[Scrubbed due to 'x']", "\U0001f600 ä", "{\"a\": 1e999}", '"\\ud800"',
]) | st.text(max_size=8)  # fmt: skip
PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | TEXT | st.binary(max_size=4)
VALUE = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
ATTRIBUTES = st.dictionaries(NAMES | st.text(max_size=6), VALUE, max_size=8)
TIMES = st.sampled_from([0, 1, NOW - SECOND, NOW, NOW + 5 * SECOND, NOW - 10**17, 2**64 - 1])
SPANS = st.lists(
    st.builds(
        Sent,
        scope=st.sampled_from(["openlit.instrumentation.anthropic", "com.anthropic.sdk.python", "logfire.openai", "litellm", "app", ""]),
        name=st.sampled_from(["chat gpt-4o", "raw_gen_ai_request", "", "x" * 200]),
        attributes=ATTRIBUTES, span_id=st.sampled_from(["aa" * 8, "bb" * 8, "cc" * 8]) | HEX, parent_id=st.sampled_from(["", "aa" * 8, "bb" * 8]) | HEX,
        trace_id=st.sampled_from(["ab" * 16, "cd" * 16]) | HEX, start=TIMES, end=TIMES, kind=st.integers(0, 5), status=st.integers(0, 2),
        message=TEXT, events=st.lists(st.tuples(st.sampled_from(["exception", "gen_ai.content.prompt", "x"]), ATTRIBUTES), max_size=2).map(tuple),
        resource=st.dictionaries(st.sampled_from(["service.name", "r"]), VALUE, max_size=2).map(lambda d: tuple(d.items())),
    ),
    max_size=6,
)  # fmt: skip


def taken(data: bytes, kind: str) -> ParsedSpans | None:
    """What holds for any body: it is read, or refused with one of our own errors."""
    try:
        parsed = parse_spans(data, kind, NOW // 1000, ("r",))
    except PercapitaError as error:
        if error.status not in (400, 413):
            raise
        return None
    assert all(item.code in REJECTED for item in parsed.rejected)
    assert parsed.rejected_spans <= parsed.spans
    assert len(parsed.events) + len(parsed.rejected) <= parsed.spans
    for event in parsed.events:
        assert from_bytes(to_record(event, Account(id="a"), "full", NOW // 1000).value).event == event
        assert len({event.id for event in parsed.events}) <= len(parsed.events)
    return parsed


@settings(max_examples=200, deadline=None)
@given(sent=SPANS)
def test_both_encodings_are_the_same_spans(sent: list[Sent]) -> None:
    binary, text = body(sent), body(sent, JSON)
    assert repr(list(protobuf.read_protobuf(binary))) == repr(list(otlp_json.read_json(text)))
    assert _seen(taken(binary, PROTOBUF)) == _seen(taken(text, JSON))


def _seen(parsed: ParsedSpans | None) -> Any:
    assert parsed is not None
    return [to_record(event, Account(id="a"), "full", 0).value for event in parsed.events], parsed[1:]


def test_every_field_of_a_span_is_read() -> None:
    sent = Sent("scope", "name", {"user.id": "ada", "tag.tags": ["a", 1, 0.5, True, None, {"k": [2]}], "http.route": "no", "metadata": {"a": -1}},
                "aa" * 8, "bb" * 8, "cd" * 16, NOW - SECOND, NOW, 4, 2, "message", (("exception", {"exception.type": "E"}), ("other", {})),
                (("service.name", "s"), ("any", 5)))  # fmt: skip
    expected = Span(
        {"service.name": "s", "any": 5}, "scope", "cd" * 16, "aa" * 8, "bb" * 8, "name", 4, NOW - SECOND, NOW,
        {"user.id": "ada", "tag.tags": ["a", 1, 0.5, True, None, {"k": [2]}], "metadata": {"a": -1}},
    )  # fmt: skip
    for spans in (protobuf.read_protobuf(body([sent])), otlp_json.read_json(body([sent], JSON))):
        (found,) = spans
        assert isinstance(found, Span)
        assert found[:10] == expected[:10]
        assert ([event.name for event in found.events], found.status, found.message, found.mended) == (
            ["exception"],
            2,
            "message",
            False,
        )


SENT = [Sent("app", "root", {"user.id": "ada"}, "aa" * 8, start=NOW - SECOND, end=NOW),
        Sent("litellm", "chat", {"gen_ai.operation.name": "chat", "tag.tags": ["a"]}, "bb" * 8, "aa" * 8, start=NOW - SECOND, end=NOW)]  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(data=st.data(), kind=st.sampled_from([PROTOBUF, JSON]))
def test_good_bytes_with_bad_ones_in_end_in_spans_or_a_refusal(data: st.DataObject, kind: str) -> None:
    good = body(SENT, kind)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(good)))
        cut = data.draw(st.integers(0, 12))
        put = data.draw(
            st.binary(max_size=4)
            | st.sampled_from(
                [b"\xff" * 11, b"\x0a", b"{", b"[", b'"', b"\\ud800", b"null", b"NaN", b"1e999", b"-1", b"\0"]
            )
        )
        good = good[:at] + put + good[at + cut :]
    taken(good, kind)


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=80), kind=st.sampled_from([PROTOBUF, JSON]))
def test_any_bytes_end_in_spans_or_a_refusal(body: bytes, kind: str) -> None:
    taken(body, kind)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_what_the_official_package_reads_is_read(data: st.DataObject) -> None:
    good = bytearray(body(SENT))
    good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        theirs = ExportTraceServiceRequest.FromString(bytes(good))
    except Exception:
        return
    ours = list(protobuf.read_protobuf(bytes(good)))
    spans = [span for rs in theirs.resource_spans for ss in rs.scope_spans for span in ss.spans]
    assert [(s.name, s.span_id, s.trace_id) for s in ours if isinstance(s, Span)] == [
        (
            s.name,
            s.span_id.hex() if len(s.span_id) <= 16 else "long",
            s.trace_id.hex() if len(s.trace_id) <= 16 else "long",
        )
        for s in spans
    ]


def test_unknown_fields_are_ignored() -> None:
    found = json.loads(body(SENT, JSON))
    found["more"] = {"a": [1]}
    for resource_spans in found["resourceSpans"]:
        resource_spans["entityRefs"] = [{}]
        for scope_spans in resource_spans["scopeSpans"]:
            scope_spans["spans"][0] |= {
                "flags": 256,
                "links": [{"traceId": 5}],
                "traceState": None,
                "droppedAttributesCount": "x",
            }
    assert list(otlp_json.read_json(json.dumps(found).encode())) == list(otlp_json.read_json(body(SENT, JSON)))
    extra = (
        message(SENT).SerializeToString()
        + b"\x98\x06\x05"
        + b"\xa2\x06\x03abc"
        + b"\xa9\x06"
        + b"12345678"
        + b"\xb5\x06"
        + b"1234"
    )
    assert list(protobuf.read_protobuf(extra)) == list(protobuf.read_protobuf(body(SENT)))


def only(spans: Spans) -> Span:
    (found,) = spans
    assert isinstance(found, Span)
    return found


@pytest.mark.parametrize("spelled", ['"1795000000000000000"', "1795000000000000000", "1.795e18"])
def test_numbers_of_64_bits_come_as_texts_or_numbers(spelled: str) -> None:
    text = (
        f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"startTimeUnixNano":{spelled},"kind":"SPAN_KIND_CLIENT","status":{{"code":"STATUS_CODE_ERROR"}},'
        f'"attributes":[{{"key":"user.id","value":{{"intValue":{spelled}}}}},{{"key":"metadata","value":{{"doubleValue":"-Infinity"}}}}]}}]}}]}}]}}'
    )
    span = only(otlp_json.read_json(text.encode())) if "e18" not in spelled else None
    if span is None:  # an attribute's count is no fraction, its span alone is refused
        assert [problem.code for _, problem in _problems(text)] == ["invalid_type"]
        return
    assert (span.start, span.kind, span.status) == (NOW, 3, 2)
    assert span.attributes == {"user.id": NOW, "metadata": float("-inf")}


def _problems(text: str) -> list[tuple[int, Rejected]]:
    return list(enumerate(parse_spans(text.encode(), JSON, NOW // 1000).rejected))


def test_one_span_that_cannot_be_read_does_not_cost_its_neighbours() -> None:
    found = json.loads(body([*SENT, SENT[1]._replace(span_id="cc" * 8)], JSON))
    for bad in ({"name": 5}, {"attributes": {"a": 1}}, {"traceId": [1]}, {"status": "x"}, {"startTimeUnixNano": {}}):
        told = json.loads(json.dumps(found))
        told["resourceSpans"][1]["scopeSpans"][0]["spans"][0] |= bad
        parsed = parse_spans(json.dumps(told).encode(), JSON, NOW // 1000)
        assert (len(parsed.events), parsed.rejected_spans, parsed.rejected[0].code) == (1, 1, "invalid_type"), bad


def test_text_that_is_not_unicode_is_mended_and_flagged() -> None:
    sent = [
        SENT[1]._replace(
            attributes={"gen_ai.operation.name": "chat", "user.id": "adaXX", "gen_ai.usage.input_tokens": 5}
        )
    ]
    binary = body(sent).replace(b"adaXX", b"ada\xff\xfe")
    text = body(sent, JSON).replace(b"adaXX", b"ada\\ud800\\udfff\\ud83d\\ude00\\\\ud800")
    for data, kind, user in ((binary, PROTOBUF, "ada\ufffd\ufffd"), (text, JSON, "ada\U000103ff\U0001f600\\ud800")):
        (event,) = parse_spans(data, kind, NOW // 1000).events
        assert event.user_id == user
    assert parse_spans(binary, PROTOBUF, NOW // 1000).events[0].flags == ("text_repaired",)
    lone = body(sent, JSON).replace(b"adaXX", b"ada\\udc00\\ud83d\\\\udc00")
    (event,) = parse_spans(lone, JSON, NOW // 1000).events
    assert (event.user_id, event.flags) == ("ada\ufffd\ufffd\\udc00", ("text_repaired",))
    raw = body(sent, JSON).replace(b"adaXX", b"ada\xff")
    assert parse_spans(raw, JSON, NOW // 1000).events[0].user_id == "ada\ufffd"


def test_values_nest_so_deep_and_no_deeper() -> None:
    value: Any = "end"
    for _ in range(limits.OTLP_VALUE_LEVELS + 5):
        value = [value]
    sent = [SENT[1]._replace(attributes={"metadata": value, "user.id": "ada"})]
    found = [
        only(spans).attributes for spans in (protobuf.read_protobuf(body(sent)), otlp_json.read_json(body(sent, JSON)))
    ]
    assert found[0] == found[1]
    assert str(found[0]["metadata"]).count("[") == limits.OTLP_VALUE_LEVELS


def field(tag: bytes, inner: bytes) -> bytes:
    return tag + protobuf._varint_of(len(inner)) + inner


HOSTILE = {
    "empty resources": (b"\x0a\x00" * 4_000_000, PROTOBUF),
    "empty scopes": (field(b"\x0a", b"\x12\x00" * 4_000_000), PROTOBUF),
    "empty spans": (field(b"\x0a", field(b"\x12", b"\x12\x00" * 4_000_000)), PROTOBUF),
    "empty attributes": (field(b"\x0a", field(b"\x12", field(b"\x12", b"\x4a\x00" * 4_000_000))), PROTOBUF),
    "empty events": (field(b"\x0a", field(b"\x12", field(b"\x12", b"\x5a\x00" * 4_000_000))), PROTOBUF),
    "empty values": (field(b"\x0a", field(b"\x0a", field(b"\x0a", field(b"\x12", field(b"\x2a", b"\x0a\x00" * 4_000_000))))), PROTOBUF),
    "spans in JSON": (b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"{}," * 2_500_000 + b"{}]}]}]}", JSON),
    "resources in JSON": (b'{"resourceSpans":[' + b"{}," * 2_500_000 + b"{}]}", JSON),
    "attributes in JSON": (b'{"resourceSpans":[{"resource":{"attributes":[' + b"{}," * 2_500_000 + b"{}]}}]}", JSON),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_more_than_anybody_sends_is_too_large(name: str) -> None:
    data, kind = HOSTILE[name]
    started = time.process_time()
    with pytest.raises(TooLarge):
        parse_spans(data, kind, NOW // 1000)
    assert time.process_time() - started < 3


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
@pytest.mark.parametrize(("rejected", "why"), [(0, ""), (1, "x"), (300, "2 x invalid_id (ä)"), (20_000, "y" * 400)])
def test_the_answer_is_what_the_official_package_reads(kind: str, rejected: int, why: str) -> None:
    write = protobuf.answer if kind == PROTOBUF else otlp_json.answer
    assert answered(write(rejected, why), kind) == (rejected, why)


def test_vectors_of_embeddings_are_stepped_over() -> None:
    vector = {"embedding.embeddings.0.embedding.vector": [0.123456789] * 1536, "openinference.span.kind": "EMBEDDING"}
    sent = [Sent("o", "e", vector, f"{n + 1:016x}", start=NOW - SECOND, end=NOW) for n in range(40)]
    for data, kind in ((body(sent), PROTOBUF), (as_json(message(sent)), JSON)):
        if len(data) <= limits.BODY_BYTES:
            assert len(parse_spans(data, kind, NOW // 1000).events) == 40
