"""How often one key may ask: so many questions a minute in each process, told in every answer (draft-ietf-httpapi-ratelimit-headers)."""

from __future__ import annotations

import math
from collections.abc import Callable

from pipeline.errors import TooMany

WINDOW_SECONDS = 60
_MOST_KEYS = 10_000


class Rate:
    """Counts of the running minute; a minute begins with a key's first question."""

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        """`most`: questions a minute; `now`: seconds that only go forward."""
        self._most, self._now = most, now
        self._counts: dict[str, tuple[float, int]] = {}  # key -> (begun, asked)

    def ask(self, key: str) -> dict[str, str]:
        """One more question; the headers of its answer. Raises TooMany."""
        now = self._now()
        begun, asked = self._minute(key, now)
        if asked >= self._most:
            left = math.ceil(begun + WINDOW_SECONDS - now)
            raise TooMany(f"at most {self._most} questions a minute with one key", left)
        if len(self._counts) >= _MOST_KEYS:
            self._counts = {k: held for k, held in self._counts.items() if now - held[0] < WINDOW_SECONDS}
        self._counts[key] = (begun, asked + 1)
        return self.told(key)

    def told(self, key: str) -> dict[str, str]:
        """The headers of an answer that is not counted."""
        now = self._now()
        begun, asked = self._minute(key, now)
        return {
            "RateLimit-Policy": f'"key";q={self._most};w={WINDOW_SECONDS}',
            "RateLimit": f'"key";r={self._most - asked};t={math.ceil(begun + WINDOW_SECONDS - now)}',
        }

    def _minute(self, key: str, now: float) -> tuple[float, int]:
        begun, asked = self._counts.get(key, (now, 0))
        return (now, 0) if now - begun >= WINDOW_SECONDS else (begun, asked)
