"""What the owner of an account is told of its rejected events: who sent them was told at once, and may have looked away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pipeline import limits
from pipeline.record import REJECTED
from pipeline.wire import Rejected


class Rejections:
    """Counts by code, handed out at most once in REJECTIONS_SECONDS for an account: bad events by the thousand are a record, not a firehose.

    The first is told at once. What stands here when the process ends is told nowhere, so what is told is "at least".
    """

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._told: dict[str, int] = {}

    def due(self, account: str, rejected: Iterable[Rejected], now: int) -> dict[str, int]:
        """{`rejected.CODE`: events} that are to be told with this request, of unix us `now`; empty when nothing is."""
        codes = [REJECTED + item.code for item in rejected]
        if not codes:
            return {}
        counts = self._counts.setdefault(account, Counter())
        counts.update(codes)
        if now - self._told.get(account, 0) < limits.REJECTIONS_SECONDS * 1_000_000:
            return {}
        self._told[account] = now
        return dict(self._counts.pop(account))
