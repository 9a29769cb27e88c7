"""The auditor of doubtful hours: difference twice with the wait between, lease, marks. As consumers/auditor.py and audit.py."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from pipeline import limits
from tests.model.store import DAY_OF, HOURS, Query, StoreError, Sums

if TYPE_CHECKING:
    from tests.model.world import World

_READS = 20
Steps = Generator[Query | None, None, None]
Answer = Generator[Query | None, None, bool]


class Auditor:
    """One thread of a worker's process."""

    def __init__(self, world: World, owner: int) -> None:
        self._world = world
        self._c = world.conditions
        self._owner = owner
        self._waits: Query | None = None
        self.asked = False  # to audit every hour once, marked or not: they have closed
        self.sending = False  # the turn was renewed, the repair not yet sent
        self._busy = False
        self._thread = self._loop()

    @property
    def ready(self) -> bool:
        """Whether it can go on: not while it waits for an answer."""
        if not self.asked and not self._busy and not self._world.server.marks:
            return False
        return self._waits is None or self._waits.lost or not self._waits.running

    def step(self) -> None:
        """On to its next stop."""
        self._waits = next(self._thread)

    def _loop(self) -> Steps:
        while True:
            self._busy = False
            yield
            self._busy = True
            try:
                yield from self._settle()
            except StoreError:  # the marks stay
                self._world.hit("an audit was cut short")

    def _settle(self) -> Steps:
        server = self._world.server
        server.reach()
        marks = dict(server.marks)
        hours = sorted(set(marks.values()))
        if self.asked:
            self.asked, hours = False, list(range(HOURS))
        if not hours or not (yield from self._renew()):
            return
        days = sorted({DAY_OF[hour] for hour in hours})
        tables = [("hours", hours), ("days", days)]
        clean = True
        for table, buckets in tables if self._c.hours_first else reversed(tables):
            clean = (yield from self._audit(table, buckets)) and clean
        yield
        if not self._c.marks_first:
            marks = {mark: hour for mark, hour in server.marks.items() if hour in hours}
        if marks and (clean or not self._c.clean_read):
            server.clear(marks)
            self._world.hit("marks were cleared")

    def _audit(self, table: str, buckets: list[int]) -> Answer:
        for _ in range(_READS):
            first = self._read(table, buckets)
            if not first:
                return True
            if self._c.twice:
                yield
                noted = set(self._world.server.running)
                yield
                while self._c.waits_between and any(query.running for query in noted):
                    yield
                second = self._read(table, buckets)
                if not second:
                    return True
            else:
                second = first
            damage = {b: sums for b, sums in second.items() if self._same(first.get(b), sums)}
            yield
            if not damage:
                continue
            if not (yield from self._hold() if self._c.unbroken_turn else self._renew()):
                return False
            yield
            yield from self._insert(table, damage)
        return False

    def _read(self, table: str, buckets: list[int]) -> dict[int, Sums]:
        return self._world.server.difference(table, buckets, from_raw=not self._c.hours_first)

    def _same(self, first: Sums | None, second: Sums) -> bool:
        if first is None:
            return False
        return first == second if self._c.checksum else first[:3] == second[:3]

    def _insert(self, table: str, damage: dict[int, Sums]) -> Steps:
        server = self._world.server
        self.sending = True
        yield
        self.sending = False
        server.reach()
        if self._c.lease_in_statement and self._holder() != self._owner:
            self._world.hit("a repair had lost its turn")
            raise StoreError("throwIf")
        query = server.repair(table, damage, self._token(damage))
        yield from self._answer(query)
        self._world.hit("a repair")
        if (query.lost or query.failed) and not self._c.read_again:
            while not server.up:
                yield
            query = server.repair(table, damage, self._token(damage))
            yield from self._answer(query)
        if query.lost or query.failed:
            self._world.hit("a repair without a reply")
            raise StoreError("no answer")

    def _token(self, damage: dict[int, Sums]) -> tuple[object, ...]:
        return ("repair", self._world.fresh()) if self._c.fresh_token else ("repair", tuple(sorted(damage.items())))

    def _answer(self, query: Query) -> Steps:
        while query.running and not query.lost:
            yield query

    # --- the lease

    def _renew(self) -> Answer:
        if not self._c.lease:
            return True
        server = self._world.server
        server.reach()
        if self._holder() not in (None, self._owner):
            return False
        yield
        server.reach()
        server.leases.append((server.now(), self._owner, server.now() + limits.LEASE_SECONDS))
        yield
        server.reach()
        return self._holder() == self._owner

    def _hold(self) -> Answer:
        """Hold the turn for longer, where it has not lapsed."""
        server = self._world.server
        server.reach()
        if self._c.lease and self._holder() != self._owner:
            self._world.hit("a turn had lapsed")
            return False
        if not self._c.held_at_once:
            yield
            server.reach()
        server.leases.append((server.now(), self._owner, server.now() + limits.LEASE_SECONDS))
        return True

    def _holder(self) -> int | None:
        server = self._world.server
        now = server.now()
        server.leases = [lease for lease in server.leases if lease[2] > now]
        return min(server.leases)[1] if server.leases else None
