"""The JSON text of one event -> Event | Rejected: every rule of the wire, the first that is broken named."""

from __future__ import annotations

import difflib
import json
import math
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from pipeline import limits
from pipeline.body import depth, has_duplicates, least_bytes
from pipeline.event import Event
from pipeline.usage import usage_problem


class Rejected(msgspec.Struct, frozen=True):
    """An event that is not taken: its place, its id where that is a UUID, and why. Never a value of the sender."""

    index: int
    id: str | None
    code: str
    detail: str
    pointer: str


class Problem(NamedTuple):
    """Why an event is not taken: a code of `reasons.REJECTED`, the sender's field (dotted, "" for the whole), a detail."""

    code: str
    field: str
    detail: str


class Translated(NamedTuple):
    """An event of another shape in our fields, and what the sender calls each of them."""

    fields: dict[str, Any]
    sent_as: Callable[[str], str]  # a field of ours, dotted -> the sender's
    repaired: bool = False  # surrogates inside were mended


Translate = Callable[[dict[str, Any]], Translated | Problem | None]  # None: it is an event of ours already


class _Named(msgspec.Struct):
    """An event's id; its other fields are skipped unread."""

    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Refusal(Exception):  # control flow inside this file only
    def __init__(self, code: str, field: str, detail: str) -> None:
        super().__init__(code)
        self.code, self.field, self.detail = code, field, detail


_TYPES = frozenset({"llm", "tool", "log", "trace", "custom"})
_STATUSES = frozenset({"ok", "error", "aborted"})
_PRIVACY = frozenset({"minimal", "standard", "full"})
_STRINGS = {
    "trace_id": limits.TRACE_ID_CHARS, "span_id": limits.TRACE_ID_CHARS, "parent_span_id": limits.TRACE_ID_CHARS,
    "name": limits.NAME_CHARS, "session_id": limits.SESSION_ID_CHARS, "provider": limits.MODEL_CHARS,
    "model": limits.MODEL_CHARS, "agent": limits.AGENT_CHARS, "operation": limits.SESSION_ID_CHARS,
    "tool_name": limits.SESSION_ID_CHARS, "service_tier": limits.SESSION_ID_CHARS,
    "processing": limits.SESSION_ID_CHARS, "speed": limits.SESSION_ID_CHARS,
    "error_code": limits.REASON_CHARS, "finish_reason": limits.REASON_CHARS,
}  # fmt: skip
_CONTENT = ("prompt", "response", "tool_arguments", "tool_result", "logs")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_KEY = re.compile("pc_(?:live|test)_")  # somebody put a key of ours where a name belongs
_NIL = "00000000-0000-0000-0000-000000000000"
_MONEY = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % limits.NUMBER_DIGITS)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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
    except _Refusal as refusal:
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
    except _Refusal as refusal:
        field = refusal.field if told is None else told.sent_as(refusal.field)
        return Rejected(index, _id_of(value), refusal.code, refusal.detail, _pointer(field))


def read_object(raw: bytes) -> tuple[dict[str, Any], bool] | Problem:
    """An object that stands inside an event as text, under the rules of the event itself; whether surrogates were mended."""
    try:
        value, repaired, _ = _read(raw)
    except _Refusal as refusal:
        return Problem(refusal.code, refusal.field, refusal.detail)
    return value, repaired


def _read(raw: bytes) -> tuple[dict[str, Any], bool, int]:
    """The object, whether surrogates were mended, and its size as compact JSON."""
    deep = limits.NESTING_LEVELS
    if raw.count(b"[") + raw.count(b"{") > deep and depth(raw, deep) > deep:
        raise _Refusal("too_deep", "", f"at most {limits.NESTING_LEVELS} levels")
    repaired = False
    try:
        value = _decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        value, repaired = _mend(raw)
    if not isinstance(value, dict):
        raise _Refusal("not_an_object", "", "an event is a JSON object")
    compact = _encode(value)
    # Equal bytes cannot hide a key that came twice; only other spellings are looked at again.
    if compact != raw and has_duplicates(raw):
        raise _Refusal("duplicate_key", "", "the same key twice in an object")
    return value, repaired, len(compact)


def _mend(raw: bytes) -> tuple[Any, bool]:
    """What a strict reader refuses: lone surrogates become U+FFFD; numbers that are none refuse the event."""
    if _LONG_NUMBER.search(raw):
        raise _Refusal("invalid_number", "", "a number is too long")

    def no_number(_: str) -> Any:
        raise _Refusal("invalid_number", "", "NaN and infinity are not JSON")

    try:
        # As text: from bytes json.loads would guess UTF-16 and take it.
        value = json.loads(raw.decode(), parse_constant=no_number)
    except (ValueError, RecursionError):
        raise _Refusal("invalid_json", "", "not JSON") from None
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
            raise _Refusal("invalid_number", "", "a number is out of range")
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
        read = _READERS.get(name)
        if read is None:
            _unknown(name)
        elif item is not None:
            read(item, name, given)
    if repaired:
        given["flags"] = ("text_repaired",)
    return Event(**given)


def _unknown(name: str) -> None:
    raise _Refusal(*unknown_field(name, FIELDS))


def unknown_field(name: str, fields: frozenset[str]) -> Problem:
    """A field that is none of `fields`, with the one that was meant."""
    if not _NAME.fullmatch(name):
        return Problem("unknown_field", "", "a field with a name that no field has")
    near = _near(name, fields)
    return Problem("unknown_field", name, f"no such field{f'; did you mean {near}?' if near else ''}")


@lru_cache(1_024)
def _near(name: str, fields: frozenset[str]) -> str:
    """The field that was meant; comparing a thousand names with every field would hold up everybody else."""
    close = sorted(field for field in fields if abs(len(field) - len(name)) <= 3)
    return next(iter(difflib.get_close_matches(name, close, 1)), "")


def _skip(_: Any, name: str, given: dict[str, Any]) -> None:
    """Read before the others."""


def _word(allowed: frozenset[str]) -> _Reader:
    def read(word: Any, name: str, given: dict[str, Any]) -> None:
        if not isinstance(word, str):
            raise _Refusal("invalid_type", name, "a string")
        if word not in allowed:
            raise _Refusal("invalid_value", name, f"one of {', '.join(sorted(allowed))}")
        given[name] = word

    return read


def _string(longest: int) -> _Reader:
    def read(text: Any, name: str, given: dict[str, Any]) -> None:
        if not isinstance(text, str):
            raise _Refusal("invalid_type", name, "a string")
        if len(text) > longest:
            raise _Refusal("too_long", name, f"at most {longest} characters")
        if "\0" in text:
            raise _Refusal("nul_character", name, "NUL is not taken here")
        given[name] = text

    return read


def _duration(number: Any, name: str, given: dict[str, Any]) -> None:
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise _Refusal("invalid_type", name, "a number of milliseconds")
    if not 0 <= number <= limits.DURATION_MS:
        raise _Refusal("invalid_number", name, "0 or more milliseconds")
    given[name] = float(number)


def _estimated(flag: Any, name: str, given: dict[str, Any]) -> None:
    if not isinstance(flag, bool):
        raise _Refusal("invalid_type", name, "true or false")
    given[name] = flag


def _usage(usage: Any, name: str, given: dict[str, Any]) -> None:
    problem = usage_problem(usage)
    if problem:
        raise _Refusal(*problem)
    given[name] = msgspec.Raw(_encode(usage))


def _money(cost: Any, name: str, given: dict[str, Any]) -> None:
    if not isinstance(cost, str):
        raise _Refusal("invalid_type", name, "a decimal string")
    if not _MONEY.fullmatch(cost):
        raise _Refusal("invalid_value", name, "not negative, at most 9 digits before and 9 after the point")
    given[name] = f"{Decimal(cost):f}"


def _replaces(other: Any, name: str, given: dict[str, Any]) -> None:
    given[name] = _uuid(other, name)


def _message(message: Any, name: str, given: dict[str, Any]) -> None:
    if not isinstance(message, str):
        raise _Refusal("invalid_type", name, "a string")
    given[name] = message


def _content(content: Any, name: str, given: dict[str, Any]) -> None:
    given[name] = msgspec.Raw(_encode(content))


def event_id(given: Any, now: int) -> str:
    """A UUID in lower case with hyphens; a new UUIDv7 where there is none."""
    if given is None:
        return new_id(now)
    return _uuid(given, "id")


def _uuid(given: Any, field: str) -> str:
    if not isinstance(given, str):
        raise _Refusal("invalid_type", field, "a UUID as a string")
    if _CANONICAL.fullmatch(given) and given != _NIL:
        return given
    try:
        value = UUID(given)
    except ValueError:
        raise _Refusal("invalid_id", field, "a UUID") from None
    if value.int == 0:
        raise _Refusal("invalid_id", field, "the nil UUID is nobody's")
    return str(value)


def new_id(now: int) -> str:
    """A UUIDv7 of unix us `now`."""
    random = secrets.randbits(74)
    milliseconds = (now // 1000) & (2**48 - 1)
    return str(UUID(int=milliseconds << 80 | 7 << 76 | (random >> 62) << 64 | 2 << 62 | random & (2**62 - 1)))


def timestamp(given: Any, now: int) -> int:
    """Unix us of RFC 3339 with an offset, or of unix milliseconds; digits behind the microsecond are cut."""
    if isinstance(given, str):
        at = _rfc3339(given)
    elif isinstance(given, bool) or not isinstance(given, (int, float)):
        raise _Refusal("invalid_timestamp", "timestamp", "RFC 3339 with an offset, or unix milliseconds")
    elif abs(given) > 1e15:
        raise _Refusal("invalid_timestamp", "timestamp", "unix time is in milliseconds")
    else:
        at = given * 1000 if isinstance(given, int) else math.floor(Decimal(repr(given)) * 1000)
    return _near_now(at, now)


def _near_now(at: int, now: int) -> int:
    if at > now + limits.FUTURE_SECONDS * 1_000_000:
        raise _Refusal("timestamp_in_future", "timestamp", "more than 10 minutes ahead")
    if at < now - limits.PAST_SECONDS * 1_000_000:
        raise _Refusal("timestamp_too_old", "timestamp", "more than 90 days behind")
    return at


def _rfc3339(text: str) -> int:
    found = _RFC3339.fullmatch(text) if len(text) <= 64 and text.isascii() else None
    if found is None:
        raise _Refusal("invalid_timestamp", "timestamp", "RFC 3339 with an offset, or unix milliseconds")
    year, month, day, hour, minute, second, fraction, zulu, sign, ahead, rest = found.groups()
    try:
        leap = second == "60"
        at = datetime(int(year), int(month), int(day), int(hour), int(minute), 59 if leap else int(second), tzinfo=UTC)
        seconds = (at - _EPOCH) // timedelta(seconds=1) + leap
    except ValueError:
        raise _Refusal("invalid_timestamp", "timestamp", "no such day or time") from None
    if not zulu:
        if int(ahead) > 23 or int(rest) > 59:
            raise _Refusal("invalid_timestamp", "timestamp", "no such offset")
        offset = int(ahead) * 3600 + int(rest) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds * 1_000_000 + int(((fraction or "") + "000000")[:6])


def _metadata(metadata: Any, name: str, given: dict[str, Any]) -> None:
    if not isinstance(metadata, dict):
        raise _Refusal("invalid_type", name, "an object")
    tags = metadata.pop("tags", None)
    if tags is not None:
        _tags(tags, given)
    if metadata:
        encoded = _encode(metadata)
        if len(encoded) > limits.METADATA_BYTES:
            raise _Refusal("too_long", name, f"at most {limits.METADATA_BYTES} bytes without tags")
        given[name] = msgspec.Raw(encoded)


def _tags(tags: Any, given: dict[str, Any]) -> None:
    if not isinstance(tags, dict):
        raise _Refusal("invalid_type", "metadata.tags", "a flat object of strings")
    if len(tags) > limits.TAG_KEYS:
        raise _Refusal("too_many_tags", "metadata.tags", f"at most {limits.TAG_KEYS} keys")
    kept: list[str] = []
    for key, value in tags.items():
        text = _tag(key, value)
        if key == "userId":
            given["user_id"] = text
        elif text:
            kept.append(f"{key}={text}")
    if kept:
        kept.sort()
        given["tags"] = tuple(kept)


def _tag(key: str, value: Any) -> str:
    if not is_tag_key(key):
        raise _Refusal("invalid_tag_key", "metadata.tags", "a key is 1 to 64 of A-Z a-z 0-9 _ . -")
    text = value if isinstance(value, str) else _tag_text(value, key)
    if len(text) > limits.TAG_VALUE_CHARS:
        raise _Refusal("too_long", f"metadata.tags.{key}", f"at most {limits.TAG_VALUE_CHARS} characters")
    if "\0" in text:
        raise _Refusal("nul_character", f"metadata.tags.{key}", "NUL is not taken here")
    return text


@lru_cache(1_024)  # senders use the same few
def is_tag_key(key: str) -> bool:
    """Whether a tag may have this name."""
    return _NAME.fullmatch(key) is not None


def _tag_text(value: Any, key: str) -> str:
    """Numbers and booleans as their JSON text; null is no tag."""
    if value is None:
        return ""
    if isinstance(value, (bool, int, float)):
        return _encode(value).decode()
    raise _Refusal("invalid_type", f"metadata.tags.{key}", "a string")


def _pointer(field: str) -> str:
    """The field as a JSON pointer; only names that are safe to repeat."""
    before, tags, key = field.partition("metadata.tags.")
    parts = [*before.split("."), "metadata", "tags", key] if tags else field.split(".")
    return "".join(f"/{part}" for part in parts if _NAME.fullmatch(part) and not _KEY.match(part)) if field else ""


def _glimpsed_id(raw: bytes) -> str | None:
    try:
        given = _glimpse(raw).id
        return _id_of({} if given is msgspec.UNSET or len(bytes(given)) > 256 else {"id": _decode(given)})
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _id_of(value: dict[str, Any]) -> str | None:
    try:
        return _uuid(value.get("id"), "id")
    except _Refusal:
        return None


_Reader = Callable[[Any, str, dict[str, Any]], None]
_READERS: dict[str, _Reader] = {
    "id": _skip, "timestamp": _skip,
    "type": _word(_TYPES), "status": _word(_STATUSES), "privacy": _word(_PRIVACY),
    "latency_ms": _duration, "time_to_first_token_ms": _duration,
    "usage": _usage, "usage_estimated": _estimated, "cost_usd": _money, "replaces": _replaces,
    "error_message": _message, "metadata": _metadata,
    **{name: _string(longest) for name, longest in _STRINGS.items()},
    **dict.fromkeys(_CONTENT, _content),
}  # fmt: skip
FIELDS = frozenset(_READERS)


# --- events that somebody else's emitter made of spans: it cannot be told to send less, and its numbers must survive

_LABELS = frozenset(
    {"name", "provider", "model", "agent", "operation", "tool_name", "finish_reason", "error_code"}
)  # shown, and cut


def salvage(value: dict[str, Any], at: int, index: int, now: int, flags: tuple[str, ...] = ()) -> Event | Rejected:
    """An event of these fields, which began at unix us `at`. Only that time refuses it: what else breaks a rule is left out, a label
    that is too long is cut, content that makes the event too large goes, the largest first; the flag `shortened` says so.

    `value` has an id that is one; it is consumed.
    """
    try:
        given: dict[str, Any] = {"id": value.pop("id"), "type": "llm", "timestamp": _near_now(at, now)}
    except _Refusal as refusal:
        return Rejected(index, None, refusal.code, refusal.detail, "")
    metadata = value.pop("metadata", None) or {}
    tags, fits = _fitting_tags(metadata.pop("tags", None) or {})
    told = {**value, "metadata": {**metadata, "tags": tags}}
    for name, item in told.items():
        try:
            _READERS[name](item, name, given)
        except _Refusal:
            fits = False
            if name in _LABELS and isinstance(item, str):
                given[name] = item.replace("\0", "\ufffd")[: _STRINGS[name]]
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
            kept[key] = _tag(key, value)
        except _Refusal:
            continue
    return kept, len(kept) == len(tags)


def _shrink(given: dict[str, Any]) -> bool:
    """Leave content out until the rest fits into an event; whether nothing had to go."""
    sizes = {name: len(bytes(given[name])) for name in (*_CONTENT, "metadata") if name in given}
    room = limits.EVENT_BYTES - limits.SPAN_REST_BYTES
    if sum(sizes.values()) <= room:
        return True
    while sum(sizes.values()) > room:
        largest = max(sizes, key=lambda name: sizes[name])
        del sizes[largest], given[largest]
    return False
