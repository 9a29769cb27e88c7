"""What we know of the providers' clients: which methods to record, and how to read requests, responses and streams."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

_CHARACTERS_PER_TOKEN = 4  # for the estimate of a stream that broke off; flagged as one


class Listener(Protocol):
    """Hears a stream's chunks."""

    complete: bool  # the provider said that it was the end, or told the usage

    def hear(self, chunk: Any) -> None:
        """One chunk."""

    def is_only_usage(self, chunk: Any) -> bool:
        """Whether the chunk is the one that we asked for and the host did not."""

    def fields(self) -> dict[str, Any]:
        """The event's fields so far."""

    def estimate(self) -> dict[str, int]:
        """Our own token classes, guessed from what was heard."""


@dataclass(frozen=True)
class Surface:
    """One method of a client."""

    package: str
    path: tuple[str, ...]
    method: str
    operation: str
    prompt: Callable[[dict[str, Any]], Any]
    read: Callable[[Any], dict[str, Any]]
    listener: Callable[[], Listener]
    asks_usage: bool = False

    def fits(self, client: Any) -> bool:
        """Whether the client is of this surface's package."""
        return any(cls.__module__.split(".")[0] == self.package for cls in type(client).__mro__)

    def provider_of(self, client: Any) -> str:
        """As prices know it: Azure, Bedrock and Vertex clients are told by their classes."""
        name = type(client).__name__
        if "Azure" in name:
            return "azure"
        if "Bedrock" in name:
            return "aws"
        if "Vertex" in name:
            return "google"
        return self.package

    def ask_for_usage(self, client: Any, kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """Arguments that ask a known host for the usage of a stream; None when nothing is to be added."""
        if not (self.asks_usage and kwargs.get("stream")):
            return None
        options = kwargs.get("stream_options")
        if isinstance(options, dict) and "include_usage" in options:
            return None
        host = urlsplit(str(getattr(client, "base_url", ""))).hostname or ""
        known = host.endswith(("openai.com", "openai.azure.com")) or host in ("127.0.0.1", "localhost", "::1")
        if not known and os.environ.get("PERCAPITA_INCLUDE_USAGE") != "1":
            return None
        return {**kwargs, "stream_options": {**(options if isinstance(options, dict) else {}), "include_usage": True}}


def _dump(value: Any) -> Any:
    if value is None or isinstance(value, (dict, list, str, int, float, bool)):
        return value
    return value.model_dump(exclude_none=False) if hasattr(value, "model_dump") else str(value)


# --- OpenAI, chat completions


def _chat_prompt(kwargs: dict[str, Any]) -> Any:
    return kwargs.get("messages")


def _chat_read(result: Any) -> dict[str, Any]:
    result = _parsed(result)
    choices = getattr(result, "choices", None) or []
    first = choices[0] if choices else None
    return {
        "model": getattr(result, "model", None),
        "usage": _dump(getattr(result, "usage", None)),
        "service_tier": getattr(result, "service_tier", None),
        "finish_reason": getattr(first, "finish_reason", None),
        "response": [_dump(getattr(choice, "message", None)) for choice in choices] or None,
    }


def _parsed(result: Any) -> Any:
    """Raw responses are read through their own parse, which keeps what it has read."""
    parse = getattr(result, "parse", None)
    return parse() if callable(parse) and not hasattr(result, "usage") else result


class ChatListener:
    """Chunks of a chat completion."""

    def __init__(self) -> None:
        self.complete = False
        self._said: dict[str, Any] = {}
        self._text: list[str] = []

    def hear(self, chunk: Any) -> None:
        self._said["model"] = getattr(chunk, "model", None) or self._said.get("model")
        tier = getattr(chunk, "service_tier", None)
        if tier:
            self._said["service_tier"] = tier
        usage = getattr(chunk, "usage", None)
        if usage is not None:
            self._said["usage"] = _dump(usage)
        for choice in getattr(chunk, "choices", None) or []:
            reason = getattr(choice, "finish_reason", None)
            if reason:
                self._said["finish_reason"] = reason
                self.complete = True
            text = getattr(getattr(choice, "delta", None), "content", None)
            if text:
                self._text.append(text)

    def is_only_usage(self, chunk: Any) -> bool:
        return not getattr(chunk, "choices", None) and getattr(chunk, "usage", None) is not None

    def fields(self) -> dict[str, Any]:
        return {**self._said, "response": "".join(self._text) or None}

    def estimate(self) -> dict[str, int]:
        return {"output": -(-len("".join(self._text)) // _CHARACTERS_PER_TOKEN)}


# --- OpenAI, responses


def _responses_prompt(kwargs: dict[str, Any]) -> Any:
    return {"instructions": kwargs.get("instructions"), "input": kwargs.get("input")}


def _responses_read(result: Any) -> dict[str, Any]:
    result = _parsed(result)
    error = getattr(result, "error", None)
    return {
        "model": getattr(result, "model", None),
        "usage": _dump(getattr(result, "usage", None)),
        "service_tier": getattr(result, "service_tier", None),
        "finish_reason": getattr(result, "status", None),
        "response": [_dump(item) for item in getattr(result, "output", None) or []] or None,
        "error_message": str(error) if error else None,
    }


class ResponsesListener:
    """Events of a response."""

    def __init__(self) -> None:
        self.complete = False
        self._said: dict[str, Any] = {}
        self._text: list[str] = []

    def hear(self, event: Any) -> None:
        kind = getattr(event, "type", "")
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            self.complete = True
        response = getattr(event, "response", None)
        if response is not None:
            self._said |= {name: value for name, value in _responses_read(response).items() if value is not None}
        if kind == "response.output_text.delta":
            self._text.append(getattr(event, "delta", ""))

    def is_only_usage(self, _: Any) -> bool:
        return False

    def fields(self) -> dict[str, Any]:
        said = dict(self._said)
        if not self.complete:
            said.pop("usage", None)
            said["response"] = "".join(self._text) or None
        return said

    def estimate(self) -> dict[str, int]:
        return {"output": -(-len("".join(self._text)) // _CHARACTERS_PER_TOKEN)}


# --- Anthropic, messages


def _messages_prompt(kwargs: dict[str, Any]) -> Any:
    system, messages = kwargs.get("system"), kwargs.get("messages")
    return {"system": system, "messages": messages} if system else messages


def _messages_read(result: Any) -> dict[str, Any]:
    result = _parsed(result)
    usage = _dump(getattr(result, "usage", None))
    return {
        "model": getattr(result, "model", None),
        "usage": usage,
        "service_tier": usage.get("service_tier") if isinstance(usage, dict) else None,
        "finish_reason": getattr(result, "stop_reason", None),
        "response": [_dump(block) for block in getattr(result, "content", None) or []] or None,
    }


class MessagesListener:
    """Events of a message: `message_start` has the split of cache writes, `message_delta` is cumulative and lacks it."""

    def __init__(self) -> None:
        self.complete = False
        self._said: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._text: list[str] = []

    def hear(self, event: Any) -> None:
        kind = getattr(event, "type", "")
        if kind == "message_start":
            message = event.message
            self._said["model"] = message.model
            self._usage = dict(_dump(message.usage) or {})
        elif kind == "message_delta":
            later = _dump(getattr(event, "usage", None)) or {}
            self._usage |= {name: value for name, value in later.items() if value is not None}
            reason = getattr(event.delta, "stop_reason", None)
            if reason:
                self._said["finish_reason"] = reason
        elif kind == "message_stop":
            self.complete = True
        elif kind == "content_block_delta":
            text = getattr(event.delta, "text", None) or getattr(event.delta, "partial_json", None)
            if text:
                self._text.append(text)

    def is_only_usage(self, _: Any) -> bool:
        return False

    def fields(self) -> dict[str, Any]:
        usage = dict(self._usage) or None
        if usage is not None and not self.complete:
            heard = -(-len("".join(self._text)) // _CHARACTERS_PER_TOKEN)
            usage["output_tokens"] = max(usage.get("output_tokens") or 0, heard)
        tier = self._usage.get("service_tier")
        return {**self._said, "usage": usage, "service_tier": tier, "response": "".join(self._text) or None}

    def estimate(self) -> dict[str, int]:
        return {"output": -(-len("".join(self._text)) // _CHARACTERS_PER_TOKEN)}


SURFACES = (
    Surface(
        "openai", ("chat", "completions"), "create", "chat", _chat_prompt, _chat_read, ChatListener, asks_usage=True
    ),
    Surface("openai", ("responses",), "create", "responses", _responses_prompt, _responses_read, ResponsesListener),
    Surface("anthropic", ("messages",), "create", "messages", _messages_prompt, _messages_read, MessagesListener),
)
