"""What the threads of a worker's pool do: rebuild windows, make rows, insert, settle. As consumers/jobs.py and doubt.py.

Wherever one yields, any other actor may go first, or the whole process may sleep.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from consumers.doubt import ServerClock, trusted
from consumers.intents import Intent, Versions
from pipeline import limits
from tests.model.coordinator import Record
from tests.model.lane import InDoubt, Lane, Made, Rebuilt, Steps, Stored, Windows, Work
from tests.model.store import Query, Row, StoreError, Token

if TYPE_CHECKING:
    from tests.model.world import World


class Jobs:
    """The jobs of one worker, of one version of the code."""

    def __init__(self, world: World, number: int, version: int, clock_offset: int) -> None:
        self._world = world
        self._c = world.conditions
        self._number = number
        self._version = version
        self._clock_offset = clock_offset  # of this machine's clock

    def versions(self) -> Versions:
        """What the rows of this worker's code depend on."""
        return Versions("p", 0, 0, 0, self._version)

    def rebuild(self, lane: Lane) -> Work:
        """The windows as they stood at the lane's position."""
        server = self._world.server
        while not lane.abandoned:
            yield
            if not server.up:
                continue
            windows = Windows()
            for row in server.rows.values() if self._c.rebuilt else ():
                if row.partition == lane.partition and (row.offset < lane.position or not self._c.rebuilt_before):
                    windows.add(row.identity, row.trace, row.received)
            return Rebuilt(windows)
        return None

    def guard(self, lane: Lane) -> Work:
        """The first insert of a batch, or the next attempt to settle it."""
        assert lane.intent is not None
        attempt = lane.intent.attempt
        try:
            return (yield from (self._settle(lane, lane.intent) if attempt else self._first(lane, lane.intent)))
        except StoreError:
            self._world.hit("an insert in doubt")
            return InDoubt(attempt + 1)

    def _make(self, lane: Lane) -> Made:
        """Rows of the range: a function of the records, the version, and the stored rows before it."""
        assert lane.windows is not None
        windows, server = lane.windows, self._world.server
        suspects = {r.identity for r in lane.records if self._suspect(windows, r)}
        seen = suspects
        if self._c.full_compare:
            before = lane.position if self._c.looked_up_before else None
            seen = server.stored(lane.partition, suspects, before)
        seen = set(seen)
        begun: set[int] = set()
        made = Made([], [])
        for r in lane.records:
            if r.identity in seen:
                self._world.hit("a repeat was dropped")
                continue
            seen.add(r.identity)
            start = int(r.trace not in windows.traces and r.trace not in begun)
            begun.add(r.trace)
            made.rows.append(
                Row(r.partition, r.offset, r.identity, r.trace, r.hour, r.received, self._version, start, r.refused)
            )
            made.records.append(r)
        if not self._c.windows_after:
            self._remember(lane, made)
        return made

    def _suspect(self, windows: Windows, record: Record) -> bool:
        late = self._c.late_lookup and record.minted < record.received - limits.LATE_MINT_SECONDS
        return late or windows.hit(record)

    def _remember(self, lane: Lane, made: Made) -> None:
        assert lane.windows is not None
        for record in made.records:
            if record.offset not in lane.refused or not self._c.windows_after:
                lane.windows.add(record.identity, record.trace, record.received)

    def _too_late(self, lane: Lane) -> bool:
        if lane.abandoned or self._world.now > lane.deadline:
            self._world.hit("a sleeper woke and did not send")
            return True
        return False

    def _first(self, lane: Lane, intent: Intent) -> Work:
        if self._c.first_deadline and not self._c.first_checked_last and self._too_late(lane):
            return InDoubt(1)
        lane.made = self._make(lane)
        yield
        if self._c.first_deadline and self._c.first_checked_last and self._too_late(lane):
            return InDoubt(1)
        yield from self._insert(lane, lane.made.rows, self._token(lane, intent.end, 0))
        yield
        self._remember(lane, lane.made)
        return Stored(intent.end)

    def _insert(self, lane: Lane, rows: Sequence[Row], token: Token) -> Steps:
        block = 0 if self._c.one_block else self._number + 1
        query = self._world.server.insert(lane.partition, rows, token, block)
        yield from self._answer(lane, query)
        if query.crashed and not self._c.sent_once:  # the driver sends it once more, and says nothing
            while not self._world.server.up:
                yield
            query = self._world.server.insert(lane.partition, rows, token, block)
            yield from self._answer(lane, query)
        if query.failed or query.lost:
            raise StoreError("no answer")

    def _answer(self, lane: Lane, query: Query) -> Steps:
        while query.running and not query.lost:
            yield query
        if query.running:
            self._world.hit("an insert outlived its answer")

    def _settle(self, lane: Lane, intent: Intent) -> Work:
        """The rules for an insert in doubt."""
        server, c = self._world.server, self._c
        if lane.made is None:
            lane.made = self._make(lane)
            yield
        while c.waits_for_running and server.runs(lane.partition):
            yield
        yield
        if self._too_late(lane):
            return InDoubt(intent.attempt + 1)
        if not lane.retried:
            lane.retried = True
            yield from self._retry(lane, intent)
            if not c.rows_are_evidence:
                return Stored(intent.end)
        present = server.present(lane.partition, lane.position, intent.end)
        missing = [row for row in lane.made.rows if row.offset not in present and row.offset not in lane.refused]
        yield
        if missing:
            if self._too_late(lane):
                return InDoubt(intent.attempt + 1)
            if not c.mark_last:
                self._mark(lane)
                yield
            lane.inserted = True
            yield from self._insert_missing(lane, intent, missing if c.only_missing else lane.made.rows)
            return InDoubt(intent.attempt + 1)
        if c.mark_last and (c.marked_when_trusted if lane.trusted and not lane.inserted else c.marked):
            self._world.hit("hours were marked")
            if c.mark_before_commit:
                self._mark(lane)
            else:
                lane.unmarked = {row.hour for row in lane.made.rows}
        yield
        server.reach()
        for record in lane.made.records:
            if record.offset in lane.refused:
                server.dead.add((lane.partition, record.offset))
        self._world.excuse(lane.made.rows, lane.refused)
        self._remember(lane, lane.made)
        return Stored(intent.end)

    def _mark(self, lane: Lane) -> None:
        assert lane.made is not None
        self._world.server.mark({row.hour for row in lane.made.rows})

    def _trusted(self, intent: Intent, at: ServerClock) -> bool:
        if not self._c.same_server:
            at = at._replace(start=intent.server_start)
        if not self._c.grown_server:
            at, intent = at._replace(start=at.start - 100), intent._replace(server_start=intent.server_start - 100)
        if not self._c.inside_window:
            at = at._replace(now=intent.server_time)
        return trusted(intent, at, at)

    def _retry(self, lane: Lane, intent: Intent) -> Steps:
        """The batch again under its token, when that is evidence."""
        server, c = self._world.server, self._c
        assert lane.made is not None
        blind = not c.rows_are_evidence
        if not lane.made.rows or (c.before_token_n and intent.attempt != 1 and not blind):
            return
        if c.same_versions and intent.versions != self.versions() and not blind:
            return
        before = server.clock()
        if not blind and not self._trusted(intent, before):
            self._world.hit("settled without trust")
            return
        left = lane.deadline - self._world.now
        yield
        if c.retry_ends and server.now() > before.now + left and not blind:
            self._world.hit("a retry had expired")
            return
        server.reach()
        if c.retry_names_server and server.clock().start != before.start and not blind:
            self._world.hit("a retry met another server")
            return
        try:
            yield from self._insert(lane, lane.made.rows, self._token(lane, intent.end, 0))
        except StoreError:
            if c.waits_again:
                raise
            return
        yield
        lane.trusted = self._trusted(intent, server.clock())
        self._world.hit("settled by a trusted token" if lane.trusted else "trust ended during the retry")

    def _insert_missing(self, lane: Lane, intent: Intent, missing: Sequence[Row]) -> Steps:
        """One guarded statement under token#n."""
        server, c = self._world.server, self._c
        left = lane.deadline - self._world.now
        yield
        now = server.now() if c.end_by_server else self._world.now + self._clock_offset
        server.reach()
        if c.end_after_answer:
            yield
            left = lane.deadline - self._world.now
        end = now + left if c.end_guard else None
        yield  # the rows go to a scratch table
        offsets = {row.offset for row in missing}
        pieces = [kept for piece in lane.pieces if (kept := [o for o in piece if o in offsets])] or [sorted(offsets)]
        piece, *rest = pieces
        rows = [row for row in missing if row.offset in piece]
        token = self._token(lane, intent.end, intent.attempt)
        try:
            held = server.rows if c.not_in_guard else {}
            query = server.insert_where(lane.partition, rows, token, end, lambda r: (r.partition, r.offset) not in held)
            yield from self._answer(lane, query)
            if query.failed or query.lost:
                raise StoreError("no answer")
        except StoreError as error:
            if not error.data_error:
                raise
            if len(piece) > 1 and c.halves:
                rest = [piece[: len(piece) // 2], piece[len(piece) // 2 :], *rest]
            elif c.halves:
                lane.refused.add(piece[0])
                self._world.hit("a refused row was set aside")
        lane.pieces = rest

    def _token(self, lane: Lane, end: int, n: int) -> Token:
        return (lane.partition, lane.position, end, n)
