"""`percapita up` as a process of its own, its output kept: collector and query service on one real port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from tests.support.stack import ROOT, free_port, wait_started


class EmbeddedProcess:
    """Runs until `stop`. A context manager. `keys` are the tokens of its first account by scope."""

    def __init__(self, directory: Path) -> None:
        self._output = directory / "output"
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PERCAPITA_")}
        command = [
            "from pipeline.cli import main; main()",
            "up",
            "--data",
            str(directory / "data"),
            "--port",
            str(self.port),
        ]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", *command], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        wait_started(self.process, f"http://127.0.0.1:{self.port}/readyz")
        self.keys: dict[str, str] = json.loads((directory / "data" / "dev-keys.json").read_text())

    def logged(self) -> str:
        """What it has said since it told the person who started it the first keys."""
        greeting, _, rest = self._output.read_text(errors="replace").partition(self.keys["admin"])
        return rest or greeting

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            if self.process.poll() is None:
                self.process.kill()

    def __enter__(self) -> EmbeddedProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
