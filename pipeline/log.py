"""Seam 1, the log: publish, read, commit; and the in-process log of the embedded mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

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

    def on_change(self, assigned: Callable[[set[int]], None], revoked: Callable[[set[int]], None], lost: Callable[[set[int]], None]) -> None:
        """Called inside `read` when partitions come, are asked back (commit allowed) or are lost (no commit)."""

    def close(self) -> None:
        """Leave the group."""
