"""One partition of a worker: what was read, what is being stored, what has been stored and not yet committed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

from consumers.history import Windows
from consumers.intents import Intent
from pipeline import limits
from pipeline.log import Entry


class Stored(NamedTuple):
    """A range is in the tables (or set aside); `received` is about its latest time of receipt, unix us."""

    end: int
    rows: int
    dead: Mapping[str, int]  # reason -> records set aside
    duplicates: int
    first_received: int
    received: int


class InDoubt(NamedTuple):
    """The insert was not acknowledged: commit an intent with `attempt`, then settle after `wait` seconds."""

    attempt: int
    wait: float


class Rebuilt(NamedTuple):
    """The windows as they stood at the lane's position."""

    windows: Windows


Outcome = Stored | InDoubt | Rebuilt | None


@dataclass
class Lane:
    """State of one partition; only the poll thread touches it, but for `abandoned`, which a job reads."""

    partition: int
    position: int  # the next offset to store: everything before is in the tables
    inherited: Intent | None = None  # of the former owner, until settled
    windows: Windows | None = None
    buffer: deque[Entry] = field(default_factory=deque)
    buffered_bytes: int = 0
    waiting_since: float = 0.0  # monotonic, of the buffer's first entry
    intent: Intent | None = None  # planned and committed, running or in doubt
    entries: Sequence[Entry] = ()  # of the intent
    job: Future[Outcome] | None = None
    deadline: float = 0.0  # monotonic: the job sends nothing after it
    settling: object | None = None  # consumers.doubt state between attempts
    not_before: float = 0.0  # monotonic: backoff after a failed attempt
    uncommitted: bool = False  # position has moved since the last commit
    complete_through: int = 0  # unix us
    abandoned: bool = False

    def put(self, entry: Entry) -> None:
        """Append what was read."""
        if not self.buffer:
            self.waiting_since = time.monotonic()
        self.buffer.append(entry)
        self.buffered_bytes += len(entry.value)

    def due(self, now: float, draining: bool) -> bool:
        """Whether the next batch should be planned."""
        if self.job is not None or self.intent is not None or self.windows is None or not self.buffer:
            return False
        full = len(self.buffer) >= limits.BATCH_ROWS or self.buffered_bytes >= limits.BATCH_LOG_BYTES
        return full or draining or now - self.waiting_since >= limits.FLUSH_SECONDS

    def take(self) -> list[Entry]:
        """The entries of the next batch, off the buffer."""
        taken: list[Entry] = []
        size = 0
        while self.buffer and len(taken) < limits.BATCH_ROWS and size < limits.BATCH_LOG_BYTES:
            entry = self.buffer.popleft()
            size += len(entry.value)
            taken.append(entry)
        self.buffered_bytes -= size
        self.waiting_since = time.monotonic()
        return taken

    def take_until(self, end: int) -> list[Entry] | None:
        """All entries before `end`, once the log has been read that far; None until then (offsets have gaps)."""
        if not self.buffer or self.buffer[-1].offset < end - 1:
            return None
        taken = []
        while self.buffer and self.buffer[0].offset < end:
            entry = self.buffer.popleft()
            self.buffered_bytes -= len(entry.value)
            taken.append(entry)
        return taken
