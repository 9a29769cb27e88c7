"""The intent protocol keeps its promise in every schedule, and without any one of its conditions it does not."""

from __future__ import annotations

import pytest

from tests.model.conditions import CONDITIONS, Conditions, without
from tests.model.directed import DIRECTED, DIRECTED_PAIRS, SECOND_LINES, play
from tests.model.machine import explore, machine_for

SCHEDULES = 1_500  # of the protocol whole; `python -m tests.model --schedules 100000` takes ten minutes
SEARCH = 1_500  # at most, for a violation without a condition: found in 2 to 260
CONTROL = 100  # without a second line alone

FAULTS = (
    "a crash in mid-insert", "a token without a part", "a torn line", "power loss cut token lines", "settled without trust",
    "settled by a trusted token", "a worker fell asleep in a job", "a sleeper woke after its session",
    "a worker was killed during an insert", "a partition revoked while its job ran", "a commit taken without an answer",
    "an insert hung", "an insert failed half way", "a repair", "a refused row was set aside", "a repeat was dropped",
)  # fmt: skip

ALONE = [c.name for c in CONDITIONS if c.name not in SECOND_LINES]
SEARCHED = [name for name in ALONE if name not in DIRECTED]


def test_no_schedule_loses_or_doubles_an_event_or_leaves_a_rollup_wrong() -> None:
    machine = machine_for(Conditions())
    assert explore(machine, SCHEDULES, "1") is None, "\n".join(machine.broken)
    assert [fault for fault in FAULTS if not machine.hits[fault]] == []


@pytest.mark.parametrize("name", SEARCHED)
def test_random_schedules_break_the_protocol_without(name: str) -> None:
    assert explore(machine_for(without(name)), SEARCH, "1") is not None


@pytest.mark.parametrize("name", DIRECTED)
def test_a_directed_schedule_breaks_the_protocol_only_without(name: str) -> None:
    assert play(DIRECTED[name], Conditions()) is None
    assert play(DIRECTED[name], without(name)) is not None


@pytest.mark.parametrize(("name", "other"), SECOND_LINES.items())
def test_a_second_line_holds_where_the_first_is_missing(name: str, other: str) -> None:
    if name in DIRECTED_PAIRS:
        schedule = DIRECTED_PAIRS[name]
        assert [play(schedule, without(one)) for one in (name, other)] == [None, None]
        assert play(schedule, without(name, other)) is not None
    else:
        assert [explore(machine_for(without(one)), CONTROL, "1") for one in (name, other)] == [None, None]
        assert explore(machine_for(without(name, other)), CONTROL, "1") is not None


def test_every_condition_is_taken_out_by_a_test() -> None:
    assert {*SEARCHED, *DIRECTED, *SECOND_LINES} == {c.name for c in CONDITIONS}
