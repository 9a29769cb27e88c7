"""`percapita up` as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.stack import ROOT, free_port, wait_http

COMMAND = [sys.executable, "-c", "from pipeline.cli import main; main()"]


class Running:
    """One embedded Percapita."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        self.start()

    def start(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PERCAPITA_")}
        self.process = subprocess.Popen(
            [*COMMAND, "up", "--data", str(self.data), "--port", str(self.port)], cwd=ROOT, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_http(f"{self.url}/readyz")
        self.keys: dict[str, str] = json.loads((self.data / "dev-keys.json").read_text())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> Any:
        request = urllib.request.Request(f"{self.url}/v1/me/ai-apps/{path}")
        request.add_header("Authorization", f"Bearer {self.keys['read']}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def post(self, event: Any, **headers: str) -> Any:
        request = urllib.request.Request(f"{self.url}/v1/events", data=json.dumps(event).encode())
        request.add_header("Authorization", f"Bearer {self.keys['ingest']}")
        for name, value in {"Content-Type": "application/json", **headers}.items():
            request.add_header(name, value)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def post_spans(self, body: bytes, kind: str, path: str = "/v1/traces") -> bytes:
        request = urllib.request.Request(f"{self.url}{path}", data=body)
        request.add_header("Authorization", f"Bearer {self.keys['ingest']}")
        request.add_header("Content-Type", kind)
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: bytes = answer.read()
            return found

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments, "--data", str(self.data)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)
