"""Seam 1, the log: publish, read, commit; and the in-process log of the embedded mode."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from pipeline import limits
from pipeline.disks import disk_of
from pipeline.errors import LogError, Unavailable
from pipeline.record import Record


class Entry(NamedTuple):
    """One message as read."""

    partition: int
    offset: int
    value: bytes


class Position(NamedTuple):
    """A committed position: the next offset to store, and the note committed with it (an intent, or "")."""

    offset: int
    note: str


class Watermarks(NamedTuple):
    """The offsets a partition holds: [low, high)."""

    low: int
    high: int


class LogWriter(Protocol):
    """The collector's side."""

    async def publish(self, records: Sequence[Record]) -> None:
        """Resolve when every record is durable. Raises Unavailable (nothing, or only a part, was taken: the sender repeats)."""

    def ready(self) -> bool:
        """Whether a publish would be tried now."""

    async def close(self) -> None:
        """Flush what was taken, then leave."""


class LogReader(Protocol):
    """The worker's side; every method is called from one thread, the poll thread."""

    log_id: str
    replays: bool  # whether records can be read again after a restart

    def read(self, max_records: int, max_seconds: float) -> list[Entry]:
        """The next entries of the assigned partitions, moving on past what it returns; [] after `max_seconds`."""

    def assigned(self) -> frozenset[int]:
        """The partitions that are ours now."""

    def committed(self, partitions: Iterable[int]) -> dict[int, Position]:
        """The committed positions; a partition never committed stands at its low watermark with note ""."""

    def seek(self, partition: int, offset: int) -> None:
        """Read on from `offset`."""

    def pause(self, partitions: Iterable[int]) -> None:
        """Read nothing more of these until `resume`."""

    def resume(self, partitions: Iterable[int]) -> None:
        """Undo `pause`."""

    def commit(self, positions: Mapping[int, Position]) -> None:
        """One synchronous commit for partitions assigned now. Raises Fenced, LogError."""

    def watermarks(self, partition: int) -> Watermarks:
        """What the partition holds."""

    def ends(self, partitions: Iterable[int]) -> dict[int, Watermarks]:
        """The same of several, asked of the log now. The one method that any thread may call. Raises LogError."""

    def on_change(
        self,
        assigned: Callable[[dict[int, Position]], None],
        revoked: Callable[[set[int]], None],
        lost: Callable[[set[int]], None],
    ) -> None:
        """Called inside `read` when partitions come (with their committed positions), are asked back or are lost.

        A commit is allowed inside `revoked`, never inside `lost`.
        """

    def leave(self) -> None:
        """Leave the group; the partitions go to others at once."""


class InProcessLog:
    """Both sides in one process, one partition, nothing kept: a publish resolves when the worker has stored its records.

    The committed position stands in a file, fsynced at each commit, so that a restart knows which insert was in doubt.
    """

    PARTITION = 0
    replays = False

    def __init__(self, state: Path, *, log_id: str, next_offset: int) -> None:
        """`next_offset` is behind the largest stored offset; `state` is written with every commit."""
        self.log_id = log_id
        self._state = state
        self._lock = threading.Condition()
        self._entries: deque[Entry] = deque()
        self._waiting: deque[tuple[int, asyncio.Future[None], asyncio.AbstractEventLoop]] = deque()
        self._bytes = 0
        self._sizes: deque[tuple[int, int]] = deque()
        self._paused = False
        self._closed = False
        self._full, self._next_look = False, 0.0
        self._position, self._note = read_position(state)
        self._position = self._next = max(self._position, next_offset)
        self._low = self._next
        self._assigned: Callable[[dict[int, Position]], None] | None = None

    async def publish(self, records: Sequence[Record]) -> None:
        loop = asyncio.get_running_loop()
        size = sum(len(record.value) for record in records)
        stored: asyncio.Future[None] = loop.create_future()
        if self._nearly_full():
            raise Unavailable("the disk is nearly full", retry_after=10)
        with self._lock:
            if self._closed or self._bytes + size > limits.PUBLISH_BUFFER_BYTES:
                raise Unavailable("the buffer before the worker is full" if not self._closed else "shutting down")
            for record in records:
                self._entries.append(Entry(self.PARTITION, self._next, record.value))
                self._next += 1
            self._bytes += size
            self._sizes.append((self._next, size))
            self._waiting.append((self._next, stored, loop))
            self._lock.notify()
        try:
            await asyncio.wait_for(stored, limits.INSERT_SECONDS)
        except TimeoutError:
            raise Unavailable("the store did not take the batch in time") from None

    def ready(self) -> bool:
        return not self._closed and self._bytes < limits.PUBLISH_BUFFER_BYTES and not self._nearly_full()

    def _nearly_full(self) -> bool:
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look, self._full = now + limits.DISK_LOOK_SECONDS, disk_of(self._state.parent).nearly_full
        return self._full

    def read(self, max_records: int, max_seconds: float) -> list[Entry]:
        if self._assigned is not None:
            assigned, self._assigned = self._assigned, None
            assigned({self.PARTITION: Position(self._position, self._note)})
        with self._lock:
            if (not self._entries or self._paused) and not self._closed:
                self._lock.wait(max_seconds)
            if self._paused:
                return []
            return [self._entries.popleft() for _ in range(min(max_records, len(self._entries)))]

    def assigned(self) -> frozenset[int]:
        return frozenset({self.PARTITION})

    def committed(self, partitions: Iterable[int]) -> dict[int, Position]:
        return {partition: Position(self._position, self._note) for partition in partitions}

    def seek(self, partition: int, offset: int) -> None:
        if offset < self._low:
            raise LogError(f"offset {offset} is not kept")

    def pause(self, partitions: Iterable[int]) -> None:
        self._paused = True

    def resume(self, partitions: Iterable[int]) -> None:
        with self._lock:
            self._paused = False
            self._lock.notify()

    def commit(self, positions: Mapping[int, Position]) -> None:
        position = positions[self.PARTITION]
        write_position(self._state, self.log_id, position)
        done: list[tuple[asyncio.Future[None], asyncio.AbstractEventLoop]] = []
        with self._lock:
            self._position, self._note = position
            self._low = max(self._low, position.offset)
            while self._waiting and self._waiting[0][0] <= position.offset:
                _, future, loop = self._waiting.popleft()
                done.append((future, loop))
            while self._sizes and self._sizes[0][0] <= position.offset:
                self._bytes -= self._sizes.popleft()[1]
        for future, loop in done:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, future)

    def watermarks(self, partition: int) -> Watermarks:
        return Watermarks(self._low, self._next)

    def ends(self, partitions: Iterable[int]) -> dict[int, Watermarks]:
        with self._lock:
            return {partition: Watermarks(self._low, self._next) for partition in partitions}

    def on_change(
        self,
        assigned: Callable[[dict[int, Position]], None],
        revoked: Callable[[set[int]], None],
        lost: Callable[[set[int]], None],
    ) -> None:
        self._assigned = assigned

    def stop(self) -> None:
        """Take nothing more; what was taken is still stored."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()

    async def close(self) -> None:
        self.stop()

    def leave(self) -> None:
        self.stop()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def read_position(state: Path) -> Position:
    """The position in the file; (0, "") when there is none yet."""
    try:
        held = json.loads(state.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Position(0, "")
    return Position(int(held["offset"]), str(held["note"]))


def write_position(state: Path, log_id: str, position: Position) -> None:
    """Replace the file whole and fsync: an intent must be on disk before its insert starts."""
    draft = state.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump({"log_id": log_id, "offset": position.offset, "note": position.note}, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(state)
