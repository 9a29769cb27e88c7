"""A stand-in for the collector that SDK tests script: it records every batch and answers what it is told."""

from __future__ import annotations

import gzip
import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class Intake:
    """Answers 202 unless statuses are queued; `batches` holds the bodies that were answered 202."""

    def __init__(self, port: int = 0) -> None:
        self.batches: list[dict[str, Any]] = []
        self.tries: list[tuple[int, dict[str, Any]]] = []
        self.statuses: deque[int] = deque()
        self.largest: int | None = None  # more events than this are 413
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
                status = outer.take(json.loads(body))
                self.send_response(status)
                if status == 503:
                    self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name of the base class
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def take(self, body: dict[str, Any]) -> int:
        status = self.statuses.popleft() if self.statuses else 202
        if self.largest is not None and len(body["events"]) > self.largest:
            status = 413
        self.tries.append((status, body))
        if status == 202:
            self.batches.append(body)
        return status

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for batch in self.batches for event in batch["events"]]

    def dropped(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for batch in self.batches:
            for reason, count in batch.get("dropped", {}).items():
                counts[reason] = counts.get(reason, 0) + count
        return counts

    def __enter__(self) -> Intake:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
