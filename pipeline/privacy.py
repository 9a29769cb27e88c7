"""Event x privacy mode -> Event. minimal drops content, standard redacts it, full keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pipeline.event import Event, Privacy
from pipeline.redact import RULES_VERSION, is_clean, redact, redact_json

__all__ = ["RULES_VERSION", "apply_privacy", "clean_ones", "numbers_of", "strip_content"]

_TOGETHER = 8
CONTENT = ("prompt", "response", "tool_arguments", "tool_result", "logs", "metadata")
_TIER_KEYS = frozenset({"service_tier", "inference_geo", "speed"})


def clean_ones(events: Sequence[Event]) -> list[bool]:
    """For each event whether there is certainly nothing to redact. Most have nothing, so several are looked at at once."""
    found: list[bool] = []
    for first in range(0, len(events), _TOGETHER):
        group = events[first : first + _TOGETHER]
        texts = [b"\n".join(_texts(event)) for event in group]
        if is_clean(b"\n".join(texts)):
            found += [not event.error_message for event in group]
        else:
            found += [not event.error_message and is_clean(text) for event, text in zip(group, texts, strict=True)]
    return found


def _texts(event: Event) -> list[msgspec.Raw]:
    held = (
        event.prompt, event.response, event.tool_arguments, event.tool_result, event.logs, event.metadata, event.usage,
    )  # fmt: skip
    return [raw for raw in held if raw is not msgspec.UNSET]


def apply_privacy(event: Event, mode: Privacy, *, clean: bool = False) -> Event:
    """The event as that mode may store it; the same object when nothing changes. `clean`: as `clean_ones` found."""
    if mode == "full":
        return event
    if mode == "minimal":
        return strip_content(event)
    if clean:
        return event
    changes: dict[str, Any] = {}
    for name in CONTENT:
        raw = getattr(event, name)
        if raw is not msgspec.UNSET:
            text = bytes(raw)
            redacted = redact_json(text)
            if redacted is not text:
                changes[name] = msgspec.Raw(redacted)
    if event.error_message and (message := redact(event.error_message)) is not event.error_message:
        changes["error_message"] = message
    if event.usage is not msgspec.UNSET:
        text = bytes(event.usage)
        redacted = redact_json(text)
        if redacted is not text:
            changes["usage"] = msgspec.Raw(redacted)
    return msgspec.structs.replace(event, **changes) if changes else event


def strip_content(event: Event) -> Event:
    """Without any content: what minimal may store, and all of it that may reach the log."""
    changes: dict[str, Any] = {name: msgspec.UNSET for name in CONTENT if getattr(event, name) is not msgspec.UNSET}
    if event.error_message:
        changes["error_message"] = ""
    if event.usage is not msgspec.UNSET:
        found = msgspec.json.decode(event.usage)
        numbers = numbers_of(found)
        if numbers != found:
            changes["usage"] = msgspec.Raw(msgspec.json.encode(numbers))
    return msgspec.structs.replace(event, **changes) if changes else event


def numbers_of(value: Any) -> Any:
    """Only counts and tiers of a usage object: an unknown one could carry text."""
    if not isinstance(value, dict):
        return {}
    kept: dict[str, Any] = {}
    for name, item in value.items():
        if len(name) > 64:
            continue
        if isinstance(item, dict):
            kept[name] = numbers_of(item)
        elif (
            item is None
            or isinstance(item, (int, float))
            or (name in _TIER_KEYS and isinstance(item, str) and len(item) < 64)
        ):
            kept[name] = item
    return kept
