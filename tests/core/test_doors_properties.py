"""Whatever comes in another shape than ours: events, rejections that repeat no value, or one of our own errors; and no number is lost."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import limits
from pipeline.body import CLOUD_EVENT
from pipeline.parse import parse_batch
from pipeline.usage import read_usage
from tests.core.test_parse_properties import EVENT, JSON, NOW, mutated
from tests.fuzz.targets import DOORS, doors

COUNT = st.integers(0, limits.TOKENS_MAX)
TOKENS = st.dictionaries(
    st.sampled_from([
        "input", "output", "total", "cache_read", "cache_creation", "reasoning", "inputBase", "cacheRead", "cacheCreation", "prompt_tokens",
        "input_tokens", "prompt_tokens_details", "output_tokens_details", "audio",
    ]),
    COUNT | JSON,
)  # fmt: skip
VOIGHT = st.fixed_dictionaries(
    {},
    optional={
        "agentId": st.text(max_size=8) | JSON, "durationMs": st.integers(0, 10**6) | JSON, "timestamp": st.just(NOW // 1000) | JSON,
        "outcome": st.sampled_from(["success", "failed", "pending"]) | JSON, "model": st.sampled_from(["gpt-4o", "claude-sonnet-4-5"]) | JSON,
        "type": st.sampled_from(["reasoning", "tool", "action", "decision", "error"]) | JSON, "tokens": TOKENS | JSON,
        "toolExecuted": JSON, "reasoning": JSON, "input": JSON, "traceId": JSON, "spanId": JSON, "x": JSON,
        "metadata": JSON | st.fixed_dictionaries({}, optional={
            "source": st.sampled_from(["openai-sdk", "anthropic-sdk", "vercel-ai-sdk", "bitfrost"]) | JSON, "tokens": TOKENS,
            "tokensBreakdown": TOKENS, "tags": st.dictionaries(st.text("abC._-", min_size=1), JSON), "spanId": st.uuids().map(str) | JSON,
            "provider": JSON, "responseModel": JSON, "responseText": JSON, "toolCalls": JSON, "logs": JSON, "dedupKey": JSON, "detail": JSON,
            "privacyLevel": st.sampled_from(["minimal", "standard", "full"]) | JSON, "api": JSON, "endpoint": JSON,
        }),
    },
)  # fmt: skip
CLOUD = st.dictionaries(st.text("abcZ0_", min_size=1, max_size=4), JSON, max_size=2).flatmap(
    lambda more: st.fixed_dictionaries(
        {"specversion": st.just("1.0") | JSON, "id": st.text(min_size=1) | JSON, "source": st.just("/a") | JSON, "type": st.just("percapita.llm") | JSON},
        optional={
            "subject": st.text() | JSON, "time": st.datetimes().map(lambda at: at.isoformat() + "Z") | JSON, "data": EVENT | JSON,
            "data_base64": st.just("eyJtb2RlbCI6ICJncHQtNG8ifQ==") | st.text("ab=") | JSON, "traceparent": st.text() | JSON,
            "datacontenttype": st.just("application/json") | JSON,
        },
    ).map(lambda known: {**more, **known})
)  # fmt: skip
GOOD = [
    bytes([0])
    + b'{"specversion":"1.0","id":"1","source":"/a","type":"percapita.llm","subject":"ada","data":{"usage":{"output":1}}}',
    bytes([1])
    + b'[{"specversion":"1.0","id":"1","source":"/a","type":"t","data_base64":"eyJtb2RlbCI6ICJncHQtNG8ifQ==","traceparent":"00-"}]',
    bytes([2])
    + b'{"agentId":"a","type":"reasoning","outcome":"success","metadata":{"source":"openai-sdk","tokens":{"input":9,"output":1,'
    b'"cache_read":4},"tokensBreakdown":{"inputBase":1},"tags":{"userId":"ada","x":[1]},"toolCalls":[],"spanId":"00f067aa0ba902b7"}}',
    bytes([3])
    + b'specversion=1.0&id=1&source=/a&type=percapita.llm&subject=%2541&time=2026-11-18T10:00:00Z\n{"usage":{"output":1}}',
]


@settings(max_examples=500, deadline=None)
@given(event=VOIGHT)
def test_anything_like_voights(event: Any) -> None:
    doors(bytes([DOORS.index("application/json")]) + json.dumps(event).encode())


@settings(max_examples=500, deadline=None)
@given(event=CLOUD)
def test_anything_like_a_cloudevent(event: Any) -> None:
    doors(bytes([0]) + json.dumps(event).encode())
    doors(bytes([1]) + json.dumps([event, event]).encode())


@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_bodies_that_were_damaged_on_their_way(data: st.DataObject) -> None:
    doors(data.draw(mutated(data.draw(st.sampled_from(GOOD)))))


def test_the_good_ones_are_taken_whole() -> None:
    for body in GOOD[:3]:
        batch = parse_batch(body[1:], DOORS[body[0]], NOW)
        assert (len(batch.events), batch.rejected) == (1, [])


@settings(max_examples=300, deadline=None)
@given(
    source=st.sampled_from(["openai-sdk", "anthropic-sdk", "vercel-ai-sdk", "bitfrost"]),
    counts=st.lists(st.integers(0, 10**6), min_size=5, max_size=5),
)
def test_tokens_of_voight_are_those_of_the_provider_to_the_last(source: str, counts: list[int]) -> None:
    uncached, read, written, output, reasoning = counts
    inclusive = source != "anthropic-sdk"
    tokens = {
        "input": uncached + (read + written) * inclusive, "output": output + reasoning, "cache_read": read, "cache_creation": written,
    } | ({"reasoning": reasoning} if inclusive else {})  # fmt: skip
    (event,) = parse_batch(
        json.dumps({"agentId": "a", "type": "reasoning", "metadata": {"source": source, "tokens": tokens}}).encode(),
        "",
        NOW,
    ).events
    found = read_usage(event.usage, event.provider).usage
    if not any(counts):
        assert found is None
        return
    assert found is not None
    assert (found.input_uncached, found.input_cache_read, found.input_cache_write_5m) == (uncached, read, written)
    assert (found.output, found.output_reasoning) == (output + reasoning, reasoning * inclusive)


def _numbers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in _numbers(item)]
    return [value] if isinstance(value, int) else []


@settings(max_examples=300, deadline=None)
@given(
    tokens=st.dictionaries(st.text("abcdefinoptu_", min_size=1, max_size=8), COUNT.filter(bool), min_size=1),
    place=st.sampled_from(["tokens", "tokensBreakdown"]),
)
def test_a_count_of_any_name_is_kept_with_its_event(tokens: dict[str, int], place: str) -> None:
    batch = parse_batch(json.dumps({"agentId": "a", "metadata": {place: tokens}}).encode(), "", NOW)
    (event,) = batch.events
    assert event.usage is not msgspec.UNSET
    assert sorted(_numbers(tokens)) == sorted(number for number in _numbers(msgspec.json.decode(event.usage)) if number)


@settings(max_examples=200, deadline=None)
@given(event=EVENT)
def test_what_ours_is_taken_is_taken_as_the_data_of_a_cloudevent(event: dict[str, Any]) -> None:
    ours = {name: value for name, value in event.items() if name not in ("id", "type")}
    plain = parse_batch(json.dumps([ours]).encode(), "", NOW)
    cloud = parse_batch(
        json.dumps({"specversion": "1.0", "id": "1", "source": "/a", "type": "t", "data": ours}).encode(),
        CLOUD_EVENT,
        NOW,
    )
    assert [(one.code, one.detail) for one in plain.rejected] == [(one.code, one.detail) for one in cloud.rejected]
    for was, now in zip(plain.events, cloud.events, strict=True):
        same = msgspec.structs.replace(now, id=was.id, metadata=was.metadata)
        assert same == was
