"""ClickHouse as it was measured: parts, token lines, renames; windows that forget; crashes that leave a prefix."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from consumers.doubt import ServerClock
from pipeline import limits

if TYPE_CHECKING:
    from tests.model.world import World

HOURS = 3
DAY_OF = (0, 0, 1)  # hour -> day
MONTH_OF = (0, 0, 1)  # hour -> month: the tables' partitions; a day lies in the month of its number
START_SECONDS = 1  # until a server is up again: hardly another start

Sums = tuple[int, int, int, int]  # events, value, trace starts, checksum
NOTHING: Sums = (0, 0, 0, 0)
Token = tuple[object, ...]


class StoreError(Exception):
    """A statement without a good answer; `data_error`: its rows are at fault."""

    def __init__(self, detail: str, *, data_error: bool = False) -> None:
        super().__init__(detail)
        self.data_error = data_error


class Row(NamedTuple):
    """A raw row; `value` depends on the versions, `start` on the rows before."""

    partition: int
    offset: int
    identity: int
    trace: int
    hour: int
    received: int
    value: int
    start: int
    refused: bool

    def sums(self) -> Sums:
        """What the rollups add for it."""
        return 1, self.value, self.start, (self.identity + 1) * 0x9E3779B97F4A7C15


def add(a: Sums, b: Sums, sign: int = 1) -> Sums:
    """a + sign * b."""
    return a[0] + sign * b[0], a[1] + sign * b[1], a[2] + sign * b[2], a[3] + sign * b[3]


class Step(NamedTuple):
    """One part of one table: rows of raw, or bucket -> sums of a rollup."""

    table: str
    month: int
    token: Token
    rows: Sequence[Row]
    sums: dict[int, Sums]


class Deduplication:
    """The window of one table: tokens in memory, and the file they are read from at a start."""

    def __init__(self, bounded: bool) -> None:
        self.known: set[tuple[Token, int]] = set()
        self.unnamed: dict[tuple[Token, int], Query] = {}  # line written, part not yet renamed
        self.lines: list[tuple[Token, int]] = []
        self.torn: int | None = None  # lines from here on are not read back
        self._has_window = bounded

    def take(self, key: tuple[Token, int], query: Query) -> None:
        """Write the token's line."""
        if self._has_window:
            self.known.add(key)
            self.lines.append(key)
        self.unnamed[key] = query

    def forget(self) -> None:
        """As many other parts came as the window holds."""
        self.known = set(self.unnamed) if self._has_window else set()  # those of inserts under way are the newest
        self.lines, self.torn = [], None if self.torn is None else 0

    def start(self) -> None:
        """Read the file back."""
        self.known = set(self.lines[: self.torn])
        self.unnamed.clear()


class Query:
    """A statement that runs on the server, whether its client still waits or not."""

    def __init__(self, steps: Sequence[Step], partition: int | None) -> None:
        self.steps = steps
        self.partition = partition  # of the log; None: a repair
        self.at = 0  # two for each step: the token's line, the rename
        self.running = True
        self.failed = False
        self.crashed = False
        self.started = 0
        self.hangs = False
        self.lost = False  # the client will not hear the answer

    def touches(self, hour: int) -> bool:
        """Whether it may still change the hour, or its day."""
        month = MONTH_OF[hour]
        return any(step.month == month for step in self.steps[self.at // 2 :])


class Server:
    """One server: the raw table, hours by a view of it, days by a view of the hours."""

    def __init__(self, world: World, offset: int) -> None:
        self._world = world
        self._offset = offset  # of its clock to the world's
        self.up = True
        self.started = world.now - 10_000
        self.rows: dict[tuple[int, int], Row] = {}
        self.truth: list[Sums] = [NOTHING] * HOURS
        self.rollups: dict[str, list[Sums]] = {"hours": [NOTHING] * HOURS, "days": [NOTHING] * 2}
        everywhere = world.conditions.windows_everywhere
        self.tokens = {t: Deduplication(everywhere or t == "raw") for t in ("raw", "hours", "days")}
        self.running: list[Query] = []
        self.dead: set[tuple[int, int]] = set()
        self.marks: dict[int, int] = {}  # id -> hour, those not cleared
        self.marks_made = 0
        self.leases: list[tuple[int, int, int]] = []  # taken at, owner, ends at

    # --- what a client asks

    def reach(self) -> None:
        """Raises StoreError while the server is down."""
        if not self.up:
            raise StoreError("down")

    def now(self) -> int:
        """Its own clock."""
        return self._world.now + self._offset

    def clock(self) -> ServerClock:
        """Start and time as the server tells them."""
        self.reach()
        return ServerClock(self.started + self._offset, self.now())

    def present(self, partition: int, start: int, end: int) -> set[int]:
        """Offsets of [start, end) in the raw table."""
        self.reach()
        return {o for o in range(start, end) if (partition, o) in self.rows}

    def stored(self, partition: int, identities: Iterable[int], before: int | None) -> set[int]:
        """Which identities have a row of a smaller offset."""
        self.reach()
        wanted = set(identities)
        return {
            row.identity
            for row in self.rows.values()
            if row.identity in wanted and row.partition == partition and (before is None or row.offset < before)
        }

    def runs(self, partition: int) -> bool:
        """Whether an INSERT of the partition runs."""
        self.reach()
        return any(query.partition == partition for query in self.running)

    def difference(self, table: str, buckets: Iterable[int], *, from_raw: bool = False) -> dict[int, Sums]:
        """The truth minus the rollup, where it is not nothing."""
        self.reach()
        return {b: d for b in buckets if (d := self._differs(table, b, from_raw)) != NOTHING}

    def _differs(self, table: str, bucket: int, from_raw: bool) -> Sums:
        if table == "hours":
            return add(self.truth[bucket], self.rollups["hours"][bucket], -1)
        source = self.truth if from_raw else self.rollups["hours"]
        truth = NOTHING
        for hour in range(HOURS):
            if DAY_OF[hour] == bucket:
                truth = add(truth, source[hour])
        return add(truth, self.rollups["days"][bucket], -1)

    # --- what a client sends

    def insert(self, partition: int, rows: Sequence[Row], token: Token, block: int = 0) -> Query:
        """One insert of whole rows; `block`: rows of a block when it is not one."""
        self.reach()
        if any(row.refused for row in rows):
            raise StoreError("a row is refused", data_error=True)
        steps: list[Step] = []
        for start in range(0, len(rows), block or len(rows) or 1):
            piece = rows[start : start + (block or len(rows))]
            steps += _steps(piece, (*token, start) if block else token)
        return self._begin(Query(steps, partition))

    def insert_where(
        self, partition: int, rows: Sequence[Row], token: Token, end: int | None, guarded: Callable[[Row], bool]
    ) -> Query:
        """One guarded statement: `end` by the server's clock; it takes the rows that `guarded` lets through."""
        self.reach()
        if end is not None and self.now() > end:
            self._world.hit("a guarded statement had expired")
            raise StoreError("throwIf")
        kept = [row for row in rows if guarded(row)]
        if len(kept) < len(rows):
            self._world.hit("a guarded statement left rows out")
        return self.insert(partition, kept, token)

    def repair(self, table: str, sums: dict[int, Sums], token: Token) -> Query:
        """A difference into a rollup; hours flow on into their days."""
        self.reach()
        hourly = table == "hours"
        months = sorted({MONTH_OF[b] if hourly else b for b in sums})
        steps = [
            Step(table, m, token, (), {b: s for b, s in sums.items() if (MONTH_OF[b] if hourly else b) == m})
            for m in months
        ]
        if hourly:
            steps += [Step("days", step.month, token, (), _by_day(step.sums)) for step in steps]
        self._world.check_repair(steps)
        return self._begin(Query(steps, None))

    def _begin(self, query: Query) -> Query:
        if query.steps:
            query.started = self._world.now
            self._world.say(
                f"    (sent: {query.steps[0].table} {query.steps[0].token}, {[r.offset for s in query.steps for r in s.rows]})"
            )
            self.running.append(query)
            self._world.spring(query)
        else:
            query.running = False
        return query

    def mark(self, hours: Iterable[int]) -> None:
        """Doubtful hours, each with an id of its own."""
        self.reach()
        for hour in hours:
            self.marks[self.marks_made] = hour
            self.marks_made += 1

    def clear(self, marks: Iterable[int]) -> None:
        """Not doubtful any more."""
        self.reach()
        for mark in marks:
            self.marks.pop(mark, None)
        self._world.check_marked("marks were cleared")

    # --- what the server does

    def advance(self, query: Query) -> bool:
        """One step; False when it waits for another insert of the same token."""
        if not query.running:
            return False
        place, renaming = divmod(query.at, 2)
        step = query.steps[place]
        tokens = self.tokens[step.table]
        key = (step.token, step.month)
        if renaming:
            del tokens.unnamed[key]
            query.at += 1
            self._apply(step)
        elif key in tokens.unnamed:
            return False
        elif key in tokens.known:
            self._world.hit("a block was deduplicated")
            query.at += 2
            if step.table == "raw" and not self._world.conditions.views_on_retry:
                query.steps = [s for s in query.steps if s.table == "raw" or (s.token, s.month) != key]
        else:
            tokens.take(key, query)
            query.at += 1
        if query.at >= 2 * len(query.steps):
            self._end(query)
        else:
            self._world.spring(query)
        return True

    def _apply(self, step: Step) -> None:
        for row in step.rows:
            self._world.check_new_row(row)
            self.rows[row.partition, row.offset] = row
            self.truth[row.hour] = add(self.truth[row.hour], row.sums())
        if step.sums:
            held = self.rollups[step.table]
            for bucket, sums in step.sums.items():
                held[bucket] = add(held[bucket], sums)

    def _end(self, query: Query) -> None:
        query.running = False
        self.running.remove(query)
        self._world.check_marked("an insert ended")

    def fail(self, query: Query) -> None:
        """An error inside the insert, as of a view: what was renamed stays."""
        if query.at % 2 == 0:
            query.failed = True
            self._end(query)

    def end_overdue(self) -> None:
        """max_execution_time; a rename is not interrupted."""
        for query in list(self.running):
            if query.running and self._world.now - query.started > limits.INSERT_SECONDS:
                self._world.hit("a statement ran out of time")
                while query.running and query.at % 2:
                    self.advance(query)
                if query.running:
                    self.fail(query)

    def crash(self, *, cut: int = 0, torn: bool = False) -> None:
        """kill -9; `cut` lines of every log are lost with the power; torn: the line that was being written is half there."""
        if torn:
            for query in self.running:
                tokens = self.tokens[query.steps[query.at // 2].table]
                if query.at % 2 == 0 and tokens.torn is None:
                    tokens.torn = len(tokens.lines)
                    self._world.hit("a torn line")
        for query in self.running:
            query.running, query.failed, query.crashed = False, True, True
            if query.at:
                self._world.hit("a crash in mid-insert")
            if query.at % 2:
                self._world.hit("a token without a part")
        self.running.clear()
        for tokens in self.tokens.values():
            if cut and tokens.lines:
                del tokens.lines[-cut:]
                self._world.hit("power loss cut token lines")
        self.up = False
        self._world.check_marked("the server crashed")

    def start(self) -> None:
        """Another server on the same disk."""
        self._world.now += START_SECONDS
        self.up = True
        self.started = self._world.now
        for tokens in self.tokens.values():
            tokens.start()

    def forget(self) -> None:
        """More than an hour of other parts: the windows hold none of these tokens any more."""
        for tokens in self.tokens.values():
            tokens.forget()


def _steps(rows: Sequence[Row], token: Token) -> list[Step]:
    """Per table, then per month."""
    by_month: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_month[MONTH_OF[row.hour]].append(row)
    months = sorted(by_month)
    hours = {month: _by_hour(by_month[month]) for month in months}
    return [
        *(Step("raw", m, token, by_month[m], {}) for m in months),
        *(Step("hours", m, token, (), hours[m]) for m in months),
        *(Step("days", m, token, (), _by_day(hours[m])) for m in months),
    ]


def _by_hour(rows: Iterable[Row]) -> dict[int, Sums]:
    sums: dict[int, Sums] = {}
    for row in rows:
        sums[row.hour] = add(sums.get(row.hour, NOTHING), row.sums())
    return sums


def _by_day(hours: dict[int, Sums]) -> dict[int, Sums]:
    sums: dict[int, Sums] = {}
    for hour, held in hours.items():
        sums[DAY_OF[hour]] = add(sums.get(DAY_OF[hour], NOTHING), held)
    return sums
