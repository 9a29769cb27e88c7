"""Entries of [a, b) -> the rows and dead letters to store: decode, drop repeats, mark traces, price, redact.

A pure function of the raw bytes, the versions and the stored rows of the partition with smaller offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xxhash

from consumers.history import History, Identity, Windows
from consumers.window import identity_hash, trace_hash, user_trace_hash
from pipeline import limits
from pipeline.log import Entry
from pipeline.process import Context, Decoded, compensation, decode_all, to_row
from pipeline.row import DeadLetter, Row


class Made(NamedTuple):
    """What a range of the log becomes."""

    rows: list[tuple[object, ...]]  # in Row's order
    dead: list[DeadLetter]
    duplicates: int
    first_received: int  # unix us; 0 when nothing could be decoded
    last_received: int


class _Hashes(NamedTuple):
    identity: np.ndarray[tuple[int], np.dtype[np.uint64]]
    trace: np.ndarray[tuple[int], np.dtype[np.uint64]]
    user_trace: np.ndarray[tuple[int], np.dtype[np.uint64]]
    received: np.ndarray[tuple[int], np.dtype[np.int64]]


def make(
    entries: Sequence[Entry], log_id: str, context: Context, windows: Windows, history: History, start: int
) -> Made:
    """Rows of the entries, whose partition's stored rows before offset `start` are in `windows`."""
    decoded, dead = decode_all(entries, log_id)
    if not decoded:
        return Made([], dead, 0, 0, 0)
    hashes = _hash(decoded)
    partition = entries[0].partition
    known = _known(decoded, hashes, windows, history, partition, start)
    kept, duplicates = _without_repeats(decoded, known)
    rows: list[tuple[object, ...]] = []
    marks = _Marks(decoded, hashes, windows, history, partition, start)
    for index in kept:
        item = decoded[index]
        made = to_row(item, log_id, context)
        if isinstance(made, DeadLetter):
            dead.append(made)
            continue
        # Marks last, on stored rows only: a dead letter or a duplicate carries none.
        rows.append(marks.put(made, index))
        if item.envelope.event.replaces:
            event = item.envelope.event
            old = history.replaced(item.envelope.account, event.replaces, event.trace_id, partition, start)
            rows.extend(compensation(old, item, log_id))
    received = hashes.received
    return Made(rows, dead, duplicates, int(received.min()), int(received.max()))


def remember(rows: Sequence[tuple[object, ...]], windows: Windows) -> None:
    """Into the windows, after the rows are stored; never before."""
    field = Row._fields.index
    sign, account, trace, event, user, received = map(
        field, ("sign", "account", "trace_id", "id", "user_id", "received_at")
    )
    stored = [r for r in rows if r[sign] == 1]
    if not stored:
        return
    times = np.array([r[received] for r in stored], dtype=np.int64)
    windows.identities.add(
        np.array([identity_hash(str(r[account]), str(r[trace]), str(r[event])) for r in stored], dtype=np.uint64), times
    )
    traced = [r for r in stored if r[trace]]
    if traced:
        times = np.array([r[received] for r in traced], dtype=np.int64)
        windows.traces.add(
            np.array([trace_hash(str(r[account]), str(r[trace])) for r in traced], dtype=np.uint64), times
        )
        windows.user_traces.add(
            np.array([user_trace_hash(str(r[account]), str(r[trace]), str(r[user])) for r in traced], dtype=np.uint64),
            times,
        )


def _hash(decoded: Sequence[Decoded]) -> _Hashes:
    digest = xxhash.xxh64_intdigest
    identity, trace, user_trace, received = [], [], [], []
    for item in decoded:
        envelope = item.envelope
        event = envelope.event
        of_trace = f"{envelope.account}\0{event.trace_id}".encode()
        identity.append(digest(of_trace + b"\0" + event.id.encode()))
        if event.trace_id:
            trace.append(digest(of_trace))
            user_trace.append(digest(of_trace + b"\0" + event.user_id.encode()))
        else:
            trace.append(0)
            user_trace.append(0)
        received.append(envelope.received_at)
    return _Hashes(
        np.array(identity, dtype=np.uint64),
        np.array(trace, dtype=np.uint64),
        np.array(user_trace, dtype=np.uint64),
        np.array(received, dtype=np.int64),
    )


def minted_at(event_id: str) -> int | None:
    """Unix us inside a UUIDv7; None for any other id."""
    if event_id[14] != "7":
        return None
    return int(event_id[:8] + event_id[9:13], 16) * 1000


def _known(
    decoded: Sequence[Decoded], hashes: _Hashes, windows: Windows, history: History, partition: int, start: int
) -> set[Identity]:
    """Identities of the batch that have a stored row: suspicions of the window, and events minted long before receipt."""
    suspects: list[tuple[Identity, int, int]] = []
    hits = windows.identities.seen(hashes.identity, hashes.received)
    for index, item in enumerate(decoded):
        envelope = item.envelope
        event = envelope.event
        minted = minted_at(event.id)
        dated = event.timestamp if event.dated else None
        born = min((t for t in (minted, dated) if t is not None), default=envelope.received_at)
        late = born < envelope.received_at - limits.LATE_MINT_SECONDS * 1_000_000
        if not hits[index] and not late:
            continue
        if event.dated:
            low = high = event.timestamp
        else:
            span = limits.DEDUPE_WINDOW_SECONDS * 1_000_000
            low = max(min(born, envelope.received_at - span), envelope.received_at - limits.PAST_SECONDS * 1_000_000)
            high = envelope.received_at + limits.FUTURE_SECONDS * 1_000_000
        suspects.append(((envelope.account, event.trace_id, event.id), low, high))
    return history.stored(suspects, partition, start) if suspects else set()


def _without_repeats(decoded: Sequence[Decoded], known: set[Identity]) -> tuple[list[int], int]:
    seen = set(known)
    kept = []
    for index, item in enumerate(decoded):
        identity = (item.envelope.account, item.envelope.event.trace_id, item.envelope.event.id)
        if identity not in seen:
            seen.add(identity)
            kept.append(index)
    return kept, len(decoded) - len(kept)


class _Marks:
    """Sets is_trace_start and is_user_trace_start on the first stored row of a trace, and of a trace for each user."""

    _TRACE = Row._fields.index("is_trace_start")
    _USER = Row._fields.index("is_user_trace_start")

    def __init__(
        self,
        decoded: Sequence[Decoded],
        hashes: _Hashes,
        windows: Windows,
        history: History,
        partition: int,
        start: int,
    ) -> None:
        self._decoded = decoded
        traces = windows.traces.seen(hashes.trace, hashes.received)
        users = windows.user_traces.seen(hashes.user_trace, hashes.received)
        self._trace_known, self._user_known = traces, users
        # A trace that resumes after the window is looked up when its id tells its age.
        resumed = []
        for index, item in enumerate(decoded):
            trace_id = item.envelope.event.trace_id
            if trace_id and not (traces[index] and users[index]) and _is_old(trace_id, item.envelope.received_at):
                resumed.append((item.envelope.account, trace_id, item.envelope.event.user_id))
        self._stored = history.traces_stored(resumed, partition, start) if resumed else set()
        self._begun: set[tuple[str, str]] = set()
        self._begun_users: set[tuple[str, str, str]] = set()

    def put(self, row: list[object], index: int) -> tuple[object, ...]:
        envelope = self._decoded[index].envelope
        account, trace_id, user_id = envelope.account, envelope.event.trace_id, envelope.event.user_id
        if trace_id:
            trace, user = (account, trace_id), (account, trace_id, user_id)
            if trace not in self._begun:
                self._begun.add(trace)
                row[self._TRACE] = int(not self._trace_known[index] and (*trace, "\0") not in self._stored)
            if user not in self._begun_users:
                self._begun_users.add(user)
                row[self._USER] = int(not self._user_known[index] and user not in self._stored)
        return tuple(row)


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
