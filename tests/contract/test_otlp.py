"""POST /v1/traces on a running collector: both encodings, what is refused and how it is said, and what reaches the log."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import time
import zlib
from typing import Any

import pytest
from backports import zstd

from pipeline import limits
from pipeline.record import REJECTED
from tests.support.collecting import Collector, collector
from tests.support.spans import JSON, PROTOBUF, SECOND, Sent, answered, body, message

__all__ = ["collector"]

NOW = time.time_ns()
CANARY = "do not log 4111 1111 1111 1111"
LANGFUSE = "/api/public/otel/v1/traces"


def call(**changes: Any) -> Sent:
    sent = Sent(
        "opentelemetry.instrumentation.openai", "chat gpt-4o",
        {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.input_tokens": 1500, "gen_ai.usage.output_tokens": 100, "user.id": "ada",
            "gen_ai.input.messages": json.dumps([{"role": "user", "content": CANARY}]),
        },
        start=NOW - SECOND, end=NOW,
    )  # fmt: skip
    return sent._replace(**changes)


async def post(
    collector: Collector,
    data: bytes,
    kind: str = PROTOBUF,
    *,
    path: str = "/v1/traces",
    token: str = "",
    **headers: str,
) -> tuple[int, bytes, Any]:
    given = {"Authorization": f"Bearer {token or collector.tokens['ingest']}", "Content-Type": kind}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    async with collector.session.post(f"http://127.0.0.1:{collector.port}{path}", data=data, headers=given) as answer:
        return answer.status, await answer.read(), answer.headers


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
@pytest.mark.parametrize("path", ["/v1/traces", LANGFUSE])
async def test_a_call_becomes_an_event(collector: Collector, kind: str, path: str) -> None:
    status, text, headers = await post(collector, body([call()], kind), kind, path=path)
    assert (status, headers["Content-Type"], text) == (200, kind, b"{}" if kind == JSON else b"")
    (stored,) = collector.log.events()
    event = stored.event
    assert (event.type, event.model, event.user_id, event.latency_ms) == ("llm", "gpt-4o", "ada", 1000.0)
    assert json.loads(bytes(event.usage)) == {"input_uncached": 1500, "output": 100}
    assert json.loads(bytes(event.prompt)) == [{"role": "user", "content": CANARY}]
    assert event.timestamp == (NOW - SECOND) // 1000


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
async def test_bad_ids_and_zero_times_are_partial_success_and_neighbours_are_stored(
    collector: Collector, kind: str
) -> None:
    bad = [
        call(trace_id="00" * 16), call(trace_id="ab"), call(trace_id=""), call(span_id=""), call(span_id="00" * 8), call(span_id="ab" * 9),
        call(parent_id="ab"), call(start=0), call(end=0),
    ]  # fmt: skip
    status, text, _ = await post(collector, body([call(), *bad, call(span_id="aa" * 8)], kind), kind)
    rejected, said = answered(text, kind)
    assert (status, rejected) == (200, len(bad))
    assert "invalid_id" in said
    assert "invalid_timestamp" in said
    assert len([record for record in collector.log.records if b'"dropped":' not in record.value]) == 2
    (told,) = [json.loads(record.value) for record in collector.log.records if b'"dropped":' in record.value]
    assert told["dropped"] == {f"{REJECTED}invalid_id": 7, f"{REJECTED}invalid_timestamp": 2}


async def test_a_call_outside_the_time_that_is_taken_is_partial_success(collector: Collector) -> None:
    day = 86_400 * SECOND
    old, ahead = (
        call(start=NOW - 91 * day, end=NOW - 91 * day),
        call(start=NOW + day, end=NOW + day, trace_id="ab" * 16),
    )
    status, text, _ = await post(collector, body([old, ahead]))
    rejected, said = answered(text, PROTOBUF)
    assert (status, rejected, len(collector.log.records)) == (200, 2, 1)  # which tells of the two
    assert "timestamp_too_old" in said
    assert "timestamp_in_future" in said


async def test_spans_of_nobody_are_taken_and_stored_nowhere(collector: Collector) -> None:
    spans = [call(scope="opentelemetry.instrumentation.fastapi", name="POST /chat", attributes={"http.route": "/chat"})]
    assert (await post(collector, body(spans)))[:2] == (200, b"")
    assert (await post(collector, b""))[:2] == (200, b"")
    assert (await post(collector, b"{}", JSON))[:2] == (200, b"{}")
    assert collector.log.records == []


COMPRESSED = {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("encoding", COMPRESSED)
@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
async def test_bodies_come_compressed(collector: Collector, encoding: str, kind: str) -> None:
    headers = {"Content_Encoding": encoding} if encoding else {}
    status, _, _ = await post(collector, COMPRESSED[encoding](body([call()], kind)), kind, **headers)
    assert (status, len(collector.log.events())) == (200, 1)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_the_key_is_a_bearers_or_user_or_password(collector: Collector) -> None:
    key, data = collector.tokens["ingest"], body([call()])
    for given in (f"Bearer {key}", basic(key, ""), basic("pk-lf-1", key), basic(key, "sk-lf-1"), basic(key, key)):
        for path in ("/v1/traces", LANGFUSE):
            assert (await post(collector, data, path=path, Authorization=given))[0] == 200
    wrong = [
        "", "Basic", "Basic !", basic("pk-lf-1", "sk-lf-1"), "Basic " + base64.b64encode(b"\xff:\xff").decode(), f"Digest {key}",
        basic("", collector.tokens["revoked"]), f"Bearer {key[:-1]}",
    ]  # fmt: skip
    for given in wrong:
        status, text, headers = await post(collector, data, path=LANGFUSE, Authorization=given)
        assert (status, json.loads(text)["code"]) == (401, "unauthorized"), given
        assert headers["Content-Type"] == "application/problem+json"
        assert "WWW-Authenticate" in headers
    assert (await post(collector, data, token=collector.tokens["read"]))[0] == 403
    assert len(collector.log.events()) == 10


@pytest.mark.parametrize("path", ["/v1/metrics", "/v1/logs", "/api/public/otel/v1/metrics", "/api/public/otel/v1/logs"])
async def test_other_signals_are_404_before_a_byte_of_them_is_read(collector: Collector, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: 8000000\r\n\r\n".encode()
    answer = await collector.raw(head, seconds=2)
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b'"code": "not_found"' in answer


GARBAGE = [
    ("text", b"not protobuf", PROTOBUF), ("half a message", body([call()])[:-1], PROTOBUF), ("JSON as protobuf", body([call()], JSON), PROTOBUF),
    ("a number without end", b"\xff" * 30, PROTOBUF), ("a part longer than the whole", b"\x0a\xff\xff\xff\xff\x07", PROTOBUF),
    ("a group", b"\x0b\x0c", PROTOBUF), ("protobuf as JSON", body([call()]), JSON), ("a list", b"[]", JSON), ("nothing", b"", JSON),
    ("half of JSON", b'{"resourceSpans": [', JSON), ("spans that are none", b'{"resourceSpans": {"a": 1}}', JSON),
    ("many brackets", b"[" * 200_000, JSON), ("deep JSON", b'{"a":' * 100_000, JSON), ("UTF-16", body([call()], JSON).decode().encode("utf-16"), JSON),
]  # fmt: skip


@pytest.mark.parametrize(("data", "kind"), [row[1:] for row in GARBAGE], ids=[row[0] for row in GARBAGE])
async def test_a_body_that_cannot_be_read_is_400(collector: Collector, data: bytes, kind: str) -> None:
    status, text, headers = await post(collector, data, kind)
    problem = json.loads(text)
    assert (status, problem["code"], headers["Content-Type"]) == (400, "bad_body", "application/problem+json")
    assert collector.log.records == []


async def test_types_encodings_and_sizes_are_refused_as_elsewhere(collector: Collector) -> None:
    data = body([call()])
    for kind in ("text/plain", "application/x-ndjson", "application/grpc", ""):
        assert (await post(collector, data, kind))[0] == 415
    assert (await post(collector, data, Content_Encoding="br"))[0] == 415
    assert (await post(collector, b"\x0a" * (limits.BODY_BYTES + 1)))[0] == 413
    assert (await post(collector, gzip.compress(bytes(limits.BODY_BYTES + 1)), Content_Encoding="gzip"))[0] == 413
    assert (await post(collector, gzip.compress(data)[:-3], Content_Encoding="gzip"))[0] == 400
    many = message([call()])
    many.resource_spans[0].scope_spans[0].spans.extend(
        [many.resource_spans[0].scope_spans[0].spans[0]] * limits.OTLP_SPANS
    )
    assert (await post(collector, gzip.compress(many.SerializeToString(), 1), Content_Encoding="gzip"))[0] == 413
    assert collector.log.records == []


async def test_a_log_that_is_away_is_503_with_a_time_to_come_back(collector: Collector) -> None:
    collector.log.away = True
    status, text, headers = await post(collector, body([call()]))
    assert (status, json.loads(text)["code"], int(headers["Retry-After"]) > 0) == (503, "unavailable", True)
    collector.log.away = False
    assert (await post(collector, body([call()])))[0] == 200


async def test_a_retry_is_the_same_event(collector: Collector) -> None:
    for kind in (PROTOBUF, JSON, PROTOBUF):
        await post(collector, body([call()], kind), kind)
    assert len({(e.event.id, e.event.trace_id, e.event.timestamp) for e in collector.log.events()}) == 1
    assert len({record.key for record in collector.log.records}) == 1


def failed() -> Sent:
    """Content in every place where emitters put some, and numbers in content alone."""
    answer = {
        "id": "chatcmpl-9",
        "usage": {"prompt_tokens": 31, "completion_tokens": 7},
        "choices": [CANARY],
        "service_tier": "priority",
    }
    return call(
        scope="openinference.instrumentation.openai", status=2, message=CANARY, span_id="bb" * 8,
        events=(("exception", {"exception.type": "RateLimitError", "exception.message": CANARY, "exception.stacktrace": CANARY}),),
        attributes={
            "openinference.span.kind": "LLM", "output.value": json.dumps(answer), "input.value": CANARY, "llm.model_name": "gpt-4o",
            "llm.input_messages.0.message.content": CANARY, "langfuse.observation.status_message": CANARY, "error.message": CANARY,
            "langfuse.trace.tags": [CANARY], "url.full": CANARY, "hidden_params": CANARY, "logfire.msg": CANARY,
        },
    )  # fmt: skip


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
async def test_minimal_reads_numbers_before_the_content_goes_and_no_content_reaches_the_log(
    collector: Collector, kind: str
) -> None:
    tool = call(attributes={"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.call.arguments": CANARY,
                            "gen_ai.tool.call.result": CANARY}, span_id="cc" * 8, parent_id="bb" * 8)  # fmt: skip
    status, text, _ = await post(
        collector, body([failed(), tool, call(span_id="dd" * 8)], kind), kind, token=collector.tokens["minimal"]
    )
    assert (status, answered(text, kind)) == (200, (0, ""))
    found = {stored.event.span_id: stored.event for stored in collector.log.events()}
    error = found["bb" * 8]
    assert json.loads(bytes(error.usage)) == {"prompt_tokens": 31, "completion_tokens": 7}
    assert (error.status, error.error_code, error.service_tier) == ("error", "RateLimitError", "priority")
    assert (found["cc" * 8].type, found["cc" * 8].tool_name) == ("tool", "search")
    assert found["dd" * 8].user_id == "ada"
    for record in collector.log.records:
        assert b"4111" not in record.value


async def test_content_is_kept_as_other_modes_have_it(collector: Collector) -> None:
    await post(collector, body([failed()]))
    (stored,) = collector.log.events()
    assert stored.event.error_message == CANARY
    assert json.loads(bytes(stored.event.prompt)) == [{"message": {"content": CANARY}}]
    assert json.loads(bytes(stored.event.metadata)) == {"labels": [CANARY]}


async def test_a_large_body_does_not_hold_up_the_others(collector: Collector) -> None:
    big = body([call(span_id=f"{n:016x}", trace_id=f"{n:032x}") for n in range(1, 8_000)])
    sending = asyncio.create_task(post(collector, gzip.compress(big, 1), Content_Encoding="gzip"))
    await asyncio.sleep(0.2)
    slowest = 0.0
    while not sending.done():
        began = time.monotonic()
        assert (await post(collector, body([call()])))[0] == 200
        slowest = max(slowest, time.monotonic() - began)
    assert (await sending)[0] == 200
    assert 0 < slowest < 2
