"""The ledger of a load client outside the system: every event before it is sent, every answer, and what each must become."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, NamedTuple

from genai_prices import Usage, calc_price

from tests.support.truth import classes

Identity = tuple[str, str, str]  # account, trace id, event id
HOUR_MS = 3_600_000


class Sums(NamedTuple):
    """What one event adds to a sum."""

    events: int
    calls: int
    input_tokens: int  # uncached, cache reads and cache writes
    output: int
    cost: Decimal
    unpriced: int
    errors: int

    def __add__(self, other: object) -> Sums:
        assert isinstance(other, Sums)
        return Sums(*(a + b for a, b in zip(self, other, strict=True)))


NOTHING = Sums(0, 0, 0, 0, Decimal(0), 0, 0)


@dataclass
class Sent:
    """One event and what has been heard of it."""

    account: str
    event: dict[str, Any]
    result: str = ""  # "ok", "rejected:CODE", "either"; "" while there is no answer
    unknowns: int = 0  # times it was sent without an answer
    oks: int = 0


@dataclass
class Ledger:
    """By identity; also appended to `path`, a line before each sending and a line for each answer."""

    path: Path
    events: dict[Identity, Sent] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    protests: list[str] = field(default_factory=list)  # answers that nothing allows

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._file = self.path.open("a", encoding="utf-8", buffering=1)

    def sending(self, account: str, batch: Iterable[dict[str, Any]]) -> None:
        """Before the bytes leave."""
        with self._lock:
            for event in batch:
                identity = (account, event.get("trace_id", ""), event["id"])
                self.events.setdefault(identity, Sent(account, event))
                sums = sums_of(event)
                line = [account, event["id"], sums.input_tokens, sums.output, str(sums.cost), event.get("privacy", "")]
                self._file.write(json.dumps(["sending", *line]) + "\n")

    def answered(self, account: str, batch: list[dict[str, Any]], result: str, rejected: dict[int, str]) -> None:
        """`result` is ok, unavailable (503), refused (no connection), unknown (timeout) or cut off (reset): see `Load`."""
        with self._lock:
            self.answers[result] = self.answers.get(result, 0) + 1
            for index, event in enumerate(batch):
                sent = self.events[(account, event.get("trace_id", ""), event["id"])]
                if result == "ok" and index not in rejected:
                    sent.result = "ok"
                    sent.oks += 1
                elif result == "ok" and not sent.oks:
                    # Refused now, but an earlier sending without an answer may have been taken.
                    sent.result = "either" if sent.unknowns else f"rejected:{rejected[index]}"
                elif result in ("unknown", "cut off", "unavailable"):
                    sent.unknowns += 1  # taken, or in part, or not
            self._file.write(json.dumps([result, account, [event["id"] for event in batch], rejected]) + "\n")

    def protest(self, what: str) -> None:
        """An answer that no rule allows."""
        with self._lock:
            self.protests.append(what)

    def with_result(self, result: str) -> Iterator[tuple[Identity, Sent]]:
        """Those that ended so."""
        return ((identity, sent) for identity, sent in self.events.items() if sent.result == result)

    def count(self, result: str) -> int:
        """How many ended so; safe while the load goes on."""
        with self._lock:
            return sum(1 for _ in self.with_result(result))

    def close(self) -> None:
        """No more lines."""
        self._file.close()


_costs: dict[tuple[Any, ...], tuple[Decimal, int]] = {}


def sums_of(event: dict[str, Any]) -> Sums:
    """What one event must add, computed with the price package itself, outside the product."""
    errors = int(event.get("status") == "error")
    if event["type"] != "llm":
        return Sums(1, 0, 0, 0, Decimal(0), 0, errors)
    if "usage" not in event:
        return Sums(1, 1, 0, 0, Decimal(0), 0, errors)
    counts = classes(event["usage"])
    cost, unpriced = _price(event, counts)
    return Sums(1, 1, counts["input_tokens"], counts["output_tokens"], cost, unpriced, errors)


def _price(event: dict[str, Any], counts: dict[str, int]) -> tuple[Decimal, int]:
    quarter = event["timestamp"] // 900_000
    key = (event["provider"], event["model"], quarter, *sorted(counts.items()))
    if key not in _costs:
        at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
        try:
            found = calc_price(
                Usage(**counts), event["model"], provider_id=event["provider"], genai_request_timestamp=at
            )
            _costs[key] = found.total_price.quantize(Decimal("1e-9"), ROUND_HALF_EVEN), 0
        except LookupError:
            _costs[key] = Decimal(0), 1
    return _costs[key]
