"""A request's body -> the JSON text of each event, and where it stood.

Nothing here builds what the text describes: a body of 8 MiB can spell millions of objects, and their memory is many times its bytes.
"""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from pipeline import limits
from pipeline.errors import BadBody, TooLarge, UnsupportedMedia

JSON_TYPES = frozenset({"application/json", ""})
CLOUD_EVENT, CLOUD_EVENTS = "application/cloudevents+json", "application/cloudevents-batch+json"
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


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    """`{"events": [...], "dropped": {...}}`, its values unread."""

    events: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    dropped: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Glance(msgspec.Struct):
    """Whether an object has "events" at all; its other fields are skipped."""

    events: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


# The first elements of a list, one more than a batch may have; those behind are skipped unread.
_Many = msgspec.defstruct(
    "_Many",
    [(f"e{n}", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for n in range(limits.BATCH_EVENTS + 1)],
    array_like=True,
)
_as_many = msgspec.json.Decoder(_Many)
_as_list = msgspec.json.Decoder(list[msgspec.Raw])
_as_envelope = msgspec.json.Decoder(_Envelope)
_glance = msgspec.json.Decoder(_Glance)
_skip = msgspec.json.Decoder(msgspec.Raw)
_PLENTY = 64 * limits.BATCH_EVENTS  # commas; with fewer, a list is small enough to be read at once

_LINE = re.compile(rb"[^ \t\r\n][^\n]*")
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w-]+)", re.IGNORECASE)


def split_body(body: bytes, content_type: str) -> Split:
    """Events of a body. Raises BadBody when nothing can be read, TooLarge, UnsupportedMedia."""
    kind = _kind_of_text(content_type)
    if kind in LINE_TYPES:
        return Split(_limited(_lines(body)), {})
    if kind == CLOUD_EVENT:
        return _json(body, _one)
    if kind == CLOUD_EVENTS:
        return _json(body, _many)
    if kind not in JSON_TYPES:
        raise UnsupportedMedia("send application/json, application/x-ndjson or CloudEvents as JSON")
    return _json(body, _strict)


def whole_body(body: bytes, content_type: str) -> Split:
    """A body that is one event, whatever its JSON; nothing is an event without fields. Raises as `split_body`."""
    kind = _kind_of_text(content_type)
    if kind not in JSON_TYPES and not kind.endswith("+json"):
        raise UnsupportedMedia("the data of a CloudEvent is JSON here")
    return _json(body, _whole) if body.strip(b" \t\r\n") else Split([Piece(0, b"{}")], {})


def kind_of(content_type: str) -> str:
    """The media type of a Content-Type, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def _kind_of_text(content_type: str) -> str:
    charset = _CHARSET.search(content_type.partition(";")[2])
    if charset and charset.group(1).lower() not in ("utf-8", "utf8"):
        raise UnsupportedMedia("bodies are UTF-8")
    return kind_of(content_type)


# --- NDJSON


def _lines(body: bytes) -> Iterator[Piece]:
    for index, found in enumerate(_LINE.finditer(body)):
        line = found.group().rstrip(b" \t\r")
        yield Piece(index, line, "" if is_utf8(line) else "invalid_json")


# --- JSON

_Form = Callable[[bytes, bytes], Split]  # what is read, what was sent -> events


def _json(body: bytes, form: _Form) -> Split:
    text = body.strip(b" \t\r\n")
    if not text:
        raise BadBody("the body is empty")
    if not is_utf8(text):
        raise BadBody("the body is not UTF-8")
    if text[:1] not in (b"[", b"{"):
        raise BadBody("a JSON object, a list or NDJSON")
    try:
        return _split(text, form)
    except RecursionError:
        # Rare enough to be measured only now; what is not too deep is read with room to do so.
        if depth(text, limits.BODY_NESTING_LEVELS) > limits.BODY_NESTING_LEVELS:
            raise BadBody("nested too deeply") from None
        return _with_room(text, form)


def _with_room(text: bytes, form: _Form) -> Split:
    allowed = sys.getrecursionlimit()
    sys.setrecursionlimit(allowed + 2 * limits.BODY_NESTING_LEVELS)
    try:
        return _split(text, form)
    finally:
        sys.setrecursionlimit(allowed)


def _split(text: bytes, form: _Form) -> Split:
    try:
        return form(text, text)
    except msgspec.DecodeError:
        pass
    # NaN and lone surrogates are not JSON, but refuse or mend one event, not the body around it.
    strict = loosened(text)
    if strict == text:
        raise BadBody("not JSON")
    try:
        return form(strict, text)
    except msgspec.DecodeError:
        raise BadBody("not JSON") from None


def _one(strict: bytes, text: bytes) -> Split:
    """A CloudEvent: whatever its fields, it is the event."""
    if strict[:1] != b"{":
        raise BadBody(f"one CloudEvent is an object; a list of them is {CLOUD_EVENTS}")
    return _whole(strict, text)


def _whole(strict: bytes, text: bytes) -> Split:
    _skip.decode(strict)
    return Split([Piece(0, text)], {})


def _many(strict: bytes, text: bytes) -> Split:
    if strict[:1] != b"[":
        raise BadBody(f"a batch of CloudEvents is a list; one of them is {CLOUD_EVENT}")
    return Split(_pieces(strict, text), {})


def _strict(strict: bytes, text: bytes) -> Split:
    """`strict` is what is read, `text` what was sent: equal but for tokens that no strict reader takes, and as long."""
    if strict[:1] == b"[":
        return Split(_pieces(strict, text), {})
    if _glance.decode(strict).events is msgspec.UNSET:
        return Split([Piece(0, text)], {})
    try:
        envelope = _as_envelope.decode(strict)
    except msgspec.ValidationError:
        raise BadBody('beside "events" there is only "dropped"') from None
    events, dropped = (b"" if raw is msgspec.UNSET else bytes(raw) for raw in (envelope.events, envelope.dropped))
    if events[:1] != b"[":
        raise BadBody('"events" is a list')
    if _keys_repeat(strict, events, dropped):
        raise BadBody("the same key twice, or spelled with escapes")
    counts = _dropped(dropped)
    start = strict.find(events)
    return Split(_pieces(events, events if strict is text else text[start : start + len(events)]), counts)


def _pieces(strict: bytes, text: bytes) -> list[Piece]:
    """The elements of a list, each as it was sent."""
    elements = _elements(strict)
    if strict is text:
        return _limited(Piece(place, bytes(raw)) for place, raw in enumerate(elements))
    found, at = [], 1
    for place, raw in enumerate(elements):
        element = bytes(raw)
        at = strict.index(element, at)
        found.append(Piece(place, text[at : at + len(element)]))
        at += len(element)
    return _limited(found)


def _elements(strict: bytes) -> list[msgspec.Raw]:
    if (
        strict.count(b",") > _PLENTY
        and getattr(_as_many.decode(strict), f"e{limits.BATCH_EVENTS}") is not msgspec.UNSET
    ):
        raise TooLarge(f"at most {limits.BATCH_EVENTS} events in a batch")
    return _as_list.decode(strict)


def _keys_repeat(strict: bytes, events: bytes, dropped: bytes) -> bool:
    """Without blanks, an object of these values has one length, unless a key is there twice (or has escapes)."""
    length = len(b'{"events":}') + len(_compact(events))
    if dropped:
        length += len(b',"dropped":') + len(_compact(dropped))
    return len(_compact(strict)) != length


def _compact(strict: bytes) -> bytes:
    return msgspec.json.format(strict, indent=-1)


def _dropped(raw: bytes) -> dict[str, int]:
    if not raw:
        return {}
    # 32 counts under names of 64 characters, each spelled with escapes, and room for blanks.
    if len(raw) > 32 * 1024:
        raise BadBody('"dropped" is an object of counts')
    if has_duplicates(raw):
        raise BadBody("the same key twice in an object")
    try:
        counts = msgspec.json.decode(raw, type=dict[str, int])
    except (msgspec.MsgspecError, UnicodeDecodeError):
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


# --- what is asked of a text without building it


def is_utf8(text: bytes) -> bool:
    """Whether it decodes, looked at in steps: one character outside the BMP makes a whole str four bytes wide."""
    if text.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    step = 64 * 1024
    try:
        for start in range(0, len(text), step):
            decoder.decode(text[start : start + step], final=start + step >= len(text))
    except UnicodeDecodeError:
        return False
    return True


_SURROGATES = [b"\\u" + d + second for d in (b"d", b"D") for second in b"8 9 a b c d e f A B C D E F".split()]


def loosened(text: bytes) -> bytes:
    """The text, as long as before, with tokens that a strict reader takes for NaN, Infinity and surrogates.

    It is read for where things begin and end, so it does not matter that strings change too.
    """
    text = text.replace(b"NaN", b"1.0").replace(b"Infinity", b"1.000000")
    if b"\\ud" in text or b"\\uD" in text:
        for begun in _SURROGATES:
            text = text.replace(begun, b"\\u00")
    return text


class DuplicateKey(ValueError):
    """The same key twice in an object."""


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise DuplicateKey


def _nothing(_: str) -> None:
    """In place of a number."""


def has_duplicates(raw: bytes) -> bool:
    """Whether any object of a readable JSON text has a key twice."""
    try:
        json.loads(
            raw.decode(), object_pairs_hook=_unique, parse_int=_nothing, parse_float=_nothing, parse_constant=_nothing
        )
    except DuplicateKey:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def least_bytes(raw: bytes) -> int:
    """No fewer bytes than this has the text as compact UTF-8 JSON: without blanks, and each escape a byte."""
    try:
        compact = _compact(raw)
    except (msgspec.DecodeError, RecursionError):
        try:
            compact = _compact(loosened(raw))
        except (msgspec.DecodeError, RecursionError):
            return len(raw)
    escapes = compact.replace(b"\\\\", b"")
    return len(compact) - escapes.count(b"\\") - 4 * escapes.count(b"\\u")


_PLAIN = bytes(byte for byte in range(256) if byte not in b'[]{}"')


def depth(text: bytes, enough: int = sys.maxsize) -> int:
    """How deep objects and lists nest, by a scan that does not recurse; it stops above `enough`."""
    # Escaped backslashes, then escaped quotes, then all but quotes and brackets, then strings without brackets.
    bare = text.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _PLAIN).replace(b'""', b"")
    deepest = level = 0
    for byte in b"".join(bare.split(b'"')[::2]):
        if byte in b"[{":
            level += 1
            if level > deepest:
                deepest = level
                if deepest > enough:
                    break
        else:
            level -= 1
    return deepest
