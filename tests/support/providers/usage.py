"""Usage objects, each in its API's own shape."""

from __future__ import annotations

from typing import Any

from tests.support.providers.asked import Asked


def chat(asked: Asked) -> dict[str, Any]:
    """Of chat completions. Input includes what was read from the cache and written to it."""
    tokens, read, written, output = asked.tokens
    audio_in, audio_out, audio_read = asked.numbers("audio", 3) or (0, 0, 0)
    inputs = {"cached_tokens": read, "audio_tokens": audio_in, **_written(asked, written)}
    if audio_read:
        inputs["cached_tokens_details"] = {"audio_tokens": audio_read, "text_tokens": read - audio_read}
    return {
        "prompt_tokens": tokens, "completion_tokens": output, "total_tokens": tokens + output,
        "prompt_tokens_details": inputs,
        "completion_tokens_details": {
            "reasoning_tokens": asked.number("reasoning") or 0, "audio_tokens": audio_out, "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }  # fmt: skip


def responses(asked: Asked) -> dict[str, Any]:
    """Of responses. Input as above."""
    tokens, read, written, output = asked.tokens
    return {
        "input_tokens": tokens, "output_tokens": output, "total_tokens": tokens + output,
        "input_tokens_details": {"cached_tokens": read, **_written(asked, written)},
        "output_tokens_details": {"reasoning_tokens": asked.number("reasoning") or 0},
    }  # fmt: skip


def _written(asked: Asked, written: int) -> dict[str, Any]:
    kept = asked.number("long")
    if kept is None:
        return {"cache_write_tokens": written}
    split = {"ttl_30m_tokens": written - kept, "ttl_12h_tokens": kept}
    return {"cache_write_tokens": written, "cache_write_tokens_details": split}


def embeddings(asked: Asked) -> dict[str, Any]:
    return {"prompt_tokens": asked.tokens[0], "total_tokens": asked.tokens[0]}


def messages(asked: Asked) -> dict[str, Any]:
    """Of messages. Input without the cache; writes split by how long they live."""
    tokens, read, written, output = asked.tokens
    long = asked.number("long")
    long = written - written // 2 if long is None else long
    wanted = asked.body.get("speed")
    return {
        "input_tokens": tokens, "output_tokens": output, "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "cache_creation": {"ephemeral_5m_input_tokens": written - long, "ephemeral_1h_input_tokens": long},
        "service_tier": asked.word("served", "[a-z]+") or "standard",
        **_of_output(asked),
        **({"speed": wanted} if wanted else {}),
    }  # fmt: skip


def messages_begun(asked: Asked) -> dict[str, Any]:
    """Of `message_start`: the split, one token of output, and of the input what was known before any search."""
    whole = messages(asked)
    begun = {name: value for name, value in whole.items() if name not in _of_output(asked)}
    if asked.number("searches"):
        begun["input_tokens"] //= 2
    return {**begun, "output_tokens": 1}


def messages_ended(asked: Asked) -> dict[str, Any]:
    """Of `message_delta`: cumulative, without the split."""
    whole = messages(asked)
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
    return {**{name: whole[name] for name in names}, **_of_output(asked)}


def _of_output(asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if asked.number("reasoning"):
        found["output_tokens_details"] = {"thinking_tokens": asked.number("reasoning")}
    if asked.number("searches"):
        found["server_tool_use"] = {"web_search_requests": asked.number("searches"), "web_fetch_requests": 0}
    return found
