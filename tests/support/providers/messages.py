"""Anthropic's messages, the same in beta, at Amazon and at Google."""

from __future__ import annotations

import json
from typing import Any

from tests.support.providers import usage
from tests.support.providers.answer import THOUGHT, answer
from tests.support.providers.asked import Asked
from tests.support.providers.reply import Event

Block = dict[str, Any]


def message(asked: Asked, digest: str) -> dict[str, Any]:
    return {
        "id": f"msg_{digest}", "type": "message", "role": "assistant", "model": asked.model,
        "content": blocks(asked, digest), "stop_reason": _stop(asked), "stop_sequence": None, "usage": usage.messages(asked),
    }  # fmt: skip


def blocks(asked: Asked, digest: str) -> list[Block]:
    """Thought, searches and what they found, text, the call of a tool."""
    found: list[Block] = []
    if (asked.body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
        found.append({"type": "thinking", "thinking": THOUGHT, "signature": "RW9JQ0FB"})
    for number in range(asked.number("searches") or 0):
        name = f"srvtoolu_{digest}{number}"
        page = {
            "type": "web_search_result", "url": "https://example.com/", "title": "The answer", "encrypted_content": "RW5j",
            "page_age": None,
        }  # fmt: skip
        found += [
            {"type": "server_tool_use", "id": name, "name": "web_search", "input": {"query": "the answer"}},
            {"type": "web_search_tool_result", "tool_use_id": name, "content": [page]},
        ]
    said = answer(asked)
    if said.tool is not None:
        call = {"type": "tool_use", "id": f"toolu_{digest}", "name": said.tool, "input": json.loads(said.text)}
        return [*found, call]
    return [*found, {"type": "text", "text": said.text}]


def events(asked: Asked, digest: str) -> list[Event]:
    """`message_start` has the split and the input, `message_delta` counts everything again, cumulatively, without the split."""
    begun = {
        **message(asked, digest), "content": [], "stop_reason": None, "usage": usage.messages_begun(asked),
    }  # fmt: skip
    told: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(blocks(asked, digest)):
        empty, deltas = _apart(asked, block)
        told.append({"type": "content_block_start", "index": index, "content_block": empty})
        if index == 0:
            told.append({"type": "ping"})
        told += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        told.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": _stop(asked), "stop_sequence": None}
    told += [
        {"type": "message_delta", "delta": ending, "usage": usage.messages_ended(asked)},
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in told]


def _apart(asked: Asked, block: Block) -> tuple[Block, list[Block]]:
    """A block as it begins, and what then comes to it."""
    kind = block["type"]
    if kind == "thinking":
        middle = len(THOUGHT) // 2
        thoughts = [{"type": "thinking_delta", "thinking": part} for part in (THOUGHT[:middle], THOUGHT[middle:])]
        signed = {"type": "signature_delta", "signature": block["signature"]}
        return {**block, "thinking": "", "signature": ""}, [*thoughts, signed]
    if kind == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in answer(asked).pieces]
    if kind in ("tool_use", "server_tool_use"):
        pieces = answer(asked).pieces if kind == "tool_use" else (json.dumps(block["input"]),)
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *pieces)]
    return block, []


def _stop(asked: Asked) -> str:
    return asked.word("finish") or ("end_turn" if answer(asked).tool is None else "tool_use")
