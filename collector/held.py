"""Bytes in hand: how much the requests of this process hold, in all and for each account."""

from __future__ import annotations

from types import TracebackType

from pipeline import limits
from pipeline.errors import Unavailable


class Held:
    """A bound on what is held of all requests, from a body's first byte until the log has its records.

    The last quarter is for accounts that hold less than a quarter, so that one account's burst is refused before it
    takes the room of the others.
    """

    def __init__(self, most: int = limits.HELD_BYTES) -> None:
        self._most = most
        self._total = 0
        self._by_account: dict[str, int] = {}

    @property
    def total(self) -> int:
        """Bytes held now."""
        return self._total

    def hold(self, account: str) -> Hold:
        """What one request holds, for the time of a `with`."""
        return Hold(self, account)

    def change(self, account: str, by: int) -> None:
        """Raises Unavailable, and changes nothing, when there is no room for more."""
        mine = self._by_account.get(account, 0) + by
        if by > 0 and self._total + by > (self._most if mine <= self._most // 4 else self._most * 3 // 4):
            raise Unavailable("the buffer before the log is full")
        self._total += by
        if mine:
            self._by_account[account] = mine
        else:
            self._by_account.pop(account, None)


class Hold:
    """The bytes of one request."""

    def __init__(self, held: Held, account: str) -> None:
        self._held = held
        self._account = account
        self._size = 0

    def be(self, size: int) -> None:
        """Hold this much from now on. Raises Unavailable."""
        size += limits.HELD_REQUEST_BYTES
        self._held.change(self._account, size - self._size)
        self._size = size

    def __enter__(self) -> Hold:
        self.be(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.change(self._account, -self._size)
