"""The library that kills the server before a chosen file operation: build it, arm it, read what it saw."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[3]
SOURCE = Path(__file__).with_name("preload.c")

# Where an insert writes, in the order of its tables; marks are what settling writes besides.
RAW, ROLLUPS, MARKS = "events", ("usage_hours", "usage_days", "tag_hours"), "doubtful_hours"
COUNTED = (RAW, *ROLLUPS, MARKS)


class Point(NamedTuple):
    """One file operation of an insert: the crash comes before it."""

    operation: str
    table: str
    month: str  # of the part; "" in the deduplication log
    what: str  # "part", "token", or a file of the part

    def __str__(self) -> str:
        return f"{self.operation} of {self.what} {self.month}".rstrip() + f" of {self.table}"

    @property
    def begins_part(self) -> bool:
        """The part's folder is made."""
        return (self.operation, self.what) == ("mkdir", "part")

    @property
    def writes_token(self) -> bool:
        """The token's line goes into the deduplication log: the part is written, but does not count yet."""
        return (self.operation, self.what) == ("write", "token")

    @property
    def lands_part(self) -> bool:
        """The part gets its name: from here on its rows are there."""
        return (self.operation, self.what) == ("rename", "part")


def build() -> Path:
    """The compiled library, made once for each version of its source. Raises CalledProcessError with the compiler's words."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    library = ROOT / ".build" / "crash_points" / f"preload-{digest}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        draft = library.with_name(f"{os.getpid()}.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(draft), str(SOURCE), "-ldl"], check=True)
        draft.replace(library)
    return library


class Trap:
    """What arms the library in one server. `tables` names the counted tables by their folders."""

    def __init__(self, control: Path, tables: Mapping[Path, str]) -> None:
        self._control = control
        self._trace = Path(f"{control}.trace")
        self._tables = {str(folder): table for folder, table in tables.items()}
        self.environment = {"LD_PRELOAD": str(build()), "CRASH_POINTS": str(control)}

    def arm(self, n: int, tables: Iterable[str] = COUNTED) -> None:
        """Kill before the n-th operation on these tables from now on; 0 only watches."""
        self._trace.unlink(missing_ok=True)
        wanted = set(tables)
        folders = [folder for folder, table in self._tables.items() if table in wanted]
        draft = self._control.with_suffix(".new")
        draft.write_text("\n".join([str(n), *folders]), encoding="utf-8")
        draft.replace(self._control)

    def disarm(self) -> list[Point]:
        """Kill no more; the operations that were counted, the last of which was the crash."""
        self._control.unlink(missing_ok=True)
        if not self._trace.exists():
            return []
        return [self._point(*line.split(" ", 1)) for line in self._trace.read_text(encoding="utf-8").splitlines()]

    def _point(self, operation: str, path: str) -> Point:
        folder = next(folder for folder in self._tables if path.startswith(folder))
        table, inside = self._tables[folder], path.removeprefix(folder).strip("/")
        if inside.startswith("deduplication_logs/"):
            return Point(operation, table, "", "token")
        part = re.fullmatch(r"tmp_insert_([^_/]+)[^/]*/?(.*)", inside)
        if part is None:
            return Point(operation, table, "", inside)
        return Point(operation, table, part.group(1), part.group(2) or "part")
