"""The part of an hour that a rolling window begins in: raw rows, which no rollup has apart.

It is read by key and, in its first EDGE_SECONDS, by instant: so that what was read holds while the window rolls over these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import limits
from query import sums
from query.sql import Key
from query.sums import SLOT
from query.windows import Span

_WIDTH = limits.EDGE_SECONDS * 1_000_000


class Edge(NamedTuple):
    """Sums from `start` on, for windows that begin in [start, turn)."""

    start: int
    turn: int
    behind: pa.Table  # of what lies behind `turn`
    instants: pa.Table  # of what lies before, with the SLOT it lies at: unix us

    def __len__(self) -> int:
        return len(self.behind) + len(self.instants)

    def holds(self, start: int) -> bool:
        """Whether it says what there is from this start on."""
        return self.start <= start < self.turn

    def since(self, start: int) -> list[pa.Table]:
        """Tables that add up to it."""
        return [self.behind, self.instants.filter(pc.greater_equal(self.instants[SLOT], start)).drop_columns([SLOT])]


def turn_of(span: Span) -> int:
    """How far a window may roll until the edge is read again."""
    return min(span.start - span.start % _WIDTH + _WIDTH, span.end)


def slot_key(turn: int) -> Key:
    """The instant of an event before `turn`; 0 behind it."""
    return Key(SLOT, "", f"if(e.ts < fromUnixTimestamp64Micro({turn}, 'UTC'), toUnixTimestamp64Micro(e.ts), 0)")


def read(span: Span, keys: Sequence[str], whole: pa.Table, by: Callable[[Key], pa.Table]) -> Edge:
    """`whole` is what follows the edge; `by` reads it by one more key."""
    turn = turn_of(span)
    found = by(slot_key(turn))
    behind = found.filter(pc.equal(found[SLOT], 0)).drop_columns([SLOT])
    return Edge(span.start, turn, sums.merged([whole, behind], keys), found.filter(pc.not_equal(found[SLOT], 0)))
