"""The JSON text of one event -> Event | Rejected: every rule of the wire, the first that is broken named."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from pipeline import limits
from pipeline.body import depth, has_duplicates, least_bytes
from pipeline.event import Event
from pipeline.fields import FIELDS, NAME, READERS, Problem, Refusal, event_id, timestamp, unknown_field, uuid_text


class Rejected(msgspec.Struct, frozen=True):
    """An event that is not taken: its place, its id where that is a UUID, and why. Never a value of the sender."""

    index: int
    id: str | None
    code: str
    detail: str
    pointer: str


class Translated(NamedTuple):
    """An event of another shape in our fields, and what the sender calls each of them."""

    fields: dict[str, Any]
    sent_as: Callable[[str], str]  # a field of ours, dotted -> the sender's
    repaired: bool = False  # surrogates inside were mended


Translate = Callable[[dict[str, Any]], Translated | Problem | None]  # None: it is an event of ours already


class _Named(msgspec.Struct):
    """An event's id; its other fields are skipped unread."""

    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_KEY = re.compile("pc_(?:live|test)_")  # somebody put a key of ours where a name belongs
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % limits.NUMBER_DIGITS)
_TOO_LARGE = ("event_too_large", f"at most {limits.EVENT_BYTES} bytes as compact JSON")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_glimpse = msgspec.json.Decoder(_Named).decode


def parse_event(raw: bytes, index: int, now: int, translate: Translate = lambda _: None) -> Event | Rejected:
    """One event. `now` is unix us: the time of receipt. `translate` puts other shapes into our fields before they are read."""
    if len(raw) > limits.EVENT_BYTES and least_bytes(raw) > limits.EVENT_BYTES:
        # Never decoded: the objects that a text of 8 MiB spells take a hundred times its bytes.
        return Rejected(index, _glimpsed_id(raw), *_TOO_LARGE, "")
    try:
        value, repaired, size = _read(raw)
    except Refusal as refusal:
        return Rejected(index, None, refusal.code, refusal.detail, "")
    if size > limits.EVENT_BYTES:
        return Rejected(index, _id_of(value), *_TOO_LARGE, "")
    told = translate(value)
    if isinstance(told, Problem):
        return Rejected(index, _id_of(value), told.code, told.detail, _pointer(told.field))
    try:
        if told is None:
            return _event(value, repaired, now)
        return _event(told.fields, repaired or told.repaired, now)
    except Refusal as refusal:
        field = refusal.field if told is None else told.sent_as(refusal.field)
        return Rejected(index, _id_of(value), refusal.code, refusal.detail, _pointer(field))


def read_object(raw: bytes) -> tuple[dict[str, Any], bool] | Problem:
    """An object that stands inside an event as text, under the rules of the event itself; whether surrogates were mended."""
    try:
        value, repaired, _ = _read(raw)
    except Refusal as refusal:
        return Problem(refusal.code, refusal.field, refusal.detail)
    return value, repaired


def _read(raw: bytes) -> tuple[dict[str, Any], bool, int]:
    """The object, whether surrogates were mended, and its size as compact JSON."""
    deep = limits.NESTING_LEVELS
    if raw.count(b"[") + raw.count(b"{") > deep and depth(raw, deep) > deep:
        raise Refusal("too_deep", "", f"at most {limits.NESTING_LEVELS} levels")
    repaired = False
    try:
        value = _decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        value, repaired = _mend(raw)
    if not isinstance(value, dict):
        raise Refusal("not_an_object", "", "an event is a JSON object")
    compact = _encode(value)
    # Equal bytes cannot hide a key that came twice; only other spellings are looked at again.
    if compact != raw and has_duplicates(raw):
        raise Refusal("duplicate_key", "", "the same key twice in an object")
    return value, repaired, len(compact)


def _mend(raw: bytes) -> tuple[Any, bool]:
    """What a strict reader refuses: lone surrogates become U+FFFD; numbers that are none refuse the event."""
    if _LONG_NUMBER.search(raw):
        raise Refusal("invalid_number", "", "a number is too long")

    def no_number(_: str) -> Any:
        raise Refusal("invalid_number", "", "NaN and infinity are not JSON")

    try:
        # As text: from bytes json.loads would guess UTF-16 and take it.
        value = json.loads(raw.decode(), parse_constant=no_number)
    except (ValueError, RecursionError):
        raise Refusal("invalid_json", "", "not JSON") from None
    mended = False

    def mend(item: Any) -> Any:
        nonlocal mended
        if isinstance(item, str):
            if _SURROGATE.search(item):
                mended = True
                return _SURROGATE.sub("\ufffd", item)
            return item
        if isinstance(item, list):
            return [mend(i) for i in item]
        if isinstance(item, dict):
            return {mend(k): mend(v) for k, v in item.items()}
        if isinstance(item, float) and not math.isfinite(item):
            raise Refusal("invalid_number", "", "a number is out of range")
        return item

    return mend(value), mended


def _event(value: dict[str, Any], repaired: bool, now: int) -> Event:  # what _read found
    stamp = value.get("timestamp")
    given: dict[str, Any] = {
        "id": event_id(value.get("id"), now),
        "type": "llm",
        "timestamp": now if stamp is None else timestamp(stamp, now),
        "dated": stamp is not None,
    }
    for name, item in value.items():
        read = READERS.get(name)
        if read is None:
            raise Refusal(*unknown_field(name, FIELDS))
        if item is not None:
            read(item, name, given)
    if repaired:
        given["flags"] = ("text_repaired",)
    return Event(**given)


def _pointer(field: str) -> str:
    """The field as a JSON pointer; only names that are safe to repeat."""
    before, tags, key = field.partition("metadata.tags.")
    parts = [*before.split("."), "metadata", "tags", key] if tags else field.split(".")
    return "".join(f"/{part}" for part in parts if NAME.fullmatch(part) and not _KEY.match(part)) if field else ""


def _glimpsed_id(raw: bytes) -> str | None:
    try:
        given = _glimpse(raw).id
        return _id_of({} if given is msgspec.UNSET or len(bytes(given)) > 256 else {"id": _decode(given)})
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _id_of(value: dict[str, Any]) -> str | None:
    try:
        return uuid_text(value.get("id"), "id")
    except Refusal:
        return None
