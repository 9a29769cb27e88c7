"""How providers' objects are read: as attributes of their packages' models, or as the dicts of their JSON, alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

CHARACTERS_PER_TOKEN = 4  # for the estimate of a stream that broke off; flagged as one


def get(value: Any, name: str) -> Any:
    """A field of a model or of a dict; None where there is none."""
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def dump(value: Any) -> Any:
    """A model as a dict."""
    if value is None or isinstance(value, (dict, list, str, int, float, bool)):
        return value
    return dumped(value) if hasattr(value, "model_dump") else value


def dumped(model: Any) -> Any:
    """What a pydantic model says it holds. Its warnings would repeat content in the host's logs, or raise there under `-W error`."""
    try:
        return model.model_dump(warnings=False)
    except (TypeError, ValueError):  # pydantic 1, and what only looks like a model: neither warns
        return model.model_dump()


def tokens_of(characters: int) -> int:
    """About how many tokens a text has."""
    return -(-characters // CHARACTERS_PER_TOKEN)


class Listener(Protocol):
    """Hears a stream's chunks, models or dicts."""

    complete: bool  # the provider said that it was the end

    def hear(self, chunk: Any) -> None:
        """One chunk."""

    def is_only_usage(self, chunk: Any) -> bool:
        """Whether the chunk tells the usage and nothing else: the one that we may have asked for, and the host did not."""

    def fields(self, prompt_characters: int) -> dict[str, Any]:
        """The event's fields. Without the provider's usage an estimate of it, flagged `usage_estimated`."""


class Surface(NamedTuple):
    """One kind of call."""

    operation: str
    prompt: Callable[[dict[str, Any]], Any]  # of a request's body
    read: Callable[[Any], dict[str, Any]]  # an answer -> the event's fields
    listener: Callable[[], Listener] | None  # of a stream; None: there is none
    asks_usage: bool = False  # whether a stream tells its usage only when asked
