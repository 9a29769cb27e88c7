"""The server that events go to: one connection, one question at a time."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable
from urllib.parse import urlsplit

from percapita._say import once
from percapita._version import VERSION

ANSWER_SECONDS = 10.0  # for each of connecting, sending and being answered
RETRY_AFTER_SECONDS = 60.0  # at most: what the server may ask for


class Server:
    """`left` tells the seconds that there are, when its user is about to end."""

    def __init__(self, url: str, key: str, left: Callable[[], float]) -> None:
        self._url, self._key, self._left = urlsplit(url), key, left
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, body: bytes) -> tuple[int, float | None]:
        """Send packed events: (status, Retry-After in seconds); status 0 when nothing answered."""
        while True:
            kept = self._connection is not None
            try:
                return self._ask(body)
            except (OSError, http.client.HTTPException) as error:
                if self._connection is not None:
                    self._connection.close()
                self._connection = None
                if not kept:
                    why = str(error) if isinstance(error, OSError) else ""
                    once("unreachable", f"events wait: nobody answers at PERCAPITA_URL ({type(error).__name__} {why})")
                    return 0, None
                # One that was kept may have been closed by the server meanwhile: once more at once.

    def _ask(self, body: bytes) -> tuple[int, float | None]:
        connection = self._connected()
        connection.request(
            "POST", f"{self._url.path.rstrip('/')}/v1/events", body,
            {
                "Authorization": f"Bearer {self._key}", "Content-Type": "application/json", "Content-Encoding": "gzip",
                "User-Agent": f"percapita-python/{VERSION}",
            },
        )  # fmt: skip
        connection.sock.settimeout(self._seconds())
        answer = connection.getresponse()
        text = answer.read()
        if answer.status == 202:
            _tell_rejected(text)
        given = answer.headers.get("Retry-After", "")
        return answer.status, min(RETRY_AFTER_SECONDS, float(given)) if given.isdigit() else None

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
            self._connection = kind(self._url.hostname or "", self._url.port)
        connection = self._connection
        connection.timeout = self._seconds()
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(self._seconds())
        return connection

    def _seconds(self) -> float:
        """What may be waited for the network."""
        return max(0.01, min(ANSWER_SECONDS, self._left()))


def _tell_rejected(text: bytes) -> None:
    """Why the collector did not take some events; it never repeats their values."""
    if b'"rejected":[]' in text:
        return
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        for item in json.loads(text).get("rejected", ()):
            code, pointer = str(item.get("code")), str(item.get("pointer") or "")
            once(f"rejected:{code}{pointer}", f"an event was rejected: {code} {pointer}".rstrip())
