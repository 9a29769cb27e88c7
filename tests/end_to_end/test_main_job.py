"""The main job: the real openai and anthropic packages, wrapped once, in with_trace; and each user's exact spend in /users."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import percapita
import pytest
from anthropic import Anthropic, AsyncAnthropic
from genai_prices import Usage, calc_price
from openai import AsyncOpenAI, InternalServerError, OpenAI
from percapita import with_trace, wrap

from tests.end_to_end.test_embedded import Running
from tests.support.providers import WORDS, ProviderServer

GPT, CLAUDE = "gpt-4o-2024-08-06", "claude-sonnet-5"


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderServer]:
    monkeypatch.setenv("PERCAPITA_INCLUDE_USAGE", "1")  # as for any server of one's own that knows the option
    with ProviderServer() as server:
        yield server


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path / "data")
    percapita.configure(found.keys["ingest"], found.url)
    yield found
    percapita.configure("")
    found.end()
    assert found.process.stdout is not None
    found.process.stdout.close()


def clients(provider: ProviderServer) -> tuple[OpenAI, Anthropic]:
    return (
        wrap(OpenAI(api_key="sk-none", base_url=f"{provider.url}/v1", max_retries=0)),
        wrap(Anthropic(api_key="none", base_url=provider.url, max_retries=0)),
    )


def ask(tokens: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"tokens:{tokens}"}]


def cost(model: str, provider: str, **usage: int) -> Decimal:
    return calc_price(
        Usage(**usage), model, provider_id=provider, genai_request_timestamp=datetime.now(UTC)
    ).total_price


def users_when(running: Running, count: int) -> dict[str, Any]:
    """The rows of /users once that many events are there."""
    percapita.flush(10)
    deadline = time.monotonic() + 5
    while True:
        answer = running.get("users")
        if answer["totals"]["events"] >= count or time.monotonic() > deadline:
            assert answer["totals"]["events"] == count
            return {row["user_id"]: row for row in answer["data"]}
        time.sleep(0.05)


def test_each_users_exact_spend_traces_tokens_and_top_model_stand_two_seconds_later(
    running: Running, provider: ProviderServer
) -> None:
    openai, anthropic = clients(provider)
    with with_trace(tags={"userId": "ada", "plan": "pro", "org": "acme"}):
        openai.chat.completions.create(model=GPT, messages=ask("1000,400,0,50"))
        openai.responses.create(model=GPT, input="tokens:2000,0,0,70")
        anthropic.messages.create(model=CLAUDE, max_tokens=100, messages=ask("500,300,200,90"))
    with with_trace(tags={"userId": "bob", "plan": "free", "org": "acme"}):
        for chunk in openai.chat.completions.create(model=GPT, messages=ask("800,0,0,20"), stream=True):
            assert chunk.choices, "the usage chunk that we asked for is not the host's"
        with anthropic.messages.create(
            model=CLAUDE, max_tokens=100, messages=ask("10,0,100,30"), stream=True
        ) as stream:
            assert [e.type for e in stream][-1] == "message_stop"
    ended = time.monotonic()
    users = users_when(running, 7)  # five calls, two traces
    assert time.monotonic() - ended < 2.5
    ada = (
        cost(GPT, "openai", input_tokens=1000, cache_read_tokens=400, output_tokens=50)
        + cost(GPT, "openai", input_tokens=2000, output_tokens=70)
        + cost(
            CLAUDE, "anthropic", input_tokens=1000, cache_read_tokens=300, cache_write_tokens=200, cache_write_5m_tokens=100,
            cache_write_1h_tokens=100, output_tokens=90,
        )
    )  # fmt: skip
    bob = cost(GPT, "openai", input_tokens=800, output_tokens=20) + cost(
        CLAUDE, "anthropic", input_tokens=110, cache_write_tokens=100, cache_write_5m_tokens=50, cache_write_1h_tokens=50, output_tokens=30
    )  # fmt: skip
    assert Decimal(users["ada"]["spend"]) == ada
    assert Decimal(users["bob"]["spend"]) == bob
    assert users["ada"]["traces"] == users["bob"]["traces"] == 1
    assert (users["ada"]["calls"], users["bob"]["calls"]) == (3, 2)
    assert users["ada"]["tokens"] == 1050 + 2070 + 1090
    assert users["bob"]["top_model"] == GPT
    assert datetime.now(UTC).timestamp() - datetime.fromisoformat(users["ada"]["last_seen"]).timestamp() < 10
    by_plan = running.get("overview?group_by=tag.plan")
    assert {row["key"]: Decimal(row["spend"]) for row in by_plan["data"]} == {"pro": ada, "free": bob}


async def test_async_clients_keep_their_own_tags_side_by_side(running: Running, provider: ProviderServer) -> None:
    openai = wrap(AsyncOpenAI(api_key="sk-none", base_url=f"{provider.url}/v1", max_retries=0))
    anthropic = wrap(AsyncAnthropic(api_key="none", base_url=provider.url, max_retries=0))

    async def request(user: str) -> None:
        async with with_trace(tags={"userId": user}):
            await openai.chat.completions.create(model=GPT, messages=ask("100,0,0,10"))
            async for _ in await openai.chat.completions.create(model=GPT, messages=ask("100,0,0,10"), stream=True):
                await asyncio.sleep(0)
            async for _ in await anthropic.messages.create(
                model=CLAUDE, max_tokens=9, messages=ask("5,0,0,5"), stream=True
            ):
                await asyncio.sleep(0)

    await asyncio.gather(*(request(f"user-{n}") for n in range(8)))
    await openai.close()
    await anthropic.close()
    users = await asyncio.to_thread(users_when, running, 32)
    one = 2 * cost(GPT, "openai", input_tokens=100, output_tokens=10) + cost(
        CLAUDE, "anthropic", input_tokens=5, output_tokens=5
    )
    assert {Decimal(row["spend"]) for row in users.values()} == {one}
    assert {row["calls"] for row in users.values()} == {3}
    assert len(users) == 8


def test_errors_reach_the_host_unchanged_and_are_recorded(running: Running, provider: ProviderServer) -> None:
    openai, _ = clients(provider)
    with with_trace(tags={"userId": "eve"}), pytest.raises(InternalServerError, match="failed as asked"):
        openai.chat.completions.create(model=GPT, messages=[{"role": "user", "content": "fail:500"}])
    row = users_when(running, 2)["eve"]
    assert (row["errors"], row["calls"], row["spend"]) == (1, 1, "0")


def test_a_stream_that_is_broken_off_is_aborted_and_estimated(running: Running, provider: ProviderServer) -> None:
    openai, _ = clients(provider)
    with with_trace(tags={"userId": "dan"}):
        stream = openai.chat.completions.create(model=GPT, messages=ask("800,0,0,20"), stream=True)
        for heard, _chunk in enumerate(stream):
            if heard == 4:  # the first chunk has a role and no word
                break
        stream.close()
    del stream
    gc.collect()
    row = users_when(running, 2)["dan"]
    assert (row["estimated_events"], row["calls"]) == (1, 1)
    event = next(e for e in running.get("events?userId=dan")["data"] if e["type"] == "llm")
    assert (event["status"], event["price_status"]) == ("aborted", "estimated")
    assert event["response"] == [{"role": "assistant", "content": "".join(WORDS[:4])}]


def test_nested_blocks_keep_the_trace_and_override_tags(running: Running, provider: ProviderServer) -> None:
    openai, _ = clients(provider)
    with with_trace(tags={"userId": "ada", "plan": "pro"}, name="outer"):
        with with_trace(tags={"plan": "trial", "feature": "search"}):
            openai.chat.completions.create(model=GPT, messages=ask("100,0,0,10"))
        percapita.log("after the last call")
    users_when(running, 3)
    (trace,) = running.get("traces")["data"]
    assert trace["events"] == 3
    assert trace["user_id"] == "ada"
    call = next(e for e in running.get(f"traces/{trace['trace_id']}")["data"]["events"] if e["type"] == "llm")
    assert call["tags"] == {"plan": "trial", "feature": "search"}


def test_wrapping_twice_is_once(running: Running, provider: ProviderServer) -> None:
    openai, _ = clients(provider)
    wrap(wrap(openai)).chat.completions.create(model=GPT, messages=ask("100,0,0,10"))
    percapita.flush(10)
    time.sleep(0.5)
    answer = running.get("users")
    assert answer["totals"]["events"] == 1
    assert answer["unattributed"]["calls"] == 1
