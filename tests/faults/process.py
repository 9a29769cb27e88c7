"""The product's own processes behind wrapped seams: a worker that stops or dies at a named step, a clock that is off.

    python -m tests.faults.process consumer | collector ...       as `percapita`, with the variables below

FAULT_BREAK names a file; when it holds `STEP SIGNAL [SECONDS]` the first process to reach that step takes the file and sends
itself the signal (after the seconds, while the step goes on). FAULT_CLOCK is added to the process's own clock, in seconds.
FAULT_DEPLOY=bad makes a worker that can decode nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from consumers import main as consumers_main
from pipeline import keyring, process, services
from pipeline.log import LogReader, Position
from pipeline.record import Envelope
from pipeline.store import Answer, ClickHouse

STEPS = (
    "before the intent is committed", "after the intent is committed", "before the insert", "during the insert",
    "after the insert", "before the retry", "after the retry", "before the offsets are read", "after the offsets are read",
    "before the missing rows", "during the missing rows", "after the missing rows", "before the hours are marked",
    "after the hours are marked", "before dead letters", "after dead letters", "before the clock is asked",
)  # fmt: skip
# Reached when an insert is in doubt alone.
IN_DOUBT = frozenset(STEPS[5:14])

_break = Path(os.environ.get("FAULT_BREAK", os.devnull))


def reached(step: str) -> None:
    """Take the order for this step, if there is one, and carry it out. The taken file's name tells who did."""
    try:
        wanted, name, seconds = (*_break.read_text(encoding="utf-8").split("|"), "0")[:3]
    except (OSError, ValueError):
        return
    if wanted != step:
        return
    try:
        _break.rename(_break.with_suffix(f".{os.getpid()}"))
    except OSError:
        return  # another was first
    number = signal.Signals[name]
    if float(seconds):
        threading.Timer(float(seconds), os.kill, (os.getpid(), number)).start()
    else:
        os.kill(os.getpid(), number)


@contextmanager
def _around(step: str) -> Any:
    reached(f"before {step}")
    reached(f"during {step}")
    yield
    reached(f"after {step}")


class BreakingStore(ClickHouse):
    """The store, telling where a worker is."""

    def insert(
        self, table: str, columns: Sequence[str], data: Sequence[Sequence[Any]], *, token: str = "", **given: Any
    ) -> None:
        step = {"dead_letters": "dead letters", "doubtful_hours": "the hours are marked"}.get(table, "")
        if table == "events":
            step = "the retry" if token in _tokens else "the insert"
            _tokens.add(token)
        with _around(step):
            super().insert(table, columns, data, token=token, **given)

    def insert_where(self, table: str, *given: Any, **named: Any) -> None:
        with _around("the missing rows" if table == "events" else ""):
            super().insert_where(table, *given, **named)

    def select(self, sql: str, parameters: Mapping[str, Any] | None = None, *, seconds: float = 30) -> Answer:
        step = "the offsets are read" if "SELECT log_offset, log_row FROM events" in sql else ""
        step = "the clock is asked" if "uptime()" in sql else step
        with _around(step):
            return super().select(sql, parameters, seconds=seconds)


_tokens: set[str] = set()


def _break_commits(log: LogReader) -> LogReader:
    commit: Callable[[Mapping[int, Position]], None] = log.commit

    def breaking(positions: Mapping[int, Position]) -> None:
        planned = any(position.note for position in positions.values())
        if planned:
            reached("before the intent is committed")
        commit(positions)
        if planned:
            reached("after the intent is committed")

    log.commit = breaking  # type: ignore[method-assign]  # this is a wrapped seam
    return log


def _decodes_nothing(_: bytes) -> Envelope:
    raise msgspec.DecodeError("this version knows no record")


def main() -> None:
    """As the `percapita` command."""
    from pipeline import cli

    off = float(os.environ.get("FAULT_CLOCK", "0"))
    if off:
        wall, wall_ns = time.time, time.time_ns
        keyring.now_us = lambda: wall_ns() // 1000 + int(off * 1e6)
        time.time = lambda: wall() + off
        time.time_ns = lambda: wall_ns() + int(off * 1e9)
    if os.environ.get("FAULT_DEPLOY") == "bad":
        process.from_bytes = _decodes_nothing
    if sys.argv[1] == "consumer":
        opened, serve = services._store, consumers_main.serve

        def store(*given: Any) -> ClickHouse:
            made = opened(*given)
            made.__class__ = BreakingStore
            return made

        services._store = store
        consumers_main.serve = lambda open_log, *given, **named: serve(
            lambda: _break_commits(open_log()), *given, **named
        )
    cli.main()


if __name__ == "__main__":
    main()
