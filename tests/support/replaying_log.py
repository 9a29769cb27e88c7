"""A topic and its consumer group in memory: the log's contract with `replays`, and faults that a test chooses.

What Kafka was seen to do is done here too: partitions move one owner at a time (cooperative, sticky), a member whose session
ran out learns of it at its next read or commit, a commit carries its note, and offsets may have gaps.
"""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from pipeline import limits
from pipeline.errors import Fenced, LogError, LogLost
from pipeline.log import Entry, Position, Watermarks
from pipeline.record import Record, partition_of


class ReplayingLog:
    """The topic, the group's committed positions, and its members. Safe for members in several threads.

    `before_commit` and `after_commit` are called in the committing thread; what they raise, the committing member gets.
    """

    def __init__(self, *, partitions: int = 1, log_id: str = "replaying") -> None:
        self.log_id = log_id
        self.positions: dict[int, Position] = {}  # as committed
        self.before_commit: Callable[[Mapping[int, Position]], None] = lambda _: None
        self.after_commit: Callable[[Mapping[int, Position]], None] = lambda _: None
        self._entries: list[list[Entry]] = [[] for _ in range(partitions)]
        self._low = [0] * partitions
        self._next = [0] * partitions
        self._members: list[Member] = []  # in the order in which they joined
        self._targets: dict[int, Member] = {}  # who is to own a partition
        self._changed = threading.Condition()

    # --- the writer's side

    async def publish(self, records: Sequence[Record]) -> None:
        """The collector's side: records are durable at once."""
        for record in records:
            self.append(record.value, partition_of(record.key, len(self._entries)))

    def append(self, value: bytes, partition: int = 0) -> int:
        """Straight into a partition; the offset."""
        with self._changed:
            offset = self._next[partition]
            self._entries[partition].append(Entry(partition, offset, value))
            self._next[partition] += 1
            self._changed.notify_all()
            return offset

    def skip(self, offsets: int, partition: int = 0) -> None:
        """A gap in the offsets, as compaction and transactions leave."""
        with self._changed:
            self._next[partition] += offsets

    def forget(self, before: int, partition: int = 0) -> None:
        """Retention: the entries before an offset are gone."""
        with self._changed:
            self._low[partition] = before
            self._entries[partition] = [e for e in self._entries[partition] if e.offset >= before]

    def ready(self) -> bool:
        """Whether a publish would be tried now."""
        return True

    async def close(self) -> None:
        """Nothing is buffered."""

    # --- the group

    def reader(self) -> Member:
        """One more member; it joins at its first read."""
        return Member(self)

    def expire(self, member: Member) -> None:
        """The member's session runs out, as when it was killed, stopped or cut off. It does not know yet."""
        with self._changed:
            if member in self._members:
                self._members.remove(member)
            self._balance()

    def _join(self, member: Member) -> None:
        self._members.append(member)
        self._balance()

    def _balance(self) -> None:
        """Evenly, and a partition stays where it is as long as that is even."""
        shares: dict[Member, set[int]] = {member: set() for member in self._members}
        for partition, member in self._targets.items():
            if member in shares:
                shares[member].add(partition)
        homeless = set(range(len(self._entries))) - {p for share in shares.values() for p in share}
        self._targets = {}
        if shares:
            for partition in sorted(homeless):
                min(shares.values(), key=len).add(partition)
            while max(map(len, shares.values())) - min(map(len, shares.values())) > 1:
                fullest = max(shares.values(), key=len)
                partition = max(fullest)
                fullest.remove(partition)
                min(shares.values(), key=len).add(partition)
            self._targets = {p: member for member, share in shares.items() for p in share}
        self._changed.notify_all()

    def _is_owned(self, partition: int) -> bool:
        """By a member that the group knows: another gets it only when that one has given it up."""
        return any(partition in member.assigned() for member in self._members)


class Member:
    """One reader of the group. A `LogReader`; its methods are called from one thread."""

    replays = True

    def __init__(self, log: ReplayingLog) -> None:
        self.log_id = log.log_id
        self._log = log
        self._owned: frozenset[int] = frozenset()
        self._paused: set[int] = set()
        self._at: dict[int, int] = {}  # the next offset to read
        self._left = False
        self._on_assigned: Callable[[dict[int, Position]], None] = lambda _: None
        self._on_revoked: Callable[[set[int]], None] = lambda _: None
        self._on_lost: Callable[[set[int]], None] = lambda _: None

    def on_change(
        self,
        assigned: Callable[[dict[int, Position]], None],
        revoked: Callable[[set[int]], None],
        lost: Callable[[set[int]], None],
    ) -> None:
        """See `pipeline.log.LogReader`."""
        self._on_assigned, self._on_revoked, self._on_lost = assigned, revoked, lost

    def read(self, max_records: int, max_seconds: float) -> list[Entry]:
        """See `pipeline.log.LogReader`."""
        deadline = time.monotonic() + max_seconds
        while True:
            self._take_part()
            with self._log._changed:
                entries = self._fetch(max_records)
                left = deadline - time.monotonic()
                if entries or left <= 0:
                    return entries
                if not self._moving():
                    self._log._changed.wait(left)

    def assigned(self) -> frozenset[int]:
        """See `pipeline.log.LogReader`."""
        return self._owned

    def committed(self, partitions: Iterable[int]) -> dict[int, Position]:
        """See `pipeline.log.LogReader`."""
        with self._log._changed:
            return {p: self._log.positions.get(p, Position(self._log._low[p], "")) for p in partitions}

    def seek(self, partition: int, offset: int) -> None:
        """See `pipeline.log.LogReader`."""
        self._at[partition] = offset

    def pause(self, partitions: Iterable[int]) -> None:
        """See `pipeline.log.LogReader`."""
        self._paused |= set(partitions)

    def resume(self, partitions: Iterable[int]) -> None:
        """See `pipeline.log.LogReader`."""
        self._paused -= set(partitions)

    def commit(self, positions: Mapping[int, Position]) -> None:
        """See `pipeline.log.LogReader`. The group checks the member, the member its partitions; nobody checks both."""
        foreign = set(positions) - self._owned
        if foreign:
            raise LogError(f"partitions {sorted(foreign)} are not assigned")
        if any(len(position.note.encode()) > limits.COMMIT_METADATA_BYTES for position in positions.values()):
            raise LogError("commit metadata above the broker's limit")
        self._log.before_commit(positions)
        with self._log._changed:
            if self not in self._log._members:
                raise Fenced("the session of this member has run out")
            self._log.positions.update(positions)
        self._log.after_commit(positions)

    def watermarks(self, partition: int) -> Watermarks:
        """See `pipeline.log.LogReader`."""
        with self._log._changed:
            return Watermarks(self._log._low[partition], self._log._next[partition])

    def ends(self, partitions: Iterable[int]) -> dict[int, Watermarks]:
        return {partition: self.watermarks(partition) for partition in partitions}

    def leave(self) -> None:
        """See `pipeline.log.LogReader`. What is owned is asked back first, so that what is finished can be committed."""
        if self._left:
            return
        self._left = True
        self._give_up(set(self._owned), self in self._log._members)
        self._log.expire(self)

    # --- the group's protocol (callbacks are called without the lock, for they commit)

    def _targets(self) -> set[int]:
        return {p for p, member in self._log._targets.items() if member is self}

    def _moving(self) -> bool:
        """Whether partitions are to be given up or can be had now; the lock is held."""
        targets = self._targets()
        coming = {p for p in targets - self._owned if not self._log._is_owned(p)}
        return not self._left and (self not in self._log._members or bool(self._owned - targets or coming))

    def _take_part(self) -> None:
        if self._left:
            return
        with self._log._changed:
            member = self in self._log._members
        if not member:
            self._give_up(set(self._owned), member)
        with self._log._changed:
            if not member:
                self._log._join(self)
            going = self._owned - self._targets()
        self._give_up(set(going), member)
        with self._log._changed:
            coming = {p for p in self._targets() - self._owned if not self._log._is_owned(p)}
            self._owned |= coming
            self._paused -= coming
        if coming:
            positions = self.committed(coming)
            self._at.update({p: position.offset for p, position in positions.items()})
            self._on_assigned(positions)

    def _give_up(self, partitions: set[int], member: bool) -> None:
        if not partitions:
            return
        if member:
            self._on_revoked(partitions)
            self._owned -= partitions
        else:
            self._owned -= partitions
            self._on_lost(partitions)
        with self._log._changed:
            self._log._changed.notify_all()

    def _fetch(self, max_records: int) -> list[Entry]:
        found: list[Entry] = []
        for partition in sorted(self._owned - self._paused):
            held = self._log._entries[partition]
            if self._at[partition] < self._log._low[partition]:
                raise LogLost(f"partition {partition}: its committed offset is no longer in the log")
            first = bisect.bisect_left(held, self._at[partition], key=lambda entry: entry.offset)
            taken = held[first : first + max_records - len(found)]
            if taken:
                self._at[partition] = taken[-1].offset + 1
            found += taken
        return found
