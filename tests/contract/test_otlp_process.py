"""What spans cost the collector's process, and what it says of them: bodies that spell far more than their bytes, and keys and content."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import limits
from tests.support.collector_process import CollectorProcess
from tests.support.raw import head
from tests.support.senders import CANARY, all_of
from tests.support.spans import JSON, PROTOBUF, SECOND, Sent, body


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CollectorProcess]:
    with CollectorProcess(tmp_path_factory.mktemp("collector")) as started:
        yield started


def field(tag: bytes, inner: bytes) -> bytes:
    """A part of a protobuf message."""
    length, rest = b"", len(inner)
    while rest > 127:
        length, rest = length + bytes([rest & 127 | 128]), rest >> 7
    return tag + length + bytes([rest]) + inner


def spans_of(inner: bytes) -> bytes:
    return field(b"\x0a", field(b"\x12", inner))


def attribute(value: bytes) -> bytes:
    """One of a model's call."""
    return field(b"\x4a", field(b"\x0a", b"gen_ai.input.messages") + field(b"\x12", value))


def filled(start: bytes, unit: bytes, end: bytes) -> bytes:
    return start + unit * ((limits.BODY_BYTES - 64 - len(start) - len(end)) // len(unit)) + end


def in_span(text: bytes) -> bytes:
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + text


MANY = limits.BODY_BYTES - 64
WELL = b'"traceId":"' + b"ab" * 16 + b'","spanId":"' + b"cd" * 8 + b'","startTimeUnixNano":1,"endTimeUnixNano":1'
COSTLY = {
    "spans without anything": (spans_of(b"\x12\x00" * (MANY // 2)), PROTOBUF, 413),
    "scopes without anything": (field(b"\x0a", b"\x12\x00" * (MANY // 2)), PROTOBUF, 413),
    "attributes without anything": (spans_of(field(b"\x12", b"\x4a\x00" * (MANY // 2))), PROTOBUF, 413),
    "values without anything": (spans_of(field(b"\x12", attribute(field(b"\x2a", b"\x0a\x00" * (MANY // 2))))), PROTOBUF, 413),
    "numbers that nobody reads": (spans_of(field(b"\x12", b"\x50\x01" * (MANY // 2))), PROTOBUF, 200),
    "one text": (spans_of(field(b"\x12", attribute(field(b"\x0a", b"[" * MANY)))), PROTOBUF, 200),
    "one text that is no Unicode": (spans_of(field(b"\x12", attribute(field(b"\x0a", b"\xff" * MANY)))), PROTOBUF, 200),
    "spans in JSON": (filled(in_span(b""), b"{},", b"{}]}]}]}"), JSON, 413),
    "spans that are numbers": (filled(in_span(b""), b"0,", b"0]}]}]}"), JSON, 413),
    "resources in JSON": (filled(b'{"resourceSpans":[', b"{},", b"{}]}"), JSON, 413),
    "resources that are null": (filled(b'{"resourceSpans":[', b"null,", b"null]}"), JSON, 413),
    "attributes in JSON": (filled(in_span(b'{"attributes":['), b"{},", b"{}]}]}]}]}"), JSON, 413),
    "an attribute's values": (filled(in_span(b'{"attributes":[{"key":"a","value":{"arrayValue":{"values":['), b"{},", b"{}]}}}]}]}]}]}"), JSON, 413),
    "braces in a text": (filled(in_span(b'{"name":"'), b"{", b'"}]}]}]}'), JSON, 200),
    "escapes in a text": (filled(in_span(b'{"name":"'), b'\\"', b'"}]}]}]}'), JSON, 200),
    "texts of nothing": (filled(in_span(b'{"x":['), b'"",', b'""]}]}]}]}'), JSON, 413),
    "a text without an end": (filled(in_span(b'{"name":"' + b"{" * 400_000), b'\\"', b""), JSON, 413),
    "lone surrogates": (filled(in_span(b'{"name":"'), b"\\ud800", b'"}]}]}]}'), JSON, 200),
    "brackets": (filled(b"", b"[", b""), JSON, 400),
}  # fmt: skip


@pytest.mark.parametrize("name", COSTLY)
async def test_no_body_costs_many_times_its_bytes(process: CollectorProcess, name: str) -> None:
    data, kind, status = COSTLY[name]
    assert len(data) <= limits.BODY_BYTES
    request = (
        head("POST", "/v1/traces", f"Content-Type: {kind}", f"Content-Length: {len(data)}", key=process.keys["ingest"])
        + data
    )
    before = process.memory("VmRSS")
    process.forget_peak()
    busy = process.cpu()
    (said,) = await all_of(process.port, [[request]])
    assert said.statuses == (status,)
    assert process.memory() - before < 80
    assert process.cpu() - busy < 4


async def test_neither_keys_nor_content_are_said(process: CollectorProcess, tmp_path: Path) -> None:
    now = time.time_ns()
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": CANARY,
        "user.id": CANARY * 90,
        CANARY: CANARY,
    }
    sent = [
        Sent("o", CANARY, attributes, start=now - SECOND, end=now, message=CANARY, status=2),
        Sent("o", CANARY, attributes),
    ]
    requests = []
    for kind in (PROTOBUF, JSON):
        for data in (
            body(sent, kind),
            body(sent, kind)[:-9],
            CANARY.encode(),
            json.dumps({"resourceSpans": CANARY}).encode(),
        ):
            for path in ("/v1/traces", "/api/public/otel/v1/traces", "/v1/metrics"):
                lines = (f"Content-Type: {kind}", f"Content-Length: {len(data)}")
                requests.append([head("POST", path, *lines, key=process.keys["ingest"]) + data])
    said = await all_of(process.port, requests)
    everything = process.output() + "".join(one.text.decode("latin-1") for one in said)
    assert {one.statuses[0] for one in said} == {200, 400, 404}
    for secret in (process.keys["ingest"], CANARY, "Traceback"):
        assert secret not in everything
