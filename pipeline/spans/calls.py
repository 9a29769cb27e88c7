"""Spans of one trace in one request -> its calls: which spans tell of the same one.

Spans are one call when they share a response id; when one is the other's parent and both are calls; when one is the provider's own
package's and the other its sibling of the same model and time; when one is logfire's log line of a stream and the other its request.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence

from pipeline.spans import names
from pipeline.spans.roles import COUNTS
from pipeline.spans.told import Told, by_litellm, operation_models, raw_field

_NEAR = 12  # siblings looked at on either side in time for the partner of a span
_STRAY_NS = 1_000_000_000  # between the ends of one stream, as two packages see it


def calls_of(told: Sequence[Told]) -> list[list[Told]]:
    """The calls, each with its spans, the outermost first; a stream's request whose end is not here is none."""
    groups = _Groups(_once(told))
    groups.join_by_response()
    groups.join_streams()
    groups.join_siblings()
    groups.join_strays()
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
        self._named: dict[int, frozenset[str]] = {}  # models, once they are asked for
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
            if one.response_id:
                self._join(first.setdefault(one.response_id, place), place)

    def join_streams(self) -> None:
        """A stream's log line with its request: the first sibling before it that asked the same and says no usage."""
        for siblings in self._siblings.values():
            begun: dict[object, list[int]] = defaultdict(list)
            for place in siblings:
                one = self._told[place]
                asked = (str(one.span.attributes.get(names.REQUEST)), str(one.span.attributes.get(names.MESSAGES)))
                if one.kind.role == "ended":
                    if begun[asked]:
                        self._join(begun[asked].pop(0), place)
                elif one.span.scope.startswith("logfire") and not any(name in one.span.attributes for name in COUNTS):
                    begun[asked].append(place)

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
        models, others = self._models(own), self._models(other)
        return not models or not others or not models.isdisjoint(others)

    def _models(self, place: int) -> frozenset[str]:
        found = self._named.get(place)
        if found is None:
            found = self._named[place] = operation_models(self._told[place].span)
        return found

    def join_strays(self) -> None:
        """A stream's log line with the provider's own span below a request that came before: both end when the stream does."""
        paired = {
            self._of(place) for place, one in enumerate(self._told) if one.kind.role != "ended" and not one.of_sdk
        }
        free = [place for place in range(len(self._told)) if self._of(place) not in paired]
        ended = sorted((p for p in free if self._told[p].kind.role == "ended"), key=lambda p: self._told[p].span.start)
        starts = [self._told[place].span.start for place in ended]
        pairs = []
        for own in free:
            one = self._told[own]
            if one.of_sdk and one.span.parent_id not in self._at:
                near = bisect_left(starts, one.span.end)
                for log in ended[max(0, near - _NEAR) : near + _NEAR]:
                    apart = abs(self._told[log].span.start - one.span.end)
                    if apart < _STRAY_NS and not self._models(own).isdisjoint(self._models(log)):
                        pairs.append((apart, own, log))
        taken: set[int] = set()
        for _, own, log in sorted(pairs):
            if own not in taken and log not in taken:
                self._join(log, own)
                taken.update((own, log))

    def join_below(self) -> None:
        """A call with the call below it. Of several below, one that succeeded after others failed; else it only stands around them."""
        below: dict[int, list[int]] = {place: [] for place in range(len(self._told))}
        for place, one in enumerate(self._told):
            over = self._at.get(one.span.parent_id)
            if over is not None and over != place:
                below[over].append(place)
        depths = self._depths()
        for over in sorted(below, key=lambda place: depths[place], reverse=True):
            if self._told[over].kind.role in ("call", "begun", "ended"):
                self._join_to(over, below[over])

    def _depths(self) -> dict[int, int]:
        """How many of these spans stand above each; those in a ring stand somewhere."""
        depths: dict[int, int] = {}
        for place in range(len(self._told)):
            path: list[int] = []
            at: int | None = place
            while at is not None and at not in depths:
                depths[at] = 0  # until it is known, and where a ring closes
                path.append(at)
                at = self._at.get(self._told[at].span.parent_id)
            above = -1 if at is None else depths[at]
            depths.update({one: level for level, one in enumerate(reversed(path), above + 1)})
        return depths

    def _join_to(self, over: int, below: list[int]) -> None:
        raws = [place for place in below if self._told[place].kind.role == "raw"]
        if raws:
            # litellm writes each answer over the last on the span of the app: those before are told by their raw spans alone.
            self._join(over, max(raws, key=lambda place: self._told[place].span.end))
        elif _is_written_over(self._told[over]):
            self._gone.add(over)
        children: dict[int, list[int]] = defaultdict(list)
        for place in below:
            if self._told[place].kind.role in ("call", "ended"):
                children[self._of(place)].append(place)
        if not children:
            return
        good = [group for group, places in children.items() if not any(self._told[p].failed for p in places)]
        mine = self._of(over)
        if mine in children and (good != [mine] or by_litellm(self._told[over].span)):
            return
        if len(good) > 1:
            self._gone.add(over)
            return
        kept = good[0] if good else max(children, key=lambda group: self._told[group].span.start)
        self._gone.update(place for group, places in children.items() if group != kept for place in places)
        self._join(over, kept)

    def calls(self) -> list[list[Told]]:
        """What has come of it."""
        found: dict[int, list[Told]] = defaultdict(list)
        for place, one in enumerate(self._told):
            if place not in self._gone:
                found[self._of(place)].append(one)
        return [sorted(group, key=_outermost) for group in found.values() if any(map(_is_call, group))]


def _is_call(one: Told) -> bool:
    return one.kind.role in ("call", "ended") or (
        one.kind.role == "raw" and raw_field(one.span, "usage")[1] is not None
    )


def _is_written_over(one: Told) -> bool:
    """An app's span with litellm's words on it, whose raw span is not here: that came before, and was counted."""
    given = one.span.attributes
    return (
        by_litellm(one.span)
        and not one.span.scope.startswith("litellm")
        and given.get(names.LITELLM_STREAM) != "True"  # of which the raw span says nothing
        and one.kind.operation in ("chat", "responses")
        and not one.failed  # of which there is no raw span
        and names.MESSAGES in given  # litellm that may not write messages writes no raw spans either
    )


def _outermost(one: Told) -> tuple[int, int, bool]:
    return one.span.start, -one.span.end, one.of_sdk


def responses(call: Sequence[Told]) -> Iterator[str]:
    """The ids of a call's answer, those of calls before those of raw requests."""
    for raw in (False, True):
        for one in call:
            if one.response_id and (one.kind.role == "raw") is raw:
                yield one.response_id
