"""The fast set: every fault once, for seconds, on one world that lives through them all; `make faults` has the rest.

Each holds every invariant of the oracle, and proves that it hit.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.faults import FAULTS
from tests.faults.run import run
from tests.faults.world import World
from tests.support.disks import can_mount
from tests.support.needs import need_disks, need_kafka

SEED = int(os.environ.get("SEED", "1"))
# Seconds of each; none is the length that its faults need to hit once or twice.
FAST = {"1": 6, "3": 15, "4": 9, "5": 4, "7": 8, "9": 10, "10": 9, "13": 5, "17": 8, "18": 2, "20": 7}
ON_SMALL_DISKS = {"16": 9}
ON_THREE_BROKERS = {"5b": 4}
# In the full set alone.
LATER = {"2", "5c", "6", "8", "9b", "11", "12", "12b", "14", "15", "15b", "19"}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One broker; on small disks where they can be had, so that they can be filled."""
    need_kafka()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    disks = {"kafka": 768, "clickhouse": 768} if can_mount(folder) else {}
    with World(folder, disks=disks) as made:
        yield made
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def three() -> Iterator[World]:
    """Three brokers, replication 3, min in-sync 2; the first on a small disk."""
    need_kafka()
    need_disks()
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder,
        World(Path(folder), nodes=3, workers=2, disks={"kafka": 256}) as made,
    ):
        yield made


def survives(world: World, fault: str, seconds: float) -> None:
    told: list[str] = []
    outcome = run(world, [fault], SEED, seconds, told.append)
    assert not outcome.violations, "\n".join((*told, f"logs in {world.folder}"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", FAST, ids=[f"{number}-{FAULTS[number].name}" for number in FAST])
def test_nothing_is_lost_or_doubled_by(world: World, fault: str) -> None:
    survives(world, fault, FAST[fault])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ON_SMALL_DISKS, ids=[FAULTS[number].name for number in ON_SMALL_DISKS])
def test_on_small_disks_nothing_is_lost_or_doubled_when(world: World, fault: str) -> None:
    need_disks()
    survives(world, fault, ON_SMALL_DISKS[fault])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ON_THREE_BROKERS, ids=[FAULTS[number].name for number in ON_THREE_BROKERS])
def test_on_three_brokers_nothing_is_lost_or_doubled_by(three: World, fault: str) -> None:
    survives(three, fault, ON_THREE_BROKERS[fault])


def test_every_fault_is_in_a_set() -> None:
    assert FAST.keys() | ON_SMALL_DISKS.keys() | ON_THREE_BROKERS.keys() | LATER == FAULTS.keys()
    assert {int(number.rstrip("bc")) for number in FAULTS} == set(range(1, 21))
