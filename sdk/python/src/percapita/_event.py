"""What happened -> the JSON of an event as the collector takes it: fitted to its limits, private as asked. Runs beside the host."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from percapita._reading import dumped
from percapita._redact import redacted
from percapita._say import once

EVENT_BYTES = 1_000_000  # the collector takes 1 MiB of compact JSON
CONTENT = ("prompt", "response", "tool_arguments", "tool_result", "logs", "error_message")
_LONGEST = {
    "name": 128, "provider": 128, "model": 128, "agent": 120, "operation": 128, "tool_name": 128, "session_id": 128,
    "service_tier": 128, "processing": 128, "speed": 128, "finish_reason": 64, "error_code": 64, "trace_id": 64,
}  # fmt: skip
_FILE = re.compile(r"data:([A-Za-z0-9.+-]{1,40}/[A-Za-z0-9.+-]{1,60})[^,]{0,80};base64,")
_FILE_CHARS = 1_000  # a file in a prompt is told by its kind and size; shorter ones are kept
_METADATA_BYTES = 16 * 1024

TAG_KEYS, TAG_VALUE_CHARS = 32, 256
_is_tag_key = functools.lru_cache(maxsize=1024)(re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch)

Mask = Callable[[dict[str, Any]], dict[str, Any]]


def tags_of(given: Mapping[str, Any], around: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Tags as the collector takes them, over those `around`. One that it would refuse is left out, and said once: its call still counts."""
    kept: dict[str, Any] = dict(around) if around else {}
    for key, value in given.items():
        try:
            if value is None or value == "":
                continue
            text = value if isinstance(value, (str, bool, int, float)) else str(value)
            if not isinstance(key, str) or not _is_tag_key(key):
                once("tag_key", "a tag was left out: its key is not 1 to 64 of A-Z a-z 0-9 _ . -")
            elif isinstance(text, str) and (len(text) > TAG_VALUE_CHARS or "\0" in text):
                once(
                    f"tag:{key}",
                    f"the tag {key} was left out: longer than {TAG_VALUE_CHARS} characters, or with NUL in it",
                )
            elif len(kept) >= TAG_KEYS and key not in kept:
                once("tags", f"a tag was left out: more than {TAG_KEYS} keys")
            else:
                kept[key] = text
        except Exception as error:  # of the value: what is looked up only when it is asked for may fail
            once("tag_value", f"a tag was left out: its value raised {type(error).__name__}")
    return kept


def money(value: Any) -> str | None:
    """Decimal text, as the collector takes it; None where it is no amount."""
    if isinstance(value, str):
        return value
    try:
        amount = Decimal(str(value))
        return format(amount, "f") if amount.is_finite() else None
    except Exception:
        return None


def encoded(event: dict[str, Any], privacy: str, mask: Mask | None, count: Callable[[str], None]) -> bytes:
    """The event's JSON. `count` is told by reason what is dropped; the numbers of an event never are."""
    if mask is not None:
        event = _masked(event, mask, count)
    if privacy:
        event["privacy"] = privacy
    if privacy == "minimal":
        event = without_content(event)
    for name, longest in _LONGEST.items():
        text = event.get(name)
        if text is not None and (not isinstance(text, str) or len(text) > longest or "\0" in text):
            event[name] = str(text).replace("\0", "")[:longest]
    for name in CONTENT:
        if name in event:
            event[name] = _lighter(event[name], 0)
    if privacy == "standard":
        for name in CONTENT:
            if name in event:
                event[name] = redacted(event[name])
    metadata = event.get("metadata")
    if (
        isinstance(metadata, dict)
        and metadata.keys() - {"tags"}
        and len(_json(metadata | {"tags": 0})) > _METADATA_BYTES
    ):
        count("metadata_too_large")
        event["metadata"] = {"tags": metadata.get("tags") or {}}
    body = _json(event)
    if len(body) > EVENT_BYTES:
        count("content_too_large")
        body = _json(without_content(event))
    return body


def without_content(event: dict[str, Any]) -> dict[str, Any]:
    """What `minimal` lets leave the process: numbers, names and tags."""
    kept = {name: value for name, value in event.items() if name not in CONTENT}
    tags = (event.get("metadata") or {}).get("tags")
    if "metadata" in kept:
        kept.pop("metadata")
        if tags:
            kept["metadata"] = {"tags": tags}
    return kept


def _masked(event: dict[str, Any], mask: Mask, count: Callable[[str], None]) -> dict[str, Any]:
    """What the host's hook makes of it; one that raises, or answers nothing, drops the content and keeps the numbers."""
    numbers = without_content(event)
    try:
        masked = mask(json.loads(_json(event)))
    except Exception as error:
        once("mask", f"the mask hook raised {type(error).__name__}: content is dropped")
        masked = None
    if not isinstance(masked, dict):
        count("content_mask_failed")
        return numbers
    return masked


def _lighter(value: Any, depth: int) -> Any:
    """Objects of the providers' packages as what they say they are; files by kind and size; nothing deeper than is taken."""
    if isinstance(value, str):
        if len(value) > _FILE_CHARS and (found := _FILE.match(value)):
            return f"[{found.group(1)}, {len(value) * 3 // 4000} KB]"
        return value
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth > 50:
        return "..."
    if isinstance(value, Mapping):
        if value.get("type") == "base64" and isinstance(data := value.get("data"), str) and len(data) > _FILE_CHARS:
            value = {**value, "data": f"[{len(data) * 3 // 4000} KB]"}
        return {str(name): _lighter(item, depth + 1) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_lighter(item, depth + 1) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return f"[{len(value)} bytes]"
    return _lighter(plain(value), depth + 1)


def plain(value: Any) -> Any:
    """What JSON does not know, as the object says it itself, else as text."""
    for name in ("model_dump", "to_dict", "dict"):
        method = getattr(value, name, None)
        if callable(method):
            with contextlib.suppress(Exception):
                return dumped(value) if name == "model_dump" else method()
    return str(value)


def _json(event: Mapping[str, Any]) -> bytes:
    """Compact JSON; NaN and infinity, which are none, become null."""
    try:
        text = _encode(event)
    except ValueError:
        text = _encode(_finite(event))
    return text.encode("utf-8", "replace")


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=plain, allow_nan=False).encode


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
