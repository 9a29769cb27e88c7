"""Pages of an answer: ordered answers kept for later pages, and the signed cursors that name them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from pipeline import limits
from pipeline.errors import BadQuestion, Gone
from query.question import Question


class Pages:
    """What a process keeps of first pages. Another process answers 410 for its cursors, and clients ask again."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._kept: OrderedDict[str, tuple[float, Question, dict[str, Any]]] = OrderedDict()

    def keep(self, fingerprint: str, q: Question, answer: dict[str, Any]) -> str:
        """A name for an answer and its question, good for CURSOR_SECONDS."""
        name = hashlib.sha256(f"{fingerprint}{time.monotonic_ns()}".encode()).hexdigest()[:24]
        self._kept[name] = (time.monotonic() + limits.CURSOR_SECONDS, q, answer)
        while len(self._kept) > limits.PAGES_KEPT or next(iter(self._kept.values()))[0] < time.monotonic():
            self._kept.popitem(last=False)
        return name

    def kept(self, name: str) -> tuple[Question, dict[str, Any]]:
        """Raises Gone."""
        held = self._kept.get(name)
        if held is None or held[0] < time.monotonic():
            raise Gone("this cursor's answer is no longer kept: ask for the first page again")
        return held[1], held[2]

    def sign(self, parts: Sequence[Any]) -> str:
        """An opaque cursor."""
        body = json.dumps(parts, separators=(",", ":")).encode()
        mark = hmac.new(self._secret, body, hashlib.sha256).digest()[:16]
        return base64.urlsafe_b64encode(mark + body).decode().rstrip("=")

    def read(self, cursor: str, fingerprint: str) -> list[Any]:
        """Raises BadQuestion for a cursor that is not ours, or of another question."""
        try:
            held = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            parts: list[Any] = json.loads(held[16:])
        except (ValueError, UnicodeDecodeError):
            raise BadQuestion("not a cursor of ours", "cursor") from None
        if not hmac.compare_digest(hmac.new(self._secret, held[16:], hashlib.sha256).digest()[:16], held[:16]):
            raise BadQuestion("not a cursor of ours", "cursor")
        if parts[0] != fingerprint:
            raise BadQuestion("a cursor of another question", "cursor")
        return parts
