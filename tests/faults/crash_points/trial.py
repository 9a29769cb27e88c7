"""One crash, from a batch in the log to repaired rollups: the real worker and auditor on a server that dies when told to."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from consumers.auditor import Auditor
from consumers.worker import Worker
from pipeline import limits
from pipeline.errors import StoreError
from pipeline.log import Position
from pipeline.price import PriceBook
from pipeline.process import Context
from pipeline.schema import Engines, migrate
from pipeline.store import ClickHouse, open_clickhouse
from tests.faults.crash_points.batches import Batch
from tests.faults.crash_points.damage import NOTHING, Damage, Landed, cut, landed, log_sizes, tear
from tests.faults.crash_points.points import COUNTED, RAW, ROLLUPS, Point, Trap
from tests.faults.crash_points.sums import DAY_SECONDS, wrong_buckets
from tests.support.clickhouse import ChdbServer
from tests.support.replaying_log import Member, ReplayingLog

Owner = Literal["same", "waiting", "new"]  # the worker that was there; the same, which tried while the server was down

REPAIR_SECONDS = 60  # what the product promises
_SETTLE_SECONDS = 90
_CONTEXT = Context(PriceBook())

RowKey = tuple[int, int]  # offset, log_row


@dataclass(frozen=True)
class Crash:
    """Where the server dies, what the crash leaves on disk, and who goes on. 0: no crash there."""

    insert_at: int
    settling_at: int = 0
    repair_at: int = 0
    damage: Damage = "none"
    owner: Owner = "same"

    @property
    def kills(self) -> int:
        """How often."""
        return sum(at > 0 for at in (self.insert_at, self.settling_at, self.repair_at))


@dataclass
class Outcome:
    """What one trial showed; the promise was kept where `violations` is empty."""

    insert_points: list[Point] = field(default_factory=list)  # up to the crash, which came before the last
    settling_points: list[Point] = field(default_factory=list)
    repair_points: list[Point] = field(default_factory=list)
    killed: int = 0
    landed: Landed = NOTHING  # by the first crash
    raw_lost: int = 0
    raw_doubled: int = 0
    raw_changed: int = 0  # against the rows of an insert without a crash
    hours_wrong: int = 0  # hours and days of rollups that differ from raw when the intent is about to be committed away
    hours_not_marked: int = 0
    scratch_left: int = 0  # tables
    repaired: bool = False
    repair_seconds: float = 0.0  # since the server was back
    trouble: list[str] = field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        """What the promise forbids."""
        counts = {
            "rows lost": self.raw_lost,
            "rows doubled": self.raw_doubled,
            "rows changed": self.raw_changed,
            "wrong hours not marked": self.hours_not_marked,
        }
        found = [f"{count} {what}" for what, count in counts.items() if count]
        if not self.repaired:
            found.append("not repaired")
        if self.repair_seconds > REPAIR_SECONDS:
            found.append(f"repaired after {self.repair_seconds:.0f} s")
        return found + self.trouble


class Prepared:
    """A folder with migrated tables and one stored batch, to be copied. `tables`: folder -> counted table."""

    def __init__(self, directory: Path, batch: Batch) -> None:
        self.directory = directory
        self.batch = batch
        log = _log_with(batch)
        with ChdbServer(directory) as server:
            store = _open(server)
            migrate(store, Engines())
            worker = Worker(log.reader(), store, _CONTEXT)
            _step(worker, lambda: 0 in log.positions and log.positions[0].offset == len(batch.values))
            _finish(worker)
            folders = store.select("SELECT name, data_paths[1] FROM system.tables WHERE database = 'default'").rows
            self.tables = {Path(path).resolve(): name for name, path in folders if name in COUNTED}
            store.close()

    def copy(self, directory: Path) -> dict[Path, str]:
        """A folder like this one; its tables."""
        shutil.copytree(self.directory, directory, symlinks=True)
        base = self.directory.resolve()
        return {directory.resolve() / folder.relative_to(base): table for folder, table in self.tables.items()}


class Room:
    """A copy of a prepared folder with a server, a log and a worker of its own; trials follow each other in it."""

    def __init__(self, prepared: Prepared, directory: Path, *, torn: bool = False, age_seconds: float = 0.0) -> None:
        """`torn`: the logs end in half a line of an earlier crash. `age_seconds`: of a server before it may be killed."""
        self.tables = prepared.copy(directory)
        if torn:
            tear(self.tables)
        self._trap = Trap(directory.resolve() / "control", self.tables)
        self.server = ChdbServer(directory, environment=self._trap.environment)
        self._age_seconds = age_seconds
        self._up_since = time.monotonic()
        self.store = _open(self.server)
        self._auditor = Auditor(self.store)
        self._log = _log_with(prepared.batch)
        self._log.positions[0] = Position(len(prepared.batch.values), "")
        self._log.before_commit = self._before_commit
        self._expected = set(prepared.batch.rows)
        self._start, self._end = 0, len(prepared.batch.values)
        self._letters = 1
        self._outcome = Outcome()
        self._examined = True
        self._member, self._worker = self._engage()

    def trial(self, batch: Batch, crash: Crash, rows: Mapping[RowKey, int] | None = None) -> Outcome:
        """Insert the batch under the crash, settle and repair. `rows`: as an insert without a crash makes them."""
        while crash.kills and time.monotonic() - self._up_since < self._age_seconds:
            time.sleep(0.05)
        self._outcome = outcome = Outcome()
        self._put(batch)
        sizes = log_sizes(self.tables)
        self._trap.arm(crash.insert_at, (RAW, *ROLLUPS))
        _step(self._worker, lambda: self._is_down() or self._is_settled())
        outcome.insert_points = self._trap.disarm()
        if self._is_down():
            outcome.landed = landed(self.tables, sizes)
            self._come_back(crash, sizes)
        self._settle(crash)
        self._repair(crash)
        self._check_end(rows)
        if outcome.killed < crash.kills:
            outcome.trouble.append(f"only {outcome.killed} of {crash.kills} crashes came")
        return outcome

    def row_hashes(self) -> dict[RowKey, int]:
        """Each row's hash, over every column."""
        rows = self.store.select("SELECT log_offset, log_row, cityHash64(toString(tuple(*))) FROM events").rows
        return {(int(offset), int(row)): int(digest) for offset, row, digest in rows}

    def close(self) -> None:
        """End the worker and the server; the folder goes."""
        if self.server.running:
            _finish(self._worker)
        self.store.close()
        self.server.stop()
        shutil.rmtree(self.server.directory)

    # --- the steps of a trial

    def _put(self, batch: Batch) -> None:
        self._expected |= {(self._end + place, row) for place, row in batch.rows}
        for value in batch.values:
            self._log.append(value)
        self._start, self._end = self._end, self._end + len(batch.values)
        self._letters += 1
        self._examined = False

    def _settle(self, crash: Crash) -> None:
        """Until the intent is committed away, through one more crash where asked."""
        self._trap.arm(crash.settling_at)
        _step(self._worker, lambda: self._is_down() or self._is_settled())
        self._outcome.settling_points = self._trap.disarm()
        if self._is_down():
            self._come_back(crash, {})
            _step(self._worker, self._is_settled)

    def _repair(self, crash: Crash) -> None:
        """The auditor's own work, until no hour is doubtful."""
        deadline = time.monotonic() + REPAIR_SECONDS
        self._trap.arm(crash.repair_at)
        while time.monotonic() < deadline and self._marked_hours():
            try:
                self._auditor.settle_doubtful()
            except StoreError:
                # As in the product's loop the marks stay. A killed server's connections end a moment before it does.
                until = time.monotonic() + 2
                while not self._is_down() and time.monotonic() < until:
                    time.sleep(0.02)
                if self._is_down():
                    self._outcome.repair_points = self._trap.disarm()
                    self._come_back(crash, {})
        self._outcome.repair_points = self._outcome.repair_points or self._trap.disarm()

    def _come_back(self, crash: Crash, sizes: Mapping[Path, int]) -> None:
        """The server on the same folder again, and a worker: the one that was there, or one that inherits its intent."""
        self._outcome.killed += 1
        if crash.owner == "waiting":
            until = time.monotonic() + 0.4
            _step(self._worker, lambda: time.monotonic() > until)
        if crash.damage == "cut":
            cut(sizes)
        if crash.damage == "torn":
            tear(self.tables)
        self.server.restart()
        self._up_since = time.monotonic()
        if crash.owner == "new":
            self._log.expire(self._member)
            self._member, self._worker = self._engage()

    def _engage(self) -> tuple[Member, Worker]:
        member = self._log.reader()
        return member, Worker(member, self.store, _CONTEXT)

    def _is_down(self) -> bool:
        return not self.server.running

    def _is_settled(self) -> bool:
        return self._log.positions[0].offset >= self._end

    # --- what is checked

    def _before_commit(self, positions: Mapping[int, Position]) -> None:
        """The intent is about to be committed away: whatever is wrong now must have been marked."""
        if self._examined or positions[0].offset < self._end:
            return
        self._examined = True
        marked = self._marked_hours()
        for rollup, buckets in wrong_buckets(self.store).items():
            for bucket in buckets:
                self._outcome.hours_wrong += 1
                hours = self._hours_of_day(bucket) if rollup == "usage_days" else {bucket}
                self._outcome.hours_not_marked += not (hours and hours <= marked)

    def _hours_of_day(self, day: int) -> set[int]:
        """Of the day's hours those that the last batch touched."""
        rows = self.store.select(
            "SELECT DISTINCT toUnixTimestamp(toStartOfHour(ts)) AS hour FROM events "
            "WHERE log_offset >= {start:Int64} AND hour >= {day:Int64} AND hour < {day:Int64} + {seconds:Int64}",
            {"start": self._start, "day": day, "seconds": DAY_SECONDS},
        ).rows
        return {int(hour) for (hour,) in rows}

    def _marked_hours(self) -> set[int]:
        rows = self.store.select(
            "SELECT toUnixTimestamp(hour) FROM doubtful_hours GROUP BY hour, id HAVING max(cleared) = 0"
        ).rows
        return {int(hour) for (hour,) in rows}

    def _check_end(self, rows: Mapping[RowKey, int] | None) -> None:
        outcome = self._outcome
        outcome.repaired = not any(wrong_buckets(self.store).values()) and not self._marked_hours()
        if outcome.killed:
            # In the product the auditor looks for marks every AUDIT_SECONDS.
            outcome.repair_seconds = time.monotonic() - self._up_since + limits.AUDIT_SECONDS
        counts = {
            (int(offset), int(row)): int(count)
            for offset, row, count in self._rows(
                "SELECT log_offset, log_row, count() FROM events GROUP BY log_offset, log_row"
            )
        }
        outcome.raw_lost = len(self._expected - counts.keys())
        outcome.raw_doubled = sum(count - (key in self._expected) for key, count in counts.items())
        if rows is not None:
            held = self.row_hashes()
            outcome.raw_changed = sum(held[key] != rows[key] for key in held.keys() & rows.keys())
        ((letters,),) = self._rows("SELECT count() FROM dead_letters FINAL")
        if letters != self._letters:
            outcome.trouble.append(f"{letters} dead letters instead of {self._letters}")
        ((outcome.scratch_left,),) = self._rows("SELECT count() FROM system.tables WHERE name LIKE 'scratch%'")

    def _rows(self, sql: str) -> Sequence[tuple[Any, ...]]:
        return self.store.select(sql).rows

    def __enter__(self) -> Room:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(server: ChdbServer) -> ClickHouse:
    return open_clickhouse(server.url, database="default", user="default", password="")


def _log_with(batch: Batch) -> ReplayingLog:
    log = ReplayingLog(log_id="crash-points")
    for value in batch.values:
        log.append(value)
    return log


def _step(worker: Worker, done: Callable[[], bool]) -> None:
    """The worker's loop by hand, until. Raises TimeoutError."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("the worker does not get on")
        worker.step()


def _finish(worker: Worker) -> None:
    worker.stop()
    worker.run()
