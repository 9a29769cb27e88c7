"""The intent: what a worker is about to insert, committed with the offset before the insert may start.

It stands in the commit's metadata (Kafka: at most 4,096 bytes), so a new owner knows which range is in doubt, under which
versions its rows were made, and which server took the token.
"""

from __future__ import annotations

from typing import NamedTuple

VERSION = "v1"


class Versions(NamedTuple):
    """What rows depend on besides their bytes. Immutable; a row is reproduced only under the same ones."""

    prices: str
    rules: int
    budgets: int
    tombstones: int
    row: int


class Intent(NamedTuple):
    """The insert of offsets [start, end) of one partition, planned under `versions`."""

    end: int
    versions: Versions
    server_start: int  # unix seconds: the server that was up when this was planned
    server_time: int  # unix seconds, the server's own clock
    attempt: int = 0  # n of token#n; 0 is the plain token
    hours: tuple[int, ...] = ()  # unix hours touched: only in logs that cannot be read again after a restart

    def note(self) -> str:
        """As commit metadata."""
        v = self.versions
        parts: tuple[object, ...] = (VERSION, self.end, v.prices, v.rules, v.budgets, v.tombstones, v.row)
        parts += (self.server_start, self.server_time, self.attempt, ",".join(map(str, self.hours)))
        return "|".join(map(str, parts))


def read_note(note: str) -> Intent | None:
    """The intent in commit metadata; None where there is none. Raises ValueError for a note of another version."""
    if not note:
        return None
    parts = note.split("|")
    if parts[0] != VERSION or len(parts) != 11:
        raise ValueError(f"commit metadata of an unknown version: {parts[0][:16]!r}")
    _, end, prices, rules, budgets, tombstones, row, start, time, attempt, hours = parts
    versions = Versions(prices, int(rules), int(budgets), int(tombstones), int(row))
    touched = tuple(int(hour) for hour in hours.split(",") if hour)
    return Intent(int(end), versions, int(start), int(time), int(attempt), touched)
