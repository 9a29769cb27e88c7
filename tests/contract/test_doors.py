"""CloudEvents and Voight's events at a running collector, and through the whole product: taken, named, stored once, priced as ours."""

from __future__ import annotations

import base64
import gzip
import json
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline import limits
from tests.support.collecting import Collector, collector
from tests.support.embedded import Running

__all__ = ["collector"]

ONE, MANY = "application/cloudevents+json", "application/cloudevents-batch+json"
USAGE = {"prompt_tokens": 1500, "completion_tokens": 120, "prompt_tokens_details": {"cached_tokens": 1024}}
SPAN = "0d7f3c9e-52a5-4d0e-8f6f-6c1f6d0a9b01"


def cloud(**attributes: Any) -> dict[str, Any]:
    event = {"specversion": "1.0", "id": "1", "source": "/eu", "type": "com.example.call", "data": {"model": "gpt-4o"}}
    return {name: value for name, value in {**event, **attributes}.items() if value is not ...}


def encoded(text: str | bytes) -> dict[str, Any]:
    raw = text.encode() if isinstance(text, str) else text
    return cloud(data=..., data_base64=base64.b64encode(raw).decode())


def voight(*, metadata: Any = None, **fields: Any) -> dict[str, Any]:
    kept = {"source": "openai-sdk", "tokens": {"input": 10, "output": 1}} | (metadata or {})
    return {"agentId": "bot", "type": "reasoning", "model": "gpt-4o", "outcome": "success", "metadata": kept, **fields}


# --- CloudEvents

RULES = [
    *((f"no {name}", cloud(**{name: ...}), "missing_field", f"/{name}") for name in ("specversion", "id", "source", "type")),
    *((f"null as {name}", cloud(**{name: None}), "missing_field", f"/{name}") for name in ("id", "source", "type")),
    *((f"an empty {name}", cloud(**{name: ""}), "invalid_value", f"/{name}") for name in ("id", "source", "type", "subject")),
    *((f"{name} as a number", cloud(**{name: 1}), "invalid_type", f"/{name}") for name in ("specversion", "id", "source", "type", "subject")),
    ("another version", cloud(specversion="0.3"), "invalid_value", "/specversion"),
    ("a source with a blank", cloud(source="my app"), "invalid_value", "/source"),
    ("a source of 1,025", cloud(source="s" * 1_025), "too_long", "/source"),
    ("time as a number", cloud(time=1_795_000_000_000), "invalid_timestamp", "/time"),
    ("time without an offset", cloud(time="2026-11-18T10:00:00"), "invalid_timestamp", "/time"),
    ("time of year 1800", cloud(time="1800-01-01T00:00:00Z"), "timestamp_too_old", "/time"),
    ("a subject of 257", cloud(subject="s" * 257), "too_long", "/subject"),
    ("NUL in the subject", cloud(subject="a\0"), "nul_character", "/subject"),
    ("XML as data", cloud(datacontenttype="application/xml"), "invalid_value", "/datacontenttype"),
    ("data that is a list", cloud(data=[1]), "invalid_type", "/data"),
    ("data that is text", cloud(data="{}"), "invalid_type", "/data"),
    ("data twice", cloud(data_base64="e30="), "invalid_value", "/data_base64"),
    ("data that is not base64", cloud(data=..., data_base64="%%%"), "invalid_value", "/data_base64"),
    ("base64 of no JSON", encoded("{nope"), "invalid_json", "/data_base64"),
    ("base64 of a list", encoded("[]"), "not_an_object", "/data_base64"),
    ("base64 of a key twice", encoded('{"type":"llm","type":"llm"}'), "duplicate_key", "/data_base64"),
    ("base64 of NaN", encoded('{"latency_ms":NaN}'), "invalid_number", "/data_base64"),
    ("base64 of 65 levels", encoded('{"prompt":' + "[" * 64 + "]" * 64 + "}"), "too_deep", "/data_base64"),
    ("base64 of a bad field", encoded('{"latency_ms":-1}'), "invalid_number", "/data_base64/latency_ms"),
    ("a type of ours that is none", cloud(type="percapita.poem"), "invalid_value", "/type"),
    ("two types", cloud(type="percapita.llm", data={"type": "tool"}), "invalid_value", "/data/type"),
    ("two times", cloud(time="2026-11-18T10:00:00Z", data={"timestamp": 1}), "invalid_value", "/data/timestamp"),
    ("two ids", cloud(data={"id": SPAN}), "invalid_value", "/data/id"),
    ("two users", cloud(subject="a", data={"metadata": {"tags": {"userId": "b"}}}), "invalid_value", "/data/metadata/tags/userId"),
    ("an unknown field in the data", cloud(data={"modle": "x"}), "unknown_field", "/data/modle"),
    ("a bad count in the data", cloud(data={"usage": {"output": -1}}), "invalid_tokens", "/data/usage/output"),
    ("a bad tag with a dot", cloud(data={"metadata": {"tags": {"a.b": {}}}}), "invalid_type", "/data/metadata/tags/a.b"),
    ("metadata that is none", cloud(data={"metadata": 1}, subject="a"), "invalid_type", "/data/metadata"),
    ("33 tags with the subject", cloud(data={"metadata": {"tags": {f"k{n}": "v" for n in range(32)}}}, subject="a"), "too_many_tags", "/data/metadata/tags"),
    ("an attribute in capitals", cloud(userId="ada"), "unknown_field", "/userId"),
    ("an extension that is a list", cloud(tenants=["a"]), "invalid_type", "/tenants"),
    ("an extension of 1.5", cloud(rate=1.5), "invalid_type", "/rate"),
    ("no object", 17, "not_an_object", ""),
    ("more than 1 MiB", cloud(data={"prompt": "x" * limits.EVENT_BYTES}), "event_too_large", ""),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "code", "pointer"), [row[1:] for row in RULES], ids=[row[0] for row in RULES])
async def test_a_rule_that_a_cloudevent_breaks_is_named_and_its_neighbours_are_stored(
    collector: Collector, bad: Any, code: str, pointer: str
) -> None:
    status, answer, _ = await collector.post([cloud(), bad, cloud(id="2")], Content_Type=MANY)
    assert (status, answer["accepted"]) == (202, 2)
    (rejected,) = answer["rejected"]
    assert (rejected["index"], rejected["code"], rejected["pointer"]) == (1, code, pointer)
    assert rejected["detail"]


async def test_a_cloudevents_id_is_made_of_its_source_and_its_id(collector: Collector) -> None:
    await collector.post([cloud(), cloud(), cloud(id="2"), cloud(source="/us")], Content_Type=MANY)
    first, again, other_id, other_source = (stored.event.id for stored in collector.log.events())
    assert first == again == str(uuid.uuid5(uuid.NAMESPACE_URL, "/eu\n1"))
    assert len({first, other_id, other_source}) == 3


async def test_one_cloudevent_and_a_batch_of_none_are_bodies_of_their_types(collector: Collector) -> None:
    assert (await collector.post(cloud(), Content_Type=f"{ONE}; charset=utf-8"))[:2] == (202, {"accepted": 1, "rejected": []})  # fmt: skip
    assert (await collector.post([], Content_Type=MANY))[:2] == (202, {"accepted": 0, "rejected": []})
    assert (await collector.post(gzip.compress(json.dumps(cloud()).encode()), Content_Type=ONE, Content_Encoding="gzip"))[0] == 202  # fmt: skip
    for body, kind, status in (
        ([cloud()], ONE, 400), (cloud(), MANY, 400), (b"{nope", ONE, 400), (b"", ONE, 400), (b"\xff", MANY, 400),
        (cloud(), f"{ONE}; charset=utf-16", 415), ([cloud()] * 1_001, MANY, 413),
    ):  # fmt: skip
        assert (await collector.post(body, Content_Type=kind))[0] == status


async def test_an_extension_named_events_is_no_list_of_events(collector: Collector) -> None:
    status, answer, _ = await collector.post(cloud(events="yes"), Content_Type=ONE)
    assert (status, answer["accepted"]) == (202, 1)


@pytest.mark.parametrize("ending", ["00-0-0-00", "ff-" + "a" * 32 + "-" + "b" * 16 + "-00", "00-" + "0" * 32 + "-" + "b" * 16 + "-00"])  # fmt: skip
async def test_a_traceparent_that_is_none_is_kept_and_is_no_trace(collector: Collector, ending: str) -> None:
    await collector.post(cloud(traceparent=ending), Content_Type=ONE)
    (stored,) = collector.log.events()
    assert stored.event.trace_id == ""
    assert ending in bytes(stored.event.metadata).decode()  # type: ignore[arg-type]  # it is there


HEADERS = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/eu", "ce_type": "percapita.llm"}


async def test_the_same_cloudevent_in_headers_is_the_same_event(collector: Collector) -> None:
    data = {"model": "gpt-4o", "usage": USAGE}
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    whole = cloud(type="percapita.llm", subject="é 1", time=now, data=data, traceparent=parent)
    await collector.post(whole, Content_Type=ONE)
    for kind in ("application/json", "application/vnd.example.call+json"):
        given = {**HEADERS, "CE_subject": "%C3%A9%201", "ce_time": now, "ce_traceparent": parent, "Content_Type": kind}
        assert (await collector.post(data, **given))[:2] == (202, {"accepted": 1, "rejected": []})
    first, second, third = (stored.event for stored in collector.log.events())
    assert first == second == third


BINARY = [
    ("no id", {"ce_id": ""}, {}, "invalid_value", "/ce-id"),
    ("another version", {"ce_specversion": "2.0"}, {}, "invalid_value", "/ce-specversion"),
    ("a percent sign that escapes no UTF-8", {"ce_subject": "%ff"}, {}, "invalid_value", "/ce-subject"),
    ("letters that are not escaped", {"ce_subject": "é"}, {}, "invalid_value", "/ce-subject"),
    ("a name with a hyphen", {"ce_my-tenant": "x"}, {}, "unknown_field", "/ce-my-tenant"),
    ("a bad time", {"ce_time": "yesterday"}, {}, "invalid_timestamp", "/ce-time"),
    ("a list as data", {}, [1], "not_an_object", ""),
    ("a bad field", {}, {"latency_ms": -1}, "invalid_number", "/latency_ms"),
    ("two types", {}, {"type": "tool"}, "invalid_value", "/type"),
]


@pytest.mark.parametrize(("headers", "data", "code", "pointer"), [row[1:] for row in BINARY], ids=[row[0] for row in BINARY])  # fmt: skip
async def test_what_is_wrong_in_headers_is_named_by_its_header(
    collector: Collector, headers: dict[str, str], data: Any, code: str, pointer: str
) -> None:
    status, answer, _ = await collector.post(data, **{**HEADERS, **headers})
    assert (status, answer["accepted"]) == (202, 0)
    assert [(one["index"], one["code"], one["pointer"]) for one in answer["rejected"]] == [(0, code, pointer)]


async def test_headers_without_the_rest_are_a_cloudevent_that_lacks_something(collector: Collector) -> None:
    status, answer, _ = await collector.post({"model": "gpt-4o"}, ce_id="1")
    assert (status, answer["rejected"][0]["pointer"]) == (202, "/ce-specversion")
    assert (await collector.post(b"", **HEADERS))[:2] == (202, {"accepted": 1, "rejected": []})
    assert (await collector.post(b"x=1", **HEADERS, Content_Type="text/plain"))[0] == 415
    assert (await collector.post([cloud()], **HEADERS, Content_Type=MANY))[:2] == (202, {"accepted": 1, "rejected": []})


# --- Voight

REFUSED = [
    ("an unknown field", voight(agnetId="x"), "unknown_field", "/agnetId"),
    ("an agent of 121", voight(agentId="a" * 121), "too_long", "/agentId"),
    ("an agent that is a number", voight(agentId=1), "invalid_type", "/agentId"),
    ("a duration below zero", voight(durationMs=-1), "invalid_number", "/durationMs"),
    ("an outcome that is none", voight(outcome="fine"), "invalid_value", "/outcome"),
    ("a type that is none", voight(type="poem"), "invalid_value", "/type"),
    ("a timestamp that is none", voight(timestamp="today"), "invalid_timestamp", "/timestamp"),
    ("a trace id of 65", voight(traceId="t" * 65), "too_long", "/traceId"),
    ("metadata that is none", {**voight(), "metadata": []}, "invalid_type", "/metadata"),
    ("tokens that are none", voight(metadata={"tokens": 5}), "invalid_type", "/metadata/tokens"),
    ("tokens at the top that are none", voight(metadata={"tokens": None}, tokens=5), "invalid_type", "/tokens"),
    ("a count below zero", voight(metadata={"tokens": {"input": -1, "output": 1}}), "invalid_tokens", "/metadata/tokens/input"),
    ("a cached count as text", voight(metadata={"tokens": {"input": 1, "cache_read": "1"}}), "invalid_tokens", "/metadata/tokens/cache_read"),
    ("a breakdown below zero", voight(metadata={"tokensBreakdown": {"cacheRead": -1}}), "invalid_tokens", "/metadata/tokensBreakdown/cacheRead"),
    ("an endpoint of 129", voight(metadata={"endpoint": "e" * 129}), "too_long", "/metadata/endpoint"),
    ("a session of 129", voight(metadata={"sessionId": "s" * 129}), "too_long", "/metadata/sessionId"),
    ("a privacy level that is none", voight(metadata={"privacyLevel": "off"}), "invalid_value", "/metadata/privacyLevel"),
    ("a span of zeros", voight(metadata={"spanId": "0" * 32}), "invalid_id", "/metadata/spanId"),
    ("a user of 257", voight(metadata={"tags": {"userId": "u" * 257}}), "too_long", "/metadata/tags/userId"),
    ("tags that are a list", voight(metadata={"tags": ["a"]}), "invalid_type", "/metadata/tags"),
    ("metadata above 16 KiB", voight(metadata={"git": "g" * 16_384}), "too_long", "/metadata"),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "code", "pointer"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_what_is_wrong_in_voights_shape_is_named_by_its_own_field(
    collector: Collector, bad: Any, code: str, pointer: str
) -> None:
    status, answer, _ = await collector.post([voight(), bad, {"type": "llm"}])
    assert (status, answer["accepted"]) == (202, 2)
    assert [(one["index"], one["code"], one["pointer"]) for one in answer["rejected"]] == [(1, code, pointer)]


OURS = [
    ("a mistyped agent", {"type": "llm", "agentId": "x", "usage": {"output": 1}}, "/agentId"),
    ("a mistyped duration", {"type": "llm", "provider": "openai", "durationMs": 5}, "/durationMs"),
    ("a trace id in camel case", {"type": "llm", "traceId": "t"}, "/traceId"),
]


@pytest.mark.parametrize(("bad", "pointer"), [row[1:] for row in OURS], ids=[row[0] for row in OURS])
async def test_an_event_of_ours_with_a_field_of_theirs_is_refused_as_ever(
    collector: Collector, bad: Any, pointer: str
) -> None:
    _, answer, _ = await collector.post(bad)
    assert [(one["code"], one["pointer"]) for one in answer["rejected"]] == [("unknown_field", pointer)]


async def test_ndjson_and_the_envelope_may_mix_shapes(collector: Collector) -> None:
    lines = b"\n".join(json.dumps(one).encode() for one in (voight(), {"type": "log"}))
    assert (await collector.post(lines, Content_Type="application/x-ndjson"))[1]["accepted"] == 2
    assert (await collector.post({"events": [voight(), {"type": "log"}]}))[1]["accepted"] == 2


async def test_under_minimal_nothing_said_reaches_the_log_by_any_door(collector: Collector) -> None:
    canary = f"canary-{uuid.uuid4()}"
    token = collector.tokens["minimal"]
    content = {"prompt": canary, "error_message": canary, "metadata": {"note": canary}}
    said = voight(
        input={"messages": [canary]}, reasoning=canary, errorMessage=canary, toolsConsidered=[canary],
        metadata={"responseText": canary, "toolCalls": [canary], "logs": [canary], "detail": canary, "note": canary},
    )  # fmt: skip
    await collector.post(said, token=token)
    await collector.post({**said, "metadata": said["metadata"] | {"privacyLevel": "minimal"}})
    await collector.post(cloud(data=content, note=canary), token=token, Content_Type=ONE)
    await collector.post(content, token=token, **HEADERS, ce_note=canary)
    assert len(collector.log.records) == 4
    assert not any(canary.encode() in record.value for record in collector.log.records)


# --- through the whole product


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = Running(tmp_path_factory.mktemp("doors") / "data")
    yield found
    assert found.end(signal.SIGTERM) == 0
    assert found.process.stdout is not None
    found.process.stdout.close()


def native(user: str) -> tuple[Any, dict[str, str]]:
    return {
        "id": str(uuid.uuid4()), "type": "llm", "provider": "openai", "model": "gpt-4o-2024-08-06", "usage": USAGE, "latency_ms": 7,
        "metadata": {"tags": {"userId": user, "plan": "pro"}},
    }, {}  # fmt: skip


def in_data(user: str) -> dict[str, Any]:
    return {
        "provider": "openai", "model": "gpt-4o-2024-08-06", "usage": USAGE, "latency_ms": 7, "metadata": {"tags": {"plan": "pro"}},
    }  # fmt: skip


def one_cloudevent(user: str) -> tuple[Any, dict[str, str]]:
    return cloud(source="/one", subject=user, data=in_data(user)), {"Content-Type": ONE}


def a_batch(user: str) -> tuple[Any, dict[str, str]]:
    return [cloud(source="/batch", subject=user, data=in_data(user))], {"Content-Type": MANY}


def in_headers(user: str) -> tuple[Any, dict[str, str]]:
    return in_data(user), {
        "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/headers", "ce-type": "percapita.llm", "ce-subject": user,
    }  # fmt: skip


def of_voight(user: str) -> tuple[Any, dict[str, str]]:
    return {
        "agentId": "bot", "type": "reasoning", "model": "gpt-4o-2024-08-06", "durationMs": 7, "outcome": "success",
        "metadata": {
            "source": "openai-sdk", "spanId": str(uuid.uuid4()), "tags": {"userId": user, "plan": "pro"},
            "tokens": {"input": 1500, "output": 120, "total": 1620, "cache_read": 1024},
        },
    }, {}  # fmt: skip


@pytest.mark.parametrize("door", [native, one_cloudevent, a_batch, in_headers, of_voight])
def test_a_call_costs_the_same_by_every_door_and_is_stored_once_when_it_is_sent_again(
    running: Running, door: Callable[[str], tuple[Any, dict[str, str]]]
) -> None:
    body, headers = door(door.__name__)
    for _ in range(3):
        assert running.post(body, **headers) == {"accepted": 1, "rejected": []}
    users = {user["user_id"]: user for user in running.get("users?tag.plan=pro")["data"]}
    mine = users[door.__name__]
    # 476 uncached at $2.50, 1,024 cached at $1.25 and 120 out at $10 a million.
    assert (mine["events"], mine["spend"], mine["tokens"]) == (1, "0.00367", 1620)
