"""Chat completions and embeddings, of OpenAI and of Azure."""

from __future__ import annotations

import base64
import struct
from typing import Any

from tests.support.providers import usage
from tests.support.providers.answer import answer
from tests.support.providers.asked import Asked
from tests.support.providers.reply import Event

CREATED = 1_790_000_000  # unix seconds: an answer does not tell when it was made, or no two would be the same bytes
_SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}


def completion(asked: Asked, digest: str, azure: bool) -> dict[str, Any]:
    choices = [
        {
            "index": index, "message": _message(asked, digest, index), "logprobs": None, "finish_reason": _finish(asked),
            **({"content_filter_results": _SAFE} if azure else {}),
        }
        for index in range(asked.body.get("n") or 1)
    ]  # fmt: skip
    return {
        **_head(asked, digest, "chat.completion"), "choices": choices, "usage": usage.chat(asked),
        **({"prompt_filter_results": _prompt_filter()} if azure else {}),
    }  # fmt: skip


def chunks(asked: Asked, digest: str, azure: bool) -> list[Event]:
    """A role, the pieces, a reason to stop; then the usage, alone, where it was asked for."""
    head = _head(asked, digest, "chat.completion.chunk")
    counted = include_usage(asked)
    said = answer(asked)

    def chunk(choice: list[dict[str, Any]], **more: Any) -> Event:
        return (None, {**head, "choices": choice, **({"usage": None} if counted else {}), **more})

    def each(delta: dict[str, Any], finish: str | None = None) -> list[Event]:
        return [
            chunk([{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}])
            for index in range(asked.body.get("n") or 1)
        ]

    found: list[Event] = []
    if azure:
        empty = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
        found.append((None, {**empty, "prompt_filter_results": _prompt_filter()}))
    if said.tool is None:
        found += each({"role": "assistant", "content": "", "refusal": None})
        for piece in said.pieces:
            found += each({"content": piece})
    else:
        call = {
            "index": 0, "id": f"call_{digest}", "type": "function", "function": {"name": said.tool, "arguments": ""},
        }  # fmt: skip
        found += each({"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]})
        for piece in said.pieces:
            found += each({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    found += each({}, _finish(asked))
    empty_at = asked.number("empty")
    if empty_at is not None:
        found.insert(empty_at, chunk([]))
    if counted:
        found.append(chunk([], usage=usage.chat(asked)))
    return [*found, (None, "[DONE]")]


def include_usage(asked: Asked) -> bool:
    return bool((asked.body.get("stream_options") or {}).get("include_usage"))


def embeddings(asked: Asked) -> dict[str, Any]:
    """Vectors of 16 numbers unless `dimensions` says otherwise, as base64 where asked for."""
    inputs = asked.body.get("input")
    count = len(inputs) if isinstance(inputs, list) and inputs and not isinstance(inputs[0], int) else 1
    size = asked.body.get("dimensions") or 16
    data = []
    for index in range(count):
        vector: Any = [(index + place) % 7 / 8 for place in range(size)]
        if asked.body.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    return {"object": "list", "data": data, "model": asked.model, "usage": usage.embeddings(asked)}


def _head(asked: Asked, digest: str, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{digest}", "object": kind, "created": CREATED, "model": asked.model, "service_tier": asked.tier,
        "system_fingerprint": "fp_44709d6fcb",
    }  # fmt: skip


def _message(asked: Asked, digest: str, index: int) -> dict[str, Any]:
    said = answer(asked)
    message: dict[str, Any] = {"role": "assistant", "content": said.text, "refusal": None, "annotations": []}
    if said.tool is not None:
        function = {"name": said.tool, "arguments": said.text}
        call = {"id": f"call_{digest}", "type": "function", "function": function}
        return {**message, "content": None, "tool_calls": [call]}
    if "audio" in (asked.body.get("modalities") or []):
        sound = base64.b64encode(b"RIFF").decode()
        audio = {"id": f"audio_{digest}", "expires_at": CREATED + 3600, "data": sound, "transcript": said.text}
        return {**message, "content": None, "audio": audio}
    return message


def _finish(asked: Asked) -> str:
    return asked.word("finish") or ("stop" if answer(asked).tool is None else "tool_calls")


def _prompt_filter() -> list[dict[str, Any]]:
    return [{"prompt_index": 0, "content_filter_results": _SAFE}]
