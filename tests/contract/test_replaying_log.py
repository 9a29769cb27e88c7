"""The log in memory that tests replay from keeps the log's contract, and moves partitions as Kafka's group does."""

from __future__ import annotations

import pytest

from pipeline.errors import Fenced, LogError, LogLost
from pipeline.log import Position
from tests.contract.test_log import (
    Twin,
    read,
    test_a_partition_never_committed_stands_at_its_low_watermark,
    test_a_paused_partition_is_not_read_until_it_is_resumed,
    test_a_position_carries_its_note,
    test_read_moves_on_past_what_it_returned,
    test_watermarks_span_what_the_partition_holds,
    test_what_is_published_is_read_once_and_in_order,
)
from tests.support.replaying_log import Member, ReplayingLog

__all__ = [
    "test_a_partition_never_committed_stands_at_its_low_watermark",
    "test_a_paused_partition_is_not_read_until_it_is_resumed",
    "test_a_position_carries_its_note",
    "test_read_moves_on_past_what_it_returned",
    "test_watermarks_span_what_the_partition_holds",
    "test_what_is_published_is_read_once_and_in_order",
]


@pytest.fixture
def twin() -> Twin:
    log = ReplayingLog()
    return Twin(log, log.reader)


class Seen:
    """What a member was told, in order."""

    def __init__(self, log: ReplayingLog) -> None:
        self.member: Member = log.reader()
        self.told: list[tuple[str, set[int]]] = []
        self.member.on_change(
            lambda positions: self.told.append(("assigned", set(positions))),
            lambda partitions: self.told.append(("revoked", set(partitions))),
            lambda partitions: self.told.append(("lost", set(partitions))),
        )


def test_a_partition_goes_to_a_new_member_when_the_old_one_has_given_it_up() -> None:
    log = ReplayingLog(partitions=4)
    first, second = Seen(log), Seen(log)
    first.member.read(1, 0)
    second.member.read(1, 0)
    assert first.told == [("assigned", {0, 1, 2, 3})]
    assert second.told == []
    first.member.read(1, 0)
    assert first.told[1:] == [("revoked", {2, 3})]
    second.member.read(1, 0)
    assert second.told == [("assigned", {2, 3})]


def test_a_member_that_leaves_may_commit_what_it_finished() -> None:
    log = ReplayingLog()
    first, second = Seen(log), Seen(log)
    first.member.read(1, 0)
    first.member.on_change(
        lambda _: None, lambda gone: first.member.commit({p: Position(7, "") for p in gone}), lambda _: None
    )
    first.member.leave()
    second.member.read(1, 0)
    assert second.member.committed([0]) == {0: Position(7, "")}
    assert second.told == [("assigned", {0})]


def test_a_member_whose_session_ran_out_is_fenced_and_then_told_of_its_loss() -> None:
    log = ReplayingLog()
    sleeping, new = Seen(log), Seen(log)
    log.append(b"value")
    sleeping.member.read(1, 0)
    sleeping.member.commit({0: Position(0, "intent")})
    log.expire(sleeping.member)
    assert [entry.value for entry in new.member.read(1, 0)] == [b"value"]
    with pytest.raises(Fenced):
        sleeping.member.commit({0: Position(1, "")})
    assert new.member.committed([0]) == {0: Position(0, "intent")}
    sleeping.member.read(1, 0)
    assert sleeping.told[1:] == [("lost", {0})]


def test_a_commit_for_a_partition_of_another_is_refused() -> None:
    log = ReplayingLog(partitions=2)
    first, second = Seen(log), Seen(log)
    for seen in (first, second, first, second):
        seen.member.read(1, 0)
    with pytest.raises(LogError):
        first.member.commit({1: Position(1, "")})


def test_offsets_may_have_gaps_and_what_retention_removed_is_an_alarm() -> None:
    log = ReplayingLog()
    reader = Seen(log).member
    log.append(b"0")
    log.skip(3)
    log.append(b"4")
    assert [entry.offset for entry in read(reader, 2)] == [0, 4]
    assert reader.watermarks(0) == (0, 5)
    log.forget(2)
    reader.seek(0, 0)
    with pytest.raises(LogLost):
        reader.read(1, 0)
