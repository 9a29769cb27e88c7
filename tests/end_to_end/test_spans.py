"""`percapita up` as a process: a call told in spans counts and costs what it does as an event of ours, token class by token class."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.spans import names
from pipeline.usage import CLASSES
from tests.support.embedded import Running
from tests.support.spans import JSON, PROTOBUF, SECOND, Sent, answered, body


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = Running(tmp_path_factory.mktemp("up") / "data")
    yield found
    found.end()
    assert found.process.stdout is not None
    found.process.stdout.close()


CLAUDE, GPT = "claude-sonnet-4-5-20250929", "gpt-4o-2024-08-06"
MESSAGES = {"input_tokens": 510, "output_tokens": 91, "cache_read_input_tokens": 310, "cache_creation_input_tokens": 1000,
            "cache_creation": {"ephemeral_5m_input_tokens": 600, "ephemeral_1h_input_tokens": 400}}  # fmt: skip
CHAT = {"prompt_tokens": 2000, "completion_tokens": 600, "total_tokens": 2600, "prompt_tokens_details": {"cached_tokens": 500},
        "completion_tokens_details": {"reasoning_tokens": 400}}  # fmt: skip
OTEL = {"gen_ai.operation.name": "chat"}
SDK = OTEL | {
    "gen_ai.provider.name": "anthropic", "gen_ai.response.model": CLAUDE, "gen_ai.response.id": "msg_1", "gen_ai.usage.input_tokens": 1820,
    "gen_ai.usage.output_tokens": 91, "gen_ai.usage.cache_read.input_tokens": 310, "gen_ai.usage.cache_write.input_tokens": 1000,
    names.WRITE_5M: 600, names.WRITE_1H: 400,
}  # fmt: skip
INSTRUMENTED = OTEL | {
    "gen_ai.provider.name": "anthropic", "gen_ai.response.model": CLAUDE, "gen_ai.response.id": "msg_1", "gen_ai.usage.input_tokens": 1820,
    "gen_ai.usage.output_tokens": 92, "gen_ai.usage.cache_read.input_tokens": 310, "gen_ai.usage.cache_creation.input_tokens": 1000,
}  # fmt: skip
CALLS: dict[str, tuple[list[Sent], dict[str, Any]]] = {
    "the SDK's span below an instrumentation's": (
        [Sent("opentelemetry.instrumentation.anthropic", "chat", INSTRUMENTED, "aa" * 8), Sent("com.anthropic.sdk.python", "m", SDK, "bb" * 8, "aa" * 8)],
        {"provider": "anthropic", "model": CLAUDE, "usage": MESSAGES},
    ),
    "OpenInference": (
        [Sent("openinference.instrumentation.openai", "C", {"openinference.span.kind": "LLM", "llm.system": "openai", "llm.model_name": GPT,
                                                            "output.value": json.dumps({"id": "c", "usage": CHAT, "service_tier": "default"})})],
        {"provider": "openai", "model": GPT, "usage": CHAT, "service_tier": "default"},
    ),
    "Langfuse, flex": (
        [Sent("langfuse-sdk", "g", {"langfuse.observation.type": "generation", "langfuse.observation.model.name": "gpt-5-2025-08-07",
                                    "langfuse.observation.usage_details": json.dumps(CHAT),
                                    "langfuse.observation.model.parameters": '{"service_tier": "flex"}'})],
        {"model": "gpt-5-2025-08-07", "usage": CHAT, "service_tier": "flex"},
    ),
    "litellm": (
        [Sent("litellm", "litellm_request", OTEL | {"gen_ai.system": "openai", "gen_ai.response.model": GPT, "metadata.usage_object": repr(CHAT)})],
        {"provider": "openai", "model": GPT, "usage": CHAT},
    ),
    "attributes alone": (
        [Sent("opentelemetry.instrumentation.openai", "chat", OTEL | {
            "gen_ai.provider.name": "openai", "gen_ai.response.model": GPT, "gen_ai.usage.input_tokens": 2000, "gen_ai.usage.output_tokens": 600,
            "gen_ai.usage.cache_read.input_tokens": 500, "gen_ai.usage.reasoning.output_tokens": 400})],
        {"provider": "openai", "model": GPT, "usage": CHAT},
    ),
    "OpenLIT, input without the cache": (
        [Sent("openlit.instrumentation.anthropic", "chat", OTEL | {
            "gen_ai.provider.name": "anthropic", "gen_ai.response.model": CLAUDE, "gen_ai.usage.input_tokens": 1500, "gen_ai.usage.output_tokens": 100,
            "gen_ai.usage.cache_read.input_tokens": 400, "gen_ai.usage.cache_creation.input_tokens": 1000, "gen_ai.usage.cost": 0})],
        {"provider": "anthropic", "model": CLAUDE,
         "usage": {"input_tokens": 1500, "output_tokens": 100, "cache_read_input_tokens": 400, "cache_creation_input_tokens": 1000}},
    ),
}  # fmt: skip
SAME = [
    *sorted(CLASSES),
    "cost",
    "cost_parts",
    "price_status",
    "model",
    "status",
    "tokens",
    "user_id",
    "tags",
    "session_id",
]


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_in_spans_costs_what_it_costs_as_an_event(running: Running, name: str, kind: str) -> None:
    spans, event = CALLS[name]
    now = time.time_ns()
    session, trace = f"{name} {kind}"[:64], f"{now:032x}"
    told = {"user.id": "ada", "session.id": session, "percapita.tags.plan": "pro"}
    sent = [
        span._replace(trace_id=trace, start=now - SECOND, end=now, attributes={**span.attributes, **told})
        for span in spans
    ]
    assert answered(running.post_spans(body(sent, kind), kind), kind) == (0, "")
    running.post_spans(body(sent, kind), kind)  # a retry
    metadata = {"tags": {"userId": "ada", "plan": "pro"}}
    given = {
        "type": "llm",
        "timestamp": now // 1_000_000 - 1000,
        "session_id": session,
        "metadata": metadata,
        "latency_ms": 1000,
        **event,
    }
    assert running.post(given)["accepted"] == 1
    found = [
        running.get(f"events/{row['id']}")["data"]
        for row in running.get("events?window=1d&limit=100")["data"]
        if row["session_id"] == session
    ]
    assert len(found) == 2
    one, other = ({field: row[field] for field in SAME} for row in found)
    assert one == other
    assert one["price_status"] == "priced"
    assert one["cost"] is not None


def test_langfuses_users_switch_by_a_url(running: Running) -> None:
    now = time.time_ns()
    span = CALLS["Langfuse, flex"][0][0]._replace(trace_id=f"{now:032x}", start=now - SECOND, end=now)
    data = body(
        [
            span._replace(
                attributes={**span.attributes, "user.id": "langfuse's", "langfuse.trace.metadata.plan": '"pro"'}
            )
        ]
    )
    assert running.post_spans(data, PROTOBUF, "/api/public/otel/v1/traces") == b""
    (user,) = [row for row in running.get("users?window=1d")["data"] if row["user_id"] == "langfuse's"]
    assert (user["events"], user["spend"] is not None) == (1, True)


def test_resource_attributes_become_tags_when_the_account_asks_for_them(running: Running) -> None:
    (account,) = json.loads(running.command("accounts", "list", "--json").stdout)
    told = running.command("accounts", "resource-tags", account["id"], "deployment.environment", "--json")
    assert json.loads(told.stdout) == {"account": account["id"], "resource_tags": ["deployment.environment"]}
    refused = running.command("accounts", "resource-tags", account["id"], "no name", "--json")
    assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
    time.sleep(1.1)  # keys are read again once a second
    now = time.time_ns()
    (span, *_), _ = CALLS["attributes alone"]
    resource = (("deployment.environment", "eu"), ("host.name", "h"))
    running.post_spans(
        body([span._replace(trace_id=f"{now:032x}", start=now - SECOND, end=now, resource=resource)]), PROTOBUF
    )
    rows = running.get("events?window=1d&tag.deployment.environment=eu")["data"]
    assert [row["tags"] for row in rows] == [{"deployment.environment": "eu"}]
