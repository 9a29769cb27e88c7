"""Every shape that comes through POST /v1/events beside our own, and the event it becomes, whole: tests/golden/doors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.log import Entry
from pipeline.parse import ParsedBatch, parse_batch
from pipeline.price import PriceBook
from pipeline.process import Context, Decoded, Finished, finish
from pipeline.record import Account, from_bytes, to_record

NOW = 1_795_000_000_000_000  # the 18th of November 2026, unix us
FILES = {path.stem: path for path in sorted((Path(__file__).parent / "doors").glob("*.json"))}
CONTEXT = Context(PriceBook())


def opened(case: dict[str, Any]) -> ParsedBatch:
    return parse_batch(json.dumps(case["body"]).encode(), case["content_type"], NOW, case.get("attributes"))


def becomes(case: dict[str, Any]) -> list[Any]:
    """Its events as they are in the log, with what they cost; an id that is made anew has no place in a file."""
    batch = opened(case)
    assert batch.rejected == []
    return [{**told(event), "priced": priced(event)} for event in batch.events]


def told(event: Any) -> Any:
    fields = json.loads(msgspec.json.encode(event))
    return {name: "made here" if name == "id" and value[14] == "7" else value for name, value in fields.items()}


def priced(event: Any) -> Any:
    done = finish(
        Decoded(Entry(0, 0, b""), from_bytes(to_record(event, Account(id="a"), "full", NOW).value)), "log", CONTEXT
    )
    assert isinstance(done, Finished)
    usage = done.usage.usage
    return {
        "usage": {name: count for name, count in usage._asdict().items() if count} if usage else None,
        "flags": sorted({*done.usage.flags, *done.priced.flags}),
        "status": done.priced.status,
        "cost": str(done.priced.cost),
    }


@pytest.mark.parametrize("name", FILES)
def test_a_shape_becomes_this_event(name: str) -> None:
    case = json.loads(FILES[name].read_text())
    assert becomes(case) == case["becomes"]
