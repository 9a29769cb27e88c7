"""Parts 3 and 4 of B7, each in a process of its own that has no engine in it, as a worker has none:

python -m bench.windows fill RATE PARTITIONS HOURS        windows filled by receipts that advance, RATE events a second
python -m bench.windows rebuild URL PARTITIONS ROWS       the same from the raw table, as at an assignment
"""

from __future__ import annotations

import argparse
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from bench.processes import in_parts, resident_megabytes
from consumers.history import History, Windows
from consumers.memory import hold_little
from pipeline.store import open_clickhouse

EVENTS_PER_TRACE = 2.9  # of the demo's traffic
BATCH_SECONDS = 1.0  # of receipts, between two additions to a partition's windows


def fill(rate: int, partitions: int, hours: float) -> dict[str, Any]:
    """Fill the windows of so many partitions, `rate` events a second over all of them; run in a process of its own."""
    hold_little()
    pid, rng = os.getpid(), np.random.default_rng(1)
    base = resident_megabytes(pid)
    held = [Windows() for _ in range(partitions)]
    size = int(rate * BATCH_SECONDS / partitions)
    start = time.time_ns() // 1000
    samples: list[float] = []
    began = time.process_time()
    for second in range(int(hours * 3600 / BATCH_SECONDS)):
        for one in held:
            traces = rng.integers(1, 1 << 64, int(size / EVENTS_PER_TRACE) + 1, dtype=np.uint64, endpoint=False)
            of = np.sort(rng.integers(0, len(traces), size))
            received = start + int(second * BATCH_SECONDS * 1e6) + np.arange(size, dtype=np.int64)
            # One user a trace: its mark is another hash.
            one.add(
                rng.integers(1, 1 << 64, size, dtype=np.uint64, endpoint=False),
                traces[of],
                traces[of] ^ np.uint64(0x9E37_79B9_7F4A_7C15),
                received,
            )
        if second % 20 == 0:
            samples.append(resident_megabytes(pid))
    memory = in_parts(samples, resident_megabytes(pid, "VmHWM"))
    return {
        "base": base, "parts": memory.parts, "peak": memory.peak, "seconds": time.process_time() - began,
        "identities": sum(len(one.identities) for one in held), "traces": sum(len(one.traces) for one in held),
        "bytes": _by_part(held),
    }  # fmt: skip


def _by_part(held: list[Windows]) -> dict[str, float]:
    """Megabytes of what the windows hold."""
    found = {"identities, open runs": 0, "identities, sealed, slots": 0, "identities, sealed, rest": 0, "traces": 0}
    for one in held:
        found["identities, open runs"] += sum(run.nbytes for runs in one.identities._open.values() for run in runs)
        for sealed in one.identities._sealed.values():
            found["identities, sealed, slots"] += sum(slots.starts.nbytes for slots in sealed)
            found["identities, sealed, rest"] += sum(slots.rest.nbytes for slots in sealed)
        for bucket in one.traces._held.values():
            found["traces"] += sum(run.nbytes + users.nbytes for run, users in bucket.runs)
            found["traces"] += sum(run.nbytes for run in bucket._further)
    return {name: size / 1e6 for name, size in found.items()}


def rebuild(url: str, partitions: int, rows: int) -> dict[str, Any]:
    """The windows of partitions 0, 1, ... from the raw table, two at a time as a worker does; in a process of its own."""
    hold_little()
    store = open_clickhouse(url, database="default", user="default", password="")
    history = History(store, "memory")
    base = resident_megabytes(os.getpid())
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        held = list(pool.map(lambda partition: history.rebuild(partition, rows), range(partitions)))
    seconds = time.monotonic() - began
    return {
        "base": base, "peak": resident_megabytes(os.getpid(), "VmHWM"), "after": resident_megabytes(os.getpid()),
        "seconds": seconds, "identities": sum(len(one.identities) for one in held),
        "traces": sum(len(one.traces) for one in held), "bytes": _by_part(held),
    }  # fmt: skip


def main() -> None:
    """A part in this very process; its answer as a JSON line."""
    parser = argparse.ArgumentParser(prog="python -m bench.windows")
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("fill")
    one.add_argument("rate", type=int)
    one.add_argument("partitions", type=int)
    one.add_argument("hours", type=float)
    other = parts.add_parser("rebuild")
    other.add_argument("url")
    other.add_argument("partitions", type=int)
    other.add_argument("rows", type=int)
    given = vars(parser.parse_args())
    print(json.dumps((fill if given.pop("part") == "fill" else rebuild)(**given)))


if __name__ == "__main__":
    main()
