"""HTTP bytes -> events and rejections, by index. A newcomer starts here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from pipeline import cloudevents, voight
from pipeline.body import CLOUD_EVENT, CLOUD_EVENTS, JSON_TYPES, Split, kind_of, split_body, whole_body
from pipeline.errors import BadBody
from pipeline.event import Event
from pipeline.reasons import REJECTED
from pipeline.wire import Rejected, Translate, parse_event


class ParsedBatch(NamedTuple):
    """What a body holds: valid events, the rejected ones with why, and the counts an SDK says it dropped."""

    events: list[Event]
    rejected: list[Rejected]
    dropped: dict[str, int]


def parse_batch(body: bytes, content_type: str, now: int, attributes: Mapping[str, str] | None = None) -> ParsedBatch:
    """Every event of a decompressed body; `now` is unix us. Raises BadBody, TooLarge, UnsupportedMedia.

    `attributes` are those of a CloudEvent in binary mode, whose body is its data alone.
    """
    (pieces, dropped), translate = _opened(body, content_type, attributes)
    is_json = kind_of(content_type) in JSON_TYPES
    events: list[Event] = []
    rejected: list[Rejected] = []
    for place, raw, bad in pieces:
        if bad:
            rejected.append(Rejected(place, None, bad, REJECTED[bad], ""))
            continue
        parsed = parse_event(raw, place, now, translate)
        if isinstance(parsed, Event):
            events.append(parsed)
        elif parsed.code == "duplicate_key" and is_json:
            raise BadBody("the same key twice in an object")
        else:
            rejected.append(parsed)
    return ParsedBatch(events, rejected, dropped)


def _opened(body: bytes, content_type: str, attributes: Mapping[str, str] | None) -> tuple[Split, Translate]:
    """The body's events, and what puts each into our fields."""
    kind = kind_of(content_type)
    if kind in (CLOUD_EVENT, CLOUD_EVENTS):
        return split_body(body, content_type), cloudevents.translate
    if attributes:
        return whole_body(body, content_type), partial(cloudevents.translate_binary, attributes)
    return split_body(body, content_type), voight.translate
