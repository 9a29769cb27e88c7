"""How full disks are. Of the brokers' it is the one question to Kafka that its client library cannot ask.

DescribeLogDirs, version 4 (KIP-827, brokers from 3.3 on), over a plain connection. Source: the protocol's message definitions.
"""

from __future__ import annotations

import shutil
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pipeline import limits
from pipeline.errors import LogError

_API_KEY, _VERSION = 35, 4
_CLIENT = b"percapita"
_SECONDS = 2.0
_ANSWER_BYTES = 1 << 20  # without topics an answer is a few hundred bytes


class Disk(NamedTuple):
    """Bytes in all, and bytes that can still be written."""

    total: int
    usable: int

    @property
    def nearly_full(self) -> bool:
        """Past the share that is left for what was accepted already. A large disk has room behind it all the same."""
        return self.usable < (1 - limits.DISK_SHARE) * self.total and self.usable < limits.DISK_ROOM_BYTES


def disk_of(folder: Path) -> Disk:
    """The disk that a folder of ours lies on."""
    found = shutil.disk_usage(folder)
    return Disk(found.total, found.free)


def disks_of(host: str, port: int) -> list[Disk]:
    """A broker's log directories; [] where it does not tell. Raises LogError when it cannot be asked."""
    try:
        with socket.create_connection((host, port), _SECONDS) as connection:
            connection.settimeout(_SECONDS)
            connection.sendall(_request())
            size = int.from_bytes(_exactly(connection, 4), "big")
            if size > _ANSWER_BYTES:
                return []
            answer = _exactly(connection, size)
    except OSError as error:
        raise LogError(f"a broker's disks cannot be asked: {type(error).__name__}") from None
    with suppress(IndexError, struct.error):
        return _disks(_Reader(answer))
    return []


def _request() -> bytes:
    """No topics are named: only the disks themselves are asked for."""
    head = struct.pack(">hhih", _API_KEY, _VERSION, 1, len(_CLIENT)) + _CLIENT + b"\0"
    body = head + b"\x01" + b"\0"  # an empty compact array, no tagged fields
    return struct.pack(">i", len(body)) + body


def _exactly(connection: socket.socket, size: int) -> bytes:
    taken = b""
    while len(taken) < size:
        piece = connection.recv(size - len(taken))
        if not piece:
            raise ConnectionResetError
        taken += piece
    return taken


def _disks(reader: _Reader) -> list[Disk]:
    reader.fixed(">i")  # correlation
    reader.tags()
    reader.fixed(">i")  # throttled
    if reader.fixed(">h"):
        return []
    return [disk for _ in range(reader.length()) if (disk := _disk(reader)) is not None]


def _disk(reader: _Reader) -> Disk | None:
    error = reader.fixed(">h")
    reader.skip(reader.length())  # the directory's name
    for _ in range(reader.length()):  # topics
        reader.skip(reader.length())
        for _ in range(reader.length()):  # partitions
            reader.fixed(">iqq?")
            reader.tags()
        reader.tags()
    total, usable = reader.fixed(">q"), reader.fixed(">q")
    reader.tags()
    return Disk(total, usable) if not error and total > 0 and usable >= 0 else None


class _Reader:
    """Fields of Kafka's flexible encoding, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def fixed(self, form: str) -> int:
        """The first value of a struct."""
        values = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return int(values[0])

    def varint(self) -> int:
        """Unsigned."""
        value = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
            shift += 7

    def length(self) -> int:
        """Of a compact array or string."""
        return max(0, self.varint() - 1)

    def skip(self, size: int) -> None:
        """Move on."""
        self._at += size

    def tags(self) -> None:
        """Tagged fields, none of which is ours."""
        for _ in range(self.varint()):
            self.varint()
            self.skip(self.varint())
