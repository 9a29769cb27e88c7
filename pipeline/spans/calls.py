"""Spans of one trace in one request -> its calls: which spans tell of the same one.

Spans are one call when they share a response id; when one is the other's parent and both are calls; when one is the provider's own
package's and the other its sibling of the same model and time; when one is logfire's log line of a stream and the other its request.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence

from pipeline.spans import names
from pipeline.spans.told import Told, operation_models

_NEAR = 32  # siblings looked at on either side in time for the partner of a span
_LEVELS = 256  # of spans below each other that are told apart


def calls_of(told: Sequence[Told]) -> list[list[Told]]:
    """The calls, each with its spans, the outermost first; a stream's request whose end is not here is none."""
    groups = _Groups(_once(told))
    groups.join_by_response()
    groups.join_streams()
    groups.join_siblings()
    groups.join_below()
    return groups.calls()


def _once(told: Sequence[Told]) -> list[Told]:
    """A span that came twice counts once."""
    return list({one.span.span_id: one for one in reversed(told)}.values())[::-1]


class _Groups:
    """A partition of the spans, which grows coarser."""

    def __init__(self, told: list[Told]) -> None:
        self._told = told
        self._leader = list(range(len(told)))
        self._gone: set[int] = set()  # spans that are no call of their own after all
        self._at = {one.span.span_id: place for place, one in enumerate(told)}
        self._siblings: dict[str, list[int]] = defaultdict(list)
        for place in sorted(range(len(told)), key=lambda place: told[place].span.start):
            self._siblings[told[place].span.parent_id].append(place)

    def _of(self, place: int) -> int:
        leader = self._leader
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = leader[place]
        return place

    def _join(self, one: int, other: int) -> None:
        self._leader[self._of(other)] = self._of(one)

    def join_by_response(self) -> None:
        """Those that name the same answer."""
        first: dict[str, int] = {}
        for place, one in enumerate(self._told):
            if one.response_id and one.kind.role != "raw":
                self._join(first.setdefault(one.response_id, place), place)

    def join_streams(self) -> None:
        """A stream's log line with its request: the last sibling before it that asked the same."""
        for siblings in self._siblings.values():
            begun: dict[object, list[int]] = defaultdict(list)
            for place in siblings:
                one = self._told[place]
                asked = str(one.span.attributes.get(names.REQUEST, ""))
                if one.kind.role == "begun":
                    begun[asked].append(place)
                elif one.kind.role == "ended" and begun[asked]:
                    self._join(begun[asked].pop(0), place)

    def join_siblings(self) -> None:
        """The provider's own span with the sibling that covers the same time best, each with one other at most."""
        for siblings in self._siblings.values():
            owns = [place for place in siblings if self._told[place].of_sdk]
            others = [
                place for place in siblings
                if not self._told[place].of_sdk and self._told[place].kind.role in ("call", "begun", "ended")
            ]  # fmt: skip
            if owns and others:
                self._pair(owns, others)

    def _pair(self, owns: list[int], others: list[int]) -> None:
        taken = {self._of(place) for place in owns} & {self._of(place) for place in others}
        starts = [self._told[place].span.start for place in others]
        pairs = []
        for own in owns:
            near = bisect_left(starts, self._told[own].span.start)
            for other in others[max(0, near - _NEAR) : near + _NEAR]:
                if self._alike(own, other):
                    one, two = self._told[own].span, self._told[other].span
                    pairs.append((abs(one.start - two.start) + abs(one.end - two.end), own, other))
        for _, own, other in sorted(pairs):
            if self._of(own) not in taken and self._of(other) not in taken:
                self._join(other, own)
                taken.add(self._of(own))

    def _alike(self, own: int, other: int) -> bool:
        """Whether two siblings can be one call: overlapping, of one model, and of no two answers."""
        one, two = self._told[own], self._told[other]
        if one.span.start > two.span.end or two.span.start > one.span.end:
            return False
        if one.response_id and two.response_id and one.response_id != two.response_id:
            return False
        models, others = operation_models(one.span), operation_models(two.span)
        return not models or not others or not models.isdisjoint(others)

    def join_below(self) -> None:
        """A call with the call below it. Of several below, one that succeeded after others failed; else it only stands around them."""
        below: dict[int, list[int]] = defaultdict(list)
        for place, one in enumerate(self._told):
            over = self._at.get(one.span.parent_id)
            if over is not None and over != place:
                below[over].append(place)
        for over in sorted(below, key=self._depth, reverse=True):
            if self._told[over].kind.role in ("call", "ended"):
                self._join_to(over, below[over])

    def _depth(self, place: int) -> int:
        for level in range(_LEVELS):
            over = self._at.get(self._told[place].span.parent_id)
            if over is None:
                return level
            place = over
        return _LEVELS

    def _join_to(self, over: int, below: list[int]) -> None:
        for place in below:
            if self._told[place].kind.role == "raw":
                self._join(over, place)
        children: dict[int, list[int]] = defaultdict(list)
        for place in below:
            if self._told[place].kind.role in ("call", "ended"):
                children[self._of(place)].append(place)
        if not children or self._of(over) in children:
            return
        good = [group for group, places in children.items() if not any(self._told[p].failed for p in places)]
        if len(good) > 1:
            self._gone.add(over)
            return
        kept = good[0] if good else max(children, key=lambda group: self._told[group].span.start)
        self._gone.update(place for group, places in children.items() if group != kept for place in places)
        self._join(over, kept)

    def calls(self) -> list[list[Told]]:
        """What has come of it, in the order in which the calls began."""
        found: dict[int, list[Told]] = defaultdict(list)
        for place, one in enumerate(self._told):
            if place not in self._gone:
                found[self._of(place)].append(one)
        calls = [sorted(group, key=_outermost) for group in found.values() if any(_is_call(one) for one in group)]
        return sorted(calls, key=lambda call: call[0].span.start)


def _is_call(one: Told) -> bool:
    return one.kind.role in ("call", "ended")


def _outermost(one: Told) -> tuple[int, int, bool]:
    return one.span.start, -one.span.end, one.of_sdk


def responses(call: Sequence[Told]) -> Iterator[str]:
    """The ids of a call's answer, those of calls before those of raw requests."""
    for raw in (False, True):
        for one in call:
            if one.response_id and (one.kind.role == "raw") is raw:
                yield one.response_id
