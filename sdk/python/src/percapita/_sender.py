"""The queue and the thread: events go out in the background, bounded in number, bytes and time."""

from __future__ import annotations

import atexit
import contextlib
import gzip
import json
import os
import random
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from percapita._event import Mask, encoded, without_content
from percapita._ids import new_id
from percapita._say import once
from percapita._server import Server
from percapita._turns import Turns

MAX_EVENTS = 10_000
MAX_BYTES = 64 * 1024 * 1024
BATCH_EVENTS, BATCH_EVENTS_MOST = 100, 500  # when it goes out; what it holds where more has come meanwhile
BATCH_BYTES = 1024 * 1024
FLUSH_SECONDS = 0.5
EXIT_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.25  # after a failure, doubled with each
OPEN_AFTER, OPEN_SECONDS = 5, 10.0  # failures in a row, then a server in trouble is left alone for so long
_TURN_EVENTS, _TURN_EVENTS_CROWDED = 4, 16  # at least, before the thread makes way
_CROWDED = 0.4  # of the queue
_NEVER = float("inf")
_OWN_BYTES, _ENCODED_BYTES = 600, 150  # of an event beside its content; beside its JSON

Fill = Callable[[], dict[str, Any]]


class _Item(NamedTuple):
    number: int  # as they were put
    event: dict[str, Any]
    fill: Fill | None  # the rest of the event, read from the provider's objects in the background
    weight: int  # about the bytes it holds


class _Encoded(NamedTuple):
    number: int
    body: bytes
    weight: int


class Sender:
    """Sends to one Percapita with one key. The thread starts with the first event."""

    def __init__(self, key: str, url: str, *, privacy: str = "", mask: Mask | None = None) -> None:
        self.key = key
        self._url = url
        self._privacy, self._mask = privacy, mask
        self._start_over()
        _senders.add(self)

    def _start_over(self) -> None:
        """Fresh lock, queue, thread and socket: at the start, and in a forked child, whose parent sends what it queued itself."""
        self._mutex = threading.RLock()
        self._lock = threading.Condition(self._mutex)
        self._queue: deque[_Item] = deque()  # as the host gave them
        self._ready: deque[_Encoded] = deque()  # those before, as they go out
        self._held: list[_Encoded] = []  # those before, on their way
        self._weight = 0  # of all three
        self._ready_bytes = 0
        self._number = 0  # of the next event
        self._answers = 0  # how often the server took something
        self._flushing = 0
        self._hurry = False  # somebody waits: one try more at once
        self._dropped: dict[str, int] = {}
        self._thread: threading.Thread | None = None
        self._server = Server(self._url, self.key, self._left)
        self._closing = False
        self._give_up = _NEVER  # monotonic: nothing is sent after it
        self._failures = 0  # in a row
        self._wakes_at = 0  # events in the queue at which the thread is to be woken; 0: it is awake
        self._turns = Turns()
        self._pid = os.getpid()  # last: until then another thread of a child comes here too

    # --- in the host's threads

    def put(
        self, event: dict[str, Any], weight: int = 0, fill: Fill | None = None, begun_in: int | None = None
    ) -> None:
        """Queue an event of about `weight` characters of content. Never raises, never waits for the server.

        What was begun in another process is not taken: a stream that was open at a fork is its parent's.
        """
        try:
            here = os.getpid()
            if self._pid != here:
                self._start_over()  # forked where Python was not told
            if begun_in is not None and begun_in != here:
                return
            self._put(event, weight + _OWN_BYTES, fill)
        except Exception as error:
            once("put", f"an event was not queued: {type(error).__name__}")
        # Not in the `try`: what a signal's handler raises meanwhile, a time limit for one, is the host's.
        if self._turns.late_at < time.perf_counter():
            self._turns.let_in()

    def _put(self, event: dict[str, Any], weight: int, fill: Fill | None) -> None:
        with self._mutex:
            if self._closing:
                self._count("closed")
                if not _ending:
                    once("closed", "what ends after shutdown() is not recorded")
                return
            waiting = self._waiting()
            if self._weight + weight > MAX_BYTES or waiting >= MAX_EVENTS:
                # Content goes before tokens: an event without it still counts.
                event, fill, weight = without_content(event), _without_content(fill), _OWN_BYTES
                self._count("content_queue_full")
                while self._weight + weight > MAX_BYTES or waiting >= MAX_EVENTS:
                    if not self._drop_oldest():
                        break
                    waiting -= 1
            self._queue.append(_Item(self._number, event, fill, weight))
            self._number += 1
            self._weight += weight
            if self._thread is None:
                self._start_thread()
            if self._wakes_at and (waiting + 1 >= self._wakes_at or self._weight >= BATCH_BYTES):
                self._lock.notify_all()
                self._turns.is_called()

    def _waiting(self) -> int:
        return len(self._queue) + len(self._ready) + len(self._held)

    def _drop_oldest(self) -> bool:
        """Of those that are not on their way."""
        if self._ready:
            oldest = self._ready.popleft()
            self._ready_bytes -= len(oldest.body)
            self._weight -= oldest.weight
        elif self._queue:
            self._weight -= self._queue.popleft().weight
        else:
            return False
        self._count("queue_full")
        return True

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="percapita", daemon=True)
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:
            self._thread = None
            return  # the interpreter is ending: what is queued goes out when it closes us
        except BaseException:  # of a signal's handler
            time.sleep(0.01)  # a thread that was begun has its number by then
            if thread.ident is None:
                self._thread = None
            raise
        # Children of multiprocessing and of celery's billiard end without atexit, but run these.
        for module in ("multiprocessing", "billiard"):
            process, util = sys.modules.get(f"{module}.process"), sys.modules.get(f"{module}.util")
            if process is not None and util is not None:
                with contextlib.suppress(Exception):
                    if process.current_process().name != "MainProcess":
                        util.Finalize(None, shutdown_all, exitpriority=0)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until everything put so far was answered; False when the time was up first."""
        deadline = time.monotonic() + timeout
        with self._lock:
            until = self._number
            self._flushing += 1
            self._hurry = True
            self._lock.notify_all()
            try:
                if not self._wait_until(lambda: self._oldest() >= until, deadline):
                    return False
                answers = self._answers  # what was dropped is told in one of the next
                self._wait_until(lambda: not self._dropped or self._failures > 0 or self._answers > answers, deadline)
            finally:
                self._flushing -= 1
                self._hurry = self._hurry and self._flushing > 0
        return True

    def _wait_until(self, done: Callable[[], bool], deadline: float) -> bool:
        while not done():
            left = deadline - time.monotonic()
            if left <= 0 or self._thread is None or not self._thread.is_alive():
                return False
            self._lock.wait(min(left, 0.05))
        return True

    def _oldest(self) -> int:
        """The number of the oldest event that is not settled; the next one's where all are."""
        for events in (self._held, self._ready, self._queue):
            if events:
                return events[0].number
        return self._number

    def close(self, timeout: float = EXIT_SECONDS) -> None:
        """Send what is queued within the time, then end the thread. What is put later is not taken."""
        self.begin_to_close(timeout)
        self.end(timeout)

    def begin_to_close(self, timeout: float) -> None:
        """The first half of `close`, for several senders that share one time."""
        with self._lock:
            self._closing = True
            self._give_up = time.monotonic() + timeout
            self._lock.notify_all()

    def end(self, timeout: float) -> None:
        """The second half."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        elif self._queue:
            with contextlib.suppress(Exception):
                self._run()

    def _count(self, reason: str, count: int = 1) -> None:
        if not count:
            return
        self._dropped[reason] = self._dropped.get(reason, 0) + count

    # --- in the thread

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting() and not self._closing and not (self._flushing and self._dropped):
                    self._wait(1)
                if self._waiting() and not self._closing and not self._flushing:
                    if self._turns.given:
                        self._wait(0, FLUSH_SECONDS * max(0.0, 1.0 - self._fullness() / _CROWDED))
                    elif not self._full():
                        self._wait(BATCH_EVENTS, FLUSH_SECONDS)
                if not self._waiting() and not self._dropped:
                    if self._closing:
                        return
                    continue
                if not self._waiting() and not self._flushing and not self._closing:
                    continue  # counts alone wait for events, or for somebody who asks
                told_only = not self._waiting()
            try:
                self._take()
                self._deliver([event.body for event in self._held])
            except Exception as error:
                once("deliver", f"events were not sent: {type(error).__name__}")
                with self._lock:
                    self._count("failed", len(self._held))
            finally:
                with self._lock:
                    self._weight -= sum(event.weight for event in self._held)
                    self._held = []
                    self._lock.notify_all()
            if self._closing and (told_only or time.monotonic() > self._give_up):
                return

    def _wait(self, events: int, seconds: float | None = None) -> None:
        """Until so many events are queued, somebody is in a hurry, or the time is up."""
        self._wakes_at = events
        self._turns.rest()
        if seconds is not None:
            self._turns.wants_in(seconds)
        if not events or self._waiting() < events:  # a finalizer may have recorded something in this thread just now
            self._lock.wait(seconds)
        self._wakes_at = 0
        self._turns.is_in()

    def _full(self) -> bool:
        return self._waiting() >= BATCH_EVENTS or self._weight >= BATCH_BYTES

    def _fullness(self) -> float:
        """Of the queue, 0 to 1."""
        return max(self._waiting() / MAX_EVENTS, self._weight / MAX_BYTES)

    def _take(self) -> None:
        """The next batch, in hand until it is settled."""
        until = time.perf_counter() + FLUSH_SECONDS

        def wanted() -> bool:
            if self._ready and (self._closing or self._flushing or time.perf_counter() > until):
                return len(self._ready) < BATCH_EVENTS and time.perf_counter() < until
            return len(self._ready) < BATCH_EVENTS_MOST and self._ready_bytes < BATCH_BYTES

        self._encode(wanted)
        with self._lock:
            size = 0
            while self._ready and len(self._held) < BATCH_EVENTS_MOST and size < BATCH_BYTES:
                self._held.append(self._ready.popleft())
                size += len(self._held[-1].body)
            self._ready_bytes -= size

    def _encode(self, wanted: Callable[[], bool]) -> None:
        """Encode what the host gave, from the oldest on. Then it has its true weight, and the provider's objects are let go."""
        turns = self._turns
        ends, least = (turns.ends_at(), 0) if turns.given else (0.0, 0)
        while self._queue and wanted():
            if least <= 0 and ends <= time.perf_counter():
                hurries = self._closing or self._flushing > 0
                if turns.given and self._ready and not hurries and self._fullness() < _CROWDED:
                    return  # enough of the host's time
                if not hurries:
                    turns.make_way()
                ends, least = turns.ends_at(), _TURN_EVENTS if self._fullness() < _CROWDED else _TURN_EVENTS_CROWDED
            least -= 1
            with self._lock:
                item = self._queue[0] if self._queue else None
            if item is None:
                return
            body = self._encoded(item)
            with self._lock:
                if not self._queue or self._queue[0] is not item:
                    continue  # dropped meanwhile
                self._queue.popleft()
                self._weight -= item.weight
                if body is not None:
                    made = _Encoded(item.number, body, len(body) + _ENCODED_BYTES)
                    self._ready.append(made)
                    self._ready_bytes += len(body)
                    self._weight += made.weight

    def _encoded(self, item: _Item) -> bytes | None:
        try:
            event = _filled(item.event, item.fill)
            if "id" not in event:
                event = {"id": new_id(), **event}
            body = encoded(event, self._privacy, self._mask, self._counted)
            if self._weight - item.weight + len(body) > MAX_BYTES:  # heavier than its weight said
                self._counted("content_queue_full")
                body = encoded(without_content(event), self._privacy, self._mask, self._counted)
        except Exception as error:
            once("encode", f"an event was left out: {type(error).__name__}")
            self._counted("unreadable")
            return None
        return body

    def _counted(self, reason: str) -> None:
        with self._lock:
            self._count(reason)

    def _deliver(self, batch: list[bytes]) -> None:
        """Until taken, or refused for good. A server in trouble is waited for: what bounds that is the queue. Ids make repeats safe."""
        while time.monotonic() <= self._give_up:
            with self._turns.asking():
                status, retry_after = self._post(batch)
            if status == 202:
                self._failures = 0
                return
            if status == 413 and len(batch) > 1:
                middle = len(batch) // 2
                self._deliver(batch[:middle])
                self._deliver(batch[middle:])
                return
            if status and status not in (408, 429) and status < 500:
                once(f"refused:{status}", f"events were refused with {status}{_ABOUT.get(status, '')}")
                with self._lock:
                    self._count(f"refused_{status}", len(batch))
                return
            self._failures += 1
            if status and self._failures == OPEN_AFTER:
                once(f"trouble:{status}", f"events wait: the server answers {status}")
            if not batch:
                return  # counts alone are told another time
            self._sleep(self._pause(retry_after))
        with self._lock:
            self._count("undelivered", len(batch))

    def _pause(self, retry_after: float | None) -> float:
        """Seconds until the next try."""
        if self._failures >= OPEN_AFTER:
            return max(retry_after or 0.0, OPEN_SECONDS * random.uniform(1.0, 1.2))
        if retry_after is not None:
            return retry_after
        return FIRST_PAUSE_SECONDS * 2.0 ** (self._failures - 1) * random.uniform(0.5, 1.0)

    def _sleep(self, seconds: float) -> None:
        """Unless it is closed, or somebody waits for a flush; what comes meanwhile is encoded."""
        until = time.monotonic() + seconds
        while not self._closing and not self._hurry and (left := until - time.monotonic()) > 0:
            with self._lock:
                self._turns.rest()
                self._lock.wait_for(lambda: self._closing or self._hurry, min(left, FLUSH_SECONDS))
            self._encode(lambda: not self._closing and not self._hurry and time.monotonic() < until)
        self._hurry = False
        if self._closing:
            time.sleep(min(seconds, 0.1))

    def _post(self, batch: list[bytes]) -> tuple[int, float | None]:
        """As `Server.ask`; what was dropped is told with the batch."""
        with self._lock:
            dropped = dict(self._dropped)
        told = b',"dropped":' + json.dumps(dropped).encode() if dropped else b""
        status, retry_after = self._server.ask(gzip.compress(b'{"events":[' + b",".join(batch) + b"]" + told + b"}", 1))
        if status == 202:
            with self._lock:
                self._answers += 1
                for reason, count in dropped.items():
                    self._dropped[reason] -= count
                self._dropped = {reason: count for reason, count in self._dropped.items() if count}
        return status, retry_after

    def _left(self) -> float:
        """Seconds, when it closes."""
        return self._give_up - time.monotonic()


_ABOUT = {401: ": the key is not one of this Percapita", 403: ": the key may not send events"}


def _without_content(fill: Fill | None) -> Fill | None:
    return None if fill is None else lambda: without_content(fill())


def _filled(event: dict[str, Any], fill: Fill | None) -> dict[str, Any]:
    if fill is None:
        return event
    try:
        told = fill()
    except Exception as error:
        once("read", f"an answer could not be read: {type(error).__name__}")
        return event
    return event | {name: value for name, value in told.items() if value is not None}


_ending = False  # the process
_senders: weakref.WeakSet[Sender] = weakref.WeakSet()


def shutdown_all(timeout: float = EXIT_SECONDS) -> None:
    """Every sender of the process sends what is left, all within one time."""
    global _ending
    _ending = True
    senders = list(_senders)
    deadline = time.monotonic() + timeout
    for sender in senders:
        sender.begin_to_close(timeout)
    for sender in senders:
        sender.end(max(0.0, deadline - time.monotonic()))


def _after_fork() -> None:
    for sender in list(_senders):
        sender._start_over()


atexit.register(shutdown_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
