"""OpenAI's chat completions, responses, embeddings and old completions."""

from __future__ import annotations

from typing import Any

from percapita._reading import Surface, dump, get, tokens_of
from percapita._snapshot import given


class _Message:
    """A choice of a chat stream, put together again."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.calls: dict[int, dict[str, Any]] = {}
        self.reason: str | None = None

    def hear(self, choice: Any) -> None:
        self.reason = get(choice, "finish_reason") or self.reason
        delta = get(choice, "delta")
        if delta is None:
            if text := get(choice, "text"):  # of the old completions
                self.text.append(text)
            return
        if text := get(delta, "content"):
            self.text.append(text)
        if text := get(delta, "refusal"):
            self.refusal.append(text)
        for call in get(delta, "tool_calls") or ():
            held = self.calls.setdefault(get(call, "index") or 0, {"id": None, "name": None, "arguments": []})
            function = get(call, "function")
            held["id"] = get(call, "id") or held["id"]
            held["name"] = get(function, "name") or held["name"]
            if arguments := get(function, "arguments"):
                held["arguments"].append(arguments)

    def characters(self) -> int:
        arguments = sum(len(part) for call in self.calls.values() for part in call["arguments"])
        return sum(map(len, self.text)) + sum(map(len, self.refusal)) + arguments

    def message(self) -> dict[str, Any]:
        told: dict[str, Any] = {"role": "assistant", "content": "".join(self.text) or None}
        if self.refusal:
            told["refusal"] = "".join(self.refusal)
        if self.calls:
            told["tool_calls"] = [
                {
                    "id": c["id"],
                    "type": "function",
                    "function": {"name": c["name"], "arguments": "".join(c["arguments"])},
                }
                for _, c in sorted(self.calls.items())
            ]
        return told


# --- chat completions, and the old completions


def _chat_prompt(body: dict[str, Any]) -> Any:
    messages, tools = given(body.get("messages")), given(body.get("tools"))
    return {"messages": messages, "tools": tools} if tools else messages


def _chat_read(answer: Any) -> dict[str, Any]:
    choices = get(answer, "choices") or []
    messages = [dump(get(choice, "message")) or get(choice, "text") for choice in choices]
    return {
        "model": get(answer, "model"),
        "usage": dump(get(answer, "usage")),
        "service_tier": get(answer, "service_tier"),
        "finish_reason": get(choices[0], "finish_reason") if choices else None,
        "response": messages or None,
    }


class ChatListener:
    """Chunks of a chat completion."""

    def __init__(self) -> None:
        self.complete = False
        self._said: dict[str, Any] = {}
        self._usage: Any = None
        self._choices: dict[int, _Message] = {}

    def hear(self, chunk: Any) -> None:
        if model := get(chunk, "model"):
            self._said["model"] = model
        if tier := get(chunk, "service_tier"):
            self._said["service_tier"] = tier
        if (usage := get(chunk, "usage")) is not None:
            self._usage = usage
        for choice in get(chunk, "choices") or ():
            held = self._choices.setdefault(get(choice, "index") or 0, _Message())
            held.hear(choice)
            if held.reason:
                self.complete = all(message.reason for message in self._choices.values())

    def is_only_usage(self, chunk: Any) -> bool:
        return not get(chunk, "choices") and get(chunk, "usage") is not None

    def fields(self, prompt_characters: int) -> dict[str, Any]:
        messages = [message for _, message in sorted(self._choices.items())]
        told = {**self._said, "response": [m.message() for m in messages] or None}
        told["finish_reason"] = messages[0].reason if messages else None
        if self._usage is not None:
            return told | {"usage": dump(self._usage)}
        return told | _estimate(prompt_characters, sum(message.characters() for message in messages))


def _estimate(prompt_characters: int, characters: int) -> dict[str, Any]:
    usage = {"input_uncached": tokens_of(prompt_characters), "output": tokens_of(characters)}
    return {"usage": usage, "usage_estimated": True}


# --- responses


def _responses_prompt(body: dict[str, Any]) -> Any:
    told = {name: given(body.get(name)) for name in ("instructions", "input", "tools")}
    return {name: value for name, value in told.items() if value is not None}


def _responses_read(answer: Any) -> dict[str, Any]:
    error = get(answer, "error")
    told = {
        "model": get(answer, "model"),
        "usage": dump(get(answer, "usage")),
        "service_tier": get(answer, "service_tier"),
        "finish_reason": get(answer, "status"),
        "response": [dump(item) for item in get(answer, "output") or ()] or None,
    }
    if error:
        told |= {
            "status": "error",
            "error_code": get(error, "code"),
            "error_message": get(error, "message") or str(error),
        }
    return told


class ResponsesListener:
    """Events of a response."""

    def __init__(self) -> None:
        self.complete = False
        self._response: Any = None
        self._failed: Any = None
        self._characters = 0
        self._text: list[str] = []

    def hear(self, event: Any) -> None:
        kind = get(event, "type") or ""
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            self.complete = True
        if kind == "error":
            self._failed = event
        response = get(event, "response")
        if response is not None:
            self._response = response
        delta = get(event, "delta")
        if isinstance(delta, str) and kind.endswith(".delta"):
            self._characters += len(delta)
            if kind == "response.output_text.delta":
                self._text.append(delta)

    def is_only_usage(self, _: Any) -> bool:
        return False

    def fields(self, prompt_characters: int) -> dict[str, Any]:
        told = _responses_read(self._response) if self._response is not None else {}
        if self._failed is not None:
            told |= {
                "status": "error",
                "error_code": get(self._failed, "code"),
                "error_message": get(self._failed, "message"),
            }
        if not told.get("response") and self._text:
            told["response"] = "".join(self._text)
        if told.get("usage") is None:
            told |= _estimate(prompt_characters, self._characters)
        return told


# --- embeddings


def _embeddings_prompt(body: dict[str, Any]) -> Any:
    return given(body.get("input"))


def _embeddings_read(answer: Any) -> dict[str, Any]:
    """Without the vectors: nobody reads them in a trace."""
    return {"model": get(answer, "model"), "usage": dump(get(answer, "usage"))}


def _text_prompt(body: dict[str, Any]) -> Any:
    return given(body.get("prompt"))


SURFACES = {
    "/chat/completions": Surface("chat", _chat_prompt, _chat_read, ChatListener, asks_usage=True),
    "/responses": Surface("responses", _responses_prompt, _responses_read, ResponsesListener),
    "/responses/compact": Surface("responses", _responses_prompt, _responses_read, None),
    "/embeddings": Surface("embeddings", _embeddings_prompt, _embeddings_read, None),
    "/completions": Surface("completions", _text_prompt, _chat_read, ChatListener, asks_usage=True),
}
