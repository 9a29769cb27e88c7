"""Anthropic's messages, beta messages among them."""

from __future__ import annotations

from typing import Any

from percapita._reading import Surface, dump, get, tokens_of
from percapita._snapshot import given


def _prompt(body: dict[str, Any]) -> Any:
    told = {name: given(body.get(name)) for name in ("system", "messages", "tools")}
    if told["system"] is None and told["tools"] is None:
        return told["messages"]
    return {name: value for name, value in told.items() if value is not None}


def _read(answer: Any) -> dict[str, Any]:
    return {
        "model": get(answer, "model"),
        "usage": dump(get(answer, "usage")),
        "service_tier": get(get(answer, "usage"), "service_tier"),
        "finish_reason": get(answer, "stop_reason"),
        "response": [dump(block) for block in get(answer, "content") or ()] or None,
    }


class MessagesListener:
    """Events of a message: `message_start` has the split of cache writes, `message_delta` is cumulative and lacks it."""

    def __init__(self) -> None:
        self.complete = False
        self._model: str | None = None
        self._reason: str | None = None
        self._usages: list[Any] = []
        self._failed: Any = None
        self._blocks: dict[int, dict[str, Any]] = {}

    def hear(self, event: Any) -> None:
        kind = get(event, "type")
        if kind == "content_block_delta":
            self._delta(get(event, "index") or 0, get(event, "delta"))
        elif kind == "message_start":
            message = get(event, "message")
            self._model = get(message, "model")
            self._usages.append(get(message, "usage"))
        elif kind == "content_block_start":
            self._blocks[get(event, "index") or 0] = {"block": get(event, "content_block"), "parts": []}
        elif kind == "message_delta":
            self._usages.append(get(event, "usage"))
            self._reason = get(get(event, "delta"), "stop_reason") or self._reason
        elif kind == "message_stop":
            self.complete = True
        elif kind == "error":
            self._failed = get(event, "error")

    def _delta(self, index: int, delta: Any) -> None:
        text = get(delta, "text") or get(delta, "partial_json") or get(delta, "thinking")
        if text:
            self._blocks.setdefault(index, {"block": None, "parts": []})["parts"].append(text)

    def is_only_usage(self, _: Any) -> bool:
        return False

    def fields(self, prompt_characters: int) -> dict[str, Any]:
        usage: dict[str, Any] = {}
        for later in self._usages:
            usage |= {name: value for name, value in (dump(later) or {}).items() if value is not None}
        told: dict[str, Any] = {
            "model": self._model,
            "finish_reason": self._reason,
            "response": self._content() or None,
        }
        if self._failed is not None:
            told |= {
                "status": "error",
                "error_code": get(self._failed, "type"),
                "error_message": get(self._failed, "message"),
            }
        if not self.complete:
            heard = sum(len(part) for block in self._blocks.values() for part in block["parts"])
            usage.setdefault("input_tokens", tokens_of(prompt_characters))
            usage["output_tokens"] = max(usage.get("output_tokens") or 0, tokens_of(heard))
            told["usage_estimated"] = True
        return told | {"usage": usage or None, "service_tier": usage.get("service_tier")}

    def _content(self) -> list[dict[str, Any]]:
        content = []
        for _, held in sorted(self._blocks.items()):
            block = {
                name: value for name, value in (dump(held["block"]) or {"type": "text"}).items() if value is not None
            }
            heard = "".join(held["parts"])
            if heard:
                name = {"thinking": "thinking", "tool_use": "input", "server_tool_use": "input"}.get(
                    block["type"], "text"
                )
                block[name] = heard
            content.append(block)
        return content


SURFACES = {"/v1/messages": Surface("messages", _prompt, _read, MessagesListener)}
