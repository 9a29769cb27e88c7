"""Where the hours of a zone begin, also where its clocks change by half an hour."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from query import windows
from query.order import bucket_starts
from query.parameters import OverviewQuery
from query.question import parse_question

MINUTE = 60_000_000
LORD_HOWE = "Australia/Lord_Howe"
CHANGES = [
    (LORD_HOWE, "2026-04-04T15:00"), (LORD_HOWE, "2026-10-03T15:30"), ("Europe/Berlin", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-10-25T01:00"), ("America/St_Johns", "2026-11-01T04:30"), ("America/St_Johns", "2010-11-07T02:31"),
    ("Asia/Kathmandu", "1985-12-31T18:30"), ("Africa/Monrovia", "1972-01-07T00:44:30"), ("Pacific/Apia", "2011-12-30T10:00"),
    ("Asia/Pyongyang", "2018-05-04T15:00"), ("UTC", "2026-01-01T00:00"),
]  # fmt: skip


def us(text: str) -> int:
    return windows.micros(datetime.fromisoformat(text).replace(tzinfo=UTC))


def starts(zone: str, start: int, end: int) -> list[int]:
    pairs = [("from", str(start // 1000)), ("to", str(end // 1000)), ("tz", zone), ("group_by", "hour")]
    return bucket_starts(parse_question("a", pairs, end, takes=OverviewQuery), "hour")


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_an_hour_begins_where_the_clock_shows_one_or_jumps_into_one(name: str, change: str) -> None:
    zone, step = ZoneInfo(name), MINUTE // 2
    low, high = us(change) - 50 * windows.HOUR, us(change) + 50 * windows.HOUR
    expected = []
    for at in range(low, high, step):
        now, before = windows.moment(at, zone), windows.moment(at - step, zone)
        if (now.minute, now.second) == (0, 0) or (now.date(), now.hour) != (before.date(), before.hour):
            expected.append(at)
    assert starts(name, expected[0], high) == expected
    # A window that begins inside an hour begins with that hour.
    for at in range(us(change) - 2 * windows.HOUR, us(change) + 2 * windows.HOUR, 7 * MINUTE):
        assert starts(name, at, at + 1000)[0] == max(one for one in expected if one <= at)


def test_the_hours_after_half_an_hour_was_lost_or_won_are_full_ones() -> None:
    april = starts(LORD_HOWE, us("2026-04-04T13:00"), us("2026-04-06T13:30"))
    shown = [windows.moment(at, ZoneInfo(LORD_HOWE)).strftime("%d %H:%M") for at in april]
    assert shown[:4] == ["05 00:00", "05 01:00", "05 02:00", "05 03:00"]
    assert len(april) == 48
