"""What a process tells of itself: JSON lines on standard error."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TextIO

import structlog


class _Unfailing:
    """A stream that drops what cannot be written: a full disk under the log must not end what still works."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """As the stream, or nothing."""
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """As the stream, or nothing."""
        with suppress(OSError):
            self._stream.flush()


def set_up_logs(level: str) -> None:
    """Counts and ids, never payloads or keys. `level`: debug, info, warning or error."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            {"debug": 10, "info": 20, "warning": 30, "error": 40}[level]
        ),
        logger_factory=structlog.PrintLoggerFactory(_Unfailing(sys.stderr)),  # type: ignore[arg-type]  # write and flush are all it takes
    )
