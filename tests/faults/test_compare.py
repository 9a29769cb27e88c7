"""The comparison's own parts: its schedule has every fault, its counting tells a client's repeat from a second insert."""

from __future__ import annotations

from decimal import Decimal

from tests.faults.compare import KINDS, Counted, Outcome, Rollup, Row, count, judge, schedule
from tests.faults.replay import quantile

A, B, C = (("acc", "trace", name) for name in "abc")


def test_the_schedule_has_every_fault_and_the_seed_makes_the_order() -> None:
    steps = schedule(1, 50)
    assert {(step.verb, step.given) for step in steps} == {(kind.verb, kind.given) for kind in KINDS}
    assert steps == schedule(1, 50)
    assert steps != schedule(2, 50)
    assert len(schedule(1, 150)) > 2 * len(steps)
    assert all(step.at < 50 for step in steps)
    assert schedule(1, 1) == []


def test_rows_are_held_against_the_ledger() -> None:
    once = [Row(A, (0, 0)), Row(B, (1, 0))]
    assert count({A, B}, once) == Counted(0, 0, 0, 0, 0, 0)
    assert count({A, B, C}, once).lost == 1
    assert count({A}, once).strange == 1


def test_a_second_insert_is_told_from_a_clients_repeat() -> None:
    rows = [Row(A, (0, 0)), Row(A, (0, 0)), Row(B, (1, 0)), Row(B, (1, 7)), Row(B, (1, 7))]
    assert count({A, B}, rows) == Counted(lost=0, strange=0, doubled=3, repeats=1, again=2, identities=2)


def test_a_quantile_is_one_of_the_values() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile(range(1000), 0.99) == 990
    assert quantile([], 0.99) == 0.0


def test_ours_must_count_once_and_every_fault_must_have_hit() -> None:
    right, damaged = Rollup(0, Decimal(0)), Rollup(3, Decimal("0.1"))
    hits = {
        "broke": 4,
        "replies lost": 1,
        "store killed in mid insert": 1,
        "worker joined and left": 1,
        "view broken": 1,
    }
    clean, doubled = Counted(0, 0, 0, 0, 0, 0), Counted(0, 0, 2, 0, 2, 2)
    ours = Outcome("ours", clean, damaged, right, right, [0.1], hits)
    plain = Outcome("plain", doubled, damaged, damaged, damaged, [0.1], hits)
    steps = schedule(1, 50)
    assert judge([ours, plain], steps) == []
    for wrong in (
        Outcome("ours", doubled, right, right, right, [], hits),
        Outcome("ours", clean, right, damaged, right, [], hits),
        Outcome("ours", clean, right, right, right, [], {}),
        Outcome("ours", clean, right, right, right, [], hits, ["a lag of 4"]),
    ):
        assert judge([wrong, plain], steps)
