"""What a partition has stored lately, so that a retry and the rest of a trace are known without a question to the store.

64-bit hashes in buckets by the time of receipt on the record, never by a clock: a question reaches back a fixed number of
buckets, so the answer is the same in every worker that knows the same rows. Buckets go by where the stream stood when they were
filled, and the stream stands where the middle of its last rows was received: a collector whose clock is a day off neither empties
the window, not even with a batch of its own, nor fills it for ever.

A hit on an identity is only a suspicion: the worker compares it in full before it drops an event.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

Hashes = npt.NDArray[np.uint64]
Users = npt.NDArray[np.uint32]
Micros = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Where = Callable[[int], Mask]  # a bucket -> for which questions it counts

_RUN_RATIO = 4  # a run at most this many times longer than the next is merged with it
_SLOT_HASHES = 4  # in a slot of a sealed bucket, about
_FRONT_ROWS = 10_000  # the last rows, whose middle receipt is where the stream stands


def identity_hash(account: str, trace_id: str, event_id: str) -> int:
    """xxHash64 of the identity; the same as SQL's `xxHash64(concat(account, '\\0', trace_id, '\\0', toString(id)))`."""
    return xxhash.xxh64_intdigest(f"{account}\0{trace_id}\0{event_id}".encode())


def trace_hash(account: str, trace_id: str) -> int:
    """Hash of a trace."""
    return xxhash.xxh64_intdigest(f"{account}\0{trace_id}".encode())


def user_trace_hash(account: str, trace_id: str, user_id: str) -> int:
    """Hash of a trace as one user sees it."""
    return xxhash.xxh64_intdigest(f"{account}\0{trace_id}\0{user_id}".encode())


class _Buckets:
    """Bookkeeping of both windows: which bucket a receipt falls into, and which have gone by."""

    def __init__(self, seconds: int, buckets: int) -> None:
        self.reach = buckets  # a question of bucket q asks q - reach and all that is later
        self._micros = seconds * 1_000_000 // buckets
        self._filled: dict[int, int] = {}  # bucket -> where the stream stood when it was filled last
        self._recent: deque[tuple[int, int]] = deque()  # (bucket, rows) of the last rows
        self._rows: Counter[int] = Counter()  # the same by bucket

    def of(self, received: Micros) -> Micros:
        """The bucket of each receipt."""
        return received // self._micros

    def since(self, received: int) -> int:
        """The earliest receipt (unix us) that a question received then still reaches."""
        return (received // self._micros - self.reach) * self._micros

    def within(self, received: Micros) -> Where:
        """A bucket -> which of the questions received then reach it."""
        asked = self.of(received) - self.reach
        return lambda bucket: asked <= bucket

    def astray(self, received: Micros) -> Where:
        """A bucket -> for which questions it is so far off, either way, that a clock is: it is held, and would be gone."""
        asked, far = self.of(received), 2 * self.reach
        return lambda bucket: np.abs(asked - bucket) > far

    def fill(self, touched: Micros) -> tuple[set[int], set[int]]:
        """Note what was filled; answers the buckets that are gone, and those that the stream has moved past."""
        front = self._front(touched)
        self._filled.update(dict.fromkeys(touched.tolist(), front))
        far = self.reach + 1
        gone = {b for b, at in self._filled.items() if front - at > far and abs(front - b) > far}
        for bucket in gone:
            del self._filled[bucket]
        return gone, {bucket for bucket, at in self._filled.items() if at < front}

    def _front(self, touched: Micros) -> int:
        """The bucket of the middle one of the last rows, these included: a few clocks that are off move nothing."""
        buckets, counts = np.unique(touched[-_FRONT_ROWS:], return_counts=True)
        for bucket, rows in zip(buckets.tolist(), counts.tolist(), strict=True):
            self._recent.append((bucket, rows))
            self._rows[bucket] += rows
        total = self._rows.total()
        while total - self._recent[0][1] >= _FRONT_ROWS:
            bucket, rows = self._recent.popleft()
            self._rows[bucket] -= rows
            total -= rows
        self._rows = +self._rows
        held = sorted(self._rows)
        counted = np.cumsum([self._rows[bucket] for bucket in held])
        return held[int(np.searchsorted(2 * counted, total))]


class Identities:
    """Identities received within `seconds`; 8 bytes each while their bucket fills, then 5."""

    def __init__(self, seconds: int, buckets: int = 10) -> None:
        self._buckets = _Buckets(seconds, buckets)
        self._open: dict[int, list[Hashes]] = {}  # sorted runs, longest first
        self._sealed: dict[int, list[_Slots]] = {}

    def __len__(self) -> int:
        runs = sum(len(run) for runs in self._open.values() for run in runs)
        return runs + sum(len(slots.rest) for held in self._sealed.values() for slots in held)

    def since(self, received: int) -> int:
        """The earliest receipt (unix us) that counts for a question received then."""
        return self._buckets.since(received)

    def may_hold(self, hashes: Hashes, received: Micros) -> Mask:
        """For each hash whether it may have been received within the span before its own receipt, or later."""
        return self._held(hashes, self._buckets.within(received))

    def strayed(self, hashes: Hashes, received: Micros) -> Mask:
        """For each hash whether it may have been received so far from its own receipt that one of the clocks is off."""
        return self._held(hashes, self._buckets.astray(received))

    def _held(self, hashes: Hashes, where: Where) -> Mask:
        found = np.zeros(len(hashes), dtype=np.bool_)
        for bucket in self._open.keys() | self._sealed.keys():
            mask = where(bucket)
            if not mask.any():
                continue
            for run in self._open.get(bucket, ()):
                found |= mask & _in_run(run, hashes)[1]
            for slots in self._sealed.get(bucket, ()):
                found |= mask & slots.may_hold(hashes)
        return found

    def add(self, hashes: Hashes, received: Micros) -> None:
        """Remember what has been stored."""
        if not len(hashes):
            return
        touched = self._buckets.of(received)
        for bucket in np.unique(touched).tolist():
            runs = self._open.setdefault(bucket, [])
            runs.append(np.sort(hashes[touched == bucket]))
            while len(runs) > 1 and len(runs[-2]) <= _RUN_RATIO * len(runs[-1]):
                runs[-2:] = [np.sort(np.concatenate(runs[-2:]))]
        gone, passed = self._buckets.fill(touched)
        for bucket in gone:
            self._open.pop(bucket, None)
            self._sealed.pop(bucket, None)
        for bucket in passed & self._open.keys():
            self._sealed.setdefault(bucket, []).append(_sealed(np.sort(np.concatenate(self._open.pop(bucket)))))


class _Slots(NamedTuple):
    """A sorted run whose first bits are the place: slot s holds rest[starts[s]:starts[s + 1]], the next 32 bits of each hash.

    A hash that is not there is taken for one that is once in a thousand million times.
    """

    bits: int
    starts: npt.NDArray[np.uint32]
    rest: npt.NDArray[np.uint32]

    def may_hold(self, hashes: Hashes) -> Mask:
        slot, wanted = _split(hashes, self.bits)
        place, end = self.starts[slot].astype(np.int64), self.starts[slot + 1]
        found = np.zeros(len(hashes), dtype=np.bool_)
        inside = np.nonzero(place < end)[0]
        while len(inside):  # as often as the fullest slot is long: a few times
            found[inside] |= self.rest[place[inside]] == wanted[inside]
            place[inside] += 1
            inside = inside[(place[inside] < end[inside]) & ~found[inside]]
        return found


def _sealed(run: Hashes) -> _Slots:
    bits = max(1, (len(run) // _SLOT_HASHES).bit_length())
    slot, rest = _split(run, bits)
    starts = np.zeros((1 << bits) + 1, dtype=np.uint32)
    np.cumsum(np.bincount(slot, minlength=1 << bits), out=starts[1:])
    return _Slots(bits, starts, rest)


def _split(hashes: Hashes, bits: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """The first bits of each hash, and the 32 that follow."""
    rest = (hashes >> np.uint64(32 - bits)) & np.uint64(0xFFFF_FFFF)
    return (hashes >> np.uint64(64 - bits)).astype(np.int64), rest.astype(np.uint32)


class Traces:
    """Traces received within `seconds`, and for which users; 12 bytes a trace and bucket, 8 more for a further user."""

    def __init__(self, seconds: int, buckets: int = 12) -> None:
        self._buckets = _Buckets(seconds, buckets)
        self._held: dict[int, _TraceBucket] = {}

    def __len__(self) -> int:
        return sum(len(run) for held in self._held.values() for run, _ in held.runs)

    def known(self, traces: Hashes, user_traces: Hashes, received: Micros) -> tuple[Mask, Mask]:
        """For each record whether its trace, and its trace for its user, was received within the span before."""
        return self._held_in(traces, user_traces, self._buckets.within(received))

    def strayed(self, traces: Hashes, user_traces: Hashes, received: Micros) -> Mask:
        """For each record whether its trace was received so far from its own receipt that one of the clocks is off."""
        return self._held_in(traces, user_traces, self._buckets.astray(received))[0]

    def _held_in(self, traces: Hashes, user_traces: Hashes, where: Where) -> tuple[Mask, Mask]:
        known, known_user = (np.zeros(len(traces), dtype=np.bool_) for _ in range(2))
        for bucket, held in self._held.items():
            mask = where(bucket)
            if mask.any():
                found, found_user = held.known(traces, user_traces)
                known |= mask & found
                known_user |= mask & found_user
        return known, known_user

    def add(self, traces: Hashes, user_traces: Hashes, received: Micros) -> None:
        """Remember what has been stored, in the order in which it was."""
        if not len(traces):
            return
        touched = self._buckets.of(received)
        for bucket in np.unique(touched).tolist():
            mine = touched == bucket
            self._held.setdefault(bucket, _TraceBucket()).add(traces[mine], user_traces[mine])
        for bucket in self._buckets.fill(touched)[0]:
            self._held.pop(bucket, None)


class _TraceBucket:
    """The traces of one bucket: each with the first user's mark, further users apart."""

    def __init__(self) -> None:
        self.runs: list[tuple[Hashes, Users]] = []  # each sorted by trace, a trace in one of them
        self._further: list[Hashes] = []  # sorted runs of user traces

    def known(self, traces: Hashes, user_traces: Hashes) -> tuple[Mask, Mask]:
        known, known_user = (np.zeros(len(traces), dtype=np.bool_) for _ in range(2))
        for run, users in self.runs:
            place, found = _in_run(run, traces)
            known |= found
            known_user |= found & (users[place] == _mark(user_traces))
        for run in self._further:
            known_user |= _in_run(run, user_traces)[1]
        return known, known_user

    def add(self, traces: Hashes, user_traces: Hashes) -> None:
        known, known_user = self.known(traces, user_traces)
        new, first = np.unique(traces[~known], return_index=True)
        if len(new):
            self.runs.append((new, _mark(user_traces[~known][first])))
            while len(self.runs) > 1 and len(self.runs[-2][0]) <= _RUN_RATIO * len(self.runs[-1][0]):
                self.runs[-2:] = [_merged(*self.runs[-2:])]
        further = user_traces[~known_user]
        if len(further):
            # Those that the new runs do not know yet: a second user of a trace, within this very batch or before it.
            further = np.unique(further[~self.known(traces[~known_user], further)[1]])
        if len(further):
            self._further.append(further)
            while len(self._further) > 1 and len(self._further[-2]) <= _RUN_RATIO * len(self._further[-1]):
                self._further[-2:] = [np.sort(np.concatenate(self._further[-2:]))]


def _mark(user_traces: Hashes) -> Users:
    return (user_traces >> np.uint64(32)).astype(np.uint32)


def _merged(one: tuple[Hashes, Users], other: tuple[Hashes, Users]) -> tuple[Hashes, Users]:
    hashes, users = np.concatenate((one[0], other[0])), np.concatenate((one[1], other[1]))
    order = np.argsort(hashes, kind="stable")
    return hashes[order], users[order]


def _in_run(run: Hashes, hashes: Hashes) -> tuple[npt.NDArray[np.int64], Mask]:
    """Where each hash would stand in a sorted run, and whether it stands there."""
    place = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
    return place, run[place] == hashes
