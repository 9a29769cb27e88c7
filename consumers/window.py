"""What a partition has stored lately: identities, traces, traces of a user; 64-bit hashes with their times of receipt.

Sorted runs of 16 bytes an entry (a Python set takes about 100). A hit is only a suspicion: the worker compares the full
identity before it drops an event. All ages are differences of times of receipt, never of a clock.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xxhash

Hashes = npt.NDArray[np.uint64]
Micros = npt.NDArray[np.int64]

_RUN_RATIO = 4  # a run at most this many times longer than the next is merged with it


def identity_hash(account: str, trace_id: str, event_id: str) -> int:
    """xxHash64 of the identity; the same as SQL's `xxHash64(concat(account, '\\0', trace_id, '\\0', toString(id)))`."""
    return xxhash.xxh64_intdigest(f"{account}\0{trace_id}\0{event_id}".encode())


def trace_hash(account: str, trace_id: str) -> int:
    """Hash of a trace."""
    return xxhash.xxh64_intdigest(f"{account}\0{trace_id}".encode())


def user_trace_hash(account: str, trace_id: str, user_id: str) -> int:
    """Hash of a trace as one user sees it."""
    return xxhash.xxh64_intdigest(f"{account}\0{trace_id}\0{user_id}".encode())


class Window:
    """Hashes received in the last `seconds`, counted back from each question's own time of receipt."""

    def __init__(self, seconds: int) -> None:
        self._span = seconds * 1_000_000
        self._runs: list[tuple[Hashes, Micros]] = []  # each sorted by hash; longest first
        self._latest = 0

    def __len__(self) -> int:
        return sum(len(hashes) for hashes, _ in self._runs)

    def seen(self, hashes: Hashes, received: Micros) -> npt.NDArray[np.bool_]:
        """For each hash whether it was received within the span before (or at any time after) `received`."""
        found = np.zeros(len(hashes), dtype=np.bool_)
        for run, times in self._runs:
            left = np.searchsorted(run, hashes, side="left")
            inside = np.minimum(left, len(run) - 1)
            hits = np.nonzero(run[inside] == hashes)[0]
            for i in hits:  # few: only real repeats and their hash's other times
                j = int(left[i])
                while j < len(run) and run[j] == hashes[i]:
                    if times[j] >= received[i] - self._span:
                        found[i] = True
                        break
                    j += 1
        return found

    def add(self, hashes: Hashes, received: Micros) -> None:
        """Remember what has been stored; forget what no question can reach any more."""
        if not len(hashes):
            return
        order = np.argsort(hashes, kind="stable")
        self._runs.append((hashes[order], received[order]))
        self._latest = max(self._latest, int(received.max()))
        while len(self._runs) > 1 and len(self._runs[-2][0]) <= _RUN_RATIO * len(self._runs[-1][0]):
            (a, at), (b, bt) = self._runs[-2:]
            self._runs[-2:] = [self._merge(np.concatenate((a, b)), np.concatenate((at, bt)))]

    def _merge(self, hashes: Hashes, times: Micros) -> tuple[Hashes, Micros]:
        # Twice the span: records of several collectors arrive a little out of the order of their times of receipt.
        kept = times >= self._latest - 2 * self._span
        hashes, times = hashes[kept], times[kept]
        order = np.argsort(hashes, kind="stable")
        return hashes[order], times[order]
