"""A worker process: trouble with the log ends a member and not the process; what a person must see ends it with one line."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from consumers import main
from consumers.lane import Stored
from pipeline.embedded import observe
from pipeline.errors import LogError, LogLost, Poisoned
from pipeline.log import LogReader
from pipeline.parse import parse_batch
from pipeline.price import PriceBook
from pipeline.process import Context
from pipeline.record import Account, Record, to_record
from pipeline.schema import Engines, migrate
from pipeline.store import ClickHouse, open_chdb
from tests.support.replaying_log import ReplayingLog

NOW = time.time_ns() // 1000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ClickHouse]:
    opened = open_chdb(tmp_path / "store")
    migrate(opened, Engines())
    yield opened
    opened.close()


def records(count: int) -> list[Record]:
    body = b"[" + b",".join(b'{"type":"llm","trace_id":"t%d"}' % n for n in range(count)) + b"]"
    return [to_record(e, Account(id="a"), "standard", NOW) for e in parse_batch(body, "application/json", NOW).events]


def serve(log: ReplayingLog, store: ClickHouse, opens: list[LogReader | LogError], *, until: int) -> list[Stored]:
    """As the process does, on one open after the other; told to end when so many records are behind it."""
    seen: list[Stored] = []
    left = iter(opens)

    def open_log() -> LogReader:
        made = next(left, None) or log.reader()
        if isinstance(made, LogError):
            raise made
        return made

    def observe(stored: Stored) -> None:
        seen.append(stored)
        if sum(one.rows + sum(one.dead.values()) for one in seen) >= until:
            threading.Timer(0.2, signal.raise_signal, (signal.SIGTERM,)).start()

    kept = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        main.serve(open_log, store, Context(PriceBook()), session_seconds=10, dead_letter_ratio=0.5, observe=observe)
    finally:
        signal.signal(signal.SIGTERM, kept[0])
        signal.signal(signal.SIGINT, kept[1])
    return seen


async def test_another_member_takes_the_place_of_one_whose_log_failed(store: ClickHouse) -> None:
    log = ReplayingLog()
    await log.publish(records(50))
    seen = serve(log, store, [LogError("the broker is away")], until=50)
    assert sum(one.rows for one in seen) == 50
    assert store.select("SELECT count() FROM events").rows[0][0] == 50


async def test_what_is_set_aside_is_counted_by_its_reason(store: ClickHouse) -> None:
    log = ReplayingLog()
    await log.publish([*records(20), Record(b"12345678", b"no record"), Record(b"12345678", b"nor this")])

    def counted() -> float:
        return REGISTRY.get_sample_value("percapita_dead_letters_total", {"reason": "undecodable"}) or 0

    before = counted()
    for stored in serve(log, store, [], until=22):
        observe(stored)
    assert counted() - before == 2


async def test_a_log_that_lost_what_is_needed_ends_the_process(store: ClickHouse) -> None:
    with pytest.raises(LogLost):
        serve(ReplayingLog(), store, [LogLost("its committed offset is no longer in the log")], until=1)


async def test_a_worker_stops_loudly_when_most_records_cannot_be_processed(store: ClickHouse) -> None:
    log = ReplayingLog()
    await log.publish([Record(b"12345678", b"no record") for _ in range(2_500)])
    with pytest.raises(Poisoned, match="cannot be processed"):
        serve(log, store, [], until=10**9)
    # What it set aside is listed, and the position stands behind it: the next one goes on from there.
    assert store.select("SELECT uniqExact(log_offset) FROM dead_letters").rows[0][0] >= 2_000
    assert log.positions[0].offset >= 2_000
