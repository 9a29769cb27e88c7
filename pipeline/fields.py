"""A decoded value -> a field of an event: the rules of each field. Nothing here reads bytes or knows a place in a body."""

from __future__ import annotations

import difflib
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
from pipeline.usage import usage_problem


class Problem(NamedTuple):
    """Why an event is not taken: a code of `reasons.REJECTED`, the sender's field (dotted, "" for the whole), a detail."""

    code: str
    field: str
    detail: str


class Refusal(Exception):
    """Raised by a reader, and caught by what reads an event: the value breaks a rule. As `Problem`."""

    def __init__(self, code: str, field: str, detail: str) -> None:
        super().__init__(code)
        self.code, self.field, self.detail = code, field, detail


_TYPES = frozenset({"llm", "tool", "log", "trace", "custom"})
_STATUSES = frozenset({"ok", "error", "aborted"})
_PRIVACY = frozenset({"minimal", "standard", "full"})
STRINGS = {
    "trace_id": limits.TRACE_ID_CHARS, "span_id": limits.TRACE_ID_CHARS, "parent_span_id": limits.TRACE_ID_CHARS,
    "name": limits.NAME_CHARS, "session_id": limits.SESSION_ID_CHARS, "provider": limits.MODEL_CHARS,
    "model": limits.MODEL_CHARS, "agent": limits.AGENT_CHARS, "operation": limits.SESSION_ID_CHARS,
    "tool_name": limits.SESSION_ID_CHARS, "service_tier": limits.SESSION_ID_CHARS,
    "processing": limits.SESSION_ID_CHARS, "speed": limits.SESSION_ID_CHARS,
    "error_code": limits.REASON_CHARS, "finish_reason": limits.REASON_CHARS,
}  # fmt: skip
CONTENT = ("prompt", "response", "tool_arguments", "tool_result", "logs")
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NIL = "00000000-0000-0000-0000-000000000000"
_MONEY = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


def unknown_field(name: str, fields: frozenset[str]) -> Problem:
    """A field that is none of `fields`, with the one that was meant."""
    if not NAME.fullmatch(name):
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


def _word(allowed: frozenset[str]) -> Reader:
    def read(word: Any, name: str, given: dict[str, Any]) -> None:
        if not isinstance(word, str):
            raise Refusal("invalid_type", name, "a string")
        if word not in allowed:
            raise Refusal("invalid_value", name, f"one of {', '.join(sorted(allowed))}")
        given[name] = word

    return read


def _string(longest: int) -> Reader:
    def read(text: Any, name: str, given: dict[str, Any]) -> None:
        if not isinstance(text, str):
            raise Refusal("invalid_type", name, "a string")
        if len(text) > longest:
            raise Refusal("too_long", name, f"at most {longest} characters")
        if "\0" in text:
            raise Refusal("nul_character", name, "NUL is not taken here")
        given[name] = text

    return read


def _duration(number: Any, name: str, given: dict[str, Any]) -> None:
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise Refusal("invalid_type", name, "a number of milliseconds")
    if not 0 <= number <= limits.DURATION_MS:
        raise Refusal("invalid_number", name, "0 or more milliseconds")
    given[name] = float(number)


def _estimated(flag: Any, name: str, given: dict[str, Any]) -> None:
    if not isinstance(flag, bool):
        raise Refusal("invalid_type", name, "true or false")
    given[name] = flag


def _usage(usage: Any, name: str, given: dict[str, Any]) -> None:
    problem = usage_problem(usage)
    if problem:
        raise Refusal(*problem)
    given[name] = msgspec.Raw(_encode(usage))


def _money(cost: Any, name: str, given: dict[str, Any]) -> None:
    if not isinstance(cost, str):
        raise Refusal("invalid_type", name, "a decimal string")
    if not _MONEY.fullmatch(cost):
        raise Refusal("invalid_value", name, "not negative, at most 9 digits before and 9 after the point")
    given[name] = f"{Decimal(cost):f}"


def _replaces(other: Any, name: str, given: dict[str, Any]) -> None:
    given[name] = uuid_text(other, name)


def _message(message: Any, name: str, given: dict[str, Any]) -> None:
    if not isinstance(message, str):
        raise Refusal("invalid_type", name, "a string")
    given[name] = message


def _content(content: Any, name: str, given: dict[str, Any]) -> None:
    given[name] = msgspec.Raw(_encode(content))


def event_id(given: Any, now: int) -> str:
    """A UUID in lower case with hyphens; a new UUIDv7 where there is none."""
    if given is None:
        return new_id(now)
    return uuid_text(given, "id")


def uuid_text(given: Any, field: str) -> str:
    """A UUID in lower case with hyphens, however it was spelled."""
    if not isinstance(given, str):
        raise Refusal("invalid_type", field, "a UUID as a string")
    if _CANONICAL.fullmatch(given) and given != _NIL:
        return given
    try:
        value = UUID(given)
    except ValueError:
        raise Refusal("invalid_id", field, "a UUID") from None
    if value.int == 0:
        raise Refusal("invalid_id", field, "the nil UUID is nobody's")
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
        raise Refusal("invalid_timestamp", "timestamp", "RFC 3339 with an offset, or unix milliseconds")
    elif abs(given) > 1e15:
        raise Refusal("invalid_timestamp", "timestamp", "unix time is in milliseconds")
    else:
        at = given * 1000 if isinstance(given, int) else math.floor(Decimal(repr(given)) * 1000)
    return near_now(at, now)


def near_now(at: int, now: int) -> int:
    """Unix us `at`, when it is near enough to the time of receipt."""
    if at > now + limits.FUTURE_SECONDS * 1_000_000:
        raise Refusal("timestamp_in_future", "timestamp", "more than 10 minutes ahead")
    if at < now - limits.PAST_SECONDS * 1_000_000:
        raise Refusal("timestamp_too_old", "timestamp", "more than 90 days behind")
    return at


def _rfc3339(text: str) -> int:
    found = _RFC3339.fullmatch(text) if len(text) <= 64 and text.isascii() else None
    if found is None:
        raise Refusal("invalid_timestamp", "timestamp", "RFC 3339 with an offset, or unix milliseconds")
    year, month, day, hour, minute, second, fraction, zulu, sign, ahead, rest = found.groups()
    try:
        leap = second == "60"
        at = datetime(int(year), int(month), int(day), int(hour), int(minute), 59 if leap else int(second), tzinfo=UTC)
        seconds = (at - _EPOCH) // timedelta(seconds=1) + leap
    except ValueError:
        raise Refusal("invalid_timestamp", "timestamp", "no such day or time") from None
    if not zulu:
        if int(ahead) > 23 or int(rest) > 59:
            raise Refusal("invalid_timestamp", "timestamp", "no such offset")
        offset = int(ahead) * 3600 + int(rest) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds * 1_000_000 + int(((fraction or "") + "000000")[:6])


def _metadata(metadata: Any, name: str, given: dict[str, Any]) -> None:
    if not isinstance(metadata, dict):
        raise Refusal("invalid_type", name, "an object")
    tags = metadata.pop("tags", None)
    if tags is not None:
        _tags(tags, given)
    if metadata:
        encoded = _encode(metadata)
        if len(encoded) > limits.METADATA_BYTES:
            raise Refusal("too_long", name, f"at most {limits.METADATA_BYTES} bytes without tags")
        given[name] = msgspec.Raw(encoded)


def _tags(tags: Any, given: dict[str, Any]) -> None:
    if not isinstance(tags, dict):
        raise Refusal("invalid_type", "metadata.tags", "a flat object of strings")
    if len(tags) > limits.TAG_KEYS:
        raise Refusal("too_many_tags", "metadata.tags", f"at most {limits.TAG_KEYS} keys")
    kept: list[str] = []
    for key, value in tags.items():
        text = tag_value(key, value)
        if key == "userId":
            given["user_id"] = text
        elif text:
            kept.append(f"{key}={text}")
    if kept:
        kept.sort()
        given["tags"] = tuple(kept)


def tag_value(key: str, value: Any) -> str:
    """The text of a tag; "" is no tag."""
    if not is_tag_key(key):
        raise Refusal("invalid_tag_key", "metadata.tags", "a key is 1 to 64 of A-Z a-z 0-9 _ . -")
    text = value if isinstance(value, str) else _tag_text(value, key)
    if len(text) > limits.TAG_VALUE_CHARS:
        raise Refusal("too_long", f"metadata.tags.{key}", f"at most {limits.TAG_VALUE_CHARS} characters")
    if "\0" in text:
        raise Refusal("nul_character", f"metadata.tags.{key}", "NUL is not taken here")
    return text


@lru_cache(1_024)  # senders use the same few
def is_tag_key(key: str) -> bool:
    """Whether a tag may have this name."""
    return NAME.fullmatch(key) is not None


def _tag_text(value: Any, key: str) -> str:
    """Numbers and booleans as their JSON text; null is no tag."""
    if value is None:
        return ""
    if isinstance(value, (bool, int, float)):
        return _encode(value).decode()
    raise Refusal("invalid_type", f"metadata.tags.{key}", "a string")


Reader = Callable[[Any, str, dict[str, Any]], None]
READERS: dict[str, Reader] = {
    "id": _skip, "timestamp": _skip,
    "type": _word(_TYPES), "status": _word(_STATUSES), "privacy": _word(_PRIVACY),
    "latency_ms": _duration, "time_to_first_token_ms": _duration,
    "usage": _usage, "usage_estimated": _estimated, "cost_usd": _money, "replaces": _replaces,
    "error_message": _message, "metadata": _metadata,
    **{name: _string(longest) for name, longest in STRINGS.items()},
    **dict.fromkeys(CONTENT, _content),
}  # fmt: skip
FIELDS = frozenset(READERS)
