"""What is inserted: batches as the log holds them, in one month or across two, with everything that makes a replay hard."""

from __future__ import annotations

import itertools
import random
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from pipeline import demo
from pipeline.parse import parse_batch
from pipeline.record import Account, to_record

EVENTS = 36
ACCOUNT = Account(id="acme")


class Batch(NamedTuple):
    """Values for the log, and which rows must come of them: (place in the batch, log_row)."""

    values: list[bytes]
    rows: frozenset[tuple[int, int]]


def make_batches(months: int, count: int, now: datetime) -> list[Batch]:
    """`count` batches that follow each other in the log. Each spans two days, and with them two months where wanted."""
    first_of_month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last = (first_of_month - timedelta(days=1)).replace(
        day=1
    )  # the whole time lies behind us, and within what is taken
    middle = last if months == 2 else last + timedelta(days=1)
    received = int(now.timestamp() * 1e6)
    batches: list[Batch] = []
    before: list[dict[str, Any]] = []
    for number in range(count):
        events = _events(number, middle)
        batches.append(_batch(number, events, before, received + number * 1_000_000))
        before = events
    return batches


def _events(number: int, middle: datetime) -> list[dict[str, Any]]:
    """Half before the middle, half after it."""
    halves = [
        demo.Traffic(seed=2 * number + half, users=6, start=middle + start, end=middle + start + timedelta(hours=2))
        for half, start in enumerate((timedelta(hours=-2, minutes=-10), timedelta(minutes=10)))
    ]
    return [event for half in halves for event in itertools.islice(half.events(), EVENTS // 2)]


def _batch(number: int, events: list[dict[str, Any]], before: list[dict[str, Any]], received: int) -> Batch:
    """The events, corrections of one here and of one before, two that are there already, and bytes that are no record."""
    rng = random.Random(number)
    calls = [event for event in events if event["type"] == "llm"]
    corrected = [calls[0], *[event for event in before if event["type"] == "llm"][-1:]]
    fixes = [_correction(event, rng) for event in corrected]
    repeats = [events[1], *before[1:2]]
    values = [_value(event, received) for event in (*events, *fixes, *repeats)]
    rows = {(place, 0) for place in range(len(events) + len(fixes))}
    rows |= {(len(events) + place, 1) for place in range(len(fixes))}  # what a correction takes back
    return Batch([*values, b"no record %d" % number], frozenset(rows))


def _correction(event: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    usage = {"usage": {"input_uncached": 321, "output": 123}, "usage_estimated": False}
    return {**event, **usage, "id": demo.uuid7(event["timestamp"], rng), "replaces": event["id"]}


def _value(event: dict[str, Any], received: int) -> bytes:
    parsed = parse_batch(msgspec.json.encode(event), "application/json", received)
    assert not parsed.rejected, parsed.rejected
    return to_record(parsed.events[0], ACCOUNT, "standard", received).value
