"""What a worker asks and tells the store beside its loop: the server's clock, tag budgets, how far partitions are stored."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from consumers.doubt import ServerClock, ask_server, by_column
from consumers.lane import Lane
from pipeline import limits
from pipeline.budgets import latest_budget
from pipeline.errors import StoreError
from pipeline.process import TagBudget
from pipeline.store import Store

_EVERY_SECONDS = 1.0
_STALE_SECONDS = 10.0
_COLUMNS = ("log_id", "log_partition", "position", "complete_through", "reported_at")


class Beside:
    """One thread of its own, so that a store that hangs never holds up the poll thread."""

    def __init__(self, store: Store, log_id: str) -> None:
        self._store = store
        self._log_id = log_id
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="beside")
        self._server: tuple[ServerClock, float] | None = None
        self._budget: TagBudget | None = None
        self._next_ask = 0.0
        self._next_budget = 0.0
        self._next_report = 0.0

    def close(self) -> None:
        """Finish what was begun."""
        self._thread.shutdown(wait=True)

    def clock(self) -> ServerClock | None:
        """The server's start and time; None while it cannot be reached."""
        now = time.monotonic()
        if now >= self._next_ask:
            self._next_ask = now + _EVERY_SECONDS
            self._thread.submit(self._ask)
        if self._server is None or now - self._server[1] > _STALE_SECONDS:
            return None
        clock, asked = self._server
        return ServerClock(clock.start, clock.now + int(now - asked))

    def _ask(self) -> None:
        try:
            self._server = (ask_server(self._store), time.monotonic())
        except StoreError:
            self._server = None

    def budget(self) -> TagBudget | None:
        """The tag budget to plan new batches under; None until it is known."""
        now = time.monotonic()
        if now >= self._next_budget:
            self._next_budget = now + limits.BUDGET_QUERY_SECONDS
            self._thread.submit(self._ask_budget)
        return self._budget

    def _ask_budget(self) -> None:
        with suppress(StoreError):
            self._budget = latest_budget(self._store, aged_seconds=limits.BUDGET_AGE_SECONDS)

    def report(self, lanes: Iterable[Lane]) -> None:
        """How far each partition is stored; an idle one is complete up to now."""
        now = time.monotonic()
        if now < self._next_report:
            return
        self._next_report = now + _EVERY_SECONDS
        wall = int(time.time() * 1e6)
        rows = []
        for lane in lanes:
            idle = lane.windows is not None and not lane.buffer and lane.intent is None and lane.inherited is None
            # Received but not yet read: the log hands a record over within a fraction of a second.
            through = max(lane.complete_through, wall - 500_000) if idle else lane.complete_through
            if through:
                rows.append((self._log_id, lane.partition, lane.position, through, wall))
        if rows:
            self._thread.submit(self._tell, rows)

    def _tell(self, rows: Sequence[tuple[object, ...]]) -> None:
        try:
            self._store.insert("progress", _COLUMNS, by_column(rows))
        except StoreError:
            return  # told again a second later
