"""What the spans around a call say of whose it is: a user named on the root alone is the user of all that is below."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pipeline.spans import names
from pipeline.spans.read import first_text
from pipeline.spans.span import Span
from pipeline.spans.told import tags_of

_LEVELS = 64  # of ancestors that are asked


class Whose(NamedTuple):
    """What one span says of whose it is."""

    parent_id: str
    user: str
    session: str
    agent: str
    tags: dict[str, Any]


_NO_TAGS: dict[str, Any] = {}


def whose(span: Span) -> Whose:
    """Of any span, whoever made it."""
    given = span.attributes
    if not given:
        return Whose(span.parent_id, "", "", "", _NO_TAGS)
    return Whose(
        span.parent_id, first_text(given, names.USER), first_text(given, names.SESSION), first_text(given, names.AGENT),
        tags_of(span) or _NO_TAGS,
    )  # fmt: skip


class Around:
    """The spans of one trace that came in one request."""

    def __init__(self) -> None:
        self._spans: dict[str, Whose] = {}
        self._roots: list[Whose] = []

    def add(self, span: Span) -> None:
        """One of them."""
        found = whose(span)
        self._spans[span.span_id] = found
        if not span.parent_id:
            self._roots.append(found)

    def of(self, span: Span) -> Whose:
        """What one of them says itself."""
        return self._spans[span.span_id]

    def outwards(self, parent_id: str) -> Iterator[Whose]:
        """The spans above, the nearest first, then the trace's roots."""
        for _ in range(_LEVELS):
            found = self._spans.get(parent_id)
            if found is None:
                break
            yield found
            parent_id = found.parent_id
        yield from self._roots[:1]
