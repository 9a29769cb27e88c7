"""Calls that are under way when something happens to the process or the configuration; streams and helpers that are left early."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from typing import Any

import anthropic
import openai
import pytest
from percapita import Percapita, _background
from percapita._hosts import takes_usage

from tests.support.intake import Intake
from tests.support.providers import ProviderServer


def client_of(provider: ProviderServer) -> openai.OpenAI:
    return openai.OpenAI(api_key="sk-test", base_url=f"{provider.url}/v1", max_retries=0)


def ask(text: str = "tokens:1000,0,0,50", **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}


def calls(ours: Percapita, intake: Intake) -> list[dict[str, Any]]:
    assert ours.flush(10)
    return [e for e in intake.events if e["type"] == "llm"]


def run(intake: Intake, provider: ProviderServer, text: str) -> subprocess.CompletedProcess[str]:
    begin = """
        import asyncio, gc, os, sys, openai, percapita
        given = {"api_key": "sk-test", "base_url": os.environ["PROVIDER"] + "/v1"}
        asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "tokens:1000,0,0,50"}], "stream": True}
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(begin) + textwrap.dedent(text)],
        env={**os.environ, "PERCAPITA_API_KEY": "pc_test", "PERCAPITA_URL": intake.url, "PROVIDER": provider.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_stream_that_is_open_at_a_fork_is_its_parents(intake: Intake, provider: ProviderServer) -> None:
    ended = run(intake, provider, """
        client = percapita.wrap(openai.OpenAI(**given))
        stream = client.chat.completions.create(**asked)
        next(stream)
        child = os.fork()
        if not child:
            del stream, client
            gc.collect()
            percapita.log("child")
            percapita.flush(5)
            os._exit(0)
        os.waitpid(child, 0)
        for _ in stream:
            pass
    """)  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [(e["type"], e.get("status")) for e in intake.events] == [("log", None), ("llm", "ok")]


def test_a_program_that_ends_with_an_open_stream_and_a_cancelled_task_tells_of_both(
    intake: Intake, provider: ProviderServer
) -> None:
    ended = run(intake, provider, """
        async def left(client, started):
            with percapita.with_trace(tags={"userId": "cancelled"}):
                async for chunk in await client.chat.completions.create(**asked):
                    started.set()
                    await asyncio.sleep(60)

        async def main():
            client = percapita.wrap(openai.AsyncOpenAI(**given))
            started = asyncio.Event()
            task = asyncio.create_task(left(client, started))
            await started.wait()
            task.cancel()
            with percapita.with_trace(tags={"userId": "open"}):
                stream = await client.chat.completions.create(**asked)
                await stream.__anext__()
                main.stream = stream

        asyncio.run(main())
    """)  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    told = {e["metadata"]["tags"]["userId"]: e["status"] for e in intake.events if e["type"] == "llm"}
    assert told == {"cancelled": "aborted", "open": "aborted"}


def test_a_helper_that_is_left_early_is_told_at_once(ours: Percapita, intake: Intake, provider: ProviderServer) -> None:
    client = ours.wrap(client_of(provider))
    claude = ours.wrap(anthropic.Anthropic(api_key="x", base_url=provider.url))
    held = []  # so that nobody collects them
    with client.chat.completions.stream(**ask()) as stream:
        held.append(stream)
        next(stream)
    assert [e["status"] for e in calls(ours, intake)] == ["aborted"]
    with client.responses.stream(model="gpt-4o", input="tokens:1000,0,0,50") as responding:
        held.append(responding)  # type: ignore[arg-type]
        next(responding)
    assert [e["status"] for e in calls(ours, intake)] == ["aborted"] * 2
    with claude.messages.stream(model="claude-of-the-test", max_tokens=9, messages=ask()["messages"]) as telling:
        held.append(telling)  # type: ignore[arg-type]
        next(telling)
    assert [e["status"] for e in calls(ours, intake)] == ["aborted"] * 3


def test_an_async_helper_that_is_left_early_is_told_at_once(
    ours: Percapita, intake: Intake, provider: ProviderServer
) -> None:
    async def leave() -> None:
        client = ours.wrap(openai.AsyncOpenAI(api_key="x", base_url=f"{provider.url}/v1"))
        async with client.chat.completions.stream(**ask()) as stream:
            await stream.__anext__()
        assert [e["status"] for e in calls(ours, intake)] == ["aborted"]
        async with client.chat.completions.stream(**ask("tokens:10,0,0,2")) as whole:
            async for _ in whole:
                pass
        assert [e["status"] for e in calls(ours, intake)] == ["aborted", "ok"]
        await client.close()

    asyncio.run(leave())


def test_a_call_that_ends_under_other_settings_is_told_to_them(
    ours: Percapita, intake: Intake, provider: ProviderServer
) -> None:
    client = ours.wrap(client_of(provider))
    with Intake() as later, ours.with_trace(tags={"userId": "ada"}):
        stream = client.chat.completions.create(**ask(stream=True))
        next(stream)
        ours.configure("pc_other", later.url)
        list(stream)
        (call,) = calls(ours, later)
        assert (call["status"], call["metadata"]["tags"]) == ("ok", {"userId": "ada"})
        assert [e for e in intake.events if e["type"] == "llm"] == []
        ours.configure("")


def test_a_background_response_is_found_by_another_client_of_the_same_configuration(
    ours: Percapita, intake: Intake, provider: ProviderServer
) -> None:
    client = ours.wrap(client_of(provider))
    answer = client.responses.create(model="gpt-4o", input="tokens:800,50,0,30", background=True)
    while answer.status in ("queued", "in_progress"):
        answer = client.with_options(timeout=5).responses.retrieve(answer.id)
    first, whole = calls(ours, intake)
    assert whole["replaces"] == first["id"]
    assert whole["usage"]["output_tokens"] == 30
    assert ours.background._waiting == {}
    assert ours.background._characters == 0


def test_prompts_of_background_responses_are_bounded(
    ours: Percapita, intake: Intake, provider: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_background, "_MOST_CHARACTERS", 1_000)
    client = ours.wrap(client_of(provider))
    for _ in range(3):
        client.responses.create(model="gpt-4o", input="tokens:800,50,0,30 " + "x" * 600, background=True)
    assert ["prompt" in event for event, _ in ours.background._waiting.values()] == [True, False, False]
    assert all("prompt" in event for event in calls(ours, intake))


def azure(version: str) -> openai.OpenAI:
    return openai.AzureOpenAI(api_key="x", azure_endpoint="https://ours.openai.azure.com", api_version=version)


@pytest.mark.parametrize(
    ("client", "takes"),
    [
        (openai.OpenAI(api_key="x"), True),
        (openai.OpenAI(api_key="x", base_url="http://localhost:11434/v1"), False),
        (openai.OpenAI(api_key="x", base_url="http://127.0.0.1:8000/v1"), False),
        (azure("2024-02-01"), False),
        (azure("2024-08-01-preview"), False),
        (azure("2024-09-01-preview"), True),
        (azure("2024-10-21"), True),
        (azure("preview"), True),
        (openai.OpenAI(api_key="x", base_url="https://ours.openai.azure.com/openai/v1/"), True),
        (openai.OpenAI(api_key="x", base_url="https://ours.openai.azure.com/openai/deployments/gpt-4o"), False),
        (
            openai.OpenAI(
                api_key="x",
                base_url="https://ours.openai.azure.com/openai/deployments/gpt-4o",
                default_query={"api-version": "2024-10-21"},
            ),
            True,
        ),
    ],
)
def test_usage_is_asked_for_only_where_it_is_known_to_be_understood(client: openai.OpenAI, takes: bool) -> None:
    assert takes_usage(client) is takes


def test_usage_is_not_asked_for_beside_azures_data_sources(
    ours: Percapita, intake: Intake, provider: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERCAPITA_INCLUDE_USAGE", "1")
    client = ours.wrap(client_of(provider))
    for more in ({}, {"extra_body": {"data_sources": [{"type": "azure_search"}]}}):
        list(client.chat.completions.create(**ask("tokens:77,0,0,5", stream=True, **more)))
    asked = [s.body for s in provider.served if "tokens:77" in str(s.body)]
    assert ["stream_options" in body for body in asked] == [True, False]
    assert ["usage_estimated" in event for event in calls(ours, intake)] == [False, True]


def test_a_response_that_is_read_as_it_came_has_ended_well(
    ours: Percapita, intake: Intake, provider: ProviderServer
) -> None:
    client = ours.wrap(client_of(provider))
    surface = client.chat.completions.with_streaming_response
    with surface.create(**ask("tokens:78,0,0,6")) as response:
        assert b"".join(response.http_response.iter_raw())
    with surface.create(**ask("tokens:78,0,0,6", stream=True, stream_options={"include_usage": True})) as response:
        assert b"".join(response.http_response.iter_raw())

    async def read() -> None:
        client = ours.wrap(openai.AsyncOpenAI(api_key="x", base_url=f"{provider.url}/v1"))
        async with client.chat.completions.with_streaming_response.create(**ask("tokens:78,0,0,6")) as response:
            assert b"".join([data async for data in response.http_response.aiter_raw()])
        await client.close()

    asyncio.run(read())
    found = calls(ours, intake)
    assert [(e["status"], e["usage"]["completion_tokens"]) for e in found] == [("ok", 6)] * 3
