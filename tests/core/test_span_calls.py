"""Which spans of a request are one call, and whose words count: each rule of merging as emitters bring it up."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest

from pipeline import limits
from pipeline.spans import names
from tests.support.spans import NOW, SECOND, Sent, content_of, one, row_of, taken, usage_of

MS = SECOND // 1000
SDK, OTEL, TRACELOOP = (
    "com.anthropic.sdk.python",
    "opentelemetry.instrumentation.genai.anthropic",
    "opentelemetry.instrumentation.anthropic",
)
OPENINFERENCE = "openinference.instrumentation.anthropic"
CLAUDE, DATED = "claude-sonnet-4-5", "claude-sonnet-4-5-20250929"
ID = {name: f"{ord(name):016x}" for name in "abcdefghijklmnopqrstuvwxyz"} | {"": ""}


def span(
    name: str, under: str, scope: str, attributes: dict[str, Any], first: int = 0, last: int = 1000, **more: Any
) -> Sent:
    """A span named by a letter, from `first` to `last` in ms."""
    sent = Sent(
        scope,
        f"span {name}",
        attributes,
        ID[name],
        ID[under],
        start=NOW - SECOND + first * MS,
        end=NOW - SECOND + last * MS,
    )
    return sent._replace(**more)


CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": CLAUDE}
USED = {
    "gen_ai.usage.input_tokens": 1820,
    "gen_ai.usage.output_tokens": 91,
    "gen_ai.usage.cache_read.input_tokens": 310,
}
SPLIT = {"gen_ai.usage.cache_write.input_tokens": 1000, names.WRITE_5M: 600, names.WRITE_1H: 400}
KNOWN = {
    "input_uncached": 510,
    "input_cache_read": 310,
    "input_cache_write_5m": 600,
    "input_cache_write_1h": 400,
    "output": 91,
}
ANSWERED = {"gen_ai.response.id": "msg_1", "gen_ai.response.model": DATED}
OF_SDK = CHAT | USED | SPLIT | ANSWERED | {"anthropic.response.service_tier": "standard"}
OVERLOADED = (("exception", {"exception.type": "OverloadedError", "exception.message": "overloaded"}),)


def root(**attributes: Any) -> Sent:
    return span("r", "", "app", attributes, -10, 2000)


def merged(*spans: Sent) -> Any:
    """The one event of the spans, whatever their order."""
    found = (
        [one(*order) for order in itertools.permutations(spans)]
        if len(spans) < 5
        else [one(*spans), one(*reversed(spans))]
    )
    assert all(event == found[0] for event in found)
    return found[0]


def test_a_call_is_one_event_when_the_sdk_tells_of_it_below_its_instrumentation() -> None:
    outer = span(
        "a", "r", OTEL, CHAT | USED | ANSWERED | {"gen_ai.input.messages": '["q"]', "gen_ai.output.messages": '["a"]'}
    )
    event = merged(root(), outer, span("b", "a", SDK, OF_SDK, 10, 990))
    assert usage_of(event) == KNOWN
    assert (content_of(event.prompt), content_of(event.response), event.service_tier) == (["q"], ["a"], "standard")
    assert (event.span_id, event.parent_span_id, event.latency_ms) == (ID["a"], ID["r"], 1000)


def test_the_parent_has_the_user_and_the_leaf_the_split_under_openinference() -> None:
    answer = {"id": "msg_1", "usage": {"input_tokens": 510, "output_tokens": 91, "cache_read_input_tokens": 310, "cache_creation_input_tokens": 1000,
                                       "cache_creation": {"ephemeral_5m_input_tokens": 600, "ephemeral_1h_input_tokens": 400}}}  # fmt: skip
    outer = span("a", "r", OPENINFERENCE, {
        "openinference.span.kind": "LLM", "llm.system": "anthropic", "llm.model_name": DATED, "user.id": "bob", "session.id": "s",
        "metadata": '{"plan": "pro"}', "output.value": json.dumps(answer), "llm.token_count.prompt": 1820, "llm.token_count.completion": 91,
    })  # fmt: skip
    event = merged(root(), outer, span("b", "a", SDK, OF_SDK, 10, 990))
    row = row_of(event)
    assert {name: getattr(row, name) for name in KNOWN} == KNOWN
    assert usage_of(event) == answer["usage"]
    assert (event.user_id, event.session_id, event.tags, event.model) == ("bob", "s", ("plan=pro",), DATED)


@pytest.mark.parametrize("failed", [False, True])
def test_siblings_under_a_workflow_are_one_call_even_without_an_id(failed: bool) -> None:
    workflow = span(
        "w", "r", "traceloop.tracer", {"traceloop.span.kind": "workflow", "traceloop.workflow.name": "bot"}, -5, 1500
    )
    told = {"traceloop.association.properties.user_id": "bob", "traceloop.association.properties.plan": "pro"}
    status: dict[str, Any] = {"status": 2, "message": "overloaded", "events": OVERLOADED} if failed else {}
    theirs = span("a", "w", TRACELOOP, CHAT | told | ({} if failed else USED), 0, 1000, **status)
    own = span("b", "w", SDK, (CHAT if failed else CHAT | USED | SPLIT) | told, 10, 990, status=2 if failed else 0)
    event = merged(root(), workflow, theirs, own)
    assert (event.user_id, event.tags, event.status, event.agent) == (
        "bob",
        ("plan=pro",),
        "error" if failed else "ok",
        "bot",
    )
    assert row_of(event).cost == 0 if failed else usage_of(event) == KNOWN


def test_siblings_at_once_find_each_their_own() -> None:
    pairs = []
    for number, (a, b) in enumerate(["ab", "cd", "ef", "gh"]):
        first, last = number * 7, 1000 - number * 3
        pairs.append(span(a, "w", TRACELOOP, CHAT | {"user.id": f"user {number}"}, first, last))
        pairs.append(
            span(
                b,
                "w",
                SDK,
                CHAT | {"gen_ai.usage.input_tokens": number + 1, "gen_ai.usage.output_tokens": 1},
                first + 1,
                last - 1,
            )
        )
    for seed in range(20):
        random.Random(seed).shuffle(pairs)
        found = {event.user_id: usage_of(event)["input_uncached"] for event in taken(*pairs)}
        assert found == {f"user {number}": number + 1 for number in range(4)}


def test_siblings_of_other_models_or_times_or_answers_are_two_calls() -> None:
    own = span("b", "w", SDK, OF_SDK, 10, 990)
    assert len(taken(span("a", "w", TRACELOOP, CHAT | {"gen_ai.request.model": "gpt-4o"}), own)) == 2
    assert len(taken(span("a", "w", TRACELOOP, CHAT, 1000, 2000), own)) == 2
    assert len(taken(span("a", "w", TRACELOOP, CHAT | {"gen_ai.response.id": "msg_2"}), own)) == 2
    assert len(taken(span("a", "w", TRACELOOP, CHAT), span("b", "w", OTEL, CHAT), root())) == 2
    assert len(taken(span("a", "w", TRACELOOP, CHAT), own)) == 1


def test_the_same_response_id_is_one_call_within_a_trace_alone() -> None:
    told = CHAT | USED | ANSWERED
    assert len(taken(span("a", "x", OTEL, told), span("b", "y", "another's", told, 2000, 3000))) == 1
    two = taken(span("a", "x", OTEL, told), span("b", "y", OTEL, told)._replace(trace_id="ab" * 16))
    assert len({event.id for event in two}) == 2


def test_agents_chains_and_workflows_repeat_what_their_calls_used_and_are_skipped() -> None:
    agent = span(
        "g",
        "r",
        OTEL,
        CHAT | USED | {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"},
        -5,
        1500,
    )
    chain = span(
        "h", "g", OPENINFERENCE, {"openinference.span.kind": "CHAIN", "llm.token_count.prompt": 9000}, -4, 1400
    )
    event = merged(root(), agent, chain, span("a", "h", OTEL, CHAT | USED | ANSWERED))
    assert (usage_of(event)["input_uncached"], event.agent, event.parent_span_id) == (1510, "planner", ID["h"])


def test_a_call_around_several_that_succeeded_only_stands_around_them() -> None:
    outer = span("a", "r", "framework", CHAT | USED | {"user.id": "bob", "gen_ai.usage.input_tokens": 3640}, 0, 2000)
    first = span("b", "a", OTEL, CHAT | USED | {"gen_ai.response.id": "msg_1"}, 10, 900)
    second = span("c", "a", OTEL, CHAT | USED | {"gen_ai.response.id": "msg_2"}, 910, 1990)
    found = taken(root(), outer, first, second)
    assert [event.span_id for event in found] == [ID["b"], ID["c"]]
    assert {event.user_id for event in found} == {"bob"}


def test_a_call_that_was_tried_again_is_one_call() -> None:
    outer = span("a", "r", OTEL, CHAT | USED | ANSWERED, 0, 2000)
    tries = [span(name, "a", SDK, CHAT, n * 100, n * 100 + 90, status=2) for n, name in enumerate("bcd")]
    event = merged(root(), outer, *tries, span("e", "a", SDK, OF_SDK, 900, 1990))
    assert (event.status, usage_of(event), event.latency_ms) == ("ok", KNOWN, 2000)


def test_an_error_on_any_is_an_error_and_what_was_used_is_paid() -> None:
    event = merged(
        span("a", "r", OTEL, CHAT), span("b", "a", SDK, OF_SDK | {"error.type": "overloaded_error"}, 10, 990, status=2)
    )
    assert (event.status, event.error_code, usage_of(event)) == ("error", "overloaded_error", KNOWN)
    assert row_of(event).price_status == "priced"


def test_the_sdks_count_stands_where_traceloop_adds_one() -> None:
    theirs = span("a", "w", TRACELOOP, CHAT | USED | {"gen_ai.usage.output_tokens": 92})
    assert usage_of(merged(theirs, span("b", "w", SDK, CHAT | USED | SPLIT, 10, 990))) == KNOWN


def test_what_the_sdk_did_not_live_to_count_is_taken_from_who_did() -> None:
    told = {name: count for name, count in (CHAT | USED | SPLIT).items() if name != "gen_ai.usage.output_tokens"}
    event = merged(
        span("a", "r", OTEL, CHAT | USED | {"gen_ai.usage.output_tokens": 1}), span("b", "a", SDK, told, 10, 990)
    )
    assert usage_of(event) == KNOWN | {"output": 1}


@pytest.mark.parametrize("alias", ["gpt-4o", "anthropic.claude-sonnet-4-5"])
@pytest.mark.parametrize(
    "dated",
    ["gpt-4o-2024-08-06", "claude-sonnet-4-5-20250929", "anthropic.claude-sonnet-4-5-20250929-v1:0", "m@20250929"],
)
def test_a_dated_model_beats_an_alias(alias: str, dated: str) -> None:
    for outer, inner in ((alias, dated), (dated, alias)):
        event = merged(
            span("a", "", OTEL, CHAT | {"gen_ai.response.model": outer}),
            span("b", "a", SDK, CHAT | {"gen_ai.response.model": inner}),
        )
        assert event.model == dated


# --- logfire


def streamed(*, marked: bool, sdk: bool) -> list[Sent]:
    """A stream as logfire tells it: the request ends when the stream begins, a line of a log has the usage."""
    asked = CHAT | {
        "request_data": '{"model":"claude","stream":true}' if marked else '{"model":"claude"}',
        "gen_ai.input.messages": '["q"]',
    }
    told = asked | {"gen_ai.response.model": CLAUDE}
    raw = {"input_tokens": 510, "output_tokens": 91, "cache_read_input_tokens": 310, "cache_creation_input_tokens": 0}
    line = {
        "logfire.span_type": "log",
        "duration": 0.9,
        "gen_ai.usage.raw": json.dumps(raw),
        "gen_ai.output.messages": '["a"]',
        "user.id": "bob",
    }
    spans = [
        span("a", "r", "logfire.anthropic", told | {"logfire.span_type": "span"}, 0, 50),
        span("b", "r", "logfire.anthropic", told | line, 1000, 1000)._replace(name="streaming response from"),
    ]  # fmt: skip
    return [*spans, span("c", "a", SDK, CHAT | USED | {"gen_ai.response.model": DATED}, 10, 999)] if sdk else spans


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("sdk", [True, False])
def test_logfires_stream_is_a_request_and_a_line_of_a_log(marked: bool, sdk: bool) -> None:
    event = merged(root(), *streamed(marked=marked, sdk=sdk))
    assert row_of(event).input_uncached == 510
    assert (event.user_id, event.model, event.timestamp) == ("bob", DATED if sdk else CLAUDE, (NOW - SECOND) // 1000)
    assert (content_of(event.prompt), content_of(event.response)) == (["q"], ["a"])


def test_logfires_request_of_a_stream_is_no_call_without_its_line() -> None:
    request, line = streamed(marked=True, sdk=False)
    assert taken(root(), request) == []
    alone = one(line)
    assert (alone.timestamp, alone.latency_ms) == ((NOW - 900 * MS) // 1000, 900)
    assert one(request._replace(status=2)).status == "error"


def test_the_sdks_span_finds_logfires_line_when_the_request_came_before() -> None:
    _, line, own = streamed(marked=True, sdk=True)
    assert merged(line, own).model == DATED


def test_streams_at_once_find_each_their_own_line() -> None:
    spans = []
    for number, (a, b) in enumerate(["ab", "cd", "ef"]):
        asked = CHAT | {"request_data": "{}", "gen_ai.input.messages": f'["{number}"]'}
        spans.append(
            span(
                a,
                "r",
                "logfire.openai",
                asked | {"logfire.span_type": "span", "session.id": str(number)},
                number,
                50 + number,
            )
        )
        line = {"logfire.span_type": "log", "gen_ai.usage.input_tokens": number + 1, "gen_ai.usage.output_tokens": 1}
        spans.append(span(b, "r", "logfire.openai", asked | line, 900 - number, 900 - number))
    found = {event.session_id: usage_of(event)["input_uncached"] for event in taken(*spans)}
    assert found == {"0": 1, "1": 2, "2": 3}


# --- litellm

LITELLM = CHAT | {
    "gen_ai.response.model": DATED, "gen_ai.response.id": "chatcmpl-invented", "metadata.usage_object": "{'prompt_tokens': 820, 'completion_tokens': 91}",
    "litellm.provider.model": f"anthropic/{CLAUDE}", "llm.user": "bob", "gen_ai.input.messages": '["q"]',
}  # fmt: skip


def raw(name: str, under: str, number: int, first: int = 10, last: int = 990) -> Sent:
    answer = {"llm.anthropic.id": f"msg_{number}", "llm.anthropic.model": DATED,
              "llm.anthropic.usage": str({"input_tokens": 510 + number, "output_tokens": 91, "cache_read_input_tokens": 310})}  # fmt: skip
    return span(name, under, "litellm", answer, first, last)._replace(name="raw_gen_ai_request")


def test_litellms_raw_request_is_part_of_the_call_above_it() -> None:
    event = merged(root(), span("a", "r", "litellm", LITELLM), raw("b", "a", 1))
    assert (usage_of(event)["input_tokens"], event.user_id, event.provider, event.model) == (
        511,
        "bob",
        "anthropic",
        DATED,
    )
    with_sdk = merged(
        root(), span("a", "r", "litellm", LITELLM), raw("b", "a", 1), span("c", "a", SDK, OF_SDK, 20, 980)
    )
    assert with_sdk.id == event.id


def test_litellm_writes_its_last_answer_on_the_apps_span_and_each_is_counted() -> None:
    app = span("r", "", "app", LITELLM | {"percapita.tags.plan": "pro"}, -10, 5000)
    found = taken(app, *[raw(name, "r", n, n * 1000, n * 1000 + 900) for n, name in enumerate("abc")])
    assert [usage_of(event)["input_tokens"] for event in found] == [510, 511, 512]
    assert {(event.user_id, event.tags, event.model, event.provider) for event in found} == {
        ("bob", ("plan=pro",), DATED, "anthropic")
    }
    assert [event.latency_ms for event in found] == [900, 900, 900]
    assert content_of(found[-1].prompt) == ["q"]


def test_what_litellm_wrote_on_the_apps_span_is_not_counted_again_when_the_raw_request_came_before() -> None:
    app = span("r", "", "app", LITELLM, -10, 5000)
    assert taken(app) == []
    assert one(raw("a", "r", 1)).id == one(app, raw("a", "r", 1)).id
    alone = {name: value for name, value in LITELLM.items() if name != "gen_ai.input.messages"}
    assert len(taken(app._replace(attributes=alone))) == 1  # told to write no messages it writes no raw requests
    assert len(taken(app._replace(attributes=LITELLM | {"llm.is_streaming": "True"}))) == 1
    assert len(taken(app._replace(attributes=LITELLM | {"gen_ai.operation.name": "embedding"}))) == 1
    assert one(app._replace(status=2)).status == "error"


# --- whose it is


def test_a_user_on_the_root_alone_is_the_user_of_all_that_is_below() -> None:
    under = root(**{"user.id": "ada", "session.id": "s", "percapita.tags.plan": "pro", "percapita.tags.org": "acme"})
    deep = span("b", "m", OTEL, CHAT | {"percapita.tags.org": "own"}, 10, 900)
    tool = span("c", "a", OTEL, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t"})
    found = taken(deep, tool, span("a", "r", "app", {}), under)
    assert {(event.user_id, event.session_id) for event in found} == {("ada", "s")}
    assert {event.type: event.tags for event in found} == {
        "llm": ("org=own", "plan=pro"),
        "tool": ("org=acme", "plan=pro"),
    }
    other = one(under._replace(trace_id="ab" * 16), deep)
    assert (other.user_id, other.tags) == ("", ("org=own",))


def test_the_nearest_span_that_names_a_user_names_it() -> None:
    spans = [
        root(**{"user.id": "root"}),
        span("a", "r", "app", {"user.id": "near"}, -1, 1500),
        span("b", "a", OTEL, CHAT),
        span("c", "r", OTEL, CHAT),
    ]
    assert {event.span_id: event.user_id for event in taken(*spans)} == {ID["b"]: "near", ID["c"]: "root"}
    assert one(span("a", "", OTEL, CHAT | {"user.id": "own"}), root(**{"user.id": "root"})).user_id == "own"


# --- ids


def test_ids_are_of_the_answer_else_of_the_span_and_the_same_whichever_span_comes_first() -> None:
    outer, inner = span("a", "r", OTEL, CHAT | ANSWERED), span("b", "a", SDK, OF_SDK, 10, 990)
    assert one(outer).id == one(inner).id == one(outer, inner).id
    assert one(span("a", "r", OTEL, CHAT)).id != one(span("b", "r", OTEL, CHAT)).id
    assert one(span("a", "r", OTEL, CHAT)).id == one(span("a", "r", OTEL, CHAT)).id
    in_content = span("a", "r", OPENINFERENCE, {"openinference.span.kind": "LLM", "output.value": '{"id": "msg_1"}'})
    assert one(in_content).id == one(inner).id


def test_a_span_that_came_twice_counts_once() -> None:
    assert len(taken(*[span("a", "r", OTEL, CHAT)] * 3)) == 1


def test_spans_in_a_ring_are_calls_all_the_same() -> None:
    ring = [
        span("a", "b", OTEL, CHAT),
        span("b", "a", OTEL, CHAT),
        span("c", "c", OTEL, CHAT),
        span("d", "", OTEL, {"user.id": "x"}),
    ]
    assert 1 <= len(taken(*ring)) <= 3


def test_many_spans_of_one_trace_are_read_in_little_time() -> None:
    chain = [
        Sent(OTEL, "s", CHAT, f"{n + 1:016x}", f"{n:016x}" if n else "", start=NOW - SECOND + n, end=NOW)
        for n in range(3_000)
    ]
    assert len(taken(*chain)) == 1
    flat = [
        Sent(SDK if n % 2 else TRACELOOP, "s", CHAT, f"{n + 1:016x}", ID["w"], start=NOW - SECOND + n, end=NOW)
        for n in range(3_000)
    ]
    assert len(taken(*flat)) == 1_500
    assert limits.OTLP_SPANS >= 3_000
