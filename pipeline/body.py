"""A request's body -> the JSON text of each event, and where it stood. Depth and duplicate keys are looked at before anything recurses."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from pipeline import limits
from pipeline.errors import BadBody, TooLarge, UnsupportedMedia

JSON_TYPES = frozenset({"application/json", ""})
LINE_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})


class Piece(NamedTuple):
    """One event's text and its place; `bad` when a line of NDJSON cannot be read."""

    place: int
    raw: bytes
    bad: str = ""  # a code of reasons.REJECTED


class Split(NamedTuple):
    """The events of a body, and what an SDK says it dropped."""

    pieces: list[Piece]
    dropped: dict[str, int]


_as_list = msgspec.json.Decoder(list[msgspec.Raw])
_as_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKET = re.compile(rb"[^\[\]{}]+")


def split_body(body: bytes, content_type: str) -> Split:
    """Events of a body. Raises BadBody when nothing can be read, TooLarge, UnsupportedMedia."""
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    charset = re.search(r"charset\s*=\s*\"?([\w-]+)", parameters, re.IGNORECASE)
    if charset and charset.group(1).lower() not in ("utf-8", "utf8"):
        raise UnsupportedMedia("bodies are UTF-8")
    if kind in LINE_TYPES:
        return Split(_limited(_lines(body)), {})
    if kind not in JSON_TYPES:
        raise UnsupportedMedia("send application/json or application/x-ndjson")
    return _json(body)


def _lines(body: bytes) -> Iterable[Piece]:
    index = 0
    for line in body.split(b"\n"):
        text = line.strip(b" \t\r")
        if not text:
            continue
        yield Piece(index, text, _line_problem(text))
        index += 1


def _line_problem(text: bytes) -> str:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return "invalid_json"
    if text.count(b"[") + text.count(b"{") > limits.NESTING_LEVELS and depth(text) > limits.NESTING_LEVELS:
        return "too_deep"
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return "" if _readable(text) else "invalid_json"
    return ""


def _json(body: bytes) -> Split:
    text = body.strip(b" \t\r\n")
    if not text:
        raise BadBody("the body is empty")
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        raise BadBody("the body is not UTF-8") from None
    try:
        return _split(text)
    except RecursionError:
        # Rare enough to be measured only now; what is not too deep is read with room to do so.
        if depth(text) > limits.BODY_NESTING_LEVELS:
            raise BadBody("nested too deeply") from None
        return _with_room(text)


def _with_room(text: bytes) -> Split:
    allowed = sys.getrecursionlimit()
    sys.setrecursionlimit(allowed + 2 * limits.BODY_NESTING_LEVELS)
    try:
        return _split(text)
    finally:
        sys.setrecursionlimit(allowed)


def _split(text: bytes) -> Split:
    if text[:1] not in (b"[", b"{"):
        lenient(text)
        raise BadBody("a JSON object, a list or NDJSON")
    try:
        if text[:1] == b"[":
            return Split(_limited(Piece(i, bytes(raw)) for i, raw in enumerate(_as_list.decode(text))), {})
        fields = _as_object.decode(text)
    except msgspec.DecodeError:
        return _tolerant(text)
    if "events" not in fields:
        return Split([Piece(0, text)], {})
    return _envelope(text, fields)


def _envelope(text: bytes, fields: dict[str, msgspec.Raw]) -> Split:
    unknown = sorted(set(fields) - {"events", "dropped"})
    if unknown:
        raise BadBody('beside "events" there is only "dropped"')
    try:
        events = _as_list.decode(fields["events"])
    except msgspec.DecodeError:
        return _tolerant(text)
    if _top_keys_repeat(text, fields):
        raise BadBody("the same key twice")
    return Split(_limited(Piece(i, bytes(raw)) for i, raw in enumerate(events)), _dropped(fields.get("dropped")))


def _top_keys_repeat(text: bytes, fields: dict[str, msgspec.Raw]) -> bool:
    """Cheap: the values cover the text but for keys and punctuation unless a key came twice."""
    covered = sum(len(bytes(raw)) + len(key) for key, raw in fields.items())
    return len(text) - covered > 64 and _has_duplicates_at_top(text)


def _has_duplicates_at_top(text: bytes) -> bool:
    try:
        pairs = json.loads(text, object_pairs_hook=list, parse_constant=float, parse_int=_Number, parse_float=_Number)
    except (ValueError, RecursionError):
        return False
    keys = [key for key, _ in pairs]
    return len(keys) != len(set(keys))


def _dropped(raw: msgspec.Raw | None) -> dict[str, int]:
    if raw is None:
        return {}
    try:
        counts = msgspec.json.decode(raw, type=dict[str, int])
    except msgspec.MsgspecError:
        raise BadBody('"dropped" is an object of counts') from None
    if len(counts) > 32 or any(len(k) > 64 or not 0 <= v < 2**53 for k, v in counts.items()):
        raise BadBody('"dropped" is an object of counts')
    return counts


def _limited(pieces: Iterable[Piece]) -> list[Piece]:
    taken: list[Piece] = []
    for piece in pieces:
        if len(taken) == limits.BATCH_EVENTS:
            raise TooLarge(f"at most {limits.BATCH_EVENTS} events in a batch")
        taken.append(piece)
    return taken


def _tolerant(text: bytes) -> Split:
    """JSON that only a lenient reader takes (NaN, numbers without end, lone surrogates): such events are rejected one by one."""
    value = lenient(text)
    if isinstance(value, list):
        return Split(_limited(Piece(i, _dump(item)) for i, item in enumerate(value)), {})
    if isinstance(value, dict) and "events" in value:
        if not isinstance(value["events"], list):
            raise BadBody('"events" is a list')
        if set(value) - {"events", "dropped"}:
            raise BadBody('beside "events" there is only "dropped"')
        return Split(_limited(Piece(i, _dump(item)) for i, item in enumerate(value["events"])), {})
    if isinstance(value, dict):
        return Split([Piece(0, text)], {})
    raise BadBody("a JSON object, a list or NDJSON")


class _Number(str):
    """A number's own text: never converted, so that 5,000 digits cost nothing."""


class DuplicateKey(ValueError):
    """The same key twice in an object."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DuplicateKey
    return found


def lenient(text: bytes) -> Any:
    """JSON with NaN and lone surrogates. Raises BadBody; duplicate keys are one."""
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_int=_Number, parse_float=_Number, parse_constant=_Number
        )
    except DuplicateKey:
        raise BadBody("the same key twice in an object") from None
    except (ValueError, RecursionError):
        raise BadBody("not JSON") from None


def has_duplicates(raw: bytes) -> bool:
    """Whether any object of a readable JSON text has a key twice."""
    try:
        json.loads(raw, object_pairs_hook=_unique, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
    except DuplicateKey:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def _readable(text: bytes) -> bool:
    try:
        json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
    except (ValueError, RecursionError):
        return False
    return True


def _dump(value: Any) -> bytes:
    """Back to text, numbers as they stood."""
    if isinstance(value, _Number):
        return value.encode()
    if isinstance(value, dict):
        inner = b",".join(json.dumps(k).encode() + b":" + _dump(v) for k, v in value.items())
        return b"{" + inner + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(_dump(item) for item in value) + b"]"
    return json.dumps(value).encode()


def depth(text: bytes) -> int:
    """How deep objects and lists nest, by a scan that does not recurse."""
    deepest = level = 0
    for byte in _NOT_BRACKET.sub(b"", _STRING.sub(b"", text)):
        if byte in b"[{":
            level += 1
            deepest = max(deepest, level)
        else:
            level -= 1
    return deepest
