"""What a worker says of how far its partitions are stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest

from consumers.progress import Beside, _Standing
from pipeline.schema import Engines, migrate
from pipeline.store import ClickHouse, open_chdb
from query.windows import micros
from tests.support.replaying_log import Member, ReplayingLog

SECOND = 1_000_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    opened = open_chdb(Path(tmp_path_factory.mktemp("store")))
    migrate(opened, Engines())
    yield opened
    opened.close()


@pytest.fixture
def member() -> Member:
    log = ReplayingLog(partitions=2, log_id="told")
    log.append(b"one")
    return log.reader()


def _through(store: ClickHouse, partition: int) -> int:
    rows = store.select(
        "SELECT argMax(complete_through, reported_at) FROM progress WHERE log_id = 'told' AND log_partition = {p:UInt32}",
        {"p": partition},
    ).rows
    return micros(rows[0][0].replace(tzinfo=UTC))


def test_what_was_claimed_while_idle_is_not_taken_back_by_a_batch_of_older_receipts(
    store: ClickHouse, member: Member
) -> None:
    beside, at = Beside(store, member), 1_795_132_800 * SECOND
    beside._tell([_Standing(0, 1, at - 60 * SECOND, idle=True), _Standing(1, 0, at - 60 * SECOND, idle=False)], at)
    claimed = _through(store, 0)
    assert at - SECOND < claimed < at
    assert _through(store, 1) == at - 60 * SECOND  # something waits there
    beside._tell([_Standing(0, 1, at - 3 * SECOND, idle=False), _Standing(1, 0, at, idle=False)], at + SECOND)
    assert _through(store, 0) == claimed
    assert _through(store, 1) == at
    # A partition that left and came back is told of anew.
    beside._tell([_Standing(1, 0, at, idle=False)], at + 2 * SECOND)
    beside._tell([_Standing(0, 1, at - 3 * SECOND, idle=False)], at + 3 * SECOND)
    assert _through(store, 0) == at - 3 * SECOND
    beside.close()
