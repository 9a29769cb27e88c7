"""Every bad event, body and key that is settled, and its answer: on a running collector."""

from __future__ import annotations

import gzip
import json
import time
import uuid
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from backports import zstd

from pipeline import limits
from pipeline.keys import make_key
from pipeline.server import HardenedServer
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
    ("UTF-16 without a mark", '{"type":"llm"}'.encode("utf-16-le"), 400),
    ("UTF-16 of the other order", '{"type":"llm"}'.encode("utf-16-be"), 400),
    ("UTF-32", '{"type":"llm"}'.encode("utf-32-le"), 400),
    ("a byte order mark", b'\xef\xbb\xbf{"type":"llm"}', 400),
    ("NaN alone", b"NaN", 400),
    ("NaN behind a number", b"[1 NaN]", 400),
    ("half a list", b'[{"type":"llm"}', 400),
    ("an event that is not JSON among good ones", b'[{"type":"llm"},{nope}]', 400),
    ("NaN beside what is not JSON", b'[{"latency_ms":NaN},{nope}]', 400),
    ("a string without an end", b'[{"prompt":"' + b'\\"' * 100_000, 400),
    ("1,001 levels", b'[{"prompt":' + b"[" * 1000 + b"]" * 1000 + b"}]", 400),
    ("events twice", b'{"events":[],"events":[]}', 400),
    ("events twice, one spelled with escapes", b'{"events":[],"\\u0065vents":[]}', 400),
    ("dropped twice", b'{"dropped":{},"events":[],"dropped":{}}', 400),
    ("a count twice", b'{"events":[],"dropped":{"a":1,"a":2}}', 400),
    ("a field beside events", b'{"events":[],"event":{}}', 400),
    ("dropped of 33 reasons", json.dumps({"events": [], "dropped": {f"r{n}": 1 for n in range(33)}}).encode(), 400),
    ("dropped below nothing", b'{"events":[],"dropped":{"a":-1}}', 400),
    ("4,000,000 numbers", b"[" + b"0," * 4_000_000 + b"0]", 413),
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
    ("NDJSON with a line in UTF-16", '{"type":"llm"}'.encode("utf-16-le") + b"\n" + b'{"type":"llm"}', "application/x-ndjson", 1, 1),
    ("NDJSON of blanks", b" \r\n\t\n" * 1000, "application/x-ndjson", 0, 0),
    ("blanks around a list's events", b' [ {"type":"llm"} , {"latency_ms":NaN} ] ', "application/json", 1, 1),
    ("dropped before events", b'{ "dropped" : {"x": 1} , "events" : [{"type":"llm"}, {"latency_ms":Infinity}] }', "application/json", 1, 1),
    ("lone surrogates in half of the events", b'[{"prompt":"\\ud800"},{"prompt":"\\ud83d\\ude00"},{"prompt":"\\\\ud800"}]', "application/json", 3, 0),
    ("500 levels in one event", b'[{"prompt":' + b"[" * 500 + b"]" * 500 + b'},{"type":"llm"}]', "application/json", 1, 1),
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
    told = [record for record in collector.log.records if b'"dropped":' in record.value]
    assert len(collector.log.records) - len(told) == accepted
    assert len(told) == int(rejected > 0 or b'"dropped"' in body)


# --- one event among good ones

DAY = 86_400_000
NOW = time.time_ns() // 1_000_000


def tagged(tags: Any) -> dict[str, Any]:
    return event(metadata={"tags": tags})


def used(**usage: Any) -> dict[str, Any]:
    return event(usage=usage)


REJECTED: list[tuple[str, bytes | dict[str, Any] | Callable[[], dict[str, Any]], str, str]] = [
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
    (
        "11 minutes ahead",
        lambda: event(timestamp=time.time_ns() // 1_000_000 + 11 * 60_000),
        "timestamp_in_future",
        "/timestamp",
    ),
    ("33 tags", tagged({f"k{n}": "v" for n in range(33)}), "too_many_tags", "/metadata/tags"),
    ("10,000 tags", tagged({f"k{n}": "v" for n in range(10_000)}), "too_many_tags", "/metadata/tags"),
    ("a tag value of 1 MB", tagged({"k": "v" * 1_000_000}), "too_long", "/metadata/tags/k"),
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
    ("more than 1 MiB of objects", b'{"prompt":[' + b'{"a":0},' * 500_000 + b"{}]}", "event_too_large", ""),
    ("more than 1 MiB of NaN", b'{"prompt":[' + b"NaN," * 500_000 + b"0]}", "event_too_large", ""),
    ("a duration of true", event(latency_ms=True), "invalid_type", "/latency_ms"),
    ("a duration of 1e300", event(latency_ms=1e300), "invalid_number", "/latency_ms"),
    ("minute 60", event(timestamp="2026-11-24T10:60:00Z"), "invalid_timestamp", "/timestamp"),
    ("an offset of 25 hours", event(timestamp="2026-11-24T10:00:00+25:00"), "invalid_timestamp", "/timestamp"),
    ("unix time in us", event(timestamp=NOW * 1000), "invalid_timestamp", "/timestamp"),
    ("unix time of -2^63", event(timestamp=-(2**63)), "invalid_timestamp", "/timestamp"),
    ("full-width digits as time", event(timestamp="２０２６-11-24T10:00:00Z"), "invalid_timestamp", "/timestamp"),
    ("an id of digits that are no ASCII", event(id="٠" * 32), "invalid_id", "/id"),
    ("a cost of full-width digits", event(cost_usd="１"), "invalid_value", "/cost_usd"),
    ("a cost of NaN", event(cost_usd="NaN"), "invalid_value", "/cost_usd"),
]


@pytest.mark.parametrize(("bad", "code", "pointer"), [row[1:] for row in REJECTED], ids=[row[0] for row in REJECTED])
async def test_a_bad_event_is_named_and_its_neighbours_are_stored(
    collector: Collector, bad: Any, code: str, pointer: str
) -> None:
    bad = bad() if callable(bad) else bad  # what depends on the time of the test
    text = bad if isinstance(bad, bytes) else json.dumps(bad).encode()
    good = json.dumps(event(id=ID)).encode()
    status, answer, _ = await collector.post(b"[" + good + b"," + text + b"," + good + b"]")
    assert (status, answer["accepted"]) == (202, 2)
    (rejected,) = answer["rejected"]
    assert (rejected["index"], rejected["code"], rejected["pointer"]) == (1, code, pointer)
    assert rejected["detail"]
    first, second, told = collector.log.records
    assert first.value == second.value  # but for the time of receipt, which is one of a request
    assert json.loads(told.value)["dropped"] == {f"rejected.{code}": 1}


ACCEPTED: list[tuple[str, dict[str, Any] | str]] = [
    ("32 tags, keys of 64, values of 256", tagged({f"{n:0>64}": "v" * 256 for n in range(32)})),
    ("null for an optional field", event(trace_id=None, usage=None, latency_ms=None, metadata=None)),
    ("null inside a provider's usage", used(prompt_tokens=5, completion_tokens=1, prompt_tokens_details=None)),
    ("an unknown usage shape", used(anything={"x": 1})),
    ("2^32-1 tokens", used(output=2**32 - 1)),
    ("lower-case t and z", event(timestamp=time.strftime("%Y-%m-%dt%H:%M:%Sz", time.gmtime()))),
    ("an offset", event(timestamp=time.strftime("%Y-%m-%dT%H:%M:%S.123456789+00:00", time.gmtime()))),
    ("1 MiB under blanks", json.dumps(event(prompt=["x"] * 200_000), indent=8)),
    ("1 MiB spelled with escapes", json.dumps(event(prompt="é" * 400_000))),
    ("64 levels", event(prompt=json.loads("[" * 63 + "]" * 63))),
    ("NUL in a prompt", event(prompt="a\0b")),
    ("SQL in a tag value", tagged({"userId": "'; DROP TABLE events; --"})),
    ("an id in another form", event(id="{" + ID.upper() + "}")),
    ("a cost of nine decimals", event(cost_usd="123456789.123456789")),
]


@pytest.mark.parametrize("good", [row[1] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
async def test_what_is_at_a_limit_is_taken(collector: Collector, good: dict[str, Any] | str) -> None:
    status, answer, _ = await collector.post(good.encode() if isinstance(good, str) else good)
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
        event(usage={secret + "!": -1, "output": secret}),
        event(cost_usd=secret, model=secret * 20),
        event(privacy=secret),
        secret,
        {"events": [], secret: 1},
        {"events": [], "dropped": {secret: secret}},
    ):
        _, answer, _ = await collector.post(bad)
        assert secret not in json.dumps(answer)


async def test_a_key_as_the_name_of_a_field_is_not_repeated(collector: Collector) -> None:
    key = collector.tokens["ingest"]
    for bad in (event(**{key: 1}), tagged({key: {}}), event(usage={key: -1, "output": 1})):
        _, answer, _ = await collector.post(bad)
        assert len(answer["rejected"]) == 1
        assert key not in json.dumps(answer)


# --- encodings

BIG = b'{"prompt":"' + b"x" * 1000 + b'"}'
WIDE = b"\x28\xb5\x2f\xfd\x00\xa8" + b"\x01\x00\x00"  # a zstd frame header that asks for a window of 2 GB
SKIPPABLE = b"\x50\x2a\x4d\x18" + (7).to_bytes(4, "little") + b"ignored"
LIST = b"[" + BIG + b"]"
RAW_DEFLATE = zlib.compress(BIG)[2:-4]
ENCODED = [
    ("gzip", gzip.compress(BIG), "gzip", 202),
    ("gzip by its old name, in capitals", gzip.compress(BIG), "X-GZip", 202),
    ("identity", BIG, "identity", 202),
    ("gzip in two members", gzip.compress(LIST[:500]) + gzip.compress(LIST[500:]), "gzip", 202),
    ("gzip in 2,000 members", b"".join(gzip.compress(b" ") for _ in range(2000)), "gzip", 400),
    ("garbage behind gzip", gzip.compress(BIG) + b"garbage", "gzip", 400),
    ("zeros behind gzip", gzip.compress(BIG) + bytes(512), "gzip", 400),
    ("half a member behind gzip", gzip.compress(LIST) + gzip.compress(b" ")[:7], "gzip", 400),
    ("gzip with a bad checksum", gzip.compress(BIG)[:-8] + bytes(8), "gzip", 400),
    ("gzip within gzip", gzip.compress(gzip.compress(BIG)), "gzip", 400),
    ("truncated gzip", gzip.compress(BIG)[:-9], "gzip", 400),
    ("gzip of nothing", gzip.compress(b""), "gzip", 400),
    ("nothing as gzip", b"", "gzip", 400),
    ("gzip of UTF-16", gzip.compress('{"type":"llm"}'.encode("utf-16")), "gzip", 400),
    ("plain labelled gzip", BIG, "gzip", 400),
    ("a gzip bomb of 300 MB", gzip.compress(b"0" * 300_000_000, 9), "gzip", 413),
    ("deflate", zlib.compress(BIG), "deflate", 202),
    ("deflate without its header", RAW_DEFLATE, "deflate", 202),
    ("garbage behind deflate", zlib.compress(BIG) + b"garbage", "deflate", 400),
    ("garbage behind deflate without its header", RAW_DEFLATE + b"garbage", "deflate", 400),
    ("truncated deflate", zlib.compress(BIG)[:-5], "deflate", 400),
    ("nothing as deflate", b"", "deflate", 400),
    ("deflate of nothing", zlib.compress(b""), "deflate", 400),
    ("plain labelled deflate", BIG, "deflate", 400),
    ("gzip labelled deflate", gzip.compress(BIG), "deflate", 400),
    ("a deflate bomb", zlib.compress(b"0" * 300_000_000, 9), "deflate", 413),
    ("zstd", zstd.compress(BIG), "zstd", 202),
    ("zstd in two frames", zstd.compress(LIST[:500]) + zstd.compress(LIST[500:]), "zstd", 202),
    ("zstd with a frame to skip", SKIPPABLE + zstd.compress(BIG), "zstd", 202),
    ("2,000 frames to skip", SKIPPABLE * 2000, "zstd", 400),
    ("garbage behind zstd", zstd.compress(BIG) + b"garbage", "zstd", 400),
    ("truncated zstd", zstd.compress(BIG)[:-3], "zstd", 400),
    ("nothing as zstd", b"", "zstd", 400),
    ("zstd of nothing", zstd.compress(b""), "zstd", 400),
    ("plain labelled zstd", BIG, "zstd", 400),
    ("a zstd bomb", zstd.compress(b"0" * 300_000_000), "zstd", 413),
    ("a zstd window of 2 GB", WIDE, "zstd", 413),
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


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [("identity", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstd.compress)],
)
async def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_not(
    collector: Collector, encoding: str, encode: Callable[[bytes], bytes]
) -> None:
    filler = b" " * (limits.BODY_BYTES - 2)
    assert (await collector.post(encode(b"[" + filler + b"]"), Content_Encoding=encoding))[0] == 202
    assert (await collector.post(encode(b"[" + filler + b" ]"), Content_Encoding=encoding))[0] == 413


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
