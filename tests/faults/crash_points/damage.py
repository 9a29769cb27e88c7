"""What a crash leaves on disk, and what a power loss would have left: the tables' folders while no server runs on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from tests.faults.crash_points.points import RAW, ROLLUPS

Damage = Literal["none", "cut", "torn"]  # cut: the token's lines never reached the disk; torn: half a line did


class Landed(NamedTuple):
    """What is there of one insert: parts by table, and tokens whose part is not there."""

    parts: Mapping[str, int]
    tokens: Mapping[str, int]

    def states(self, months: int) -> set[str]:
        """The half states that this is; a whole insert, or nothing of it, is none."""
        counted = [table for table in ROLLUPS if self.parts.get(table)]
        whole = self.parts.get(RAW, 0) == months
        told = {
            "token without part": any(self.tokens.values()),
            "raw without rollups": whole and not counted,
            "raw and the first rollup": whole and len(counted) == 1 and self.parts[counted[0]] == months,
            "one of two months": any(0 < n < months for n in self.parts.values()),
        }
        return {state for state, holds in told.items() if holds}


NOTHING = Landed({}, {})


def log_sizes(folders: Iterable[Path]) -> dict[Path, int]:
    """Bytes of each deduplication log, by file."""
    return {file: file.stat().st_size for folder in folders for file in _logs(folder)}


def landed(tables: Mapping[Path, str], sizes: Mapping[Path, int]) -> Landed:
    """What was added since the logs had these sizes."""
    parts: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for folder, table in tables.items():
        for file in _logs(folder):
            for line in file.read_bytes()[sizes.get(file, 0) :].decode().splitlines():
                # "1 <part> <block>", behind the half of a line where an earlier one was torn.
                name = line.split("\t")[-2]
                (parts if (folder / name).is_dir() else tokens)[table] += 1
    return Landed(parts, tokens)


def cut(sizes: Mapping[Path, int]) -> None:
    """Power loss: the parts stay, the token's lines do not, for these logs are never synced."""
    for file, size in sizes.items():
        with file.open("r+b") as opened:
            opened.truncate(size)


def tear(folders: Iterable[Path]) -> None:
    """Half a line at the end of each deduplication log."""
    for folder in folders:
        for file in _logs(folder)[-1:]:
            whole = file.read_bytes()
            lines = whole.splitlines() or [b"1\t202601_1_1_0\t202601_1_1"]
            with file.open("ab") as opened:
                opened.write(lines[-1][: len(lines[-1]) // 2])


def _logs(folder: Path) -> list[Path]:
    return sorted((folder / "deduplication_logs").glob("*.txt"))
