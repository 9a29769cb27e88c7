"""The brokers' answer about their disks, byte by byte; and what is too full."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.disks import Disk, _disks, _Reader, disk_of, disks_of
from pipeline.errors import LogError
from tests.support.kafka import KafkaCluster
from tests.support.needs import need_kafka

GIB = 1024**3
# correlation 1, no tags, not throttled, no error, two directories: one without topics, one that failed
ANSWER = (
    struct.pack(">i", 1) + b"\0" + struct.pack(">ih", 0, 0) + b"\x03"
    + struct.pack(">h", 0) + b"\x06/data" + b"\x01" + struct.pack(">qq", 100 * GIB, 30 * GIB) + b"\0"
    + struct.pack(">h", 56) + b"\x05/bad" + b"\x01" + struct.pack(">qq", -1, -1) + b"\0"
    + b"\0"
)  # fmt: skip


def test_an_answer_is_read() -> None:
    assert _disks(_Reader(ANSWER)) == [Disk(100 * GIB, 30 * GIB)]


def test_topics_in_an_answer_are_passed_over() -> None:
    topics = b"\x02" + b"\x03ab" + b"\x02" + struct.pack(">iqq?", 0, 5, 0, False) + b"\0" + b"\0"
    answer = ANSWER[:11] + b"\x02" + ANSWER[12:14] + b"\x06/data" + topics + struct.pack(">qq", 8, 4) + b"\0" + b"\0"
    assert _disks(_Reader(answer)) == [Disk(8, 4)]


@pytest.mark.parametrize(
    ("disk", "full"),
    [
        (Disk(10 * GIB, 2 * GIB), False),
        (Disk(10 * GIB, GIB), True),
        (Disk(1000 * GIB, 20 * GIB), False),
        (Disk(1000 * GIB, 3 * GIB), True),
        (Disk(64 << 20, 0), True),
    ],
)
def test_a_disk_is_nearly_full_past_its_share_and_with_little_room(disk: Disk, *, full: bool) -> None:
    assert disk.nearly_full == full


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80) | st.integers(0, len(ANSWER)).map(lambda n: ANSWER[:n] + b"\xff" * 9))
def test_any_bytes_are_an_answer_or_none(data: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer, args=(server, data)).start()
        try:
            found = disks_of("127.0.0.1", server.getsockname()[1])
        except LogError:
            return
        assert all(disk.total > 0 for disk in found)


def _answer(server: socket.socket, data: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(1024)
        connection.sendall(struct.pack(">i", len(data)) + data)


def test_a_real_broker_tells_of_its_disk(tmp_path: Path) -> None:
    need_kafka()
    with KafkaCluster(directory=tmp_path / "kafka") as kafka:
        (found,) = disks_of("127.0.0.1", kafka.ports[0])
    mine = disk_of(tmp_path)
    assert found.total == mine.total
    assert abs(found.usable - mine.usable) < GIB


def test_where_nobody_answers_it_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(LogError):
        disks_of("127.0.0.1", port)
