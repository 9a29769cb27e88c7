"""What emitters do not send: the only ways in which a recording may differ from the truth. docs/emitters.md is made of this.

A gap changes the truth into what can still be known, and the cost with it, by the same price package. The tests fail when a call differs
in any other way, and also when a gap that is listed is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from tests.emitters.cases import Case
from tests.emitters.truth import Truth

Change = Callable[[Truth, Case], Truth]


@dataclass(frozen=True)
class Gap:
    """`what` is missing from these calls, patterns of names. `told` is what stands there instead, where the emitter makes it up."""

    what: str
    cases: tuple[str, ...] = ("*",)
    told: tuple[tuple[str, int], ...] = ()

    def holds(self, case: Case) -> bool:
        return any(fnmatchcase(case.name, pattern) for pattern in self.cases)


NOTHING_KNOWN = {
    "input_uncached": 0, "input_cache_read": 0, "input_cache_write_5m": 0, "input_cache_write_30m": 0, "input_cache_write_1h": 0,
    "input_cache_write_12h": 0, "output": 0, "output_reasoning": 0, "input_audio": 0, "output_audio": 0, "web_searches": 0,
}  # fmt: skip


def _no_reads(told: Truth, case: Case) -> Truth:
    return replace(told, input_uncached=told.input_uncached + told.input_cache_read, input_cache_read=0)


def _no_writes(told: Truth, case: Case) -> Truth:
    written = sum(told.tokens[2:6])
    return replace(
        told, input_uncached=told.input_uncached + written, input_cache_write_5m=0, input_cache_write_30m=0,
        input_cache_write_1h=0, input_cache_write_12h=0,
    )  # fmt: skip


def _no_split(told: Truth, case: Case) -> Truth:
    return replace(
        told,
        input_cache_write_5m=told.input_cache_write_5m + told.input_cache_write_1h,
        input_cache_write_1h=0,
        input_cache_write_30m=told.input_cache_write_30m + told.input_cache_write_12h,
        input_cache_write_12h=0,
    )


def _status(status: str) -> Change:
    return lambda told, case: replace(told, status=status)


# What may be missing -> the truth without it.
CHANGES: dict[str, Change] = {
    "cache reads": _no_reads,
    "cache writes": _no_writes,
    "split of writes": _no_split,
    "reasoning": lambda told, case: replace(told, output_reasoning=0),
    "audio": lambda told, case: replace(told, input_audio=0, output_audio=0),
    "web searches": lambda told, case: replace(told, web_searches=0),
    "usage": lambda told, case: replace(told, **NOTHING_KNOWN),
    "output": lambda told, case: replace(told, output=0, output_reasoning=0),
    "output beyond 1": lambda told, case: replace(told, output=1, output_reasoning=0),  # a stream's first event says 1
    "its own count": lambda told, case: told,  # see `told`
    "its count": lambda told, case: told,  # the same, marked as an estimate
    "tier": lambda told, case: replace(told, tier="standard"),
    "speed": lambda told, case: replace(told, speed=""),
    "dated model": lambda told, case: replace(told, model=case.model),
    "model": lambda told, case: replace(told, model=""),
    "provider": lambda told, case: replace(told, provider=""),
    "abandonment": _status("ok"),
    "success": _status("error"),  # the instrumentation itself fails
    "user": lambda told, case: replace(told, user=""),
    "session": lambda told, case: replace(told, session=""),
    "tags": lambda told, case: replace(told, tags=()),
}


def without(told: Truth, case: Case, gap: Gap) -> Truth:
    """The truth as far as it is told; its cost is still that of the whole."""
    made: Truth = replace(CHANGES[gap.what](told, case), **dict(gap.told))  # type: ignore[arg-type]
    return made
