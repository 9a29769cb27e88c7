"""Entries of [a, b) -> the rows and dead letters to store: decode, drop repeats, price, redact, mark traces.

A pure function of the raw bytes, the versions and the stored rows of the partition with smaller offsets.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import xxhash

from consumers.history import History, Identity, Suspect, Windows
from consumers.window import Micros
from pipeline import limits
from pipeline.log import Entry
from pipeline.privacy import clean_ones
from pipeline.process import Context, Decoded, Finished, compensation, decode_all, finish, to_rows
from pipeline.row import DeadLetter, Rows, SenderDrop

CHUNK_RECORDS = 2_000  # what is looked at together stays in the processor's caches (a fifth of the time)

_digest = xxhash.xxh64_intdigest


class Stamp(NamedTuple):
    """What the windows remember of a record. Hashes as in `consumers.window`; 0: it has no trace."""

    identity: int
    trace: int
    user_trace: int
    received_at: int  # unix us
    offset: int


class Made(NamedTuple):
    """What a range of the log becomes."""

    rows: Rows
    stamps: list[Stamp]  # of the records that became rows
    dead: list[DeadLetter]
    drops: list[SenderDrop]
    duplicates: int
    first_received: int  # unix us; 0 when nothing could be decoded
    received: int  # the middle of the last ones: one clock that is ahead does not speak for all


def make(
    entries: Sequence[Entry], log_id: str, context: Context, windows: Windows, history: History, start: int
) -> Made:
    """Rows of the entries, whose partition's stored rows before offset `start` are in `windows`."""
    maker = _Maker(log_id, context, windows, history, start)
    for first in range(0, len(entries), CHUNK_RECORDS):
        maker.take(entries[first : first + CHUNK_RECORDS])
    return Made(
        maker.rows, maker.stamps, maker.dead, maker.drops, maker.duplicates, maker.first_received, maker.received
    )


def remember(stamps: Sequence[Stamp], windows: Windows, refused: Collection[int] = ()) -> None:
    """Into the windows, after the rows are stored; never before. `refused`: offsets that the store did not take."""
    kept = [stamp for stamp in stamps if stamp.offset not in refused] if refused else stamps
    if not kept:
        return
    identities, traces, user_traces, received, _ = zip(*kept, strict=True)
    # Types are named: numpy would take large integers of mixed size for floats, and lose their last digits.
    windows.add(
        np.array(identities, dtype=np.uint64),
        np.array(traces, dtype=np.uint64),
        np.array(user_traces, dtype=np.uint64),
        np.array(received, dtype=np.int64),
    )


class _Maker:
    """The state of one range while its chunks are made."""

    def __init__(self, log_id: str, context: Context, windows: Windows, history: History, start: int) -> None:
        self._log_id, self._context, self._start = log_id, context, start
        self._windows, self._history = windows, history
        self._seen: set[Identity] = set()
        self._begun: set[int] = set()  # traces with a row in this range
        self._begun_users: set[int] = set()
        self._places: dict[Identity, list[int]] = {}  # of the first `_indexed` rows, kept up when asked
        self._indexed = 0
        self.rows = Rows()
        self.stamps: list[Stamp] = []
        self.dead: list[DeadLetter] = []
        self.drops: list[SenderDrop] = []
        self.duplicates = 0
        self.first_received = self.received = 0

    def take(self, entries: Sequence[Entry]) -> None:
        """The next chunk."""
        decoded, dead, drops = decode_all(entries, self._log_id)
        self.dead += dead
        self.drops += drops
        if not decoded:
            return
        stamps = [_stamp(item) for item in decoded]
        partition = entries[0].partition
        received = [stamp.received_at for stamp in stamps]
        at = np.array(received, dtype=np.int64)
        self.first_received = min(received) if not self.first_received else min(self.first_received, *received)
        self.received = max(self.received, int(np.median(at)))
        self._seen |= self._stored_before(decoded, stamps, at, partition)
        starts = self._starts(decoded, stamps, at, partition)
        clean = clean_ones([item.envelope.event for item in decoded])
        finished: list[Finished] = []
        trace_starts: list[int] = []
        user_trace_starts: list[int] = []
        for item, stamp, start, nothing in zip(decoded, stamps, starts, clean, strict=True):
            event = item.envelope.event
            identity = (item.envelope.account, event.trace_id, event.id)
            if identity in self._seen:
                self.duplicates += 1
                continue
            self._seen.add(identity)
            done = finish(item, self._log_id, self._context, clean=nothing)
            if isinstance(done, DeadLetter):
                self.dead.append(done)
                continue
            finished.append(done)
            self.stamps.append(stamp)
            # Marks last, on stored rows only: a dead letter or a duplicate carries none.
            trace_starts.append(_first(stamp.trace, self._begun) and start[0])
            user_trace_starts.append(_first(stamp.user_trace, self._begun_users) and start[1])
        self.rows.add(to_rows(finished, trace_starts, user_trace_starts, self._log_id, self._context))
        for done in finished:
            if done.envelope.event.replaces:
                self._take_back(Decoded(done.entry, done.envelope), partition)

    def _stored_before(
        self, decoded: Sequence[Decoded], stamps: Sequence[Stamp], at: Micros, partition: int
    ) -> set[Identity]:
        """Identities that have a stored row: suspicions of the window, and events minted long before receipt."""
        window = self._windows.identities
        identities = np.array([s.identity for s in stamps], dtype=np.uint64)
        hits, strayed = window.may_hold(identities, at), window.strayed(identities, at)
        suspects = [
            suspect
            for item, hit, stray in zip(decoded, hits.tolist(), strayed.tolist(), strict=True)
            if (suspect := _suspect(item, window.since(item.envelope.received_at) if hit else None, stray)) is not None
        ]
        return self._history.stored(suspects, partition, self._start) if suspects else set()

    def _starts(
        self, decoded: Sequence[Decoded], stamps: Sequence[Stamp], at: Micros, partition: int
    ) -> list[tuple[int, int]]:
        """For each record 1 where its trace, and its trace for its user, has no stored row before this range."""
        of_traces = np.array([s.trace for s in stamps], dtype=np.uint64)
        of_users = np.array([s.user_trace for s in stamps], dtype=np.uint64)
        traces, users = self._windows.traces.known(of_traces, of_users, at)
        strayed = self._windows.traces.strayed(of_traces, of_users, at).tolist()
        starts = list(zip((1 - traces).tolist(), (1 - users).tolist(), strict=True))
        # A trace that resumes after the window is looked up when its id tells its age, or when a clock that is off was part of it.
        resumed = {
            index: (envelope.account, envelope.event.trace_id, envelope.event.user_id)
            for index, (_, envelope) in enumerate(decoded)
            if starts[index] != (0, 0) and (strayed[index] or _is_old(envelope.event.trace_id, envelope.received_at))
        }
        if resumed:
            stored = self._history.traces_stored(resumed.values(), partition, self._start)
            for index, trace in resumed.items():
                new, new_user = starts[index]
                starts[index] = (new and int((*trace[:2], "\0") not in stored), new_user and int(trace not in stored))
        return starts

    def _take_back(self, item: Decoded, partition: int) -> None:
        """The signed row for the event that this one replaces, stored before or in this very range."""
        account, event = item.envelope.account, item.envelope.event
        old = self._history.replaced(account, event.replaces, event.trace_id, partition, self._start)
        columns = (self.rows.column(name)[self._indexed :] for name in ("account", "trace_id", "id"))
        for place, identity in enumerate(zip(*columns, strict=True), self._indexed):
            self._places.setdefault(identity, []).append(place)
        self._indexed = len(self.rows)
        here = [self.rows[place] for place in self._places.get((account, event.trace_id, event.replaces), ())]
        old += [row for row in here if row.log_offset < item.entry.offset]
        row = compensation(old, item, self._log_id)
        if row is not None:
            self.rows.append(row)


def _first(trace: int, begun: set[int]) -> int:
    """1 for the first row of a trace in this range."""
    if not trace or trace in begun:
        return 0
    begun.add(trace)
    return 1


def _stamp(item: Decoded) -> Stamp:
    entry, envelope = item
    event = envelope.event
    of_trace = f"{envelope.account}\0{event.trace_id}".encode()
    identity = _digest(of_trace + b"\0" + event.id.encode())
    if not event.trace_id:
        return Stamp(identity, 0, 0, envelope.received_at, entry.offset)
    user_trace = _digest(of_trace + b"\0" + event.user_id.encode())
    return Stamp(identity, _digest(of_trace), user_trace, envelope.received_at, entry.offset)


def minted_at(event_id: str) -> int | None:
    """Unix us inside a UUIDv7; None for any other id."""
    if event_id[14] != "7":
        return None
    return int(event_id[:8] + event_id[9:13], 16) * 1000


def _suspect(item: Decoded, window_since: int | None, stray: bool) -> Suspect | None:
    """What to look up: a hit of the window, which reaches back to `window_since`; one received under another clock (`stray`); and
    an event minted long before its receipt.
    """
    envelope = item.envelope
    event, received_at = envelope.event, envelope.received_at
    horizon = received_at - limits.LATE_MINT_SECONDS * 1_000_000
    minted = minted_at(event.id)
    late = (minted is not None and minted < horizon) or (event.dated and event.timestamp < horizon)
    if window_since is None and not late and not stray:
        return None
    if event.dated:
        low = high = event.timestamp
    else:
        born = minted if minted is not None else received_at
        off = limits.CLOCK_OFF_SECONDS if stray else 0
        earliest = min(born, received_at - max(off, limits.DEDUPE_WINDOW_SECONDS) * 1_000_000)
        low = max(earliest, received_at - limits.PAST_SECONDS * 1_000_000)
        high = received_at + max(off, limits.FUTURE_SECONDS) * 1_000_000
    since = 0 if late or stray or window_since is None else window_since
    return Suspect((envelope.account, event.trace_id, event.id), low, high, since)


def _is_old(trace_id: str, received_at: int) -> bool:
    """Whether a trace id of the UUIDv7 kind (with or without hyphens) was made before the window."""
    digits = trace_id.replace("-", "")
    if len(digits) != 32 or digits[12] != "7":
        return False
    try:
        made = int(digits[:12], 16) * 1000
    except ValueError:
        return False
    return made < received_at - limits.TRACE_WINDOW_SECONDS * 1_000_000
