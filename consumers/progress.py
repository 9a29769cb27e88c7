"""What a worker asks and tells beside its loop: the store's clock, tag budgets, how far partitions are stored, the log's ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

import structlog

from consumers.doubt import ServerClock, ask_server
from consumers.lane import Lane
from pipeline import limits, metrics
from pipeline.budgets import latest_budget
from pipeline.errors import LogError, StoreError
from pipeline.log import LogReader, Watermarks
from pipeline.process import TagBudget
from pipeline.store import Store

_say = structlog.get_logger()

_EVERY_SECONDS = 1.0
_STALE_SECONDS = 4.0  # less than TRUST_UPTIME_SECONDS: an intent names a server that was up a moment ago
_ALARM_SECONDS = 60.0  # between two alarms of one kind
_IN_FLIGHT_MICROS = 500_000  # received and not yet in the log: a publish takes a fraction of a second


class _Standing(NamedTuple):
    """A lane as it stood at one moment of the poll thread."""

    partition: int
    position: int
    through: int  # unix us: receipts up to here are stored
    idle: bool  # nothing read and not stored


class Beside:
    """Threads of its own, so that a store or a log that hangs never holds up the poll thread, nor one the other.

    Of each errand one is under way at a time.
    """

    def __init__(self, store: Store, log: LogReader) -> None:
        self._store = store
        self._log = log
        self._threads = ThreadPoolExecutor(3, thread_name_prefix="beside")
        self._errands: dict[str, Future[None]] = {}
        self._server: tuple[ServerClock, float] | None = None
        self._budget: TagBudget | None = None
        self._next_ask = 0.0
        self._next_budget = 0.0
        self._next_report = 0.0
        self._next_alarm = 0.0
        self._told: dict[int, int] = {}  # partition -> what was claimed last, of those that are ours

    def close(self) -> None:
        """Finish what was begun."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _send(self, errand: Callable[..., None], *given: object) -> None:
        before = self._errands.get(errand.__name__)
        if before is None or before.done():
            self._errands[errand.__name__] = self._threads.submit(errand, *given)

    def clock(self) -> ServerClock | None:
        """The server's start and time; None while it cannot be reached."""
        now = time.monotonic()
        if now >= self._next_ask:
            self._next_ask = now + _EVERY_SECONDS
            self._send(self._ask)
        if self._server is None or now - self._server[1] > _STALE_SECONDS:
            return None
        clock, asked = self._server
        since = now - asked
        return clock._replace(now=clock.now + int(since), micros=clock.micros + int(since * 1e6))

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
            self._send(self._ask_budget)
        return self._budget

    def _ask_budget(self) -> None:
        with suppress(StoreError):
            self._budget = latest_budget(self._store, aged_seconds=limits.BUDGET_AGE_SECONDS)

    def report(self, lanes: Iterable[Lane]) -> None:
        """How far each partition is stored, and how far behind its end."""
        now = time.monotonic()
        if now < self._next_report:
            return
        self._next_report = now + _EVERY_SECONDS
        clock = self.clock()
        standing = [
            _Standing(lane.partition, lane.position, lane.complete_through, _idle(lane))
            for lane in lanes
            if lane.windows is not None
        ]
        if standing and clock is not None:
            self._send(self._tell, standing, clock.micros)

    def _tell(self, standing: list[_Standing], moment: int) -> None:
        """`moment`: the store's clock (unix us) when the lanes stood so; machines' clocks are never compared."""
        try:
            ends = self._log.ends(one.partition for one in standing)
        except LogError:
            return  # what the log holds by now is not known, so nothing is claimed
        self._measure(standing, ends)
        through = {
            # An idle partition whose end is stored is complete up to that moment.
            one.partition: max(one.through, moment - _IN_FLIGHT_MICROS)
            if one.idle and one.position >= ends[one.partition].high
            else one.through
            for one in standing
        }
        # A batch of receipts from before the last claim takes nothing back: it is stored.
        self._told = {partition: max(at, self._told.get(partition, 0)) for partition, at in through.items()}
        rows = [(one.partition, one.position, self._told[one.partition]) for one in standing]
        with suppress(StoreError):  # told again a second later
            self._store.execute(
                "INSERT INTO progress (log_id, log_partition, position, complete_through, reported_at) "
                "SELECT {log:String}, p.1, p.2, least(fromUnixTimestamp64Micro(p.3, 'UTC'), now64(6)), now64(6) "
                "FROM (SELECT arrayJoin({rows:Array(Tuple(UInt32, UInt64, Int64))}) AS p) WHERE p.3 > 0",
                {"log": self._log.log_id, "rows": rows},
            )

    def _measure(self, standing: list[_Standing], ends: dict[int, Watermarks]) -> None:
        late = []
        for one in standing:
            low, high = ends[one.partition]
            metrics.lag_records.labels(str(one.partition)).set(max(0, high - one.position))
            # Less is left to the log's retention than lies behind: what is not stored will be deleted there.
            if high - low > limits.BATCH_ROWS and high - one.position > (high - low) * limits.LAG_ALARM_SHARE:
                late.append(one.partition)
        if late and time.monotonic() >= self._next_alarm:
            self._next_alarm = time.monotonic() + _ALARM_SECONDS
            _say.error("lag_nears_the_end_of_the_log", partitions=late)


def _idle(lane: Lane) -> bool:
    return not lane.buffer and lane.intent is None and lane.inherited is None
