"""What processes take: resident memory over time, CPU seconds. Read from /proc."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
FLAT_SHARE = 0.02  # how much a flat process may grow from the middle to the end of a run


def resident_megabytes(pid: int, field: str = "VmRSS") -> float:
    """Now; with `VmHWM` the highest ever. 0 when the process is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(pid: int) -> float:
    """User and system time so far, of all threads; 0 when the process is gone."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return 0.0


class Cores:
    """How many cores groups of processes kept busy between construction and `used`."""

    def __init__(self, groups: Mapping[str, Sequence[int]]) -> None:
        self._groups = groups
        self._began = time.monotonic()
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        return {name: sum(map(cpu_seconds, pids)) for name, pids in self._groups.items()}

    def used(self) -> dict[str, float]:
        """Cores by group."""
        seconds = time.monotonic() - self._began
        return {name: (after - self._before[name]) / seconds for name, after in self._now().items()}


class Memory(NamedTuple):
    """Resident megabytes of one process over a run cut into ten parts: the median of each, and the highest ever."""

    parts: list[float]
    peak: float

    @property
    def growth(self) -> float:
        """From the middle of the run to its end, as a share."""
        middle, end = median(self.parts[4:7]), median(self.parts[7:])
        return end / middle - 1 if middle else 0.0

    @property
    def flat(self) -> bool:
        """Whether it grows by no more than FLAT_SHARE over the second half."""
        return self.growth <= FLAT_SHARE


class Sampler(threading.Thread):
    """Looks at a process every so often until `end`."""

    def __init__(self, pid: int, seconds: float = 0.5) -> None:
        super().__init__(daemon=True, name="memory")
        self._pid, self._every = pid, seconds
        self._ended = threading.Event()
        self._samples: list[float] = []
        self.start()

    def run(self) -> None:
        """Until `end`."""
        while not self._ended.wait(self._every):
            self._samples.append(resident_megabytes(self._pid))

    def end(self) -> Memory:
        """What was seen; call while the process still runs."""
        self._ended.set()
        self.join()
        return in_parts(self._samples, resident_megabytes(self._pid, "VmHWM"))


def in_parts(samples: Sequence[float], peak: float) -> Memory:
    """Ten medians of samples taken at even distances."""
    edges = [len(samples) * part // 10 for part in range(11)]
    return Memory([median(samples[a:b] or [0.0]) for a, b in itertools.pairwise(edges)], peak)
