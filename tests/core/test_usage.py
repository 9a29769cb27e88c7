"""Usage objects as providers send them -> disjoint token classes."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import limits
from pipeline.usage import CLASSES, ReadUsage, Usage, read_usage, usage_problem

OPENAI_CHAT: dict[str, Any] = {
    "prompt_tokens": 1500, "completion_tokens": 142, "total_tokens": 1642,
    "prompt_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 1000, "audio_tokens": 0, "text_tokens": None},
    "completion_tokens_details": {
        "reasoning_tokens": 64, "audio_tokens": None, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
    },
}  # fmt: skip
OPENAI_RESPONSES: dict[str, Any] = {
    "input_tokens": 1500,
    "input_tokens_details": {
        "cached_tokens": 400, "cache_write_tokens": 1000,
        "cache_write_tokens_details": {"ttl_30m_tokens": 700, "ttl_12h_tokens": 300},
    },
    "output_tokens": 142, "output_tokens_details": {"reasoning_tokens": 64}, "total_tokens": 1642,
}  # fmt: skip
ANTHROPIC: dict[str, Any] = {
    "input_tokens": 100, "cache_read_input_tokens": 400, "cache_creation_input_tokens": 1000,
    "cache_creation": {"ephemeral_5m_input_tokens": 700, "ephemeral_1h_input_tokens": 300},
    "output_tokens": 142, "output_tokens_details": {"thinking_tokens": 64}, "inference_geo": "eu",
    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 9}, "service_tier": "priority", "speed": "fast",
}  # fmt: skip
LITELLM_ANTHROPIC: dict[str, Any] = {
    "prompt_tokens": 1500, "completion_tokens": 142, "total_tokens": 1642,
    "prompt_tokens_details": {
        "cached_tokens": 400, "cache_creation_tokens": 1000,
        "cache_creation_token_details": {"ephemeral_5m_input_tokens": 700, "ephemeral_1h_input_tokens": 300},
    },
    "cache_creation_input_tokens": 1000, "cache_read_input_tokens": 400,
}  # fmt: skip
REALTIME: dict[str, Any] = {
    "input_tokens": 600, "output_tokens": 90, "total_tokens": 690,
    "input_token_details": {
        "text_tokens": 100, "audio_tokens": 500, "cached_tokens": 300,
        "cached_tokens_details": {"text_tokens": 50, "audio_tokens": 250},
    },
    "output_token_details": {"text_tokens": 20, "audio_tokens": 70},
}  # fmt: skip
SHAPES = [OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC, LITELLM_ANTHROPIC, REALTIME]


def read(value: object, provider: str = "openai") -> ReadUsage:
    return read_usage(json.dumps(value).encode(), provider)


def test_openai_chat_input_includes_reads_and_writes_and_its_writes_live_30_minutes() -> None:
    expected = Usage(100, 400, input_cache_write_30m=1000, output=142, output_reasoning=64)
    assert read(OPENAI_CHAT) == ReadUsage(expected)
    assert expected.tokens == OPENAI_CHAT["total_tokens"]


def test_openai_responses_say_which_writes_live_12_hours() -> None:
    expected = Usage(100, 400, input_cache_write_30m=700, input_cache_write_12h=300, output=142, output_reasoning=64)
    assert read(OPENAI_RESPONSES) == ReadUsage(expected)


def test_anthropic_input_excludes_the_cache_and_writes_are_split() -> None:
    expected = Usage(100, 400, 700, input_cache_write_1h=300, output=142, output_reasoning=64, web_searches=2)
    assert read(ANTHROPIC, "anthropic") == ReadUsage(expected, (), "priority", "fast")


@pytest.mark.parametrize("provider", ["anthropic", "aws.bedrock", ""])
def test_anthropics_writes_without_a_split_live_5_minutes(provider: str) -> None:
    delta = {
        "input_tokens": 100,
        "cache_creation_input_tokens": 1000,
        "cache_read_input_tokens": None,
        "output_tokens": 5,
    }
    assert read(delta, provider) == ReadUsage(Usage(100, 0, 1000, output=5))


def test_writes_that_the_split_lacks_live_5_minutes_and_are_flagged() -> None:
    usage = {
        "input_tokens": 1,
        "cache_creation_input_tokens": 1000,
        "cache_creation": {"ephemeral_1h_input_tokens": 300},
    }
    assert read(usage) == ReadUsage(Usage(1, 0, 700, input_cache_write_1h=300), ("usage_inconsistent",))


def test_a_split_without_the_sum_is_enough() -> None:
    usage = {"input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 300, "ephemeral_5m_input_tokens": 7}}
    assert read(usage) == ReadUsage(Usage(1, 0, 7, input_cache_write_1h=300))


def test_litellms_anthropic_object_is_inclusive_and_split() -> None:
    expected = Usage(100, 400, 700, input_cache_write_1h=300, output=142)
    assert read(LITELLM_ANTHROPIC, "anthropic") == ReadUsage(expected)


def test_input_tokens_alone_are_anthropics_by_the_providers_name_and_cost_the_same_either_way() -> None:
    assert read({"input_tokens": 5, "output_tokens": 3}, "Anthropic") == ReadUsage(Usage(5, output=3))
    assert read({"input_tokens": 5, "output_tokens": 3}, "openai") == ReadUsage(Usage(5, output=3))


def test_realtime_audio_is_told_apart_from_audio_read_from_the_cache() -> None:
    expected = Usage(300, 300, output=90, input_audio=250, input_audio_cache_read=250, output_audio=70)
    assert read(REALTIME) == ReadUsage(expected)


def test_audio_beyond_the_uncached_input_came_from_the_cache() -> None:
    usage = {"prompt_tokens": 550, "prompt_tokens_details": {"cached_tokens": 500, "audio_tokens": 100}}
    assert read(usage) == ReadUsage(Usage(50, 500, input_audio=50, input_audio_cache_read=50))


def test_embeddings_have_input_only() -> None:
    assert read({"prompt_tokens": 8, "total_tokens": 8}) == ReadUsage(Usage(8))


def test_our_own_classes_are_taken_as_they_are() -> None:
    usage = {name: number for number, name in enumerate(Usage._fields, 1)} | {"output": 50, "input_uncached": 50}
    usage |= {"input_cache_read": 50}
    assert read(usage).usage == Usage(**usage)
    assert read({"output": 0}) == ReadUsage(Usage())
    assert read({"output": 3, "service_tier": "flex"}) == ReadUsage(Usage(output=3), (), "flex")


def test_no_usage_is_nothing_and_an_unknown_shape_is_flagged() -> None:
    assert read_usage(None, "openai") == ReadUsage(None)
    unknown = [
        {},
        {"promptTokenCount": 5},
        [],
        7,
        {"service_tier": "flex"},
        {"prompt_tokens": None},
        {"total_tokens": 7},
    ]
    for usage in unknown:
        assert read(usage) == ReadUsage(None, ("usage_unknown",))


def test_output_without_input_is_not_half_a_price() -> None:
    assert read({"output_tokens": 50}, "anthropic") == ReadUsage(None, ("usage_unknown",))


def test_reads_above_an_inclusive_input_mean_that_the_emitter_was_exclusive() -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 400}}
    assert read(usage) == ReadUsage(Usage(100, 400, output=5), ("usage_inconsistent",))


@pytest.mark.parametrize(("provider", "total"), [("openai", 1242), ("x_ai", None), ("xai.chat", None), ("x-ai", 0)])
def test_reasoning_beside_the_output_is_added_where_the_total_or_the_name_says_so(
    provider: str, total: int | None
) -> None:
    usage = {
        "prompt_tokens": 1000, "completion_tokens": 142, "total_tokens": total,
        "completion_tokens_details": {"reasoning_tokens": 100},
    }  # fmt: skip
    assert read(usage, provider) == ReadUsage(Usage(1000, output=242, output_reasoning=100))


def test_reasoning_inside_the_output_stays_there_for_xai_too_when_the_total_says_so() -> None:
    assert read(OPENAI_CHAT, "x_ai").usage == read(OPENAI_CHAT, "openai").usage


def test_reasoning_above_the_output_is_beside_it_and_flagged() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 9}}
    assert read(usage) == ReadUsage(Usage(1, output=14, output_reasoning=9), ("usage_inconsistent",))


def test_subsets_above_their_whole_are_kept_and_flagged() -> None:
    for usage in ({"output": 1, "output_reasoning": 2}, {"output": 1, "output_audio": 2}, {"input_audio": 1}):
        assert read(usage) == ReadUsage(Usage(**usage), ("usage_inconsistent",))
        assert usage_problem(usage) is None


def test_known_keys_only_so_an_object_among_the_details_is_harmless() -> None:
    usage = OPENAI_CHAT | {"prompt_tokens_details": {"cached_tokens": 1, "new_thing": {"a": 1}}, "vendor": [1.5, None]}
    assert usage_problem(usage) is None
    assert read(usage).usage == Usage(1499, 1, output=142, output_reasoning=64)


def test_a_sum_that_no_column_holds_is_unknown() -> None:
    most = limits.TOKENS_MAX
    usage = {"prompt_tokens": 1, "completion_tokens": most, "completion_tokens_details": {"reasoning_tokens": most}}
    assert read(usage, "x_ai") == ReadUsage(None, ("usage_unknown",))


def test_a_tier_is_text_without_nul_or_nothing() -> None:
    for tier in (7, None, ["flex"], "fl\0ex"):
        assert read({"output": 1, "service_tier": tier}) == ReadUsage(Usage(output=1))
        assert read({"prompt_tokens": 1, "service_tier": tier}) == ReadUsage(Usage(1))


@pytest.mark.parametrize("count", [None, -1, True, 1.0, 5.5, "5", 2**32, 10**40, [], {}])
def test_our_classes_are_whole_numbers_up_to_the_limit(count: object) -> None:
    problem = usage_problem({"input_uncached": 1, "output": count})
    assert problem is not None
    assert problem[:2] == ("invalid_tokens", "usage.output")


def test_a_mistyped_class_is_refused_with_the_right_one_once_a_class_of_ours_is_there() -> None:
    problem = usage_problem({"output": 1, "input_uncachd": 1})
    assert problem is not None
    assert problem[:2] == ("unknown_field", "usage.input_uncachd")
    assert "did you mean input_uncached?" in problem[2]
    assert usage_problem({"input_uncachd": 1}) is None


@pytest.mark.parametrize("shape", SHAPES)
def test_provider_objects_are_taken_and_null_in_them_is_absent(shape: dict[str, Any]) -> None:
    assert usage_problem(shape) is None
    for name in shape:
        assert usage_problem(shape | {name: None}) is None


@pytest.mark.parametrize("count", [-1, True, 1.0, "5", 2**32])
def test_numbers_that_are_read_of_a_provider_are_whole_numbers_named_by_their_path(count: object) -> None:
    assert usage_problem({"prompt_tokens": count}) == usage_problem(OPENAI_CHAT | {"prompt_tokens": count})
    problem = usage_problem(OPENAI_CHAT | {"prompt_tokens_details": {"cached_tokens": count}})
    assert problem is not None
    assert problem[:2] == ("invalid_tokens", "usage.prompt_tokens_details.cached_tokens")
    assert usage_problem(OPENAI_CHAT | {"prompt_tokens_details": {"image_tokens": count}}) is None


def test_details_that_are_no_object_are_refused() -> None:
    problem = usage_problem(ANTHROPIC | {"cache_creation": 7})
    assert problem == ("invalid_type", "usage.cache_creation", "an object of counts")
    assert usage_problem([1]) == ("invalid_type", "usage", "usage is an object")


def test_an_unknown_shape_is_taken_whatever_it_holds() -> None:
    for usage in ({}, {"tokens": -1.5}, {"cached_tokens": "many"}, {"prompt_tokens_details": 7}):
        assert usage_problem(usage) is None
        assert read(usage) == ReadUsage(None, ("usage_unknown",))


KEYS = sorted(CLASSES | {key for shape in SHAPES for key in shape})
INNER = sorted({k for shape in SHAPES for v in shape.values() if isinstance(v, dict) for k in v})
COUNTS = st.integers(0, 5) | st.integers(0, limits.TOKENS_MAX) | st.none()
GARBAGE = (
    COUNTS | st.integers() | st.booleans() | st.text(max_size=3) | st.floats(allow_nan=False, allow_infinity=False)
)
OBJECTS = st.dictionaries(
    st.sampled_from(KEYS), GARBAGE | st.dictionaries(st.sampled_from(INNER), GARBAGE, max_size=4), max_size=6
)
PROVIDERS = st.sampled_from(["openai", "anthropic", "x_ai", ""])


@given(OBJECTS, PROVIDERS)
def test_what_the_collector_takes_is_read_and_fits_its_columns(value: dict[str, Any], provider: str) -> None:
    raw = msgspec.Raw(msgspec.json.encode(value))
    found = read_usage(raw, provider)
    known = not CLASSES.isdisjoint(value) or _has_input(value)
    if usage_problem(value) is None and known:
        summed = found.usage is None  # only output and reasoning beside it can add up to too much
        assert not summed or "completion_tokens" in value or "output_tokens" in value
    if found.usage is not None:
        assert known
        assert all(type(count) is int and 0 <= count <= limits.TOKENS_MAX for count in found.usage)


def _has_input(value: dict[str, Any]) -> bool:
    return value.get("prompt_tokens") is not None or value.get("input_tokens") is not None


@given(st.binary(max_size=40), PROVIDERS)
def test_bytes_that_are_no_usage_never_raise(raw: bytes, provider: str) -> None:
    found = read_usage(raw, provider)
    assert found.usage is not None or found.flags == ("usage_unknown",)


@given(COUNTS, COUNTS, COUNTS, COUNTS, st.booleans())
def test_inclusive_input_is_shared_out_to_the_last_token(
    total: int | None, read_: int | None, written: int | None, output: int | None, chat: bool
) -> None:
    details = {"cached_tokens": read_, "cache_write_tokens": written}
    names = ("prompt_tokens", "prompt_tokens_details", "completion_tokens")
    names = names if chat else ("input_tokens", "input_tokens_details", "output_tokens")
    value = dict(zip(names, (total, details, output), strict=True))
    found = read(value)
    if total is None:
        assert found == ReadUsage(None, ("usage_unknown",))
        return
    assert found.usage is not None
    if found.flags:
        assert total < (read_ or 0) + (written or 0)
        assert found.usage.input_uncached == total
    else:
        assert found.usage.tokens == total + (output or 0)
