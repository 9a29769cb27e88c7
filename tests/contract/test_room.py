"""chDB acknowledges inserts that it could not write. What is asked of the disk before and after keeps it from that."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.room import Room
from pipeline.store import ClickHouse, open_clickhouse
from tests.support.clickhouse import ChdbServer
from tests.support.disks import SmallDisk
from tests.support.needs import need_disks

MEGABYTES = 160  # room is a twentieth: 8 MB, and 2 MB are too few


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    need_disks()
    with SmallDisk(tmp_path / "disk", MEGABYTES) as made:
        yield made


@pytest.fixture
def server(disk: SmallDisk) -> Iterator[ChdbServer]:
    with ChdbServer(disk.folder) as made:
        yield made


@pytest.fixture
def store(server: ChdbServer) -> Iterator[ClickHouse]:
    made = open_clickhouse(server.url, database="default", user="default", password="")
    made.execute("CREATE TABLE numbers (n UInt64, pad String) ENGINE = MergeTree ORDER BY n")
    yield made
    made.close()


def add(store: ClickHouse, rows: int = 100) -> None:
    store.insert("numbers", ("n", "pad"), (list(range(rows)), ["x" * 100] * rows))


def counted(store: ClickHouse) -> int:
    return int(store.select("SELECT count(), sum(length(pad)) FROM numbers").rows[0][0])


def leave(disk: SmallDisk, megabytes: float) -> None:
    disk.fill(1 - megabytes / MEGABYTES)


def test_a_disk_that_fills_slowly_stops_inserts_but_not_questions(
    disk: SmallDisk, server: ChdbServer, store: ClickHouse
) -> None:
    add(store)
    leave(disk, 5)
    time.sleep(0.5)  # merges stop
    with pytest.raises(StoreError, match="left on the store's disk") as caught:
        add(store)
    assert not caught.value.data_error
    disk.fill()
    time.sleep(0.2)
    assert server.runs()
    assert counted(store) == 100
    disk.empty()
    time.sleep(0.2)
    add(store)
    assert counted(store) == 200


def test_a_disk_that_fills_while_something_may_be_written_ends_the_process_and_takes_nothing_stored_with_it(
    disk: SmallDisk, server: ChdbServer, store: ClickHouse
) -> None:
    taken = 0
    for _ in range(5):
        add(store)
        taken += 100
    disk.fill()
    for _ in range(100):
        try:
            add(store)
            taken += 100
        except StoreError:
            pass
        if not server.runs():
            break
        time.sleep(0.02)
    assert not server.runs()
    disk.empty()
    server.restart()
    assert counted(store) >= taken  # what was not acknowledged may be there
    add(store)


def test_nothing_starts_on_a_full_disk(disk: SmallDisk) -> None:
    disk.fill()
    with pytest.raises(StoreError, match="make room"):
        Room(disk.folder, lambda _: 0)
