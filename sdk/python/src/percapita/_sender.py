"""The queue, the thread and the socket: events go out in the background, bounded in number, bytes and time."""

from __future__ import annotations

import atexit
import contextlib
import gzip
import http.client
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
from urllib.parse import urlsplit

from percapita._event import Mask, encoded, without_content
from percapita._say import once
from percapita._version import VERSION

MAX_EVENTS = 10_000
MAX_BYTES = 64 * 1024 * 1024
BATCH_EVENTS, BATCH_EVENTS_CROWDED = 100, 500
BATCH_BYTES = 1024 * 1024
FLUSH_SECONDS = 0.5
EXIT_SECONDS = 2.0
TRIES = 8
# Between the thread and the host's: see `_make_way` and `_give_way`.
_WAY_SECONDS, _WAY_EVENTS, _WAY_EVENTS_CROWDED = 0.0001, 4, 16
_ENCODING_WAITS, _ASKING_WAITS = 0.0005, 0.001
OPEN_AFTER, OPEN_SECONDS = 5, 10.0  # failures in a row, then a server in trouble is left alone for so long
_NEVER = float("inf")
_OWN_BYTES = 600  # of an event beside its content

Fill = Callable[[], dict[str, Any]]


class _Item(NamedTuple):
    event: dict[str, Any]
    fill: Fill | None  # the rest of the event, read from the provider's objects in the background
    weight: int  # about the bytes it holds


class Sender:
    """Sends to one Percapita with one key. The thread starts with the first event."""

    def __init__(self, key: str, url: str, *, privacy: str = "", mask: Mask | None = None) -> None:
        self.key = key
        self.url = urlsplit(url)
        self._privacy, self._mask = privacy, mask
        self._start_over()
        _senders.add(self)

    def _start_over(self) -> None:
        """Fresh lock, queue, thread and socket: at the start, and in a forked child, whose parent sends what it queued itself."""
        self._pid = os.getpid()
        self._lock = threading.Condition()
        self._queue: deque[_Item] = deque()
        self._weight = 0
        self._busy = 0
        self._flushing = 0
        self._dropped: dict[str, int] = {}
        self._thread: threading.Thread | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._closing = False
        self._give_up = _NEVER  # monotonic: nothing is sent after it
        self._open_at = 0.0  # monotonic: no try before
        self._failures = 0
        self._wakes_at = 0  # events in the queue at which the thread is to be woken; 0: it is awake
        self._waits_until = _NEVER  # perf_counter: then it has waited too long for the interpreter

    # --- in the host's threads

    def put(self, event: dict[str, Any], weight: int = 0, fill: Fill | None = None) -> None:
        """Queue an event of about `weight` characters of content. Never raises, never waits."""
        with contextlib.suppress(Exception):
            if self._pid != os.getpid():
                self._start_over()  # forked where Python was not told
            self._put(_Item(event, fill, weight + _OWN_BYTES))
            if self._crowded() and self._waits_until < time.perf_counter():
                self._give_way()

    def _put(self, item: _Item) -> None:
        with self._lock:
            if self._closing:
                return
            if self._weight + item.weight > MAX_BYTES or len(self._queue) >= MAX_EVENTS:
                # Content goes before tokens: an event without it still counts.
                item = _Item(without_content(_filled(item)), None, _OWN_BYTES)
                self._count("content_queue_full")
            while self._queue and (self._weight + item.weight > MAX_BYTES or len(self._queue) >= MAX_EVENTS):
                self._weight -= self._queue.popleft().weight
                self._count("queue_full")
            self._queue.append(item)
            self._weight += item.weight
            if self._thread is None:
                self._start_thread()
            if self._wakes_at and (len(self._queue) >= self._wakes_at or self._weight >= BATCH_BYTES):
                self._lock.notify()

    def _give_way(self) -> None:
        """Let the thread have the interpreter once, as any wait for a provider does, before events are lost.

        A host that waits for nothing lets go of the interpreter only for moments, and has it back before another thread has woken up:
        the thread would stand still for seconds.
        """
        self._waits_until = time.perf_counter() + _ASKING_WAITS
        time.sleep(0.000001)

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="percapita", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return  # the interpreter is ending: what is queued goes out when it closes us
        self._thread = thread
        # Children of multiprocessing and of celery's billiard end without atexit, but run these.
        for module in ("multiprocessing", "billiard"):
            process, util = sys.modules.get(f"{module}.process"), sys.modules.get(f"{module}.util")
            if process is not None and util is not None:
                with contextlib.suppress(Exception):
                    if process.current_process().name != "MainProcess":
                        util.Finalize(None, shutdown_all, exitpriority=0)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until everything queued was answered; False when the time was up first."""
        deadline = time.monotonic() + timeout
        with self._lock:
            self._flushing += 1
            try:
                while self._queue or self._busy or (self._dropped and self._thread is not None and not self._failures):
                    left = deadline - time.monotonic()
                    if left <= 0 or self._thread is None:
                        return False
                    self._lock.notify_all()
                    self._lock.wait(min(left, 0.05))
            finally:
                self._flushing -= 1
        return True

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
                if not self._queue and not self._closing and not (self._flushing and self._dropped):
                    self._wakes_at = 1
                    self._lock.wait()
                if self._queue and not self._full() and not self._closing and not self._flushing:
                    self._wakes_at = BATCH_EVENTS
                    self._lock.wait(FLUSH_SECONDS)
                self._wakes_at = 0
                if not self._queue and not self._dropped:
                    if self._closing:
                        return
                    continue
                if not self._queue and not self._flushing and not self._closing:
                    continue  # counts alone wait for events, or for somebody who asks
                told_only = not self._queue
                self._busy += 1
            batch: list[bytes] = []
            try:
                batch = self._take()
                self._deliver(batch)
            except Exception as error:
                once("deliver", f"events were not sent: {type(error).__name__}")
                with self._lock:
                    self._count("failed", len(batch))
            finally:
                self._waits_until = _NEVER
                with self._lock:
                    self._busy -= 1
                    self._lock.notify_all()
            if self._closing and (told_only or time.monotonic() > self._give_up):
                return

    def _full(self) -> bool:
        return len(self._queue) >= BATCH_EVENTS or self._weight >= BATCH_BYTES

    def _crowded(self) -> bool:
        """Three quarters full."""
        return 4 * len(self._queue) > 3 * MAX_EVENTS or 4 * self._weight > 3 * MAX_BYTES

    def _take(self) -> list[bytes]:
        batch: list[bytes] = []
        size, rest = 0, 0
        most = BATCH_EVENTS_CROWDED if self._crowded() else BATCH_EVENTS
        while len(batch) < most and size < BATCH_BYTES:
            rest = (rest or self._make_way()) - 1
            with self._lock:
                if not self._queue:
                    break
                item = self._queue.popleft()
                self._weight -= item.weight
            try:
                body = encoded(_filled(item), self._privacy, self._mask, self._counted)
            except Exception as error:
                once("encode", f"an event was left out: {type(error).__name__}")
                self._counted("unreadable")
                continue
            size += len(body)
            batch.append(body)
        return batch

    def _make_way(self) -> int:
        """Let the host's threads run; how many events may be encoded before the next time.

        A thread that computes is asked for the interpreter's lock after 5 ms only: for so long would a call of the host stand still.
        """
        if not self._closing and not self._flushing:
            self._waits_until = time.perf_counter() + _ENCODING_WAITS
            time.sleep(_WAY_SECONDS)
            self._waits_until = _NEVER
        return _WAY_EVENTS_CROWDED if self._crowded() else _WAY_EVENTS

    def _counted(self, reason: str) -> None:
        with self._lock:
            self._count(reason)

    def _deliver(self, batch: list[bytes]) -> None:
        """Until taken, refused for good, or too many tries; ids make repeats safe."""
        for attempt in range(TRIES):
            pause = self._open_at - time.monotonic()
            if pause > 0:
                self._sleep(pause)
            if time.monotonic() > self._give_up:
                break
            self._waits_until = time.perf_counter() + _ASKING_WAITS
            status, retry_after = self._post(batch)
            self._waits_until = _NEVER
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
            wait = retry_after if retry_after is not None else min(30.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.0)
            if self._failures >= OPEN_AFTER:
                self._open_at = time.monotonic() + OPEN_SECONDS
            self._sleep(wait)
        with self._lock:
            self._count("undelivered", len(batch))

    def _sleep(self, seconds: float) -> None:
        with self._lock:
            if not self._closing:
                self._lock.wait_for(lambda: self._closing, seconds)
        if self._closing:
            time.sleep(min(seconds, 0.1))

    def _post(self, batch: list[bytes]) -> tuple[int, float | None]:
        """(status, Retry-After); status 0 when nothing answered."""
        with self._lock:
            dropped, self._dropped = self._dropped, {}
        told = b',"dropped":' + json.dumps(dropped).encode() if dropped else b""
        body = gzip.compress(b'{"events":[' + b",".join(batch) + b"]" + told + b"}", 1)
        status, retry_after = 0, None
        for _ in range(2):
            kept = self._connection is not None
            try:
                status, retry_after = self._ask(body)
                break
            except (OSError, http.client.HTTPException):
                if self._connection is not None:
                    self._connection.close()
                self._connection = None
                if (
                    not kept
                ):  # a connection that was kept may have been closed by the server meanwhile: once more at once
                    break
        if status != 202 and dropped:
            with self._lock:
                for reason, count in dropped.items():
                    self._count(reason, count)
        return status, retry_after

    def _ask(self, body: bytes) -> tuple[int, float | None]:
        connection = self._connected()
        connection.request(
            "POST", f"{self.url.path.rstrip('/')}/v1/events", body,
            {
                "Authorization": f"Bearer {self.key}", "Content-Type": "application/json", "Content-Encoding": "gzip",
                "User-Agent": f"percapita-python/{VERSION}",
            },
        )  # fmt: skip
        answer = connection.getresponse()
        text = answer.read()
        if answer.status == 202:
            _tell_rejected(text)
        given = answer.headers.get("Retry-After", "")
        return answer.status, min(60.0, float(given)) if given.isdigit() else None

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self.url.scheme == "https" else http.client.HTTPConnection
            self._connection = kind(self.url.hostname or "127.0.0.1", self.url.port, timeout=10)
        return self._connection


_ABOUT = {401: ": the key is not one of this Percapita", 403: ": the key may not send events"}


def _tell_rejected(text: bytes) -> None:
    """Why the collector did not take some events; it never repeats their values."""
    if b'"rejected":[]' in text:
        return
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        for item in json.loads(text).get("rejected", ()):
            code, pointer = str(item.get("code")), str(item.get("pointer") or "")
            once(f"rejected:{code}{pointer}", f"an event was rejected: {code} {pointer}".rstrip())


def _filled(item: _Item) -> dict[str, Any]:
    if item.fill is None:
        return item.event
    try:
        told = item.fill()
    except Exception as error:
        once("read", f"an answer could not be read: {type(error).__name__}")
        return item.event
    return item.event | {name: value for name, value in told.items() if value is not None}


_senders: weakref.WeakSet[Sender] = weakref.WeakSet()


def shutdown_all(timeout: float = EXIT_SECONDS) -> None:
    """Every sender of the process sends what is left, all within one time."""
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
