"""A sample of the crash points (all: `python -m tests.faults.crash_points`): each half state that a crash of ClickHouse leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.faults.crash_points.points import MARKS, RAW, ROLLUPS, Point
from tests.faults.crash_points.trial import Crash, Outcome
from tests.faults.crash_points.variants import Bench, Variant, nothing_landed, one_month_landed, raw_alone_landed
from tests.support.needs import need_cc


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """What an insert does without a crash is watched once for all tests here."""
    need_cc()
    with Bench(trials_of_a_room=4) as made:
        yield made


def run(bench: Bench, months: int, crashes: Sequence[Crash]) -> list[Outcome]:
    """Each crash came; nothing was lost, doubled, left unmarked or unrepaired."""
    outcomes = list(bench.run(Variant("a sample", months), crashes))
    for crash, outcome in zip(crashes, outcomes, strict=True):
        assert outcome.killed == crash.kills, crash
        assert outcome.violations == [], (crash, outcome.insert_points[-1])
    return outcomes


def first_part_unnamed(points: Sequence[Point]) -> int:
    """The raw table's first part has its token, but not its name."""
    return next(n for n, p in enumerate(points, 1) if p.lands_part and p.table == RAW)


def first_rollup_landed(points: Sequence[Point]) -> int:
    """Before the second table that a view writes."""
    begun = list(dict.fromkeys(p.table for p in points if p.begins_part))
    return next(n for n, p in enumerate(points, 1) if p.begins_part and p.table == begun[2])


def last_part_unnamed(points: Sequence[Point]) -> int:
    """Everything but the last part of the last table."""
    return [n for n, p in enumerate(points, 1) if p.lands_part][-1]


def test_an_insert_writes_each_part_then_its_token_and_names_it_last(bench: Bench) -> None:
    points = bench.reference(2).points[0]
    steps = [p for p in points if p.begins_part or p.writes_token or p.lands_part]
    assert len(points) > 200
    for table in (RAW, *ROLLUPS):
        of_table = [p.operation for p in steps if p.table == table]
        assert of_table == ["mkdir", "mkdir", "write", "rename", "write", "rename"], table


@pytest.mark.timeout(300)
def test_half_an_insert_of_two_months_ends_with_every_row_once_also_without_its_tokens(bench: Bench) -> None:
    points = bench.reference(2).points[0]
    half, raw = one_month_landed(points), raw_alone_landed(points)
    crashes = [
        Crash(half, owner="same"),
        Crash(raw, owner="new"),
        Crash(first_rollup_landed(points), owner="waiting"),
        Crash(raw, damage="cut", owner="same"),
    ]
    outcomes = run(bench, 2, crashes)
    states = [outcome.landed.states(2) for outcome in outcomes]
    assert states == [
        {"token without part", "one of two months"},
        {"raw without rollups"},
        {"raw and the first rollup"},
        {"raw without rollups"},
    ]
    assert all(outcome.hours_wrong for outcome in outcomes[1:])


@pytest.mark.timeout(300)
def test_half_a_line_in_the_deduplication_log_doubles_nothing_also_after_the_next_crash(bench: Bench) -> None:
    points = bench.reference(1).points[0]
    crashes = [
        Crash(first_part_unnamed(points), owner="new"),
        Crash(raw_alone_landed(points), damage="torn", owner="new"),
        Crash(last_part_unnamed(points), owner="same"),  # the server has forgotten the tokens behind the half line
    ]
    outcomes = run(bench, 1, crashes)
    states = [outcome.landed.states(1) for outcome in outcomes]
    assert states == [{"token without part"}, {"raw without rollups"}, {"token without part"}]


@pytest.mark.timeout(300)
def test_a_crash_of_what_follows_a_crash_ends_with_every_row_once(bench: Bench) -> None:
    points = bench.reference(1).points[0]
    nothing = nothing_landed(points)
    crashes = [
        Crash(nothing, settling_at=first_part_unnamed(points), owner="new"),
        Crash(nothing, settling_at=len(points) + 20, owner="same"),
        Crash(raw_alone_landed(points), repair_at=40),
    ]
    settling, marking, repair = run(bench, 1, crashes)
    assert settling.settling_points[-1].table == RAW
    assert marking.settling_points[-1].table == MARKS
    assert repair.repair_points[-1].table in ROLLUPS
