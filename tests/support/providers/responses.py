"""OpenAI's responses: plain, as a stream of events, in the background."""

from __future__ import annotations

from typing import Any

from tests.support.providers import usage
from tests.support.providers.answer import answer
from tests.support.providers.asked import Asked
from tests.support.providers.chat import CREATED
from tests.support.providers.reply import Event


def response(asked: Asked, digest: str, status: str | None = None) -> dict[str, Any]:
    """The whole object. `status` is that of the moment: `queued` and `in_progress` have no output and no usage yet."""
    status = status or ended_as(asked)
    begun, failed = status in ("queued", "in_progress"), status == "failed"
    body, searches = asked.body, asked.number("searches") or 0
    return {
        "id": f"resp_{digest}", "object": "response", "created_at": CREATED, "status": status,
        "completed_at": CREATED + 1 if status == "completed" else None, "background": bool(body.get("background")),
        "error": {"code": "server_error", "message": "failed as asked"} if failed else None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": body.get("instructions"), "max_output_tokens": body.get("max_output_tokens"), "model": asked.model,
        "output": [] if begun or failed else items(asked, digest), "parallel_tool_calls": True, "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None}, "service_tier": "auto" if begun else asked.tier, "store": True,
        "temperature": 1.0, "text": {"format": (body.get("text") or {}).get("format") or {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto", "tools": body.get("tools") or [], "top_p": 1.0,
        "truncation": "disabled", "usage": None if begun or failed else usage.responses(asked), "user": None,
        "metadata": body.get("metadata") or {},
        **({"tool_usage": {"web_search": {"num_requests": searches}}} if searches and not begun else {}),
    }  # fmt: skip


def ended_as(asked: Asked) -> str:
    return asked.word("status", "incomplete|failed") or "completed"


def items(asked: Asked, digest: str) -> list[dict[str, Any]]:
    """The output: reasoning, searches, then a message or the call of a tool."""
    found: list[dict[str, Any]] = []
    if asked.number("reasoning"):
        found.append({"id": f"rs_{digest}", "type": "reasoning", "summary": []})
    for number in range(asked.number("searches") or 0):
        action = {"type": "search", "query": "the answer"}
        found.append({"id": f"ws_{digest}{number}", "type": "web_search_call", "status": "completed", "action": action})
    said, status = answer(asked), "incomplete" if ended_as(asked) == "incomplete" else "completed"
    if said.tool is not None:
        call = {"call_id": f"call_{digest}", "name": said.tool, "arguments": said.text}
        return [*found, {"id": f"fc_{digest}", "type": "function_call", "status": status, **call}]
    content = [{"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}]
    return [
        *found,
        {"id": f"msg_{digest}", "type": "message", "status": status, "role": "assistant", "content": content},
    ]


def events(asked: Asked, digest: str) -> list[Event]:
    """The stream: each event carries its type and its number."""
    status = ended_as(asked)
    told: list[dict[str, Any]] = [
        {"type": "response.created", "response": response(asked, digest, "in_progress")},
        {"type": "response.in_progress", "response": response(asked, digest, "in_progress")},
    ]
    if status != "failed":
        for index, item in enumerate(items(asked, digest)):
            told += _item_events(asked, index, item)
    told.append({"type": f"response.{status}", "response": response(asked, digest)})
    return [(event["type"], {**event, "sequence_number": number}) for number, event in enumerate(told)]


def _item_events(asked: Asked, index: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    where = {"item_id": item["id"], "output_index": index}
    done = {"type": "response.output_item.done", "output_index": index, "item": item}

    def added(**empty: Any) -> dict[str, Any]:
        return {"type": "response.output_item.added", "output_index": index, "item": {**item, **empty}}

    if item["type"] == "function_call":
        kind = "response.function_call_arguments"
        pieces = [{"type": f"{kind}.delta", **where, "delta": piece} for piece in answer(asked).pieces]
        ended = {"type": f"{kind}.done", **where, "name": item["name"], "arguments": item["arguments"]}
        return [added(status="in_progress", arguments=""), *pieces, ended, done]
    if item["type"] == "web_search_call":
        steps = [
            {"type": f"response.web_search_call.{step}", **where} for step in ("in_progress", "searching", "completed")
        ]
        return [added(status="in_progress"), *steps, done]
    if item["type"] == "reasoning":
        return [added(), done]
    part, at = item["content"][0], {**where, "content_index": 0}
    pieces = [
        {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []} for piece in answer(asked).pieces
    ]
    return [
        added(status="in_progress", content=[]),
        {"type": "response.content_part.added", **at, "part": {**part, "text": ""}},
        *pieces,
        {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **at, "part": part},
        done,
    ]
