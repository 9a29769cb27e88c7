"""The auditor beside the workers: doubtful hours at once, every closed hour once, tag budgets, folds; one at a time, by a lease."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import structlog

from consumers.audit import DAY_SECONDS, HOUR_SECONDS, Finding, audit
from consumers.fold import Folder
from pipeline import limits
from pipeline.budgets import review
from pipeline.errors import StoreError
from pipeline.store import Store

_say = structlog.get_logger()


class Lease:
    """Turns of LEASE_SECONDS, held in the table `leases` by the server's clock; every auditor and repairing command holds one.

    A turn that has lapsed is not taken up again: the next one has another name, so that a repair belongs to the turn of its reads.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owner = ""
        self._lock = threading.Lock()

    def renew(self) -> bool:
        """Begin a turn where nobody has one, or hold ours for longer."""
        with self._lock:
            holder = self._holder()
            if holder not in ("", self._owner):
                return False
            if not holder:
                self._owner = re.sub(r"\W", "_", f"{os.uname().nodename}_{os.getpid()}_{uuid4()}")
            # The statement itself looks again: a process may sleep between. All rows of a turn bear its first time.
            self._store.execute(
                "INSERT INTO leases (name, owner, taken_at, ends_at) "
                "SELECT 'audit', {owner:String}, (SELECT if(count() = 0, now64(6), min(taken_at)) FROM leases "
                "WHERE name = 'audit' AND owner = {owner:String}), now64(6) + {seconds:UInt32} "
                f"WHERE {_HOLDER} = {{holder:String}}",
                {"owner": self._owner, "seconds": limits.LEASE_SECONDS, "holder": holder},
            )
            return self._holder() == self._owner

    def _holder(self) -> str:
        return str(self._store.select(f"SELECT {_HOLDER}").rows[0][0])

    def guard(self) -> str:
        """True once this turn has run out, or was never ours because another came first."""
        return f"({_HOLDER}) != '{self._owner}'"

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renewed as long as this lasts: reads may take longer than a turn. A process that sleeps renews nothing."""
        ended = threading.Event()

        def keep() -> None:
            while not ended.wait(limits.LEASE_SECONDS / 3):
                with suppress(StoreError):
                    self.renew()

        keeper = threading.Thread(target=keep, name="lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()


# Of those that have not ended the first taken holds; renewals of the holder come later than its own first.
_HOLDER = "(SELECT argMin(owner, (taken_at, owner)) FROM leases WHERE name = 'audit' AND ends_at > now64(6))"


class Auditor:
    """Audits and repairs; safe to run beside every worker."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lease = Lease(store)
        self._folder = Folder(store)

    def run(self, stop: Any) -> None:
        """In the background until `stop` (a threading.Event) is set."""
        next_look = next_review = next_fold = 0.0
        while not stop.wait(limits.AUDIT_SECONDS):
            with suppress(StoreError):  # the store is away: the marks stay
                self.settle_doubtful()
                # A day of closed hours at a time: doubtful ones never wait for them.
                if time.monotonic() >= next_look and not self.audit_closed():
                    next_look = time.monotonic() + limits.AUDIT_CLOSED_SECONDS
                if time.monotonic() >= next_review and self._lease.renew():
                    next_review = time.monotonic() + limits.BUDGET_REVIEW_SECONDS
                    review(self._store)
                    self.sweep()
                if time.monotonic() >= next_fold and self._lease.renew():
                    next_fold = time.monotonic() + limits.FOLD_SECONDS  # whatever comes of it: folds are no hurry
                    with self._lease.kept():
                        self._folder.turn()

    def sweep(self) -> None:
        """Drop what workers that died left of guarded inserts: scratch tables that no statement can still be using."""
        rows = self._store.select(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, 'scratch_') "
            "AND metadata_modification_time < now() - toIntervalSecond({age:UInt32})",
            {"age": limits.SCRATCH_SECONDS},
        ).rows
        for (name,) in rows:
            self._store.execute(f"DROP TABLE IF EXISTS {name}")

    # --- doubtful hours

    def doubtful(self) -> dict[int, list[str]]:
        """Uncleared marks: unix second of the hour -> ids."""
        rows = self._store.select(
            "SELECT toUnixTimestamp(hour), toString(id) FROM doubtful_hours GROUP BY hour, id HAVING max(cleared) = 0 ORDER BY hour"
        ).rows
        marks: dict[int, list[str]] = {}
        for hour, mark in rows:
            marks.setdefault(int(hour), []).append(mark)
        return marks

    def settle_doubtful(self) -> list[Finding]:
        """Repair every doubtful hour; marks read before the first query are cleared once no key differs."""
        marks = self.doubtful()
        found: list[Finding] = []
        if not marks or not self._lease.renew():
            return found
        with self._lease.kept():
            for start, end in stretches(sorted(marks)):
                findings = audit(self._store, start, end, self._lease)
                found += findings
                if not any(finding.differing for finding in findings):
                    self._clear({hour: ids for hour, ids in marks.items() if start <= hour < end})
        return found

    def _clear(self, marks: dict[int, list[str]]) -> None:
        rows = [(datetime.fromtimestamp(hour, UTC), mark) for hour, ids in marks.items() for mark in ids]
        now = int(time.time() * 1e6)
        hours, ids = zip(*rows, strict=True)
        count = len(rows)
        self._store.insert(
            "doubtful_hours",
            ("hour", "id", "marked_at", "reason", "cleared"),
            (hours, ids, [now] * count, ["cleared"] * count, [1] * count),
            token=f"clear:{uuid4()}",
        )

    # --- closed hours

    def audit_closed(self) -> list[Finding]:
        """The closed hours of one day that were not audited yet, each once; [] when there is none, or another's turn.

        A later event of such an hour comes the ordinary way.
        """
        hours = self.closed()
        if not hours or not self._lease.renew():
            return []
        start, end = stretches(hours)[0]
        with self._lease.kept():
            findings = audit(self._store, start, end, self._lease)
        if any(finding.differing for finding in findings):
            return []
        self._record([hour for hour in hours if start <= hour < end], findings)
        return findings

    def closed(self) -> list[int]:
        """Unix seconds of hours with raw rows that have ended a while ago and were not audited yet, oldest first."""
        low = self._store.select(
            "SELECT if(count() = 0, 0, toUnixTimestamp(max(hour)) - {back:UInt32}) FROM audit_runs",
            {"back": limits.AUDIT_BACK_SECONDS},
        ).rows[0][0]
        rows = self._store.select(
            """
            SELECT DISTINCT toUnixTimestamp(toStartOfHour(ts)) AS hour FROM events
            WHERE toStartOfHour(ts) >= toDateTime({low:Int64}, 'UTC')
              AND toStartOfHour(ts) < now() - toIntervalSecond({closed:UInt32})
              AND toStartOfHour(ts) NOT IN (SELECT hour FROM audit_runs WHERE hour >= toDateTime({low:Int64}, 'UTC'))
            ORDER BY hour
            """,
            {"low": max(0, int(low)), "closed": HOUR_SECONDS + limits.AUDIT_CLOSED_AFTER_SECONDS},
            seconds=120,
        ).rows
        return [int(hour) for (hour,) in rows]

    def _record(self, hours: Sequence[int], findings: Iterable[Finding]) -> None:
        repaired = sum(finding.repaired for finding in findings)
        now = int(time.time() * 1e6)
        count = len(hours)
        self._store.insert(
            "audit_runs",
            ("hour", "audited_at", "repaired_keys"),
            ([datetime.fromtimestamp(hour, UTC) for hour in hours], [now] * count, [repaired] * count),
        )
        if repaired:
            _say.warning("closed_hours_repaired", hours=count, keys=repaired)


def stretches(hours: Sequence[int]) -> list[tuple[int, int]]:
    """One range for each day, from its first hour to the end of its last: [start, end) in unix seconds.

    Hours between cost less than another look at their day.
    """
    joined: list[tuple[int, int]] = []
    for hour in sorted(hours):
        if joined and joined[-1][0] // DAY_SECONDS == hour // DAY_SECONDS:
            joined[-1] = (joined[-1][0], hour + HOUR_SECONDS)
        else:
            joined.append((hour, hour + HOUR_SECONDS))
    return joined
