"""Room on the disk for chDB, which takes no notice of a write that fails.

Measured with chDB 3.7 to 4.4: an INSERT whose files could not be written (ENOSPC) is acknowledged, its part cut short; a merge
likewise, and what it merged is deleted minutes later. A ClickHouse server refuses instead. So with chDB nothing is written when
little is left, and a process on whose disk room ran out while something was written ends at once, before it can acknowledge
anything more. At the next start the engine sets broken parts aside and takes back the parts that a broken merge covers (both seen with
4.4); what was not acknowledged comes again, from the log or from its sender, as after any other crash.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from pipeline import limits
from pipeline.errors import StoreError

_say = structlog.get_logger()


class Room:
    """Keeps the engine of one folder from writing on a full disk. A thread watches until `close`.

    `ask` runs one statement in the engine and answers its single value. Raises StoreError on a full disk.
    """

    def __init__(self, folder: Path, ask: Callable[[str], object]) -> None:
        self._folder = folder.absolute()  # whatever becomes the working directory
        self._ask = ask
        self.bytes = min(limits.STORE_ROOM_BYTES, shutil.disk_usage(folder).total // 20)
        self._lock = threading.Lock()
        self._writing = 0  # statements
        self._full = False
        self._stopped = False  # merges were told to stop, and not to start again
        self._idle = False  # no merge runs, and none starts
        self._unanswered = False  # the disk did not say how full it is
        self._closed = threading.Event()
        if (free := shutil.disk_usage(folder).free) < self.bytes // 4:
            raise StoreError(f"{free >> 20} MiB are left on the disk of {folder}: make room, and start again")
        self._thread = threading.Thread(target=self._watch, name="room", daemon=True)
        self._thread.start()

    @contextmanager
    def to_write(self) -> Iterator[None]:
        """Around a statement that writes. Raises StoreError when there is no room for it."""
        self.look()
        with self._lock:
            if self._full:
                raise StoreError(f"less than {self.bytes >> 20} MiB are left on the store's disk")
            self._writing += 1
        try:
            yield
            self.look()  # before it is acknowledged
        finally:
            with self._lock:
                self._writing -= 1

    def look(self) -> None:
        """Ask the disk, not the engine. Ends the process when something may have been cut short.

        Raises StoreError when the disk does not answer: it may be full.
        """
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError as error:
            raise StoreError(f"the store's disk does not say how full it is: {error.strerror}") from None
        with self._lock:
            if free < self.bytes // 4 and (self._writing or not self._idle):
                try:
                    _say.critical("disk_full_while_writing", free=free, folder=str(self._folder))
                finally:
                    os._exit(os.EX_IOERR)
            was = self._full
            self._full = free < self.bytes * (2 if was else 1)
            if self._full != was:
                (_say.error if self._full else _say.info)("store_disk", full=self._full, free=free)

    def _watch(self) -> None:
        while not self._closed.wait(limits.STORE_ROOM_LOOK_SECONDS):
            try:
                self.look()
                self._unanswered = False
            except StoreError as error:  # looked at again: a watch that ended would let a full disk pass
                if not self._unanswered:
                    _say.error("store_disk_unanswered", detail=error.detail)
                self._unanswered = True
                continue
            with suppress(Exception):  # a busy or closing engine: told again at the next look
                self._mind_merges()

    def _mind_merges(self) -> None:
        if self._full and not self._idle:
            self._stopped = True  # also when no answer comes: they must be started again then
            self._ask("SYSTEM STOP MERGES")
            self._idle = not int(str(self._ask("SELECT count() FROM system.merges")))
            if self._idle:
                _say.info("store_merges", stopped=True)
        elif self._stopped and not self._full:
            self._idle = False
            self._ask("SYSTEM START MERGES")
            self._stopped = False
            _say.info("store_merges", stopped=False)

    def close(self) -> None:
        """Watch no longer."""
        self._closed.set()
        self._thread.join()
