"""Folds: closed hours and days summed by user, days also for each tag and each model; off the insert path.

A fold is whole once its sums stand in `folds`, and is read only while its hour or day holds the same sums (query/folds.py): a late
event, a repair, a new price make it stale at once, without anybody being told, and the next look folds again. So a fold may be
missing, late, cut short or made twice, and no answer is wrong for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import structlog

from consumers.audit import DAY_SECONDS, HOUR_SECONDS
from pipeline import limits
from pipeline.rollups import MODEL_SLICE, SUMS
from pipeline.store import Store

_say = structlog.get_logger()

# The table that each span is folded from, its column of time, and how that of the hours by tag becomes the span's.
_SPANS = {"hour": ("usage_hours", "hour", "hour"), "day": ("usage_days", "day", "toStartOfDay(hour)")}
_SECONDS = {"hour": HOUR_SECONDS, "day": DAY_SECONDS}
_FOLDED = tuple(name for name in SUMS if name != "checksum")

# Of hours, of which a window has those around its days alone, slices would be more rows than the rollup's own.
_SLICES = {
    "hour": "''",
    "day": "arrayJoin(arrayConcat(['', concat({model:String}, model)], arrayMap(t -> toString(t), tags)))",
}
_EVENTS = SUMS.index("events")

Stale = dict[tuple[str, int], tuple[Any, ...]]  # (account, unix second at which the span begins) -> what it holds now


class Folder:
    """Folds what is closed, large enough to be worth it, and has not moved between two looks. One at a time, by the auditor's lease."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: dict[str, Stale] = {"hour": {}, "day": {}}
        self._far_looks = 0  # of this round, as far back as anything is asked about
        self._next_far = float("-inf")

    def turn(self) -> None:
        """One look at the last days. Every FOLD_ALL_SECONDS a round of looks as far back as anything is asked about.

        A round has two, what is stale at the first being folded at the second, and more while one has no room for all: late events
        that never end do not make it go on.
        """
        if time.monotonic() < self._next_far:
            self.look(back_seconds=limits.FOLD_BACK_SECONDS)
            return
        folded = self.look(back_seconds=limits.FOLD_ALL_BACK_SECONDS)
        self._far_looks += 1
        if self._far_looks >= 2 and folded < limits.FOLD_SPANS:
            self._far_looks, self._next_far = 0, time.monotonic() + limits.FOLD_ALL_SECONDS
            self.sweep()

    def look(self, *, back_seconds: int) -> int:
        """Fold the spans of the last `back_seconds` that are stale now as they were at the last look; how many."""
        return sum(self._look(span, back_seconds) for span in _SPANS)

    def _look(self, span: str, back_seconds: int) -> int:
        stale = self.stale(span, back_seconds)
        still = [key for key, sums in stale.items() if self._seen[span].get(key) == sums][: limits.FOLD_SPANS]
        self._seen[span] = {key: sums for key, sums in stale.items() if key not in still}
        for together in _together(still, stale):
            self._fold(span, together)
        return len(still)

    def stale(self, span: str, back_seconds: int) -> Stale:
        """Closed spans of at least FOLD_EVENTS events whose last fold holds something else, or that have none; newest first."""
        _, _, bucket = _SPANS[span]
        sums = ", ".join(f"sum(t.{name})" for name in SUMS)
        rows = self._store.select(
            f"""
            SELECT account, toUnixTimestamp(at) AS second, held FROM (
                SELECT account, {bucket} AS at, tuple({sums}) AS held FROM tag_hours AS t
                WHERE tag = '' AND hour >= toDateTime({{low:Int64}}, 'UTC') AND hour < toDateTime({{high:Int64}}, 'UTC')
                GROUP BY account, at HAVING sum(t.events) >= {{least:Int64}}
            ) AS live
            LEFT JOIN (
                SELECT account, at, argMax(tuple({", ".join(SUMS)}), fold) AS folded FROM folds
                WHERE span = {{span:String}} AND at >= toDateTime({{low:Int64}}, 'UTC') GROUP BY account, at
            ) AS made USING (account, at)
            WHERE held != folded ORDER BY at DESC, account
            """,
            {
                "span": span,
                "low": _start(span, time.time() - back_seconds),
                "high": _start(span, time.time() - limits.AUDIT_CLOSED_AFTER_SECONDS),
                "least": limits.FOLD_EVENTS,
            },
            seconds=120,
        ).rows
        return {(account, int(second)): held for account, second, held in rows}

    def _fold(self, span: str, keys: list[tuple[str, int]]) -> None:
        """One statement for the rows, one for their sums: cut short in between, the rows belong to no fold."""
        table, bucket, _ = _SPANS[span]
        fold = time.time_ns() // 1000
        accounts, seconds = zip(*keys, strict=True)
        self._store.execute(
            f"""
            INSERT INTO user_folds (account, span, slice, at, fold, user_id, {", ".join(_FOLDED)}, checksum, last_seen)
            SELECT account, {{span:String}},
                   {_SLICES[span]} AS slice,
                   {bucket} AS at, {{fold:UInt64}}, user_id, {", ".join(f"sum(u.{name}) AS {name}" for name in _FOLDED)},
                   if(slice = '', sum(u.checksum), 0), max(u.last_seen)
            FROM {table} AS u
            WHERE {bucket} >= toDateTime({{low:Int64}}, 'UTC') AND {bucket} <= toDateTime({{high:Int64}}, 'UTC')
              AND (toString(account), toUnixTimestamp({bucket})) IN (SELECT arrayJoin(arrayZip({{accounts:Array(String)}}, {{seconds:Array(UInt32)}})))
            GROUP BY account, slice, at, user_id
            """,
            {
                "span": span, "fold": fold, "model": MODEL_SLICE, "accounts": list(accounts), "seconds": list(seconds),
                "low": min(seconds), "high": max(seconds),
            },
            max_execution_time=600,
        )  # fmt: skip
        # What the fold holds, as its own rows say.
        self._store.execute(
            f"""
            INSERT INTO folds (account, span, at, fold, {", ".join(SUMS)})
            SELECT account, span, at, {{fold:UInt64}}, {", ".join(f"sum(f.{name})" for name in SUMS)} FROM user_folds AS f
            WHERE fold = {{fold:UInt64}} AND span = {{span:String}} AND slice = '' AND account IN {{accounts:Array(String)}}
              AND at >= toDateTime({{low:Int64}}, 'UTC') AND at <= toDateTime({{high:Int64}}, 'UTC')
            GROUP BY account, span, at
            """,
            {"span": span, "fold": fold, "accounts": list(accounts), "low": min(seconds), "high": max(seconds)},
            max_execution_time=600,
        )
        _say.info("folded", span=span, spans=len(keys))

    def sweep(self) -> None:
        """Drop rows of folds that a later one replaced, or that never became whole, once no question can be reading them."""
        for (partition,) in self._store.select(
            "SELECT DISTINCT partition FROM system.parts WHERE active AND database = currentDatabase() AND table = 'user_folds'"
        ).rows:
            month = f"toYYYYMM(at) = {int(partition)}"
            before = time.time_ns() // 1000 - limits.FOLD_SWEEP_SECONDS * 1_000_000
            gone = self._store.select(
                f"""
                SELECT DISTINCT account, span, toUnixTimestamp(at), fold FROM user_folds
                WHERE {month} AND fold < {{before:UInt64}} AND (account, span, at, fold) NOT IN (
                    SELECT account, span, at, max(fold) FROM folds WHERE {month} AND fold < {{before:UInt64}} GROUP BY account, span, at)
                LIMIT {limits.FOLD_SPANS}
                """,
                {"before": before},
                seconds=120,
            ).rows
            if gone:
                accounts, spans, seconds, folds = (list(column) for column in zip(*gone, strict=True))
                # Named one by one: a replicated table refuses a deletion with a question in it.
                self._store.execute(
                    f"DELETE FROM user_folds WHERE {month} AND fold IN {{folds:Array(UInt64)}} AND has(arrayZip({{accounts:Array(String)}}, "
                    "{spans:Array(String)}, {seconds:Array(UInt32)}, {folds:Array(UInt64)}), "
                    "(toString(account), toString(span), toUnixTimestamp(at), fold))",
                    {"accounts": accounts, "spans": spans, "seconds": seconds, "folds": folds},
                    max_execution_time=600,
                )


def _together(keys: list[tuple[str, int]], stale: Stale) -> Iterator[list[tuple[str, int]]]:
    """Spans for one statement: of one day, and of no more than FOLD_STATEMENT_EVENTS events when there are several."""
    found: list[tuple[str, int]] = []
    events, day = 0, -1
    for account, at in keys:
        more = int(stale[account, at][_EVENTS])
        if found and (at // DAY_SECONDS != day or events + more > limits.FOLD_STATEMENT_EVENTS):
            yield found
            found, events = [], 0
        found.append((account, at))
        events, day = events + more, at // DAY_SECONDS
    if found:
        yield found


def _start(span: str, second: float) -> int:
    """Where the span begins that holds a unix second."""
    return int(second) - int(second) % _SECONDS[span]
