"""The queue, the thread and the socket: events go out in the background, bounded in number, bytes and time."""

from __future__ import annotations

import atexit
import contextlib
import gzip
import http.client
import json
import os
import random
import threading
import time
import weakref
from collections import deque
from typing import Any
from urllib.parse import urlsplit

MAX_EVENTS = 10_000
MAX_BYTES = 64 * 1024 * 1024
BATCH_EVENTS = 100
BATCH_BYTES = 1024 * 1024
FLUSH_SECONDS = 0.5
EXIT_SECONDS = 2.0
_CONTENT = ("prompt", "response", "tool_arguments", "tool_result", "logs", "error_message")


def _plain(value: Any) -> Any:
    """What JSON does not know, as text: objects of the providers' packages say what they are themselves."""
    for name in ("model_dump", "to_dict", "dict"):
        method = getattr(value, name, None)
        if callable(method):
            with contextlib.suppress(Exception):
                return method()
    return str(value)


class Sender:
    """Sends to one Percapita with one key. The thread starts with the first event."""

    def __init__(self, key: str, url: str) -> None:
        self.key = key
        self.url = urlsplit(url)
        self._start_over()
        _senders.add(self)

    def _start_over(self) -> None:
        """Fresh lock, queue, thread and socket: at the start, and in a forked child."""
        self._lock = threading.Condition()
        self._queue: deque[tuple[bytes, dict[str, Any] | None]] = deque()
        self._bytes = 0
        self._busy = 0
        self._dropped: dict[str, int] = {}
        self._thread: threading.Thread | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._closing = False
        self._open_at = 0.0  # monotonic: no try before, after failures in a row
        self._failures = 0

    def put(self, event: dict[str, Any]) -> None:
        """Queue an event. Never raises, never waits."""
        with contextlib.suppress(Exception):
            body = json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=_plain)
            self._put(body.encode("utf-8", "replace"), event)

    def _put(self, body: bytes, event: dict[str, Any]) -> None:
        with self._lock:
            if self._bytes + len(body) > MAX_BYTES or len(self._queue) >= MAX_EVENTS:
                # Content goes before tokens: an event without it still counts.
                slim = {name: value for name, value in event.items() if name not in _CONTENT}
                body = json.dumps(slim, ensure_ascii=False, separators=(",", ":"), default=_plain).encode(
                    "utf-8", "replace"
                )
                self._count("content_queue_full")
            while self._queue and (self._bytes + len(body) > MAX_BYTES or len(self._queue) >= MAX_EVENTS):
                oldest, _ = self._queue.popleft()
                self._bytes -= len(oldest)
                self._count("queue_full")
            self._queue.append((body, None))
            self._bytes += len(body)
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="percapita", daemon=True)
                self._thread.start()
            if len(self._queue) >= BATCH_EVENTS or self._bytes >= BATCH_BYTES:
                self._lock.notify()

    def _count(self, reason: str, count: int = 1) -> None:
        self._dropped[reason] = self._dropped.get(reason, 0) + count

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._queue and not self._closing:
                    self._lock.wait()
                if self._queue and len(self._queue) < BATCH_EVENTS and self._bytes < BATCH_BYTES and not self._closing:
                    self._lock.wait(FLUSH_SECONDS)
                if not self._queue:
                    if self._closing:
                        return
                    continue
                batch = self._take()
                self._busy += 1
            try:
                self._deliver(batch)
            except Exception:
                with self._lock:
                    self._count("failed", len(batch))
            finally:
                with self._lock:
                    self._busy -= 1
                    self._lock.notify_all()

    def _take(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        while self._queue and len(batch) < BATCH_EVENTS and (not batch or size + len(self._queue[0][0]) <= BATCH_BYTES):
            body, _ = self._queue.popleft()
            self._bytes -= len(body)
            size += len(body)
            batch.append(body)
        return batch

    def _deliver(self, batch: list[bytes]) -> None:
        """Until taken, refused for good, or too many tries; ids make repeats safe."""
        for attempt in range(8):
            pause = self._open_at - time.monotonic()
            if pause > 0:
                self._sleep(pause)
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
                with self._lock:
                    self._count(f"refused_{status}", len(batch))
                return
            self._failures += 1
            wait = retry_after if retry_after is not None else min(30.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.0)
            if self._failures >= 5:
                self._open_at = time.monotonic() + 10.0  # the circuit is open: leave a server in trouble alone
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
        try:
            connection = self._connected()
            connection.request(
                "POST", f"{self.url.path.rstrip('/')}/v1/events", body,
                {
                    "Authorization": f"Bearer {self.key}", "Content-Type": "application/json", "Content-Encoding": "gzip",
                    "User-Agent": "percapita-python/0.1.0",
                },
            )  # fmt: skip
            answer = connection.getresponse()
            answer.read()
            status = answer.status
            given = answer.headers.get("Retry-After", "")
            retry_after = min(60.0, float(given)) if given.isdigit() else None
        except (OSError, http.client.HTTPException):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
        if status != 202 and dropped:
            with self._lock:
                for reason, count in dropped.items():
                    self._count(reason, count)
        return status, retry_after

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self.url.scheme == "https" else http.client.HTTPConnection
            self._connection = kind(self.url.hostname or "127.0.0.1", self.url.port, timeout=10)
        return self._connection

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until everything queued was answered; False when the time was up first."""
        deadline = time.monotonic() + timeout
        with self._lock:
            while self._queue or self._busy:
                left = deadline - time.monotonic()
                if left <= 0 or self._thread is None:
                    return False
                self._lock.notify_all()
                self._lock.wait(min(left, 0.05))
        return True

    def close(self, timeout: float = EXIT_SECONDS) -> None:
        """Send what is queued within the time, then end the thread."""
        with self._lock:
            self._closing = True
            self._lock.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)


_senders: weakref.WeakSet[Sender] = weakref.WeakSet()
_default: Sender | None = None
_looked = False
_guard = threading.Lock()


def default() -> Sender | None:
    """The sender of PERCAPITA_API_KEY and PERCAPITA_URL, or of `configure`; None when there is no key."""
    global _default, _looked
    if not _looked:
        with _guard:
            if not _looked:
                key = os.environ.get("PERCAPITA_API_KEY", "")
                if key:
                    _default = Sender(key, os.environ.get("PERCAPITA_URL", "http://127.0.0.1:8900"))
                _looked = True
    return _default


def configure(api_key: str | None = None, url: str | None = None) -> None:
    """Set or change the key and address; without a key nothing is recorded."""
    global _default, _looked
    with _guard:
        if _default is not None:
            _default.close()
        key = api_key if api_key is not None else os.environ.get("PERCAPITA_API_KEY", "")
        address = url or os.environ.get("PERCAPITA_URL", "http://127.0.0.1:8900")
        _default = Sender(key, address) if key else None
        _looked = True


def flush(timeout: float = 10.0) -> bool:
    """Wait until everything recorded so far was answered."""
    return _default.flush(timeout) if _default is not None else True


def shutdown(timeout: float = EXIT_SECONDS) -> None:
    """Send what is left and stop."""
    if _default is not None:
        _default.close(timeout)


def _after_fork() -> None:
    """A child has the queue's copy but not its thread: what the parent queued is the parent's to send."""
    for sender in list(_senders):
        sender._start_over()


atexit.register(shutdown)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
