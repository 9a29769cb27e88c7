"""Sums by user as columns: of tens of thousands of users at once, made into rows where a page shows them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from query import shapes, sums
from query.question import Question
from query.shapes import Measured
from query.sql import SUMS
from query.sums import seen

Answer = dict[str, Any]
_NO_MONEY = pa.scalar(Decimal(0), pa.decimal128(38, 9))
_PART = 1_000  # rows made at a time where all are gone through
_TOKENS = ("input_uncached", "input_cache_read", "input_cache_write", "output")
# Columns that are called otherwise in an answer.
_SORTED = {"unpriced_events": "unpriced", "estimated_events": "estimated"}


class ByUser:
    """One row a user; what belongs to nobody under ''."""

    def __init__(self, pieces: Sequence[pa.Table]) -> None:
        """Tables that add up, by user: made one when a question needs that."""
        self._pieces = list(pieces)

    @property
    def _table(self) -> pa.Table:
        if len(self._pieces) > 1:
            self._pieces = [sums.merged(self._pieces, ["user_id"])]
        return self._pieces[0]

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def nobody(self) -> Measured:
        """The sums of what belongs to no user."""
        return ByUser([piece.filter(pc.equal(piece["user_id"], "")) for piece in self._pieces]).total()

    def users(self, holding: str = "") -> ByUser:
        """Those with an event; only the ones whose id holds a text, whatever the case."""
        names, events = self._table["user_id"], self._table["events"]
        found = self._table.filter(pc.and_(pc.not_equal(names, ""), pc.not_equal(events, 0)))
        if holding:
            needle = holding.casefold()
            found = found.filter(
                pa.array([needle in name.casefold() for name in found["user_id"].to_pylist()], pa.bool_())
            )
        return ByUser([found])

    def count(self) -> int:
        """How many users have an event."""
        events = sums.merged([piece.select(["user_id", "events", "last_seen"]) for piece in self._pieces], ["user_id"])
        there = pc.and_(pc.not_equal(events["user_id"], ""), pc.not_equal(events["events"], 0))
        return int(pc.sum(there).as_py() or 0)

    def events(self) -> Iterator[tuple[str, int]]:
        """How many each has."""
        return zip(self._table["user_id"].to_pylist(), self._table["events"].to_pylist(), strict=True)

    def total(self) -> Measured:
        """The sum of all rows."""
        table = pa.concat_tables(self._pieces)
        if not len(table):
            return shapes.NOTHING
        return Measured(tuple(pc.sum(table[name]).as_py() for name in SUMS), seen(pc.max(table["last_seen"]).as_py()))

    def spends(self) -> Spends:
        """Of each user of whose spend something is known."""
        return Spends(self._table.filter(pc.invert(_unknown(self._table)))["cost"])

    def rows(
        self, q: Question, whole: Measured, traces: Mapping[tuple[str], int] | None, tops: Mapping[str, str]
    ) -> UserRows:
        """In the order that is asked for. `whole`: what shares are of; `traces`: of each user, where they are not the sums' own."""
        table = self._table
        names = table["user_id"]
        shown = table["user_traces"]
        if traces is not None:
            shown = pa.array([traces.get((name,), 0) for name in names.to_pylist()], pa.int64())
        table = table.append_column("traces_shown", shown)
        none = pa.nulls(len(self), pa.string())
        top = pa.array([tops.get(name) for name in names.to_pylist()], pa.string()) if tops else none
        table = table.append_column("top_model", top)
        return UserRows(table.take(_order(q, table)), whole)


class Spends:
    """Amounts of money, none of which is made before it is asked for."""

    def __init__(self, amounts: pa.ChunkedArray) -> None:
        self._amounts = amounts

    def __len__(self) -> int:
        return len(self._amounts)

    def mean(self) -> Decimal | None:
        """None where there is none."""
        return pc.sum(self._amounts).as_py() / len(self) if len(self) else None

    def median(self) -> Decimal | None:
        """The middle one, or half of the two in the middle."""
        middle, odd = divmod(len(self), 2)
        if not len(self):
            return None
        # Of amounts as Arrow has them, sixteen bytes each: those that fit into eight, nearly all, are sorted eleven times as fast.
        low, high = np.frombuffer(self._amounts.combine_chunks().buffers()[1], "<i8").reshape(-1, 2).T
        if (high == low >> 63).all():
            upper = np.partition(low, [max(middle - 1, 0), middle])
            two: list[Decimal] = [Decimal(int(nano)).scaleb(-9) for nano in (upper[middle - 1], upper[middle])]
        else:
            ordered = self._amounts.take(pc.sort_indices(self._amounts))
            two = [ordered[middle - 1].as_py(), ordered[middle].as_py()]
        return two[1] if odd else (two[0] + two[1]) / 2

    def above(self, amount: Decimal) -> int:
        """How many are more than this."""
        return sum(spend > amount for spend in self._amounts.to_pylist())


class UserRows(Sequence[Answer]):
    """Ordered rows of an answer, each made when it is asked for."""

    def __init__(self, table: pa.Table, whole: Measured) -> None:
        self._table, self._whole = table.combine_chunks(), whole
        self._places: dict[str, int] | None = None
        self.before: UserRows | None = None  # of the window that this one is compared with

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, at: int) -> Answer: ...
    @overload
    def __getitem__(self, at: slice) -> list[Answer]: ...
    def __getitem__(self, at: int | slice) -> Answer | list[Answer]:
        if isinstance(at, int):
            return self[at : at + 1 or None][0]
        start, stop, step = at.indices(len(self))
        assert step == 1
        rows = self._made(self._table.slice(start, max(0, stop - start)))
        if self.before is not None:
            for row in rows:
                row["_before"] = self.before.row_of(row["user_id"])
        return rows

    def __iter__(self) -> Iterator[Answer]:
        return chain.from_iterable(self[start : start + _PART] for start in range(0, len(self), _PART))

    def row_of(self, user: str) -> Answer | None:
        """A user's own row."""
        if self._places is None:
            self._places = {name: place for place, name in enumerate(self._table["user_id"].to_pylist())}
        place = self._places.get(user)
        return None if place is None else self[place]

    def sum(self) -> Answer:
        """Measures of all rows."""
        return _measures(self._table)

    def rest(self, offset: int, count: int) -> Answer:
        """Measures of the rows that are not on a page, beside those of the window before."""
        others = pa.concat_tables([self._table.slice(0, offset), self._table.slice(offset + count)])
        found = _measures(others)
        if self.before is not None:
            page = self._table.slice(offset, count)["user_id"]
            earlier = self.before._table
            found["previous"] = _measures(
                earlier.filter(pc.invert(pc.is_in(earlier["user_id"], value_set=page.combine_chunks())))
            )
        return found

    def digest(self) -> bytes:
        """Of everything that the rows say."""
        found = hashlib.sha256()
        for batch in self._table.to_batches():
            found.update(batch.serialize())
        if self.before is not None:
            found.update(self.before.digest())
        return found.digest()

    def _made(self, part: pa.Table) -> list[Answer]:
        sums = zip(*(part[name].to_pylist() for name in SUMS), strict=True)
        rows = zip(
            *(part[name].to_pylist() for name in ("user_id", "top_model", "traces_shown", "last_seen")),
            sums,
            strict=True,
        )
        made = []
        for user, top, traces, last, own in rows:
            m = Measured(own, seen(last))
            made.append(
                {
                    "user_id": user,
                    "top_model": top,
                    "share": shapes.share(m, self._whole),
                    "label": None,
                    "_m": m,
                    "_traces": traces,
                }
            )
        return made


def _measures(table: pa.Table) -> Answer:
    return shapes.measures(ByUser([table]).total(), int(pc.sum(table["traces_shown"]).as_py() or 0))


def _order(q: Question, table: pa.Table) -> pa.Array:
    """Spend, descending, unless said; ties by id. Unknown spend is below every amount, and no model behind every one."""
    name, way = q.sort or "spend", "descending" if q.descending else "ascending"
    keys: list[tuple[str, str]]
    if name in ("spend", "share"):
        known = pc.cast(pc.invert(_unknown(table)), pa.int8())
        table, keys = table.append_column("known", known), [("known", way), ("cost", way)]
    elif name == "tokens":
        tokens = table[_TOKENS[0]]
        for other in _TOKENS[1:]:
            tokens = pc.add(tokens, table[other])
        table, keys = table.append_column("tokens", tokens), [("tokens", way)]
    elif name == "traces":
        keys = [("traces_shown", way)]
    else:
        keys = [(_SORTED.get(name, name), way)]
    if name != "user_id":
        keys.append(("user_id", "ascending"))
    return pc.sort_indices(table, sort_keys=keys)  # nulls stand at the end


def _unknown(table: pa.Table) -> pa.ChunkedArray:
    """Where nothing is priced and something is not: as `shapes.spend`."""
    unpriced = pc.and_(pc.greater(table["unpriced"], 0), pc.equal(table["priced"], 0))
    return pc.and_(unpriced, pc.equal(table["cost"], _NO_MONEY))
