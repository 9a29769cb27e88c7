"""Sums by key in pieces that add up: of closed hours, kept; of the edge before them, kept while the window rolls; of open hours, read anew."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from pipeline.store import Store
from query import edge, sums
from query.closed import Closed, Parts, apart
from query.edge import Edge
from query.folds import Folds
from query.plan import foldable, name_of, sliced, sources
from query.question import Question
from query.sql import SUMS, Key, measured
from query.windows import Span


@dataclass(frozen=True)
class Wanted:
    """What is summed."""

    q: Question
    keys: Sequence[Key]
    only: Sequence[str] = SUMS  # these sums
    extra: dict[str, Any] = field(default_factory=dict)  # that the keys bind
    raw_only: bool = False
    within: Question | None = (
        None  # one that has all of q's events, in the same window: what is kept holds while its own sums stand
    )

    @property
    def names(self) -> list[str]:
        """Of the keys."""
        return [key.name for key in self.keys]


class Pieces:
    """Asks for them, the open hours beside the closed ones."""

    def __init__(self, store: Store, folds: Folds, closed: Closed) -> None:
        self._store, self._folds, self._closed = store, folds, closed
        self._beside = ThreadPoolExecutor(4, "open")

    def of(self, wanted: Sequence[Wanted], *, last_hour_whole: bool) -> tuple[list[list[pa.Table]], str]:
        """Of each the tables of `names`, `only` and last_seen, and the plan: `kept` is what was read before and still holds.

        All are of one question: what is open is read once, by the keys of all.
        """
        w = _together(wanted)
        parts = apart(sources(w.q, w.keys, raw_only=w.raw_only, last_hour_whole=last_hour_whole), w.q)
        read: list[Span] = []
        if not parts.closed:
            found = self._folded(w, parts.all, read)
            return [[_of(found, one, w)] for one in wanted], name_of(read)
        within = w.within or w.q
        if parts.edge is not None and not self._closed.rolls(within, parts):
            parts = Parts(parts.closed, None, [parts.edge, *parts.open])
        beside: list[Span] = []
        later = self._beside.submit(self._read, w, parts.open, beside) if parts.open else None
        told = [self._held(one, within, parts, read) for one in wanted]
        pieces = [tables for tables, _ in told]
        if later is not None:
            opened = later.result()
            pieces = [[*tables, _of(opened, one, w)] for tables, one in zip(pieces, wanted, strict=True)]
        kept = [Span("kept", 0, 0)] if any(was for _, was in told) else []
        return pieces, name_of([*kept, *read, *beside])

    def _held(self, w: Wanted, within: Question, parts: Parts, read: list[Span]) -> tuple[list[pa.Table], bool]:
        """What is closed, and whether it was kept; with the edge before it."""
        what = (tuple(w.keys), tuple(w.only), w.q.filters, repr(w.extra))
        whole, kept = self._closed.of(within, parts, what, lambda: self._folded(w, parts.closed, read))
        if parts.edge is None:
            return [whole], kept
        begins = parts.edge
        held, _ = self._closed.edge(within, parts, what, lambda: self._edge(w, begins, whole, read))
        return held.since(begins.start), kept

    def _folded(self, w: Wanted, parts: Sequence[Span], read: list[Span]) -> pa.Table:
        """From folds where these have the answer."""
        if foldable(w.q, w.keys):
            parts = self._folds.of(w.q, parts, hours=not sliced(w.q, w.keys))
        return self._read(w, parts, read)

    def _edge(self, w: Wanted, begins: Span, whole: pa.Table, read: list[Span]) -> Edge:
        return edge.read(begins, w.names, whole, lambda slot: self._read(w, [begins], read, slot))

    def _read(self, w: Wanted, parts: Sequence[Span], read: list[Span], *more: Key) -> pa.Table:
        read.extend(parts)
        keys = [*w.keys, *more]
        sql = measured(w.q, keys, parts, only=w.only)
        answer = self._store.select_table(sql.text, sql.parameters | w.extra)
        return sums.read(answer, [key.name for key in keys], w.only)


def _together(wanted: Sequence[Wanted]) -> Wanted:
    """One that has the keys and the sums of all."""
    first, *others = wanted
    for one in others:
        keys, only = dict.fromkeys([*first.keys, *one.keys]), dict.fromkeys([*first.only, *one.only])
        first = replace(first, keys=list(keys), only=tuple(only), extra=first.extra | one.extra)
    return first


def _of(found: pa.Table, w: Wanted, together: Wanted) -> pa.Table:
    """What one of several wanted of what was read for all."""
    return found if w is together else sums.grouped(found.select([*w.names, *w.only, "last_seen"]), w.names)
