"""Every bad event, body and key that is settled, and its answer: on a running collector."""

from __future__ import annotations

import gzip
import json
import time
import uuid
import zlib
from typing import Any

import pytest
from backports import zstd

from pipeline import limits
from pipeline.http import HardenedServer
from pipeline.keys import make_key
from tests.support.collecting import Collector, collector, event

__all__ = ["collector"]

ID = "0190a1b2-0000-7000-8000-000000000001"


# --- a body that cannot be read

NESTED = b"[" * 200_000
BODIES = [
    ("an empty body", b"", 400),
    ("blanks alone", b"  \n", 400),
    ("not JSON", b"{nope", 400),
    ("a number", b"17", 400),
    ("200,000 opening brackets", NESTED, 400),
    ("bad UTF-8", b'{"name":"\xff\xfe"}', 400),
    ("UTF-16", '{"type":"llm"}'.encode("utf-16"), 400),
    ("a key twice", b'{"type":"llm","type":"tool"}', 400),
    ("a key twice, deep down", b'[{"metadata":{"a":{"b":1,"b":2}}}]', 400),
    ("1,001 events", json.dumps([event()] * 1001).encode(), 413),
    ("events that are no list", b'{"events":{}}', 400),
    ("dropped that is no object of counts", b'{"events":[],"dropped":[1]}', 400),
]


@pytest.mark.parametrize(("body", "status"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
async def test_a_body_that_cannot_be_read_is_refused_whole(collector: Collector, body: bytes, status: int) -> None:
    answered, problem, headers = await collector.post(body)
    assert answered == status
    assert headers["Content-Type"].startswith("application/problem+json")
    assert problem["status"] == status
    assert problem["code"]
    assert problem["request_id"]
    assert collector.log.records == []


FORMS = [
    ("an empty list", b"[]", "application/json", 0, 0),
    ("one event", json.dumps(event()).encode(), "application/json", 1, 0),
    ("a list", json.dumps([event(), event()]).encode(), "application/json; charset=utf-8", 2, 0),
    ("an object of events", json.dumps({"events": [event()], "dropped": {"queue_full": 3}}).encode(), "application/json", 1, 0),
    ("NDJSON with blank lines", b"\n" + json.dumps(event()).encode() + b"\n\n" + json.dumps(event()).encode(), "application/x-ndjson", 2, 0),
    ("NDJSON with a line that is not JSON", b'{"type":"llm"}\n{nope\n{"type":"log"}', "application/x-ndjson", 2, 1),
    ("NDJSON with a line that is not UTF-8", b'{"type":"llm"}\n"\xff"\n', "application/x-ndjson", 1, 1),
    ("NDJSON with a key twice", b'{"type":"llm"}\n{"type":"llm","type":"log"}', "application/x-ndjson", 1, 1),
    ("a lone bad event", b'{"type":"poem"}', "application/json", 0, 1),
    ("a list of what is no event", b'[1,"x",null,[]]', "application/json", 0, 4),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "kind", "accepted", "rejected"), [row[1:] for row in FORMS], ids=[row[0] for row in FORMS]
)
async def test_every_form_is_answered_per_event(
    collector: Collector, body: bytes, kind: str, accepted: int, rejected: int
) -> None:
    status, answer, _ = await collector.post(body, Content_Type=kind)
    assert (status, answer["accepted"], len(answer["rejected"])) == (202, accepted, rejected)
    assert len(collector.log.records) == accepted


# --- one event among good ones

DAY = 86_400_000
NOW = time.time_ns() // 1_000_000


def tagged(tags: Any) -> dict[str, Any]:
    return event(metadata={"tags": tags})


def used(**usage: Any) -> dict[str, Any]:
    return event(usage=usage)


REJECTED: list[tuple[str, bytes | dict[str, Any], str, str]] = [
    ("NaN", b'{"latency_ms":NaN}', "invalid_number", ""),
    ("Infinity", b'{"latency_ms":-Infinity}', "invalid_number", ""),
    ("1e999", b'{"latency_ms":1e999}', "invalid_number", ""),
    ("a number of 5,000 digits", b'{"latency_ms":' + b"7" * 5000 + b"}", "invalid_number", ""),
    ("negative latency", event(latency_ms=-1), "invalid_number", "/latency_ms"),
    ("negative tokens", used(output=-1), "invalid_tokens", "/usage/output"),
    ("2^32 tokens", used(output=2**32), "invalid_tokens", "/usage/output"),
    ("2^64 tokens", used(output=2**64), "invalid_tokens", "/usage/output"),
    ("tokens as text", used(output="12"), "invalid_tokens", "/usage/output"),
    ("tokens as true", used(output=True), "invalid_tokens", "/usage/output"),
    ("tokens as 1.5", used(output=1.5), "invalid_tokens", "/usage/output"),
    ("null in our own classes", used(output=None, input_uncached=1), "invalid_tokens", "/usage/output"),
    ("a mistyped class", used(input_uncachd=5, output=1), "unknown_field", "/usage/input_uncachd"),
    ("an unknown field", event(modle="x"), "unknown_field", "/modle"),
    ("an unknown type", event(type="poem"), "invalid_value", "/type"),
    ("an unknown status", event(status="fine"), "invalid_value", "/status"),
    ("an id that is no UUID", event(id="17"), "invalid_id", "/id"),
    ("the nil id", event(id="00000000-0000-0000-0000-000000000000"), "invalid_id", "/id"),
    ("year 1800", event(timestamp="1800-01-01T00:00:00Z"), "timestamp_too_old", "/timestamp"),
    ("year 9999", event(timestamp="9999-12-31T23:59:59Z"), "timestamp_in_future", "/timestamp"),
    ("30 February", event(timestamp="2026-02-30T00:00:00Z"), "invalid_timestamp", "/timestamp"),
    ("hour 25", event(timestamp="2026-11-24T25:00:00Z"), "invalid_timestamp", "/timestamp"),
    ("no offset", event(timestamp="2026-11-24T10:00:00"), "invalid_timestamp", "/timestamp"),
    ("unix time as text", event(timestamp=str(NOW)), "invalid_timestamp", "/timestamp"),
    ("91 days old", event(timestamp=NOW - 91 * DAY), "timestamp_too_old", "/timestamp"),
    ("11 minutes ahead", event(timestamp=NOW + 11 * 60_000), "timestamp_in_future", "/timestamp"),
    ("33 tags", tagged({f"k{n}": "v" for n in range(33)}), "too_many_tags", "/metadata/tags"),
    ("10,000 tags", tagged({f"k{n}": "v" for n in range(10_000)}), "too_many_tags", "/metadata/tags"),
    ("a tag value of 257", tagged({"k": "v" * 257}), "too_long", "/metadata/tags/k"),
    ("an empty tag key", tagged({"": "v"}), "invalid_tag_key", "/metadata/tags"),
    ("a tag key with a quote", tagged({"a'; DROP TABLE events": "v"}), "invalid_tag_key", "/metadata/tags"),
    ("a tag that is an object", tagged({"k": {}}), "invalid_type", "/metadata/tags/k"),
    ("tags that are a list", tagged([]), "invalid_type", "/metadata/tags"),
    ("NUL in a tag", tagged({"k": "a\0b"}), "nul_character", "/metadata/tags/k"),
    ("NUL in a trace id", event(trace_id="a\0"), "nul_character", "/trace_id"),
    ("a trace id of 65", event(trace_id="t" * 65), "too_long", "/trace_id"),
    ("an agent of 121", event(agent="é" * 121), "too_long", "/agent"),
    ("a cost as a number", event(cost_usd=1), "invalid_type", "/cost_usd"),
    ("a negative cost", event(cost_usd="-1"), "invalid_value", "/cost_usd"),
    ("a cost of ten decimals", event(cost_usd="0.0000000001"), "invalid_value", "/cost_usd"),
    ("metadata of 16 KiB and more", event(metadata={"k": "v" * 16_384}), "too_long", "/metadata"),
    ("65 levels", event(prompt=json.loads("[" * 64 + "]" * 64)), "too_deep", ""),
    ("more than 1 MiB", event(prompt="x" * 1024 * 1024), "event_too_large", ""),
]


@pytest.mark.parametrize(("bad", "code", "pointer"), [row[1:] for row in REJECTED], ids=[row[0] for row in REJECTED])
async def test_a_bad_event_is_named_and_its_neighbours_are_stored(
    collector: Collector, bad: Any, code: str, pointer: str
) -> None:
    text = bad if isinstance(bad, bytes) else json.dumps(bad).encode()
    good = json.dumps(event(id=ID)).encode()
    status, answer, _ = await collector.post(b"[" + good + b"," + text + b"," + good + b"]")
    assert (status, answer["accepted"]) == (202, 2)
    (rejected,) = answer["rejected"]
    assert (rejected["index"], rejected["code"], rejected["pointer"]) == (1, code, pointer)
    assert rejected["detail"]
    assert len(collector.log.records) == 2


ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("32 tags, keys of 64, values of 256", tagged({f"{n:0>64}": "v" * 256 for n in range(32)})),
    ("null for an optional field", event(trace_id=None, usage=None, latency_ms=None, metadata=None)),
    ("null inside a provider's usage", used(prompt_tokens=5, completion_tokens=1, prompt_tokens_details=None)),
    ("an unknown usage shape", used(anything={"x": 1})),
    ("2^32-1 tokens", used(output=2**32 - 1)),
    ("lower-case t and z", event(timestamp=time.strftime("%Y-%m-%dt%H:%M:%Sz", time.gmtime()))),
    ("an offset", event(timestamp=time.strftime("%Y-%m-%dT%H:%M:%S.123456789+00:00", time.gmtime()))),
    ("64 levels", event(prompt=json.loads("[" * 63 + "]" * 63))),
    ("NUL in a prompt", event(prompt="a\0b")),
    ("SQL in a tag value", tagged({"userId": "'; DROP TABLE events; --"})),
    ("an id in another form", event(id="{" + ID.upper() + "}")),
    ("a cost of nine decimals", event(cost_usd="123456789.123456789")),
]


@pytest.mark.parametrize("good", [row[1] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
async def test_what_is_at_a_limit_is_taken(collector: Collector, good: dict[str, Any]) -> None:
    status, answer, _ = await collector.post(good)
    assert (status, answer) == (202, {"accepted": 1, "rejected": []})
    assert len(collector.log.events()) == 1


async def test_tags_become_strings_and_empty_ones_none(collector: Collector) -> None:
    await collector.post(tagged({"userId": 17, "a": True, "b": 1.5, "c": "", "d": None}))
    (stored,) = collector.log.events()
    assert stored.event.user_id == "17"
    assert stored.event.tags == ("a=true", "b=1.5")


async def test_lone_surrogates_are_mended_and_flagged(collector: Collector) -> None:
    await collector.post(b'{"type":"llm","prompt":"a\\ud800b"}')
    (stored,) = collector.log.events()
    assert stored.event.flags == ("text_repaired",)
    assert bytes(stored.event.prompt) == '"a\ufffdb"'.encode()  # type: ignore[arg-type]  # it is there


async def test_answers_never_repeat_a_value_or_an_odd_name(collector: Collector) -> None:
    secret = "sk-very-secret-value"
    for bad in (
        event(**{secret + "\n": 1}),
        event(id=secret),
        event(type=secret),
        event(timestamp=secret),
        tagged({secret + "!": 1}),
    ):
        _, answer, _ = await collector.post(bad)
        assert secret not in json.dumps(answer)


# --- encodings

BIG = b'{"prompt":"' + b"x" * 1000 + b'"}'
WIDE = b"\x28\xb5\x2f\xfd\x00\xa8" + b"\x01\x00\x00"  # a zstd frame header that asks for a window of 2 GB
ENCODED = [
    ("gzip", gzip.compress(BIG), "gzip", 202),
    ("deflate", zlib.compress(BIG), "deflate", 202),
    ("zstd", zstd.compress(BIG), "zstd", 202),
    ("a gzip bomb of 300 MB", gzip.compress(b"0" * 300_000_000, 9), "gzip", 413),
    ("a zstd bomb", zstd.compress(b"0" * 300_000_000), "zstd", 413),
    ("a zstd window of 2 GB", WIDE, "zstd", 413),
    ("truncated gzip", gzip.compress(BIG)[:-9], "gzip", 400),
    ("plain labelled gzip", BIG, "gzip", 400),
    ("an unknown encoding", BIG, "br", 415),
    ("two encodings", BIG, "gzip, gzip", 415),
]  # fmt: skip


@pytest.mark.parametrize(("body", "encoding", "status"), [row[1:] for row in ENCODED], ids=[row[0] for row in ENCODED])
async def test_encodings(collector: Collector, body: bytes, encoding: str, status: int) -> None:
    answered, _, _ = await collector.post(body, Content_Encoding=encoding)
    assert answered == status


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/json; charset=utf-16"])
async def test_another_content_type_is_415(collector: Collector, kind: str) -> None:
    assert (await collector.post(b"{}", Content_Type=kind))[0] == 415


async def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_not(collector: Collector) -> None:
    filler = b" " * (limits.BODY_BYTES - 2)
    assert (await collector.post(b"[" + filler + b"]"))[0] == 202
    assert (await collector.post(b"[" + filler + b" ]"))[0] == 413


# --- keys

KEYS = [
    ("the wrong scope", "read", 403),
    ("a revoked key", "revoked", 401),
    ("a bad checksum", "pc_live_abcdefghijklmnopqrstuvwxyzABCDEF_000000", 401),
    ("no key of ours", "sk-something", 401),
]


@pytest.mark.parametrize(("name", "status"), [row[1:] for row in KEYS], ids=[row[0] for row in KEYS])
async def test_keys(collector: Collector, name: str, status: int) -> None:
    answered, problem, headers = await collector.post(event(), token=collector.tokens.get(name, name))
    assert answered == status
    assert collector.tokens.get(name, name) not in json.dumps(problem)
    assert ("WWW-Authenticate" in headers) == (status == 401)


async def test_a_key_in_the_url_is_401_even_beside_a_good_header(collector: Collector) -> None:
    status, _, _ = await collector.post(event(), path=f"/v1/events?key={collector.tokens['ingest']}")
    assert status == 401


async def test_while_the_source_of_keys_is_away_known_keys_work_and_unknown_ones_get_503(collector: Collector) -> None:
    collector.source.up = False
    unknown, _ = make_key(account="a", scopes=("ingest",), now=0)
    assert (await collector.post(event()))[0] == 202
    status, _, headers = await collector.post(event(), token=unknown)
    assert status == 503
    assert headers["Retry-After"]


# --- trouble behind


async def test_while_the_log_is_away_it_is_503_with_retry_after(collector: Collector) -> None:
    collector.log.away = True
    status, _, headers = await collector.post(event())
    assert (status, headers["Retry-After"]) == (503, "2")
    async with collector.session.get(f"http://127.0.0.1:{collector.port}/readyz") as answer:
        assert answer.status == 503
    async with collector.session.get(f"http://127.0.0.1:{collector.port}/healthz") as answer:
        assert answer.status == 200


async def test_a_draining_collector_takes_nothing(collector: Collector) -> None:
    server = collector.runner.server
    assert isinstance(server, HardenedServer)
    server.draining = True
    status, _, headers = await collector.post(event())
    assert (status, headers["Retry-After"], headers["Connection"]) == (503, "2", "close")
    assert collector.log.records == []


async def test_what_minimal_forbids_never_reaches_the_log(collector: Collector) -> None:
    canary = f"canary-{uuid.uuid4()}"
    full = event(
        prompt=canary, response=[canary], error_message=canary, logs=[canary], tool_arguments={"a": canary}, tool_result=canary,
        metadata={"note": canary, "tags": {"userId": "ada"}}, usage={"prompt_tokens": 1, "text": canary},
    )  # fmt: skip
    await collector.post(full, token=collector.tokens["minimal"])
    await collector.post({**full, "privacy": "minimal"})
    for record in collector.log.records:
        assert canary.encode() not in record.value
    assert [e.event.user_id for e in collector.log.events()] == ["ada", "ada"]
