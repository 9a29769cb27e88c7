"""Bugs that wrappers of other products had, each a test of ours. Those of streams' iterators, forks and exits stand beside their like.

| bug | test |
|---|---|
| `break` in a stream never ends the record | test_same: a stream that was left is aborted |
| `choices: []` throws into the host; the injected usage chunk crashes `chunk.choices[0]` | test_same: the host sees the same |
| streams without `include_usage` have no tokens | test_same: streams that were not told to |
| raw responses broken | test_same: the host sees the same |
| events lost on fork, on a freeze, at exit | test_processes |
| context lost in async iterators; nested traces that lose the outer one's tags | test_traces |
| `minimal` leaking error messages and log lines | test_event, and below through a real call |
"""

from __future__ import annotations

import gc
import json
import logging
import threading
from typing import Any

import anthropic
import msgspec
import openai
import pytest
from percapita import Percapita, _anthropic, _openai, _wrap

from pipeline.usage import Usage, read_usage
from tests.support.intake import Intake
from tests.support.providers import ProviderServer


def openai_client(provider: ProviderServer) -> openai.OpenAI:
    return openai.OpenAI(api_key="sk-secret", base_url=f"{provider.url}/v1", max_retries=0)


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}


def calls(ours: Percapita, intake: Intake) -> list[dict[str, Any]]:
    assert ours.flush(10)
    return [e for e in intake.events if e["type"] == "llm"]


def usage(event: dict[str, Any]) -> Usage | None:
    return read_usage(msgspec.json.encode(event["usage"]), event["provider"]).usage


def test_nested_cache_write_detail_of_responses_is_kept(
    ours: Percapita, intake: Intake, provider: ProviderServer
) -> None:
    ours.wrap(openai_client(provider)).responses.create(model="gpt-4o", input="tokens:9000,1000,6000,50 long:2000")
    (event,) = calls(ours, intake)
    assert usage(event) == Usage(2000, 1000, 0, 4000, 0, 2000, 50)


def test_cached_tokens_are_counted_once(ours: Percapita, intake: Intake, provider: ProviderServer) -> None:
    ours.wrap(openai_client(provider)).chat.completions.create(**ask("tokens:1000,400,0,50"))
    claude = anthropic.Anthropic(api_key="sk-ant-secret", base_url=provider.url)
    ours.wrap(claude).messages.create(
        model="claude-of-the-test", max_tokens=9, messages=[{"role": "user", "content": "tokens:1000,400,0,50"}]
    )
    inclusive, exclusive = calls(ours, intake)
    assert (usage(inclusive), usage(exclusive)) == (Usage(600, 400, output=50), Usage(1000, 400, output=50))


def test_a_patch_that_fails_disables_itself_and_says_so_once(
    ours: Percapita,
    intake: Intake,
    provider: ProviderServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: Any) -> None:
        raise AttributeError("another release")

    monkeypatch.setattr(_wrap, "_wrap_copies", broken)
    for _ in range(2):
        ours.wrap(openai_client(provider)).chat.completions.create(**ask("tokens:10,0,0,1"))
    assert len(calls(ours, intake)) == 2
    assert sum("not recorded in full" in line for line in caplog.messages) == 1


@pytest.mark.parametrize("part", ["prompt", "read", "listener"])
@pytest.mark.parametrize("stream", [False, True])
def test_nothing_of_ours_that_breaks_reaches_the_host(
    ours: Percapita, intake: Intake, provider: ProviderServer, monkeypatch: pytest.MonkeyPatch, part: str, stream: bool
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("ours")

    surface = _openai.SURFACES["/chat/completions"]
    monkeypatch.setitem(_openai.SURFACES, "/chat/completions", surface._replace(**{part: broken}))
    made = ours.wrap(openai_client(provider)).chat.completions.create(**ask("tokens:10,0,0,1", stream=stream))
    text = "".join(c.choices[0].delta.content or "" for c in made) if stream else made.choices[0].message.content
    assert text == "The answer is forty-two."
    assert ours.flush(10)


def test_a_listener_that_breaks_ends_nothing(
    ours: Percapita, intake: Intake, provider: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(_anthropic.MessagesListener, "hear", broken)
    client = ours.wrap(anthropic.Anthropic(api_key="x", base_url=provider.url))
    with client.messages.stream(
        model="claude-of-the-test", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
    ) as stream:
        assert stream.get_final_text() == "The answer is forty-two."
    assert len(calls(ours, intake)) == 1


def test_log_lines_after_the_last_call_are_kept(ours: Percapita, intake: Intake, provider: ProviderServer) -> None:
    client = ours.wrap(openai_client(provider))
    with ours.with_trace(tags={"userId": "ada"}):
        client.chat.completions.create(**ask("tokens:10,0,0,1"))
        ours.log("after the last call")
    calls(ours, intake)
    (line,) = [e for e in intake.events if e["type"] == "log"]
    (call,) = [e for e in intake.events if e["type"] == "llm"]
    assert (line["logs"], line["trace_id"]) == (["after the last call"], call["trace_id"])


def test_minimal_tells_no_error_message_and_no_log_line(intake: Intake, provider: ProviderServer) -> None:
    ours = Percapita("pc_test", intake.url, privacy="minimal")
    client = ours.wrap(openai_client(provider))
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**ask("fail:400 for ada@example.com"))
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(**ask("error:2 for ada@example.com", stream=True)))
    ours.log("ada@example.com")
    found = calls(ours, intake)
    assert [e["status"] for e in found] == ["error", "error"]
    assert all(e["error_code"] for e in found)
    text = json.dumps(intake.events)
    assert "ada@example.com" not in text
    assert "failed as asked" not in text
    assert {e["privacy"] for e in intake.events} == {"minimal"}
    ours.shutdown()


def test_no_key_and_no_content_in_any_log(
    ours: Percapita, intake: Intake, provider: ProviderServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="percapita")
    intake.statuses.extend([401, 400])
    client = ours.wrap(openai_client(provider))
    for _ in range(2):
        client.chat.completions.create(**ask("tokens:10,0,0,1 my-content"))
        assert ours.flush(10)
    said = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("percapita"))
    assert "401" in said
    assert not [word for word in ("my-content", "pc_test", "sk-secret") if word in said]


def test_wrapping_twice_is_once_and_by_two_configurations_twice(
    ours: Percapita, intake: Intake, provider: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERCAPITA_INCLUDE_USAGE", "1")
    with Intake() as customers:
        theirs = Percapita("pc_theirs", customers.url)
        client = theirs.wrap(ours.wrap(ours.wrap(openai_client(provider))))
        with ours.with_trace(tags={"userId": "ada"}), theirs.with_trace(tags={"userId": "a-1"}):
            seen = list(client.chat.completions.create(**ask("tokens:100,40,0,9", stream=True)))
        assert all(chunk.choices for chunk in seen)
        (mine,), (other,) = calls(ours, intake), calls(theirs, customers)
        assert usage(mine) == usage(other) == Usage(60, 40, output=9)
        assert (mine["metadata"]["tags"], other["metadata"]["tags"]) == ({"userId": "ada"}, {"userId": "a-1"})
        theirs.shutdown()


def test_a_client_of_another_kind_is_given_back_as_it_is(ours: Percapita) -> None:
    other = object()
    assert ours.wrap(other) is other


def test_messages_that_the_host_changes_afterwards_stand_as_they_were(
    ours: Percapita, intake: Intake, provider: ProviderServer
) -> None:
    client, messages = ours.wrap(openai_client(provider)), [{"role": "user", "content": "tokens:10,0,0,1"}]
    client.chat.completions.create(model="gpt-4o", messages=messages)  # type: ignore[arg-type]  # plain dicts
    messages[0]["content"] = "changed"
    messages.append({"role": "user", "content": "added"})
    (event,) = calls(ours, intake)
    assert event["prompt"] == [{"role": "user", "content": "tokens:10,0,0,1"}]


def test_a_message_iterator_reaches_the_provider_unread(
    ours: Percapita, intake: Intake, provider: ProviderServer
) -> None:
    client = ours.wrap(anthropic.Anthropic(api_key="x", base_url=provider.url))
    messages = ({"role": role, "content": "tokens:10,0,0,1"} for role in ("user",))
    made = client.messages.create(model="claude-of-the-test", max_tokens=9, messages=messages)  # type: ignore[arg-type]
    assert made.usage.input_tokens == 10
    assert len(calls(ours, intake)) == 1


def test_tags_are_those_of_the_start_wherever_a_stream_is_read(
    ours: Percapita, intake: Intake, provider: ProviderServer
) -> None:
    client = ours.wrap(openai_client(provider))
    with ours.with_trace(tags={"userId": "ada"}):
        stream = client.chat.completions.create(**ask("tokens:10,0,0,1", stream=True))
    thread = threading.Thread(target=lambda: list(stream))
    with ours.with_trace(tags={"userId": "bob"}):
        thread.start()
        thread.join()
    (event,) = calls(ours, intake)
    assert event["metadata"]["tags"] == {"userId": "ada"}


def test_a_client_that_is_forgotten_is_gone(ours: Percapita, provider: ProviderServer) -> None:
    import weakref

    client = ours.wrap(openai_client(provider))
    client.chat.completions.create(**ask("tokens:10,0,0,1"))
    assert ours.flush(10)
    held = weakref.ref(client)
    del client
    gc.collect()
    assert held() is None
