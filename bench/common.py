"""What every benchmark shares: events, records, CPU clocks, the printed result."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import os
import platform
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import chdb
import msgspec

from pipeline import demo
from pipeline.log import Entry
from pipeline.parse import parse_batch
from pipeline.record import Account, to_record

ROOT = Path(__file__).resolve().parent.parent


def versions() -> dict[str, str]:
    """Of what the numbers depend on."""
    names = ("chdb", "clickhouse-connect", "confluent-kafka", "msgspec", "aiohttp", "numpy")
    found = {name: importlib.metadata.version(name) for name in names}
    return found | {"engine": chdb.engine_version, "python": platform.python_version(), "cores": str(os.cpu_count())}


def result(id_: str, ours: float, baseline: float, scale: str, **more: Any) -> None:
    """The last line: one JSON object."""
    told = {
        "id": id_,
        "ours": round(ours, 3),
        "baseline": round(baseline, 3),
        "ratio": round(ours / baseline, 3) if baseline else None,
    }
    print(json.dumps(told | {"scale": scale, "versions": versions()} | more))


def table(title: str, rows: list[tuple[Any, ...]]) -> None:
    """Columns, numbers to the right."""
    print(f"\n{title}")
    texts = [
        [
            f"{cell:,.1f}" if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else str(cell)
            for cell in row
        ]
        for row in rows
    ]
    widths = [max(len(row[i]) for row in texts) for i in range(len(texts[0]))]
    for row in texts:
        print(
            "  "
            + "  ".join(
                cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
        )


def cpu() -> float:
    """CPU seconds of this process, engine threads included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def traffic(count: int, seed: int = 1, *, content: int = 350) -> Iterator[dict[str, Any]]:
    """Events of about 900 bytes with four tags, of the last ten minutes: live traffic."""
    end = datetime.now(UTC)
    source = demo.Traffic(seed=seed, users=20_000, start=end - timedelta(minutes=10), end=end).events()
    filler = "You will find it under Settings, then Billing; tell me if that is not what you meant. "
    for event in itertools.islice(source, count):
        event["metadata"]["tags"] |= {"env": "production"}
        if event["type"] == "llm":
            event["response"] = (filler * (content // len(filler) + 1))[:content]
        yield event


def entries(count: int, seed: int = 1) -> list[Entry]:
    """The same as the collector writes them to the log."""
    account = Account(id="acc_bench", name="bench")
    made: list[Entry] = []
    source = traffic(count, seed)
    now = time.time_ns() // 1000
    while batch := list(itertools.islice(source, 1000)):
        parsed = parse_batch(msgspec.json.encode(batch), "application/json", now)
        made += [
            Entry(0, len(made) + i, to_record(event, account, "standard", now).value)
            for i, event in enumerate(parsed.events)
        ]
    return made
