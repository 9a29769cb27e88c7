"""HTTP bytes -> events and rejections, by index. A newcomer starts here."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.body import JSON_TYPES, split_body
from pipeline.errors import BadBody
from pipeline.event import Event
from pipeline.reasons import REJECTED
from pipeline.wire import Rejected, parse_event


class ParsedBatch(NamedTuple):
    """What a body holds: valid events, the rejected ones with why, and the counts an SDK says it dropped."""

    events: list[Event]
    rejected: list[Rejected]
    dropped: dict[str, int]


def parse_batch(body: bytes, content_type: str, now: int) -> ParsedBatch:
    """Every event of a decompressed body; `now` is unix us. Raises BadBody, TooLarge, UnsupportedMedia."""
    pieces, dropped = split_body(body, content_type)
    is_json = content_type.partition(";")[0].strip().lower() in JSON_TYPES
    events: list[Event] = []
    rejected: list[Rejected] = []
    for place, raw, bad in pieces:
        if bad:
            rejected.append(Rejected(place, None, bad, REJECTED[bad], ""))
            continue
        parsed = parse_event(raw, place, now)
        if isinstance(parsed, Event):
            events.append(parsed)
        elif parsed.code == "duplicate_key" and is_json:
            raise BadBody("the same key twice in an object")
        else:
            rejected.append(parsed)
    return ParsedBatch(events, rejected, dropped)
