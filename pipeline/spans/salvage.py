"""Events that somebody else's emitter made of spans: it cannot be told to send less, and its numbers must survive."""

from __future__ import annotations

from typing import Any

from pipeline import limits
from pipeline.event import Event
from pipeline.fields import CONTENT, READERS, STRINGS, Refusal, near_now, tag_value
from pipeline.wire import Rejected

_LABELS = frozenset(
    {"name", "provider", "model", "agent", "operation", "tool_name", "finish_reason", "error_code"}
)  # shown, and cut


def salvage(value: dict[str, Any], at: int, index: int, now: int, flags: tuple[str, ...] = ()) -> Event | Rejected:
    """An event of these fields, which began at unix us `at`. Only that time refuses it: what else breaks a rule is left out, a label
    that is too long is cut, content that makes the event too large goes, the largest first; the flag `shortened` says so.

    `value` has an id that is one; it is consumed.
    """
    try:
        given: dict[str, Any] = {"id": value.pop("id"), "type": "llm", "timestamp": near_now(at, now)}
    except Refusal as refusal:
        return Rejected(index, None, refusal.code, refusal.detail, "")
    metadata = value.pop("metadata", None) or {}
    tags, fits = _fitting_tags(metadata.pop("tags", None) or {})
    told = {**value, "metadata": {**metadata, "tags": tags}}
    for name, item in told.items():
        try:
            READERS[name](item, name, given)
        except Refusal:
            fits = False
            if name in _LABELS and isinstance(item, str):
                given[name] = item.replace("\0", "\ufffd")[: STRINGS[name]]
    if not _shrink(given) or not fits:
        flags = (*flags, "shortened")
    if flags:
        given["flags"] = flags
    return Event(**given)


def _fitting_tags(tags: dict[str, Any]) -> tuple[dict[str, str], bool]:
    """Those that keep the rules, the first so many, and whether these are all. A value is never cut: it would be another's."""
    kept: dict[str, str] = {}
    for key, value in tags.items():
        if len(kept) == limits.TAG_KEYS:
            break
        try:
            kept[key] = tag_value(key, value)
        except Refusal:
            continue
    return kept, len(kept) == len(tags)


def _shrink(given: dict[str, Any]) -> bool:
    """Leave content out until the rest fits into an event; whether nothing had to go."""
    sizes = {name: len(bytes(given[name])) for name in (*CONTENT, "metadata") if name in given}
    room = limits.EVENT_BYTES - limits.SPAN_REST_BYTES
    if sum(sizes.values()) <= room:
        return True
    while sum(sizes.values()) > room:
        largest = max(sizes, key=lambda name: sizes[name])
        del sizes[largest], given[largest]
    return False
