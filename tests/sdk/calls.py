"""The same calls through a bare client and a wrapped one, and all that the host sees of each. Runs in any environment with the packages.

    python calls.py PROVIDER_URL INTAKE_URL

prints {package version, {case: {"bare": transcript, "wrapped": transcript}}} as JSON. A case that a release does not have is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import json
import re
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anthropic
import openai
import percapita
from pydantic import BaseModel


class City(BaseModel):
    """What `parse` is asked for."""

    name: str
    people: int


class Missing(Exception):
    """This release has no such surface."""


# --- what the host sees


def seen(value: Any) -> Any:
    """A value with its type, as JSON."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (list, tuple)):
        return [seen(item) for item in value]
    if isinstance(value, dict):
        return {str(k): seen(v) for k, v in value.items()}
    if isinstance(value, BaseException):
        told = {
            n: seen(getattr(value, n))
            for n in ("code", "status_code", "body", "param", "request_id")
            if hasattr(value, n)
        }
        cause = type(value.__cause__).__name__ if value.__cause__ is not None else None
        return [name, str(value), told, cause]
    if hasattr(value, "model_dump"):
        return [name, value.model_dump(mode="json", warnings=False)]
    return [name]


class Say(list[Any]):
    """A transcript."""

    def __call__(self, *values: Any) -> None:
        self.extend(seen(value) for value in values)


async def done(value: Any) -> Any:
    """The value, awaited where it has to be."""
    return await value if inspect.isawaitable(value) else value


async def each(stream: Any) -> AsyncIterator[Any]:
    """The items of a sync or async iterator."""
    if hasattr(stream, "__aiter__"):
        async for item in stream:
            yield item
    else:
        for item in stream:
            yield item


@contextlib.asynccontextmanager
async def entered(manager: Any) -> AsyncIterator[Any]:
    """A sync or async context manager."""
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value


def of(owner: Any, *path: str) -> Any:
    """An attribute, or Missing."""
    for name in path:
        owner = getattr(owner, name, None)
        if owner is None:
            raise Missing
    return owner


Case = Callable[[Any, Say], Awaitable[None]]
CASES: dict[str, tuple[str, Case]] = {}


def case(kind: str) -> Callable[[Case], Case]:
    """Register a case for a kind of client."""

    def add(function: Case) -> Case:
        CASES[function.__name__] = (kind, function)
        return function

    return add


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}


TOOLS = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
]


# --- OpenAI, chat completions


@case("openai")
async def chat(client: Any, say: Say) -> None:
    say(await done(client.chat.completions.create(**ask("tokens:1000,400,0,50 reasoning:20"))))


@case("openai")
async def chat_tier(client: Any, say: Say) -> None:
    say(
        await done(
            client.chat.completions.create(
                **ask("tokens:1000,0,0,50 served:default", extra_body={"service_tier": "flex"})
            )
        )
    )


@case("openai")
async def chat_cache_written(client: Any, say: Say) -> None:
    say(await done(client.chat.completions.create(**ask("tokens:9000,1000,6000,50 long:2000"))))


@case("openai")
async def chat_tools(client: Any, say: Say) -> None:
    say(await done(client.chat.completions.create(**ask("tokens:200,0,0,30", tools=TOOLS))))


@case("openai")
async def chat_two_choices(client: Any, say: Say) -> None:
    say(await done(client.chat.completions.create(**ask("tokens:200,0,0,60", n=2))))


@case("openai")
async def chat_stream(client: Any, say: Say) -> None:
    stream = await done(client.chat.completions.create(**ask("tokens:1000,400,0,50", stream=True)))
    say(type(stream).__name__, stream.response.status_code)
    async for chunk in each(stream):
        say(chunk)


@case("openai")
async def chat_stream_with_usage(client: Any, say: Say) -> None:
    more: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    async for chunk in each(await done(client.chat.completions.create(**ask("tokens:900,100,0,40", **more)))):
        say(chunk, chunk.choices[0].delta.content if chunk.choices else "usage")


@case("openai")
async def chat_stream_without_usage(client: Any, say: Say) -> None:
    more: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": False}}
    async for chunk in each(await done(client.chat.completions.create(**ask("tokens:900,100,0,40", **more)))):
        say(chunk)


@case("openai")
async def chat_stream_reads_first_choice(client: Any, say: Say) -> None:
    """As most hosts do: a chunk without choices would raise here."""
    async for chunk in each(await done(client.chat.completions.create(**ask("tokens:70,0,0,9", stream=True)))):
        say(chunk.choices[0].delta.content)


@case("openai")
async def chat_stream_empty_choices(client: Any, say: Say) -> None:
    async for chunk in each(await done(client.chat.completions.create(**ask("tokens:70,0,0,9 empty:2", stream=True)))):
        say(chunk)


@case("openai")
async def chat_stream_tools(client: Any, say: Say) -> None:
    async for chunk in each(
        await done(client.chat.completions.create(**ask("tokens:70,0,0,9", tools=TOOLS, stream=True)))
    ):
        say(chunk)


@case("openai")
async def chat_stream_next(client: Any, say: Say) -> None:
    stream = await done(client.chat.completions.create(**ask("tokens:60,0,0,7", stream=True)))
    with contextlib.suppress(StopIteration, StopAsyncIteration):
        while True:
            say(await stream.__anext__() if hasattr(stream, "__anext__") else next(stream))


@case("openai")
async def chat_stream_broken_off(client: Any, say: Say) -> None:
    stream = await done(client.chat.completions.create(**ask("tokens:1000,0,0,50", stream=True)))
    async with entered(stream):
        async for chunk in each(stream):
            say(chunk)
            if len(say) > 2:
                break
    say(stream.response.is_closed)


@case("openai")
async def chat_stream_closed(client: Any, say: Say) -> None:
    stream = await done(client.chat.completions.create(**ask("tokens:1000,0,0,50", stream=True)))
    await done(stream.close())
    say(stream.response.is_closed)


@case("openai")
async def chat_stream_forgotten(client: Any, say: Say) -> None:
    stream = await done(client.chat.completions.create(**ask("tokens:1000,0,0,50", stream=True)))
    say(await stream.__anext__() if hasattr(stream, "__anext__") else next(stream))
    del stream
    gc.collect()


@case("openai")
async def chat_stream_left_at_its_finish(client: Any, say: Say) -> None:
    stream = await done(client.chat.completions.create(**ask("tokens:1000,0,0,50", stream=True)))
    async for chunk in each(stream):
        say(chunk)
        if chunk.choices[0].finish_reason:
            break
    await done(stream.close())


@case("openai")
async def chat_stream_drops(client: Any, say: Say) -> None:
    stream = await done(client.chat.completions.create(**ask("tokens:1000,0,0,50 drop:3", stream=True)))
    try:
        async for chunk in each(stream):
            say(chunk)
    except Exception as error:
        say(error)


@case("openai")
async def chat_stream_malformed(client: Any, say: Say) -> None:
    try:
        async for chunk in each(
            await done(client.chat.completions.create(**ask("tokens:1000,0,0,50 malformed:2", stream=True)))
        ):
            say(chunk)
    except Exception as error:
        say(error)


@case("openai")
async def chat_stream_error_event(client: Any, say: Say) -> None:
    try:
        async for chunk in each(
            await done(client.chat.completions.create(**ask("tokens:1000,0,0,50 error:2", stream=True)))
        ):
            say(chunk)
    except Exception as error:
        say(error)


@case("openai")
async def chat_parse(client: Any, say: Say) -> None:
    surface = getattr(client.chat.completions, "parse", None) or of(client, "beta", "chat", "completions", "parse")
    try:
        say(await done(surface(**ask("tokens:300,0,0,30", response_format=City))))
    except Exception as error:
        say(error)


@case("openai")
async def chat_parse_too_long(client: Any, say: Say) -> None:
    surface = getattr(client.chat.completions, "parse", None) or of(client, "beta", "chat", "completions", "parse")
    try:
        say(await done(surface(**ask("tokens:300,0,0,30 finish:length", response_format=City))))
    except Exception as error:
        say(error)


@case("openai")
async def chat_stream_helper(client: Any, say: Say) -> None:
    surface = getattr(client.chat.completions, "stream", None) or of(client, "beta", "chat", "completions", "stream")
    async with entered(surface(**ask("tokens:300,100,0,30"))) as stream:
        async for event in each(stream):
            say(event)
        say(await done(stream.get_final_completion()))


@case("openai")
async def chat_raw(client: Any, say: Say) -> None:
    raw = await done(client.chat.completions.with_raw_response.create(**ask("tokens:500,200,0,20")))
    say(
        type(raw).__name__,
        raw.status_code,
        raw.headers["content-type"],
        await done(raw.parse()),
        raw.http_response.text,
    )


@case("openai")
async def chat_raw_stream(client: Any, say: Say) -> None:
    more: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    raw = await done(client.chat.completions.with_raw_response.create(**ask("tokens:500,200,0,20", **more)))
    say(type(raw).__name__, raw.status_code)
    async for chunk in each(await done(raw.parse())):
        say(chunk)


@case("openai")
async def chat_raw_stream_without_usage(client: Any, say: Say) -> None:
    raw = await done(client.chat.completions.with_raw_response.create(**ask("tokens:500,200,0,20", stream=True)))
    async for chunk in each(await done(raw.parse())):
        say(chunk)


@case("openai")
async def chat_streaming_response(client: Any, say: Say) -> None:
    async with entered(
        client.chat.completions.with_streaming_response.create(**ask("tokens:500,200,0,20"))
    ) as response:
        say(type(response).__name__, response.is_closed, await done(response.parse()))


@case("openai")
async def chat_streaming_response_read(client: Any, say: Say) -> None:
    async with entered(
        client.chat.completions.with_streaming_response.create(**ask("tokens:510,200,0,20"))
    ) as response:
        say(await done(response.read()), await done(response.text()))


@case("openai")
async def chat_streaming_response_lines(client: Any, say: Say) -> None:
    more: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    async with entered(
        client.chat.completions.with_streaming_response.create(**ask("tokens:520,200,0,20", **more))
    ) as response:
        async for line in each(response.iter_lines()):
            say(line)


@case("openai")
async def chat_streaming_response_unread(client: Any, say: Say) -> None:
    async with entered(
        client.chat.completions.with_streaming_response.create(**ask("tokens:530,200,0,20"))
    ) as response:
        say(response.status_code)


@case("openai")
async def chat_errors(client: Any, say: Say) -> None:
    for code in (400, 401, 404, 429, 500):
        try:
            await done(client.with_options(max_retries=0).chat.completions.create(**ask(f"fail:{code}")))
        except Exception as error:
            say(error)


@case("openai")
async def chat_retried(client: Any, say: Say) -> None:
    say(
        await done(
            client.with_options(max_retries=2).chat.completions.create(
                **ask("tokens:40,0,0,4 fail:500x1 retry-after:0")
            )
        )
    )


@case("openai")
async def chat_timeout(client: Any, say: Say) -> None:
    """The answer's first piece comes too late."""
    try:
        stream = await done(
            client.with_options(max_retries=0, timeout=0.2).chat.completions.create(**ask("slow:600", stream=True))
        )
        async for chunk in each(stream):
            say(chunk)
    except Exception as error:
        say(error)


@case("openai")
async def chat_wrong_arguments(client: Any, say: Say) -> None:
    try:
        await done(client.chat.completions.create(messages=[]))
    except Exception as error:
        say(error)


@case("openai")
async def chat_extra_body(client: Any, say: Say) -> None:
    say(
        await done(
            client.chat.completions.create(
                **ask("tokens:41,0,0,4", extra_body={"flavour": "mild"}, extra_headers={"X-Mine": "1"})
            )
        )
    )


@case("openai")
async def chat_posted(client: Any, say: Say) -> None:
    say(await done(client.post("/chat/completions", body=ask("tokens:42,0,0,4"), cast_to=object)))


# --- OpenAI, responses and embeddings


def respond(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "input": text, **more}


@case("openai")
async def responses(client: Any, say: Say) -> None:
    answer = await done(
        of(client, "responses").create(**respond("tokens:1000,400,200,50 reasoning:20", instructions="briefly"))
    )
    say(answer, answer.output_text)


@case("openai")
async def responses_stream(client: Any, say: Say) -> None:
    async for event in each(
        await done(of(client, "responses").create(**respond("tokens:1000,400,200,50", stream=True)))
    ):
        say(event)


@case("openai")
async def responses_stream_helper(client: Any, say: Say) -> None:
    async with entered(of(client, "responses", "stream")(**respond("tokens:1000,400,0,50"))) as stream:
        async for event in each(stream):
            say(event)
        say(await done(stream.get_final_response()))


@case("openai")
async def responses_stream_broken_off(client: Any, say: Say) -> None:
    stream = await done(of(client, "responses").create(**respond("tokens:1000,400,200,50", stream=True)))
    async with entered(stream):
        async for event in each(stream):
            say(event)
            if len(say) > 5:
                break


@case("openai")
async def responses_parse(client: Any, say: Say) -> None:
    try:
        say(await done(of(client, "responses", "parse")(**respond("tokens:300,0,0,30", text_format=City))))
    except Missing:
        raise
    except Exception as error:
        say(error)


@case("openai")
async def responses_ended_otherwise(client: Any, say: Say) -> None:
    for status in ("incomplete", "failed"):
        say(await done(of(client, "responses").create(**respond(f"tokens:300,0,0,30 status:{status}"))))


@case("openai")
async def responses_raw(client: Any, say: Say) -> None:
    raw = await done(of(client, "responses").with_raw_response.create(**respond("tokens:300,50,0,30")))
    say(raw.status_code, await done(raw.parse()))


@case("openai")
async def responses_background(client: Any, say: Say) -> None:
    answer = await done(of(client, "responses").create(**respond("tokens:800,50,0,30", background=True)))
    while answer.status in ("queued", "in_progress"):
        say(answer)
        answer = await done(client.responses.retrieve(answer.id))
    say(answer, await done(client.responses.retrieve(answer.id)))


@case("openai")
async def embeddings(client: Any, say: Say) -> None:
    say(await done(client.embeddings.create(model="text-embedding-3-small", input=["one tokens:12,0,0,0", "two"])))


@case("azure")
async def azure_chat(client: Any, say: Say) -> None:
    say(await done(client.chat.completions.create(**ask("tokens:1000,400,0,50"))))


@case("azure")
async def azure_chat_stream(client: Any, say: Say) -> None:
    async for chunk in each(await done(client.chat.completions.create(**ask("tokens:1000,400,0,50", stream=True)))):
        say(chunk)


# --- Anthropic


def tell(text: str, **more: Any) -> dict[str, Any]:
    return {
        "model": "claude-sonnet-4-20250514",
        "max_tokens": 500,
        "messages": [{"role": "user", "content": text}],
        **more,
    }


CLAUDE_TOOLS = [
    {
        "name": "weather",
        "description": "of a city",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
]


@case("anthropic")
async def messages(client: Any, say: Say) -> None:
    say(await done(client.messages.create(**tell("tokens:1000,400,300,50 long:100", system="briefly"))))


@case("anthropic")
async def messages_searches(client: Any, say: Say) -> None:
    say(await done(client.messages.create(**tell("tokens:1000,0,0,50 searches:2"))))


@case("anthropic")
async def messages_tools(client: Any, say: Say) -> None:
    say(await done(client.messages.create(**tell("tokens:100,0,0,50", tools=CLAUDE_TOOLS))))


@case("anthropic")
async def messages_stream(client: Any, say: Say) -> None:
    async for event in each(await done(client.messages.create(**tell("tokens:1000,400,300,50 long:100", stream=True)))):
        say(event)


@case("anthropic")
async def messages_stream_tools(client: Any, say: Say) -> None:
    async for event in each(
        await done(client.messages.create(**tell("tokens:100,0,0,50", tools=CLAUDE_TOOLS, stream=True)))
    ):
        say(event)


@case("anthropic")
async def messages_stream_helper(client: Any, say: Say) -> None:
    async with entered(client.messages.stream(**tell("tokens:1000,400,300,50 long:100"))) as stream:
        async for event in each(stream):
            say(event)
        say(await done(stream.get_final_message()))


@case("anthropic")
async def messages_text_stream(client: Any, say: Say) -> None:
    async with entered(client.messages.stream(**tell("tokens:80,0,0,8"))) as stream:
        async for text in each(stream.text_stream):
            say(text)


@case("anthropic")
async def messages_stream_broken_off(client: Any, say: Say) -> None:
    async with entered(client.messages.stream(**tell("tokens:1000,400,300,50 long:100"))) as stream:
        async for event in each(stream):
            say(event)
            if len(say) > 4:
                break


@case("anthropic")
async def messages_stream_error_event(client: Any, say: Say) -> None:
    try:
        async for event in each(
            await done(client.messages.create(**tell("tokens:1000,400,0,50 error:4", stream=True)))
        ):
            say(event)
    except Exception as error:
        say(error)


@case("anthropic")
async def messages_stream_cut(client: Any, say: Say) -> None:
    try:
        async for event in each(await done(client.messages.create(**tell("tokens:1000,400,0,50 cut:4", stream=True)))):
            say(event)
    except Exception as error:
        say(error)


@case("anthropic")
async def messages_raw(client: Any, say: Say) -> None:
    raw = await done(client.messages.with_raw_response.create(**tell("tokens:300,50,20,30")))
    say(raw.status_code, raw.headers["content-type"], await done(raw.parse()))


@case("anthropic")
async def messages_raw_stream(client: Any, say: Say) -> None:
    raw = await done(client.messages.with_raw_response.create(**tell("tokens:300,50,20,30", stream=True)))
    async for event in each(await done(raw.parse())):
        say(event)


@case("anthropic")
async def messages_streaming_response(client: Any, say: Say) -> None:
    async with entered(client.messages.with_streaming_response.create(**tell("tokens:300,50,20,31"))) as response:
        say(await done(response.parse()))


@case("anthropic")
async def beta_messages(client: Any, say: Say) -> None:
    say(await done(of(client, "beta", "messages").create(**tell("tokens:300,50,20,32"))))


@case("anthropic")
async def beta_messages_stream(client: Any, say: Say) -> None:
    async with entered(of(client, "beta", "messages", "stream")(**tell("tokens:300,50,20,33"))) as stream:
        async for event in each(stream):
            say(event)


@case("anthropic")
async def tokens_counted(client: Any, say: Say) -> None:
    """Free of charge: no call of ours."""
    counted = tell("how many?")
    counted.pop("max_tokens")
    say(await done(of(client, "messages", "count_tokens")(**counted)))


@case("anthropic")
async def messages_errors(client: Any, say: Say) -> None:
    for code in (400, 401, 404, 429, 529):
        try:
            await done(client.with_options(max_retries=0).messages.create(**tell(f"fail:{code}")))
        except Exception as error:
            say(error)


@case("bedrock")
async def bedrock_messages(client: Any, say: Say) -> None:
    say(
        await done(
            client.messages.create(**tell("tokens:1000,400,300,50", model="anthropic.claude-sonnet-4-20250514-v1:0"))
        )
    )


@case("bedrock")
async def bedrock_messages_stream(client: Any, say: Say) -> None:
    asked = tell("tokens:1000,400,300,50", model="anthropic.claude-sonnet-4-20250514-v1:0", stream=True)
    async for event in each(await done(client.messages.create(**asked))):
        say(event)


@case("vertex")
async def vertex_messages(client: Any, say: Say) -> None:
    say(await done(client.messages.create(**tell("tokens:1000,400,300,50", model="claude-sonnet-4@20250514"))))


@case("vertex")
async def vertex_messages_stream(client: Any, say: Say) -> None:
    async for event in each(
        await done(
            client.messages.create(**tell("tokens:1000,400,300,50", model="claude-sonnet-4@20250514", stream=True))
        )
    ):
        say(event)


# --- both ways


def client_of(kind: str, url: str, is_async: bool) -> Any:
    """A bare client of a kind."""
    if kind == "openai":
        return (openai.AsyncOpenAI if is_async else openai.OpenAI)(api_key="sk-test", base_url=f"{url}/v1")
    if kind == "azure":
        cls = openai.AsyncAzureOpenAI if is_async else openai.AzureOpenAI
        return cls(api_key="azure-test", azure_endpoint=url, api_version="2024-10-21")
    if kind == "anthropic":
        return (anthropic.AsyncAnthropic if is_async else anthropic.Anthropic)(api_key="sk-ant-test", base_url=url)
    if kind == "bedrock":
        cls = anthropic.AsyncAnthropicBedrock if is_async else anthropic.AnthropicBedrock
        return cls(aws_access_key="a", aws_secret_key="b", aws_region="eu-central-1", base_url=url)
    cls = anthropic.AsyncAnthropicVertex if is_async else anthropic.AnthropicVertex
    return cls(region="europe-west1", project_id="p", access_token="t", base_url=f"{url}/v1")


async def transcript(function: Case, client: Any) -> Say | None:
    """All that the host sees, and what is warned of, in any thread, until the call's event is sent."""
    say = Say()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ResourceWarning)  # of sockets, whenever they are collected
        try:
            await function(client, say)
        except Missing:
            return None
        except Exception as error:  # the host saw this too
            say("raised", error)
        percapita.flush(20)
        if warned:
            say("warned", sorted({f"{w.category.__name__}: {w.message}" for w in warned}))
    return say


def named(say: Say | None) -> Any:
    """The same with the provider's ids numbered as they come: the second of two equal requests gets others."""
    ids: dict[str, str] = {}
    text = json.dumps(say)
    return json.loads(re.sub(r"[0-9a-f]{24}", lambda found: ids.setdefault(found.group(), f"id{len(ids)}"), text))


async def main(provider: str, intake: str) -> None:
    percapita.configure("pc_test_key", intake, privacy="full")
    found: dict[str, Any] = {}
    for is_async in (False, True):
        for name, (kind, function) in CASES.items():
            bare = client_of(kind, provider, is_async)
            wrapped = percapita.wrap(percapita.wrap(client_of(kind, provider, is_async)))
            told = f"{name}, async" if is_async else name
            seen_bare = await transcript(function, bare)
            with percapita.with_trace(tags={"userId": told}):
                seen_wrapped = await transcript(function, wrapped)
            if seen_bare is not None:
                found[told] = {"bare": named(seen_bare), "wrapped": named(seen_wrapped)}
            for client in (bare, wrapped):
                with contextlib.suppress(Exception):
                    await done(client.close())
    gc.collect()
    percapita.flush(20)
    print(json.dumps({"openai": openai.__version__, "anthropic": anthropic.__version__, "cases": found}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
