"""Which closed hours and days of a window may be read folded: those that hold what was folded, by every one of their sums."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pipeline import limits
from pipeline.rollups import SUMS
from pipeline.store import Store
from query.question import Question
from query.windows import Span

_MOST = 2_500  # folds named in one statement: 100 KB of its 256
_OF = {"hours": ("hour", "hour"), "days": ("day", "toStartOfDay(hour)")}


class Folds:
    """Asked before each question that folds can answer; what has moved since it was folded is read from where it moved."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._none: dict[str, float] = {}  # accounts without a fold, and until when that is not asked again

    def of(self, q: Question, parts: Sequence[Span], *, hours: bool) -> list[Span]:
        """The parts with their days, and with `hours` their hours, taken from folds where these are right."""
        if self._none.get(q.account, 0.0) > time.monotonic():
            return list(parts)
        wanted = [span for span in parts if span.source in ("hours", "days")]
        asked = ("folds", *wanted)
        if asked not in q.noted:
            q.noted[asked] = self._right(q.account, wanted)
        right = q.noted[asked] if hours else {"days": q.noted[asked].get("days", {})}
        return [span for part in parts for span in _split(part, _within(part, right.get(part.source, {})))]

    def _right(self, account: str, parts: Sequence[Span]) -> dict[str, dict[int, int]]:
        """Source -> unix second of the bucket -> number of the fold."""
        if not parts:
            return {}
        live, made = [], []
        for span in parts:
            name, bucket = _OF[span.source]
            low, high = f"toDateTime({span.start // 1_000_000}, 'UTC')", f"toDateTime({span.end // 1_000_000}, 'UTC')"
            live.append(
                f"SELECT '{name}' AS span, {bucket} AS at, tuple({', '.join(f'sum(t.{s})' for s in SUMS)}) AS held FROM tag_hours AS t "
                f"WHERE account = {{account:String}} AND tag = '' AND hour >= {low} AND hour < {high} GROUP BY at"
            )
            made.append(f"(span = '{name}' AND at >= {low} AND at < {high})")
        rows = self._store.select(
            f"""SELECT made.span, toUnixTimestamp(made.at), made.fold, live.held = made.folded FROM (
                SELECT toString(span) AS span, at, max(fold) AS fold, argMax(tuple({", ".join(f"f.{s}" for s in SUMS)}), f.fold) AS folded
                FROM folds AS f WHERE account = {{account:String}} AND ({" OR ".join(made)}) AND f.fold <= {{before:UInt64}}
                GROUP BY span, at
            ) AS made INNER JOIN ({" UNION ALL ".join(live)}) AS live ON live.span = made.span AND live.at = made.at""",
            {"account": account, "before": time.time_ns() // 1000 - limits.FOLD_AGE_SECONDS * 1_000_000},
        ).rows
        if not rows and not self._any(account):
            self._none[account] = time.monotonic() + limits.FOLD_AGE_SECONDS
        found: dict[str, dict[int, int]] = {"hours": {}, "days": {}}
        for span, at, fold, equal in rows:
            if equal:
                found[f"{span}s"][int(at)] = int(fold)
        return found

    def _any(self, account: str) -> bool:
        found = self._store.select("SELECT 1 FROM folds WHERE account = {account:String} LIMIT 1", {"account": account})
        return bool(found.rows)


def _within(part: Span, right: dict[int, int]) -> dict[int, int]:
    """The newest of those that lie in the part, no more than a statement has room for."""
    inside = sorted((at, fold) for at, fold in right.items() if part.start <= at * 1_000_000 < part.end)
    return dict(inside[-_MOST:])


def _split(part: Span, right: dict[int, int]) -> list[Span]:
    if not right:
        return [part]
    buckets, folds = zip(*sorted(right.items()), strict=True)
    folded = Span(f"{part.source[:-1]}_folds", part.start, part.end, buckets, folds)
    length = (3_600 if part.source == "hours" else 86_400) * 1_000_000
    return [folded] if len(right) * length == part.end - part.start else [folded, part._replace(buckets=buckets)]
