"""What one span says of a call: the names of the mapping, and what emitters do with them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from pipeline import limits
from pipeline.spans import names
from pipeline.spans.read import json_object
from tests.support.spans import NOW, SECOND, Sent, content_of, one, row_of, taken, usage_of

OTEL, SDK = "opentelemetry.instrumentation.openai", "com.anthropic.sdk.python"
CHAT = {"gen_ai.operation.name": "chat"}
FAILED = (
    (
        "exception",
        {"exception.type": "openai.RateLimitError", "exception.message": "slow down", "exception.stacktrace": "..."},
    ),
)


def call(attributes: dict[str, Any] | None = None, scope: str = OTEL, **changes: Any) -> Sent:
    return Sent(scope, "chat", CHAT | (attributes or {}))._replace(**changes)


# --- each row of the mapping: every name is read, and the first that is there wins

SINGLE = [
    ("provider", names.PROVIDER), ("model", names.MODEL), ("user_id", names.USER), ("session_id", names.SESSION), ("agent", names.AGENT),
    ("finish_reason", names.FINISH_REASON), ("service_tier", names.SERVED_TIER),
]  # fmt: skip


@pytest.mark.parametrize(("field", "name"), [(field, name) for field, among in SINGLE for name in among])
def test_every_name_is_read(field: str, name: str) -> None:
    assert getattr(one(call({name: "said"})), field) == "said"


@pytest.mark.parametrize(("field", "among"), SINGLE, ids=[field for field, _ in SINGLE])
def test_the_first_name_that_is_there_wins(field: str, among: tuple[str, ...]) -> None:
    if field == "user_id":
        among = among[1:]  # the first is ours, a tag
    for first in range(len(among)):
        given = {name: f"said {number}" for number, name in enumerate(among) if number >= first}
        assert getattr(one(call(dict(reversed(given.items())))), field) == f"said {first}"


COUNTS = [
    (names.INPUT, "input_uncached"), (names.OUTPUT_TOKENS, "output"), (names.CACHE_READ, "input_cache_read"),
    (names.CACHE_WRITE, "input_cache_write_5m"), (names.REASONING, "output_reasoning"), (names.AUDIO_INPUT, "input_audio"),
    (names.AUDIO_OUTPUT, "output_audio"),
]  # fmt: skip


@pytest.mark.parametrize(("among", "counted"), COUNTS, ids=[counted for _, counted in COUNTS])
def test_the_first_count_that_is_there_wins(among: tuple[str, ...], counted: str) -> None:
    for first in range(len(among)):
        given: dict[str, Any] = (
            {names.INPUT[0]: 900, names.OUTPUT_TOKENS[0]: 800}
            if among not in (names.INPUT, names.OUTPUT_TOKENS)
            else {}
        )
        given |= {name: 10 + number for number, name in enumerate(among) if number >= first}
        assert usage_of(one(call(given)))[counted] == 10 + first


@pytest.mark.parametrize(
    ("attributes", "type_", "operation"),
    [
        ({"gen_ai.operation.name": "chat"}, "llm", "chat"),
        ({"gen_ai.operation.name": "embeddings"}, "llm", "embeddings"),
        ({"gen_ai.operation.name": "acompletion"}, "llm", "chat"),
        ({"gen_ai.operation.name": "aembedding"}, "llm", "embeddings"),
        ({"gen_ai.operation.name": "responses"}, "llm", "responses"),
        ({"gen_ai.operation.name": "execute_tool"}, "tool", "execute_tool"),
        ({"gen_ai.operation.name": "transcribe", "gen_ai.usage.input_tokens": 5}, "llm", "transcribe"),
        ({"openinference.span.kind": "LLM"}, "llm", "chat"),
        ({"openinference.span.kind": "EMBEDDING"}, "llm", "embeddings"),
        ({"openinference.span.kind": "TOOL"}, "tool", "execute_tool"),
        ({"llm.request.type": "completion"}, "llm", "chat"),
        ({"traceloop.span.kind": "tool"}, "tool", "execute_tool"),
        ({"langfuse.observation.type": "generation"}, "llm", "chat"),
        ({"langfuse.observation.type": "embedding"}, "llm", "embeddings"),
        ({"ai.operationId": "ai.streamText.doStream"}, "llm", "chat"),
        ({"ai.operationId": "ai.toolCall"}, "tool", "execute_tool"),
    ],
)
def test_the_operation_says_what_a_span_is(attributes: dict[str, Any], type_: str, operation: str) -> None:
    event = one(Sent("anybody's", "s", attributes))
    assert (event.type, event.operation) == (type_, operation)


@pytest.mark.parametrize(
    "attributes",
    [
        {}, {"http.method": "POST"}, {"gen_ai.operation.name": "transcribe"},
        *({"gen_ai.operation.name": word, "gen_ai.usage.input_tokens": 9} for word in ("invoke_agent", "create_agent", "chain", "workflow")),
        *({"openinference.span.kind": word, "llm.token_count.prompt": 9} for word in ("AGENT", "CHAIN", "RETRIEVER", "GUARDRAIL")),
        *({"traceloop.span.kind": word, "gen_ai.usage.input_tokens": 9} for word in ("workflow", "task", "agent")),
        {"langfuse.observation.type": "span"}, {"ai.operationId": "ai.generateText", "ai.usage.promptTokens": 9},
        {"gen_ai.operation.name": "chat", "logfire.span_type": "pending_span"},
    ],
    ids=str,
)  # fmt: skip
def test_what_stands_around_calls_or_is_nobodys_becomes_no_event(attributes: dict[str, Any]) -> None:
    assert taken(Sent("anybody's", "s", attributes)) == []


def test_times_and_status_are_the_spans() -> None:
    event = one(call(start=NOW - 5 * SECOND - 999, end=NOW))
    assert (event.timestamp, event.latency_ms, event.status) == ((NOW - 5 * SECOND - 999) // 1000, 5000.000999, "ok")
    assert one(call(start=NOW, end=NOW - SECOND)).latency_ms is None
    failed = one(call(status=2, message="429 slow down", events=FAILED))
    assert (failed.status, failed.error_code, failed.error_message) == (
        "error",
        "openai.RateLimitError",
        "429 slow down",
    )
    assert (
        one(call({"langfuse.observation.level": "ERROR", "langfuse.observation.status_message": "no"})).error_message
        == "no"
    )
    assert one(call({"gen_ai.response.time_to_first_chunk": 0.25})).time_to_first_token_ms == 250
    assert one(call({"ai.response.msToFirstChunk": 31.5})).time_to_first_token_ms == 31.5


def test_a_caller_who_went_away_is_no_error_that_costs_nothing() -> None:
    event = one(call(status=2, events=(("exception", {"exception.type": "asyncio.exceptions.CancelledError"}),)))
    assert (event.status, row_of(event).price_status, row_of(event).cost) == ("aborted", "unpriced", None)


def test_what_the_provider_refused_costs_nothing_and_an_answer_without_usage_is_unpriced() -> None:
    refused, silent = (
        row_of(one(call({"gen_ai.request.model": "gpt-4o"}, status=2))),
        row_of(one(call({"gen_ai.request.model": "gpt-4o"}))),
    )
    assert (refused.cost, refused.flags) == (0, ())
    assert (silent.cost, silent.price_status, silent.flags) == (None, "unpriced", ["usage_missing"])


def test_the_tool_keeps_its_name_arguments_and_result_and_costs_nothing() -> None:
    event = one(call({
        "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.call.arguments": '{"q": "x"}', "gen_ai.tool.call.result": "found",
    }))  # fmt: skip
    assert (event.tool_name, content_of(event.tool_arguments), content_of(event.tool_result)) == (
        "search",
        {"q": "x"},
        "found",
    )
    assert row_of(event).cost is None


# --- facts about emitters


def test_openlits_input_for_anthropic_leaves_out_the_cache_though_no_sum_shows_it() -> None:
    given = {
        "gen_ai.provider.name": "anthropic", "gen_ai.response.model": "claude-sonnet-4-5-20250929", "gen_ai.usage.input_tokens": 1500,
        "gen_ai.usage.output_tokens": 100, "gen_ai.usage.cache_read.input_tokens": 400, "gen_ai.usage.cache_creation.input_tokens": 1000,
    }  # fmt: skip
    exclusive, inclusive = (
        one(call(given, "openlit.instrumentation.anthropic")),
        one(call(given, "opentelemetry.instrumentation.anthropic")),
    )
    assert usage_of(exclusive) == {
        "input_uncached": 1500,
        "input_cache_read": 400,
        "input_cache_write_5m": 1000,
        "output": 100,
    }
    assert usage_of(inclusive) == {
        "input_uncached": 100,
        "input_cache_read": 400,
        "input_cache_write_5m": 1000,
        "output": 100,
    }


def test_more_from_the_cache_than_there_was_input_is_kept_and_flagged() -> None:
    event = one(
        call(
            {
                "gen_ai.usage.input_tokens": 10,
                "gen_ai.usage.cache_read.input_tokens": 400,
                "gen_ai.usage.output_tokens": 1,
            },
            "nobody's",
        )
    )
    assert usage_of(event) == {"input_uncached": 10, "input_cache_read": 400, "output": 1}
    assert event.flags == ("usage_inconsistent",)


def test_the_sdks_split_of_writes_is_kept_and_writes_without_one_are_the_providers_default() -> None:
    given = {
        "gen_ai.usage.input_tokens": 1820,
        "gen_ai.usage.output_tokens": 91,
        "gen_ai.usage.cache_write.input_tokens": 1000,
    }
    split = {names.WRITE_5M: 600, names.WRITE_1H: 400}
    assert usage_of(one(call(given | split, SDK))) == {
        "input_uncached": 820,
        "input_cache_write_5m": 600,
        "input_cache_write_1h": 400,
        "output": 91,
    }
    assert usage_of(one(call(given | {"gen_ai.provider.name": "anthropic"})))["input_cache_write_5m"] == 1000
    assert usage_of(one(call(given | {"gen_ai.provider.name": "openai"})))["input_cache_write_30m"] == 1000


OPENAI = {"prompt_tokens": 1000, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 400}}
ANTHROPIC = {"input_tokens": 510, "output_tokens": 91, "cache_read_input_tokens": 310, "cache_creation_input_tokens": 1000,
             "cache_creation": {"ephemeral_5m_input_tokens": 600, "ephemeral_1h_input_tokens": 400}, "speed": None}  # fmt: skip


@pytest.mark.parametrize(
    ("attributes", "carried"),
    [
        ({"gen_ai.usage.raw": json.dumps(ANTHROPIC)}, ANTHROPIC),
        ({"langfuse.observation.usage_details": json.dumps(OPENAI)}, OPENAI),
        ({"metadata.usage_object": repr(OPENAI)}, OPENAI),
        ({"metadata.usage_object": repr(ANTHROPIC)}, ANTHROPIC),
        ({"output.value": json.dumps({"id": "chatcmpl-1", "usage": OPENAI, "choices": []})}, OPENAI),
        ({"langfuse.observation.usage_details": '{"input": 40}'}, {"input_uncached": 40}),
        ({"langfuse.observation.usage_details": '{"input": 40, "output": 7, "input_cached_tokens": 3, "output_reasoning_tokens": 2, "total": 52}'},
         {"input_uncached": 40, "input_cache_read": 3, "output": 9, "output_reasoning": 2}),
    ],
)  # fmt: skip
def test_a_providers_own_object_is_carried_as_it_is_before_attributes(
    attributes: dict[str, Any], carried: dict[str, Any]
) -> None:
    wrong = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 7}
    assert usage_of(one(call(attributes | wrong))) == carried


def test_litellms_object_for_anthropic_has_its_writes_split_and_its_searches() -> None:
    made = {
        "completion_tokens": 91, "prompt_tokens": 1820, "total_tokens": 1911, "cache_creation_input_tokens": 1000, "cache_read_input_tokens": 310,
        "prompt_tokens_details": {"cache_write_tokens": 1000, "cached_tokens": 310, "cache_creation_tokens": 1000, "audio_tokens": None,
                                  "cache_creation_token_details": {"ephemeral_5m_input_tokens": 600, "ephemeral_1h_input_tokens": 400}},
        "server_tool_use": {"web_search_requests": 3, "tool_search_requests": None}, "speed": "fast", "service_tier": "standard",
    }  # fmt: skip
    row = row_of(one(call({"metadata.usage_object": repr(made), "gen_ai.system": "anthropic"}, "litellm")))
    assert (row.input_uncached, row.input_cache_read, row.input_cache_write_5m, row.input_cache_write_1h) == (
        510,
        310,
        600,
        400,
    )
    assert (row.output, row.web_searches, row.speed, row.input_cache_write_30m) == (91, 3, "fast", 0)


def test_an_object_that_nobody_can_read_gives_way_to_attributes_and_stands_where_there_are_none() -> None:
    unknown = {"gen_ai.usage.raw": '{"promptTokenCount": 5}'}
    assert usage_of(one(call(unknown | {"gen_ai.usage.input_tokens": 5}))) == {"input_uncached": 5, "output": 0}
    assert row_of(one(call(unknown))).flags == ["usage_unknown"]
    broken = {
        "gen_ai.usage.raw": '{"prompt_tokens": -5}',
        "metadata.usage_object": "{'prompt_tokens': __import__('os')}",
    }
    assert row_of(one(call(broken))).flags == ["usage_missing"]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').abort()",
        "{'a': 1} or 2",
        "{'a': f'{1}'}",
        "{'a': 1+1}",
        "{'a': \"\\d\"}",
        "{'a': " * 40,
        "{" * 9000,
    ],
)
def test_pythons_repr_is_read_and_never_evaluated(text: str) -> None:
    assert json_object(text) is None
    assert json_object("{'a': None, 'b': [True, 1.5, -2], 'c': \"it's\", 'd': {}}") == {
        "a": None,
        "b": [True, 1.5, -2],
        "c": "it's",
        "d": {},
    }


@pytest.mark.parametrize(
    ("attributes", "tier"),
    [
        (
            {"gen_ai.openai.request.service_tier": "default", "gen_ai.openai.response.service_tier": "priority"},
            "default",
        ),
        ({"gen_ai.openai.response.service_tier": "flex"}, "flex"),
        ({"openai.response.service_tier": "priority"}, "priority"),
    ],
)
def test_openai_v2_had_the_tiers_swapped(attributes: dict[str, Any], tier: str) -> None:
    event = one(call(attributes, "opentelemetry.instrumentation.openai_v2"))
    assert (event.service_tier, event.flags) == (tier, ())


def test_litellm_uses_the_same_names_rightly() -> None:
    event = one(
        call(
            {"gen_ai.openai.request.service_tier": "priority", "gen_ai.openai.response.service_tier": "default"},
            "litellm",
        )
    )
    assert event.service_tier == "default"


@pytest.mark.parametrize("name", ["openai.request.service_tier", "gen_ai.openai.request.service_tier"])
def test_a_tier_that_was_only_asked_for_is_flagged(name: str) -> None:
    event = one(call({name: "priority"}))
    assert (event.service_tier, event.flags) == ("priority", ("tier_requested",))
    assert one(call({name: "auto"})).service_tier == ""
    assert one(call({name: "priority", "output.value": '{"service_tier": "default"}'})).flags == ()
    parameters = {"langfuse.observation.model.parameters": '{"service_tier": "flex"}'}
    assert one(call({name: "priority"} | parameters)).service_tier == "flex"
    raw = {"gen_ai.usage.raw": '{"input_tokens": 1, "output_tokens": 1, "service_tier": "standard"}'}
    assert row_of(one(call({name: "priority"} | raw))).service_tier == "standard"


@pytest.mark.parametrize("name", names.COST)
def test_a_cost_of_zero_is_unknown_and_another_is_reported(name: str) -> None:
    for nothing in (0, 0.0, -1.0, float("nan"), float("inf"), 1e-12, 1e12, True, "x"):
        assert one(call({name: nothing})).cost_usd == ""
    event = one(call({name: 0.0031}))
    assert (event.cost_usd, row_of(event).cost, row_of(event).price_status) == (
        "0.003100000",
        Decimal("0.0031"),
        "reported",
    )


def test_all_zeros_of_a_successful_call_are_no_usage() -> None:
    zeros = {
        "gen_ai.usage.input_tokens": 0,
        "gen_ai.usage.output_tokens": 0,
        "gen_ai.usage.cost": 0,
        "gen_ai.request.model": "gpt-4o",
    }
    row = row_of(one(call(zeros)))
    assert (row.price_status, row.cost, row.flags) == ("unpriced", None, ["usage_missing"])
    assert row_of(one(call(zeros, status=2))).cost == 0
    known = {
        "langfuse.observation.usage_details": '{"prompt_tokens": 0, "completion_tokens": 0}',
        "gen_ai.usage.input_tokens": 9,
    }
    assert usage_of(one(call(known))) == {"input_uncached": 9, "output": 0}


def test_a_failed_call_of_openlit_for_anthropic_is_a_scope_a_name_and_an_exception() -> None:
    sent = Sent(
        "openlit.instrumentation.anthropic", "chat claude-sonnet-4-5", status=2, message="overloaded", events=FAILED
    )
    event = one(sent)
    assert (event.provider, event.model, event.status, event.error_message) == (
        "anthropic",
        "claude-sonnet-4-5",
        "error",
        "overloaded",
    )
    assert row_of(event).cost == 0
    assert (
        taken(
            sent._replace(status=0),
            sent._replace(kind=1, span_id="aa" * 8),
            sent._replace(scope="mine", span_id="bb" * 8),
        )
        == []
    )


def test_the_model_of_a_failed_call_is_what_was_asked_for() -> None:
    event = one(
        Sent(
            "openinference.instrumentation.openai",
            "c",
            {"openinference.span.kind": "LLM", "llm.invocation_parameters": '{"model": "gpt-4o"}'},
        )
    )
    assert event.model == "gpt-4o"


def test_litellms_prefix_names_the_provider_and_embeddings_without_one_are_priced() -> None:
    assert one(call({"litellm.provider.model": "openai/gpt-4o", "gen_ai.system": ""}, "litellm")).provider == "openai"
    embedding = {"langfuse.observation.type": "embedding", "langfuse.observation.model.name": "text-embedding-3-small",
                 "langfuse.observation.usage_details": '{"input": 4000}'}  # fmt: skip
    assert row_of(one(Sent("langfuse-sdk", "OpenAI-embedding", embedding))).cost == Decimal("0.00008")


@pytest.mark.parametrize("name", [*names.USER[:3], *names.SESSION[:2], "percapita.tags.plan"])
def test_what_logfire_scrubbed_is_nobodys_name(name: str) -> None:
    event = one(call({name: "[Scrubbed due to 'session']"}))
    assert (event.user_id, event.session_id, event.tags) == ("", "", ())


def test_tags_come_under_every_prefix_and_users_and_sessions_are_none() -> None:
    event = one(call({
        "percapita.tags.a": "1", "traceloop.association.properties.b": "2", "ai.telemetry.metadata.c": 3, "langfuse.trace.metadata.d": '"pro"',
        "metadata": '{"e": true, "f": [1], "g": null}', "metadata.user_api_key_hash": "no", "traceloop.association.properties.user_id": "ada",
        "traceloop.association.properties.session_id": "s", "ai.telemetry.metadata.userId": "eve", "langfuse.trace.metadata.h": "unquoted",
    }))  # fmt: skip
    assert event.tags == ("a=1", "b=2", "c=3", "d=pro", "e=true", "h=unquoted")
    assert (event.user_id, event.session_id) == ("ada", "s")


def test_labels_stand_in_metadata() -> None:
    for name in names.LABELS:
        assert content_of(one(call({name: ["beta", "eu"]})).metadata) == {"labels": ["beta", "eu"]}


def test_resource_attributes_are_tags_where_the_account_lists_them_and_the_service_is_the_agent() -> None:
    sent = call(
        {"percapita.tags.host.name": "own"},
        resource=(("service.name", "shop"), ("deployment.environment", "eu"), ("host.name", "h")),
    )
    event = one(sent, resource_tags=("deployment.environment", "host.name", "absent"))
    assert (event.agent, event.tags) == ("shop", ("deployment.environment=eu", "host.name=own"))
    assert one(sent).tags == ("host.name=own",)
    assert one(sent._replace(resource=(("service.name", "unknown_service:python"),))).agent == ""


CONTENT = [
    ("prompt", {"gen_ai.input.messages": '[{"role": "user"}]'}, [{"role": "user"}]),
    ("prompt", {"gen_ai.input.messages": "[]", "gen_ai.system_instructions": '"be"', "gen_ai.tool.definitions": "[1]"},
     {"system_instructions": "be", "tools": [1], "messages": []}),
    ("prompt", {"gen_ai.prompt.1.content": "b", "gen_ai.prompt.0.content": "a", "gen_ai.prompt.10.content": "c"},
     [{"content": "a"}, {"content": "b"}, {"content": "c"}]),
    ("prompt", {"llm.input_messages.0.message.contents.0.message_content.text": "a", "llm.tools.0.tool.json_schema": "{}"},
     {"tools": [{"tool": {"json_schema": "{}"}}], "messages": [{"message": {"contents": [{"message_content": {"text": "a"}}]}}]}),
    ("prompt", {"embedding.embeddings.0.embedding.text": "a", "embedding.embeddings.0.embedding.vector": [0.1]}, [{"embedding": {"text": "a"}}]),
    ("prompt", {"input.value": "hello"}, "hello"), ("prompt", {"traceloop.entity.input": "x"}, "x"), ("prompt", {"langfuse.observation.input": "{}"}, {}),
    ("prompt", {"request_data": '{"model":"gpt-4o"}'}, {"model": "gpt-4o"}), ("prompt", {"llm.openai.messages": "[{'role': 'user'}]"}, "[{'role': 'user'}]"),
    ("response", {"gen_ai.output.messages": "[1]"}, [1]), ("response", {"gen_ai.completion.0.content": "a"}, [{"content": "a"}]),
    ("response", {"llm.output_messages.0.message.content": "a", "output.value": "b"}, [{"message": {"content": "a"}}]),
    ("response", {"output.value": '{"id": "1"}'}, {"id": "1"}), ("response", {"langfuse.observation.output": "null"}, "null"),
    ("response", {"traceloop.entity.output": "a"}, "a"), ("response", {"llm.anthropic.content": "a"}, "a"),
    ("response", {"output.value": '["\\ud800"]'}, '["\\ud800"]'), ("response", {"output.value": "[" * 99 + "]" * 99}, "[" * 99 + "]" * 99),
    ("response", {"output.value": "{nope"}, "{nope"), ("response", {"output.value": "[1e999]"}, "[1e999]"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "attributes", "said"), CONTENT)
def test_content_is_what_its_text_spells(field: str, attributes: dict[str, Any], said: Any) -> None:
    assert content_of(getattr(one(call(attributes)), field)) == said


def test_content_stands_in_events_too() -> None:
    events = (
        ("gen_ai.content.prompt", {"gen_ai.prompt": '["q"]'}),
        ("gen_ai.content.completion", {"gen_ai.completion": "a"}),
    )
    event = one(call(events=events))
    assert (content_of(event.prompt), content_of(event.response)) == (["q"], "a")


# --- limits: an emitter cannot be told to send less, and the numbers must survive


def test_what_is_too_long_is_cut_or_left_out_and_flagged_and_the_numbers_survive() -> None:
    long = "x" * 5000
    used = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 1, "gen_ai.request.model": "gpt-4o"}
    for attributes in (
        {"gen_ai.agent.name": long}, {"user.id": long}, {"session.id": long}, {"percapita.tags.a": long}, {"percapita.tags.a b": "c"},
        {"error.type": "a\0b"}, {f"percapita.tags.k{n}": "v" for n in range(40)}, {"user.id": "a\0"}, {"metadata": json.dumps({long: 1})},
        {"gen_ai.provider.name": "open\0ai"}, {"tag.tags": [long] * 9},
    ):  # fmt: skip
        event = one(call(used | attributes, status=2 if "error.type" in attributes else 0))
        assert (usage_of(event), event.flags) == ({"input_uncached": 7, "output": 1}, ("shortened",)), attributes
        assert len(event.agent) <= limits.AGENT_CHARS
        assert len(event.tags) <= limits.TAG_KEYS
        assert event.user_id == event.session_id == ""
    assert one(call(used | {"gen_ai.provider.name": "open\0ai"})).provider == "open\ufffdai"
    assert one(call(used | {"gen_ai.request.model": long})).model == long[: limits.MODEL_CHARS]


def test_content_that_makes_an_event_too_large_goes_the_largest_first() -> None:
    big, small = "x" * limits.EVENT_BYTES, "y" * 1000
    event = one(call({"gen_ai.input.messages": big, "gen_ai.output.messages": small, "gen_ai.usage.input_tokens": 7}))
    assert (content_of(event.response), event.flags, usage_of(event)) == (
        small,
        ("shortened",),
        {"input_uncached": 7, "output": 0},
    )
    assert type(event.prompt).__name__ == "UnsetType"


def test_counts_that_are_none_are_no_counts() -> None:
    for nothing in (-1, 2**32, 1.5, "12", True, float("nan"), [5], None):
        assert row_of(one(call({"gen_ai.usage.input_tokens": nothing}))).flags == ["usage_missing"]
    assert usage_of(one(call({"gen_ai.usage.input_tokens": 12.0}))) == {"input_uncached": 12, "output": 0}
