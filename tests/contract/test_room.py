"""chDB acknowledges inserts that it could not write. What is asked of the disk before and after keeps it from that."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline import limits
from pipeline.errors import StoreError
from pipeline.room import Room
from pipeline.store import ClickHouse, open_chdb, open_clickhouse
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


def says(server: ChdbServer, what: str) -> None:
    """Wait for a line of its log."""
    until(lambda: what in (server.directory / "server.log").read_text())


def until(met: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_disk_that_fills_slowly_stops_inserts_but_not_questions(
    disk: SmallDisk, server: ChdbServer, store: ClickHouse
) -> None:
    add(store)
    leave(disk, 5)
    says(server, "store_merges")
    with pytest.raises(StoreError, match="left on the store's disk") as caught:
        add(store)
    assert not caught.value.data_error
    disk.fill()
    time.sleep(10 * limits.STORE_ROOM_LOOK_SECONDS)
    assert server.runs()
    assert counted(store) == 100
    disk.empty()
    add(store)
    assert counted(store) == 200


def test_a_disk_that_fills_while_something_may_be_written_ends_the_process_and_takes_nothing_stored_with_it(
    disk: SmallDisk, server: ChdbServer, store: ClickHouse
) -> None:
    for _ in range(5):
        add(store)
    server.pause()  # from room enough to none between two looks
    disk.fill()
    server.resume()
    until(lambda: not server.runs())  # although its log lies on that disk too
    disk.empty()
    server.restart()
    assert counted(store) == 500
    add(store)


class Merges:
    """An engine's merges, as far as they are asked about: `running` at a look, `silent` for so many statements."""

    def __init__(self) -> None:
        self.running = 1
        self.stopped = False
        self.silent = 0

    def __call__(self, sql: str) -> object:
        if self.silent:
            self.silent -= 1
            raise StoreError("no answer")
        if "MERGES" in sql:
            self.stopped = "STOP" in sql
        return self.running


@pytest.fixture
def merges(disk: SmallDisk) -> Iterator[Merges]:
    made = Merges()
    room = Room(disk.folder, made)
    yield made
    room.close()


def test_merges_that_never_ended_while_room_was_short_go_on_afterwards(disk: SmallDisk, merges: Merges) -> None:
    leave(disk, 5)
    until(lambda: merges.stopped)
    disk.empty()
    until(lambda: not merges.stopped)


def test_merges_stop_and_go_on_although_an_answer_is_lost(disk: SmallDisk, merges: Merges) -> None:
    merges.running, merges.silent = 0, 3
    leave(disk, 5)
    until(lambda: merges.stopped)
    merges.silent = 3
    disk.empty()
    until(lambda: not merges.stopped)


def test_the_watch_outlives_a_folder_that_is_away_and_a_change_of_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").mkdir()
    monkeypatch.chdir(tmp_path)
    room = Room(Path("store"), lambda _: 0)
    monkeypatch.chdir("/")
    room.look()
    (tmp_path / "store").rename(tmp_path / "away")
    until(lambda: room._unanswered)
    with pytest.raises(StoreError, match="how full"), room.to_write():
        pass
    (tmp_path / "away").rename(tmp_path / "store")
    until(lambda: not room._unanswered)
    room.close()


def test_nothing_starts_on_a_full_disk(disk: SmallDisk) -> None:
    disk.fill()
    with pytest.raises(StoreError, match="make room"):
        Room(disk.folder, lambda _: 0)


CUT_MERGE = """
import os, resource, signal, sys
from chdb.state import connect
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
engine = connect(sys.argv[1])
engine.query("CREATE TABLE numbers (n UInt64, pad String) ENGINE = MergeTree ORDER BY n")
engine.query("SYSTEM STOP MERGES")
for n in range(4):
    engine.query(f"INSERT INTO numbers SELECT number + {n} * 1000, randomPrintableASCII(100) FROM numbers(1000)")
engine.query("SYSTEM START MERGES")
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, -1))  # from here on longer files cannot be written
engine.query("OPTIMIZE TABLE numbers FINAL")
os._exit(os.EX_IOERR)
"""


def test_at_the_next_start_the_engine_takes_back_what_a_merge_cut_short_covers(tmp_path: Path) -> None:
    cut = subprocess.run([sys.executable, "-c", CUT_MERGE, str(tmp_path / "store")], check=False)
    assert cut.returncode == os.EX_IOERR  # the merge was taken for done
    store = open_chdb(tmp_path / "store")
    assert store.select("SELECT reason FROM system.detached_parts").rows == [("broken-on-start",)]
    assert store.select("SELECT count(), sum(length(pad)) FROM numbers").rows == [(4_000, 400_000)]
    store.close()
