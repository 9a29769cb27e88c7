"""The local provider server, asked by the providers' own packages: what they read is what was asked for."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.support.providers import ProviderServer
from tests.support.providers.answer import THOUGHT, WORDS

GPT, CLAUDE = "gpt-4o", "claude-sonnet-5"
TEXT = "".join(WORDS)
TOOL = {"name": "look", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}}


class Found(BaseModel):
    place: str
    count: int


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as made:
        yield made


@pytest.fixture
def gpt(server: ProviderServer) -> openai.OpenAI:
    return openai.OpenAI(api_key="sk-none", base_url=f"{server.url}/v1", max_retries=0)


@pytest.fixture
def claude(server: ProviderServer) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="none", base_url=server.url, max_retries=0)


def ask(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_chat_counts_every_class_that_is_asked_for(gpt: openai.OpenAI, server: ProviderServer) -> None:
    text = "tokens:1000,400,100,50 long:40 reasoning:20 audio:300,5,200 served:default as:gpt-4o-2024-08-06"
    made = gpt.chat.completions.create(model=GPT, messages=ask(text), service_tier="priority", n=2)
    assert made.usage is not None
    assert made.usage.model_dump(exclude_none=True) == {
        "prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050,
        "prompt_tokens_details": {
            "cached_tokens": 400, "audio_tokens": 300, "cache_write_tokens": 100,
            "cache_write_tokens_details": {"ttl_30m_tokens": 60, "ttl_12h_tokens": 40},
            "cached_tokens_details": {"audio_tokens": 200, "text_tokens": 200},
        },
        "completion_tokens_details": {
            "reasoning_tokens": 20, "audio_tokens": 5, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    }  # fmt: skip
    assert (made.service_tier, made.model) == ("default", "gpt-4o-2024-08-06")
    assert [choice.message.content for choice in made.choices] == [TEXT, TEXT]
    (served,) = server.served
    assert (served.id, served.tier, served.usage) == (made.id, "default", made.usage.model_dump(exclude_none=True))


def test_a_stream_tells_its_usage_only_where_it_was_asked_for(gpt: openai.OpenAI, server: ProviderServer) -> None:
    told = list(
        gpt.chat.completions.create(
            model=GPT, messages=ask("tokens:7,0,0,3"), stream=True, stream_options={"include_usage": True}
        )
    )
    assert told[-1].choices == []
    assert told[-1].usage is not None
    assert told[-1].usage.prompt_tokens == 7
    bare = list(gpt.chat.completions.create(model=GPT, messages=ask("tokens:7,0,0,3 empty:2"), stream=True))
    assert [len(chunk.choices) for chunk in bare].count(0) == 1
    assert not any(chunk.usage for chunk in bare)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in bare if chunk.choices) == TEXT
    assert [served.told for served in server.served] == [True, False]


def test_tools_are_called_plainly_and_in_streams(gpt: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    tools: Any = [{"type": "function", "function": TOOL}]
    (call,) = gpt.chat.completions.create(model=GPT, messages=ask("x"), tools=tools).choices[0].message.tool_calls or []
    assert json.loads(call.function.arguments) == {"place": "forty-two"}  # type: ignore[union-attr]
    with gpt.chat.completions.stream(model=GPT, messages=ask("x"), tools=tools) as stream:
        final = stream.get_final_completion()
    assert json.loads(final.choices[0].message.tool_calls[0].function.arguments) == {"place": "forty-two"}  # type: ignore[index]
    item = gpt.responses.create(model=GPT, input="x", tools=[{"type": "function", "strict": False, **TOOL}]).output[0]
    assert (item.type, item.arguments) == ("function_call", '{"place": "forty-two"}')  # type: ignore[union-attr]
    for text in ("x", "fresh"):
        with claude.messages.stream(
            model=CLAUDE, max_tokens=9, messages=ask(text), tools=[{"name": "look", "input_schema": TOOL["parameters"]}]
        ) as told:
            block = told.get_final_message().content[0]
        assert (block.type, block.input) == ("tool_use", {"place": "forty-two"})  # type: ignore[union-attr]


def test_structured_output_is_parsed_by_the_packages(gpt: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    wanted = Found(place="forty-two", count=42)
    assert (
        gpt.chat.completions.parse(model=GPT, messages=ask("x"), response_format=Found).choices[0].message.parsed
        == wanted
    )
    assert gpt.responses.parse(model=GPT, input="x", text_format=Found).output_parsed == wanted
    assert (
        claude.messages.parse(model=CLAUDE, max_tokens=9, messages=ask("x"), output_format=Found).parsed_output
        == wanted
    )


def test_responses_end_completed_incomplete_or_failed_plainly_and_in_streams(gpt: openai.OpenAI) -> None:
    words = "tokens:500,100,50,20 long:50 reasoning:5"
    for status in ("completed", "incomplete", "failed"):
        text = words if status == "completed" else f"{words} status:{status}"
        plain = gpt.responses.create(model=GPT, input=text)
        last = list(gpt.responses.create(model=GPT, input=text, stream=True))[-1]
        assert plain.status == status
        assert last.type == f"response.{status}"
        assert last.response.usage == plain.usage
        if status == "failed":
            assert plain.usage is None
            continue
        assert plain.output_text == TEXT
        assert plain.usage is not None
        split = plain.usage.input_tokens_details.cache_write_tokens_details
        assert split is not None
        assert (split.ttl_12h_tokens, split.ttl_30m_tokens) == (50, 0)
    with gpt.responses.stream(model=GPT, input="x searches:1") as stream:
        assert [item.type for item in stream.get_final_response().output] == ["web_search_call", "message"]


def test_a_background_response_is_queued_then_under_way_then_done(gpt: openai.OpenAI) -> None:
    made = gpt.responses.create(model=GPT, input="tokens:9,0,0,1", background=True)
    seen = [gpt.responses.retrieve(made.id) for _ in range(3)]
    assert [made.status, *(each.status for each in seen)] == ["queued", "in_progress", "completed", "completed"]
    assert made.usage is None
    assert seen[-1].usage is not None
    assert seen[-1].usage.input_tokens == 9


def test_embeddings_come_as_floats_and_are_counted(gpt: openai.OpenAI) -> None:
    made = gpt.embeddings.create(model="text-embedding-3-small", input=["tokens:12,0,0,0", "b"])
    assert [len(each.embedding) for each in made.data] == [16, 16]
    assert made.usage.prompt_tokens == 12


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (404, "NotFoundError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
    ],
)
def test_errors_are_those_of_the_provider(
    gpt: openai.OpenAI, claude: anthropic.Anthropic, status: int, kind: str
) -> None:
    with pytest.raises(getattr(openai, kind), match="failed as asked") as of_openai:
        gpt.chat.completions.create(model=GPT, messages=ask(f"fail:{status} retry-after:2"))
    with pytest.raises(getattr(anthropic, kind), match="failed as asked") as of_anthropic:
        claude.messages.create(model=CLAUDE, max_tokens=9, messages=ask(f"fail:{status}"))
    assert of_openai.value.type in ("invalid_request_error", "requests", "server_error")
    assert of_openai.value.response.headers["retry-after"] == "2"
    assert of_anthropic.value.body["type"] == "error"
    assert ("retry-after" in of_anthropic.value.response.headers) == (status == 429)


def test_a_request_that_fails_once_is_answered_when_it_comes_again(gpt: openai.OpenAI, server: ProviderServer) -> None:
    patient = gpt.with_options(max_retries=1)
    assert patient.chat.completions.create(model=GPT, messages=ask("fail:500x1")).id == server.served[-1].id
    assert [served.status for served in server.served] == [500, 200]


def test_streams_are_cut_broken_spoilt_or_end_in_an_error(gpt: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    def heard(text: str) -> list[Any]:
        return list(gpt.chat.completions.create(model=GPT, messages=ask(text), stream=True))

    assert len(heard("cut:3")) == 3
    with pytest.raises(openai.APIConnectionError):
        heard("drop:3")
    with pytest.raises(json.JSONDecodeError):
        heard("malformed:3")
    with pytest.raises(openai.APIError, match="failed as asked"):
        heard("error:3")
    with pytest.raises(anthropic.APIStatusError, match="failed as asked"):
        list(claude.messages.create(model=CLAUDE, max_tokens=9, messages=ask("error:4"), stream=True))


def test_messages_split_their_writes_and_a_stream_counts_cumulatively(claude: anthropic.Anthropic) -> None:
    text = "tokens:500,300,200,90 long:150 reasoning:30 searches:2 served:priority"
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    web: Any = [{"type": "web_search_20250305", "name": "web_search"}]
    made = claude.messages.create(model=CLAUDE, max_tokens=2000, messages=ask(text), thinking=thinking, tools=web)
    assert made.usage.cache_creation is not None
    assert made.usage.cache_creation.model_dump() == {"ephemeral_1h_input_tokens": 150, "ephemeral_5m_input_tokens": 50}
    assert made.usage.server_tool_use is not None
    assert (made.usage.server_tool_use.web_search_requests, made.usage.service_tier) == (2, "priority")
    assert made.content[0].thinking == THOUGHT  # type: ignore[union-attr]
    told = list(
        claude.messages.create(
            model=CLAUDE, max_tokens=2000, messages=ask(text), thinking=thinking, tools=web, stream=True
        )
    )
    begun, ended = told[0], told[-2]
    assert begun.type == "message_start"
    assert (begun.message.usage.input_tokens, begun.message.usage.output_tokens) == (250, 1)
    assert ended.type == "message_delta"
    assert (ended.usage.input_tokens, ended.usage.output_tokens) == (500, 90)
    with claude.messages.stream(
        model=CLAUDE, max_tokens=2000, messages=ask(text), thinking=thinking, tools=web
    ) as stream:
        assert [block.type for block in stream.get_final_message().content] == [block.type for block in made.content]


def test_beta_messages_and_counts_of_tokens_are_answered(claude: anthropic.Anthropic, server: ProviderServer) -> None:
    made = claude.beta.messages.create(model=CLAUDE, max_tokens=9, messages=ask("tokens:5,0,0,6"), speed="fast")
    assert (made.usage.output_tokens, made.usage.speed) == (6, "fast")
    assert claude.messages.count_tokens(model=CLAUDE, messages=ask("tokens:77,0,0,0")).input_tokens == 77
    assert [served.usage is None for served in server.served] == [False, True]


def test_azure_has_its_own_paths_chunks_and_errors(server: ProviderServer) -> None:
    azure = openai.AzureOpenAI(api_key="none", azure_endpoint=server.url, api_version="2024-10-21", max_retries=0)
    made = azure.chat.completions.create(model="ours", messages=ask("as:gpt-4o-2024-08-06"))
    assert made.model == "gpt-4o-2024-08-06"
    first, *rest = azure.chat.completions.create(model="ours", messages=ask("x"), stream=True)
    assert (first.choices, first.id) == ([], "")
    assert all(chunk.choices for chunk in rest)
    with pytest.raises(openai.NotFoundError) as absent:
        azure.chat.completions.create(model="ours", messages=ask("fail:404"))
    assert absent.value.code == "DeploymentNotFound"
    new = openai.OpenAI(api_key="none", base_url=f"{server.url}/openai/v1/")
    assert new.responses.create(model="ours", input="x").output_text == TEXT
    assert {served.provider for served in server.served} == {"azure"}


def test_vertex_names_the_model_in_the_path(server: ProviderServer) -> None:
    vertex = anthropic.AnthropicVertex(
        region="global", project_id="p", access_token="none", base_url=f"{server.url}/v1", max_retries=0
    )
    made = vertex.messages.create(model="claude-sonnet-4-5@20250929", max_tokens=9, messages=ask("tokens:5,0,0,6"))
    assert (made.usage.output_tokens, made.model) == (6, "claude-sonnet-4-5@20250929")
    told = vertex.messages.create(model="claude-sonnet-4-5@20250929", max_tokens=9, messages=ask("x"), stream=True)
    assert [event.type for event in told][-1] == "message_stop"
    with pytest.raises(anthropic.RateLimitError, match="RESOURCE_EXHAUSTED"):
        vertex.messages.create(model="claude-sonnet-4-5@20250929", max_tokens=9, messages=ask("fail:429"))


def test_bedrock_streams_in_amazons_framing(server: ProviderServer) -> None:
    body = json.dumps({"anthropic_version": "bedrock-2023-05-31", "messages": ask("tokens:5,0,0,6")}).encode()
    path = "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke"
    with urllib.request.urlopen(f"{server.url}{path}", data=body) as answer:
        assert json.load(answer)["usage"]["output_tokens"] == 6
    with urllib.request.urlopen(f"{server.url}{path}-with-response-stream", data=body) as answer:
        assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
        told = list(_aws_messages(answer.read()))
    assert [event["type"] for event in told] == [
        "message_start", "content_block_start", "ping", *["content_block_delta"] * len(WORDS), "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip


def _aws_messages(stream: bytes) -> Iterator[Any]:
    """Read back by length; that the sums are right is for the package's own decoder to say, where it is installed."""
    try:
        from botocore.eventstream import EventStreamBuffer
    except ImportError:
        pass
    else:
        buffer = EventStreamBuffer()
        buffer.add_data(stream)
        assert sum(1 for _ in buffer) > 0
    at = 0
    while at < len(stream):
        length, headers = (int.from_bytes(stream[at + n : at + n + 4]) for n in (0, 4))
        payload = stream[at + 12 + headers : at + length - 4]
        yield json.loads(base64.b64decode(json.loads(payload)["bytes"]))
        at += length


def test_the_same_calls_get_the_same_bytes_after_a_reset_and_no_two_ids_are_one(
    gpt: openai.OpenAI, server: ProviderServer
) -> None:
    def bytes_of_calls() -> list[bytes]:
        made = [gpt.chat.completions.with_raw_response.create(model=GPT, messages=ask("x")).content for _ in range(2)]
        with gpt.chat.completions.with_streaming_response.create(model=GPT, messages=ask("x"), stream=True) as answer:
            return [*made, answer.read()]

    first = bytes_of_calls()
    assert len({served.id for served in server.served}) == 3
    server.reset()
    assert bytes_of_calls() == first
