"""Pages of an answer: ordered answers kept for later pages, and the signed cursors that name them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from pipeline import limits
from pipeline.errors import BadQuestion, Gone
from query.by_user import UserRows
from query.question import Question


class Kept(NamedTuple):
    """An ordered answer and its question."""

    fingerprint: str
    until: float
    rows: int
    question: Question
    answer: dict[str, Any]


class Pages:
    """What a process keeps of first pages. Another process answers 410 for its cursors, and clients ask again.

    An answer is named by what it holds: a question that is polled keeps one answer for as long as nothing moves, and its cursors
    stay good. Each account has room for PAGES_KEPT answers; all of them, but for the one just made, for PAGES_KEPT_ROWS
    rows. The account that holds most gives first, and of its questions the one that does.
    """

    def __init__(self, secret: bytes, now: Callable[[], float] = time.monotonic) -> None:
        """`now`: seconds that only go forward."""
        self._secret, self._now = secret, now
        self._lock = threading.Lock()
        self._accounts: dict[str, dict[str, Kept]] = {}  # each in the order of being asked for

    def keep(self, fingerprint: str, q: Question, answer: dict[str, Any]) -> str:
        """A name for an answer and its question, good for CURSOR_SECONDS from now."""
        name = _name(fingerprint, answer)
        rows = len(answer["rows"]) + len(answer.get("before", ()))
        with self._lock:
            now = self._now()
            self._forget(now)
            mine = self._accounts.setdefault(q.account, {})
            mine.pop(name, None)
            mine[name] = Kept(fingerprint, now + limits.CURSOR_SECONDS, rows, q, answer)
            while len(mine) > limits.PAGES_KEPT:
                _drop(mine, name)
            while self.rows - rows > limits.PAGES_KEPT_ROWS:
                _drop(max(self._accounts.values(), key=lambda held: _rows(held, name)), name)
        return name

    @property
    def rows(self) -> int:
        """Of all that is kept."""
        return sum(_rows(held) for held in self._accounts.values())

    def kept(self, account: str, name: str) -> tuple[Question, dict[str, Any]]:
        """Raises Gone."""
        with self._lock:
            held = self._accounts.get(account, {}).get(name)
        if held is None or held.until < self._now():
            raise Gone("this cursor's answer is no longer kept: ask for the first page again")
        return held.question, held.answer

    def _forget(self, now: float) -> None:
        """What is past its time."""
        for held in self._accounts.values():
            while held and next(iter(held.values())).until < now:
                del held[next(iter(held))]
        self._accounts = {account: held for account, held in self._accounts.items() if held}

    def sign(self, parts: Sequence[Any]) -> str:
        """An opaque cursor."""
        body = json.dumps(parts, separators=(",", ":"), ensure_ascii=False).encode()
        mark = hmac.new(self._secret, body, hashlib.sha256).digest()[:16]
        return base64.urlsafe_b64encode(mark + body).decode().rstrip("=")

    def read(self, cursor: str, fingerprint: str) -> list[Any]:
        """Raises BadQuestion for a cursor that is not ours, or of another question."""
        try:
            held = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except ValueError:
            raise BadQuestion("not a cursor of ours", "cursor") from None
        if not hmac.compare_digest(hmac.new(self._secret, held[16:], hashlib.sha256).digest()[:16], held[:16]):
            raise BadQuestion("not a cursor of ours", "cursor")
        parts: list[Any] = json.loads(held[16:])  # only what we signed is looked into
        if parts[0] != fingerprint:
            raise BadQuestion("a cursor of another question", "cursor")
        return parts


def _name(fingerprint: str, answer: dict[str, Any]) -> str:
    """Of what it holds: two answers of one name are one."""
    told = answer["rows"]
    rows = told.digest().hex() if isinstance(told, UserRows) else [list(row.values()) for row in told]
    held = msgspec.json.encode([fingerprint, rows, answer["totals"], answer["unattributed"]], enc_hook=str)
    return hashlib.sha256(held).hexdigest()[:24]


def _rows(held: dict[str, Kept], but: str = "") -> int:
    return sum(one.rows for name, one in held.items() if name != but)


def _drop(held: dict[str, Kept], but: str) -> None:
    """The oldest answer of the question that holds most rows, but never the one just made."""
    rows = Counter[str]()
    for name, one in held.items():
        rows[one.fingerprint] += one.rows if name != but else 0
    most = max(rows.values())
    del held[next(name for name, one in held.items() if name != but and rows[one.fingerprint] == most)]
