"""The development server as a child process: start, kill, restart on the same port and folder."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, cast

ROOT = Path(__file__).resolve().parents[2]


class ChdbServer:
    """chDB behind ClickHouse's HTTP interface (tests/support/chdb_server.py) in a process of its own.

    `url` stays the same over kill and restart. Ends with the process that made it. A context manager.
    """

    def __init__(self, directory: Path, *, port: int = 0, environment: Mapping[str, str] | None = None) -> None:
        """`environment` is set in the server besides what is set here."""
        self.directory = directory
        self.port = port
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        self.start()

    @property
    def url(self) -> str:
        """For `open_clickhouse`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the process is there; False also when it ended by itself."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._running().pid

    def start(self, *, seconds: float = 60) -> None:
        """Start it, and wait until it listens. Raises RuntimeError with the end of its log."""
        if self._process is not None:
            raise RuntimeError("the server runs")
        arguments = ["--data", str(self.directory / "data"), "--port", str(self.port), "--end-with-input"]
        self._errors = (self.directory / "server.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.chdb_server", *arguments],
            cwd=ROOT,
            env={**os.environ, **self._environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        line = _first_line(cast("IO[bytes]", self._process.stdout), seconds)
        if not line.startswith(b"listening "):
            self.kill()
            tail = (self.directory / "server.log").read_text(encoding="utf-8", errors="replace")[-2000:]
            raise RuntimeError(f"the development server did not start:\n{tail}")
        self.port = int(line.split()[1])

    def runs(self) -> bool:
        """Whether it was started, and has not ended."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL: what was not yet on disk is lost, nothing is closed."""
        self._running().kill()
        self._ended()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._running().send_signal(signal.SIGCONT)

    def stop(self, *, seconds: float = 20) -> None:
        """SIGTERM, and SIGKILL after `seconds`; nothing when it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._ended()

    def restart(self) -> None:
        """Start again on the same port and folder, killed before or not."""
        self.stop()
        self.start()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process

    def _ended(self) -> None:
        process = self._running()
        process.wait(30)
        for stream in (process.stdin, process.stdout, self._errors):
            if stream is not None:
                stream.close()
        self._process = None

    def __enter__(self) -> ChdbServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _first_line(stream: IO[bytes], seconds: float) -> bytes:
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if selector.select(deadline - time.monotonic()):
                return stream.readline()
    return b""
