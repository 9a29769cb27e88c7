"""A worker process: one worker after another on its log until it is told to end, and the auditor beside them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import structlog

from consumers.auditor import Auditor
from consumers.lane import Stored
from consumers.memory import hold_little
from consumers.worker import Worker
from pipeline.errors import LogError, LogLost
from pipeline.log import LogReader
from pipeline.process import Context
from pipeline.store import Store

_say = structlog.get_logger()
_AGAIN_SECONDS = 1.0
_AUDITOR_SECONDS = 5.0  # for what it is at when the process is to end; a repair that takes longer is safe to be cut off


def serve(
    open_log: Callable[[], LogReader],
    store: Store,
    context: Context,
    *,
    session_seconds: float,
    dead_letter_ratio: float,
    observe: Callable[[Stored], None],
) -> None:
    """Until SIGTERM or SIGINT: then finish what is planned and leave the group.

    Trouble with the log ends the member, not the process: another joins in its place. A log that has lost what is needed
    (LogLost), or most of whose records cannot be processed (Poisoned), ends the process with the exception: that is a person's matter.
    """
    stop = threading.Event()
    running: list[Worker] = []

    def end(*_: object) -> None:
        stop.set()
        for worker in running:
            worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    hold_little()
    auditor = threading.Thread(target=Auditor(store).run, args=(stop,), daemon=True, name="auditor")
    auditor.start()
    _say.info("consumer_started", pid=os.getpid())
    try:
        while not stop.is_set():
            try:
                worker = Worker(
                    open_log(), store, context,
                    session_seconds=session_seconds, dead_letter_ratio=dead_letter_ratio, observe=observe,
                )  # fmt: skip
                running[:] = [worker]
                if not stop.is_set():  # or it came between the two lines above
                    worker.run()
            except LogLost:
                raise
            except LogError as error:
                _say.warning("member_ended", code=error.code, detail=error.detail)
                stop.wait(_AGAIN_SECONDS)
    finally:
        stop.set()
        auditor.join(_AUDITOR_SECONDS)
    _say.info("consumer_stopped", pid=os.getpid())
