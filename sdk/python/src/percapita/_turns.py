"""Whose turn it is: Python's interpreter between the host's threads and the one that sends."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

_TURN_SECONDS = 0.0001  # of the thread, then it makes way
_WAY_SECONDS = 0.0001
_LATE_SECONDS = 0.02  # after it wanted the interpreter: the host gives way
_NEVER = float("inf")
# With a host that has to give way:
_GIVEN_SECONDS, _GIVEN_TURN_SECONDS = 0.01, 0.0045  # of both, and of it until the server is asked
_GIVEN_LATE_SECONDS = 0.0005
_LATER_SECONDS = 0.016  # each time twice as late, up to this: it may be the network that the thread waits for


def passes(error: BaseException) -> bool:
    """Whether it is the host's own: its handler raised it while the host gave way."""
    return "percapita_passes" in error.__dict__


class Turns:
    """A thread that computes is asked for the interpreter's lock after 5 ms only: for so long would a call of the host stand still. So
    the one that sends makes way by itself, after each tenth of a millisecond.

    A host that waits for nothing, in turn, lets go of the lock for moments only, and has it back before another thread has woken up: the
    thread would stand still for seconds, and each of those moments would take longer for its waiting. Such a host gives way, as any wait
    for a provider does: seldom, and then for as long as a batch takes, because each time slows one of its calls down.
    """

    def __init__(self) -> None:
        self.given = False  # the host had to give way since the thread's last rest
        # Until the thread rests; a bare lock, so that a signal's handler may come between.
        self._busy = threading.Lock()
        self._asks = False  # the server: it may be the network that the thread waits for
        self.late_at = _NEVER  # perf_counter: if the thread has not gone on by then, it waits for the interpreter
        self._later = _LATE_SECONDS  # how long after one time it is given way again

    # --- in the host's threads

    def let_in(self) -> None:
        """Give way to a thread that is late: until it rests, 10 ms at most; once between two rests, else for a moment."""
        self.late_at = time.perf_counter() + self._later
        self._later = max(self._later, min(2 * self._later, _LATER_SECONDS))
        if self.given or self._asks:
            time.sleep(0.000001)
        else:
            self.given = True
            self._busy.acquire(blocking=False)
            try:
                self._busy.acquire(timeout=_GIVEN_SECONDS)
            except Exception as error:
                # Of a signal's handler: a time limit of the host's, which is not to be kept from it.
                error.__dict__["percapita_passes"] = True
                raise

    def is_called(self) -> None:
        """The thread was woken: from now on it wants the interpreter. More calls do not make it later."""
        self.late_at = min(self.late_at, time.perf_counter() + _LATE_SECONDS)

    # --- in the thread

    def wants_in(self, seconds: float = 0.0) -> None:
        """In so many seconds the thread wants the interpreter."""
        self._later = _GIVEN_LATE_SECONDS if self.given else _LATE_SECONDS
        self.late_at = time.perf_counter() + seconds + self._later

    def is_in(self) -> None:
        """It has it."""
        self.late_at = _NEVER

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """While the thread talks with the server."""
        self._asks = True
        self.wants_in()
        try:
            yield
        finally:
            self._asks = False
            self.is_in()

    def rest(self) -> None:
        """A batch is done."""
        self.given = False
        if self._busy.locked():
            self._busy.release()

    def make_way(self) -> None:
        """Let the host's threads run."""
        self.wants_in(_WAY_SECONDS)
        time.sleep(_WAY_SECONDS)
        self.is_in()

    def ends_at(self) -> float:
        """Until when (perf_counter) the thread may go on from here."""
        return time.perf_counter() + (_GIVEN_TURN_SECONDS if self.given else _TURN_SECONDS)
