"""Windows of time: [start, end) in unix microseconds, in a named time zone."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pipeline.errors import BadQuestion

DAY = 86_400_000_000
HOUR = 3_600_000_000
NAMES = ("1d", "7d", "28d", "90d", "mtd", "last-month")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FARTHEST = 253_402_300_799_000_000  # the end of year 9999


class Window(NamedTuple):
    """A half-open interval and the one before it that it is compared with."""

    start: int
    end: int
    previous_start: int
    previous_end: int
    ends_now: bool = False  # nothing was yet behind its end when it was asked for, but what a clock ahead of ours dated


ALL_TIME = Window(0, 4_102_444_800_000_000, 0, 0)  # to 2100: what DateTime holds


def micros(moment: datetime) -> int:
    """Unix us of an aware time."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(us: int, zone: ZoneInfo | None = None) -> datetime:
    """The aware time of unix us."""
    at = _EPOCH + timedelta(microseconds=us)
    return at.astimezone(zone) if zone else at


@cache
def zones() -> frozenset[str]:
    """The names of IANA's zones. A machine's folder of zones holds more: its own zone, zones with leap seconds; the store knows none."""
    return frozenset(zoneinfo.available_timezones()) - {"localtime", "posixrules", "Factory"}


def zone_of(name: str) -> ZoneInfo:
    """Raises BadQuestion for a zone that does not exist."""
    if name not in zones():
        raise BadQuestion("no such time zone; write it like Europe/Berlin", "tz")
    return ZoneInfo(name)


def hour_of(at: int, zone: ZoneInfo) -> int:
    """Where the zone's hour begins (unix us) that holds an instant.

    An hour begins where the clock shows a full one, and where it jumps into another: not at 01:30, to which Lord Howe's clocks go back.
    """
    offset = _offset(at, zone)
    start = at - (at + offset) % HOUR
    if _offset(start, zone) == offset:
        return start
    change = _change(start, at, zone)
    return change if _begins(change, zone) else hour_of(change - 1, zone)


def hour_after(start: int, zone: ZoneInfo) -> int:
    """Where the next one begins."""
    offset = _offset(start, zone)
    following = start + HOUR - (start + offset) % HOUR
    if _offset(following, zone) == offset:
        return following
    change = _change(start, following, zone)
    return change if _begins(change, zone) else change + HOUR - (change + _offset(change, zone)) % HOUR


def whole_hours(start: int, end: int, zone: ZoneInfo) -> bool:
    """Whether the zone's days and hours begin at whole UTC hours in the window, on every day of it."""
    return _past_the_hour(start, end, zone) == {0}


def moved_within_the_hour(start: int, end: int, zone: ZoneInfo) -> bool:
    """Whether its clocks are moved by a part of an hour in the window, as those of Lord Howe are."""
    return len(_past_the_hour(start, end, zone)) > 1


def _past_the_hour(start: int, end: int, zone: ZoneInfo) -> set[int]:
    return {_offset(at, zone) % HOUR for at in (*range(start, end, DAY), end)}


def _begins(change: int, zone: ZoneInfo) -> bool:
    """Whether an hour begins where the zone's offset changes."""
    local, before = change + _offset(change, zone), change - 1 + _offset(change - 1, zone)
    return local % HOUR == 0 or local // HOUR != before // HOUR


def _offset(at: int, zone: ZoneInfo) -> int:
    offset = moment(at, zone).utcoffset()
    assert offset is not None
    return offset // timedelta(microseconds=1)


def _change(low: int, high: int, zone: ZoneInfo) -> int:
    """The first instant in (low, high] whose offset is not that of `low`; they differ."""
    former = _offset(low, zone)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(middle, zone) == former else (low, middle)
    return high


def named(name: str, now: int, zone: ZoneInfo) -> Window:
    """A window by its name. Raises BadQuestion."""
    if name not in NAMES:
        raise BadQuestion(f"one of {', '.join(NAMES)}", "window")
    local = moment(now, zone)
    first = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    before = (first - timedelta(days=1)).replace(day=1)
    if name == "mtd":
        start, previous = micros(first), micros(before)
        # The same days of last month, up to the same hour; never beyond its end.
        same = before + timedelta(days=local.day - 1, hours=local.hour, minutes=local.minute, seconds=local.second)
        return Window(start, now, previous, min(micros(same), start), ends_now=True)
    if name == "last-month":
        earlier = (before - timedelta(days=1)).replace(day=1)
        return Window(micros(before), micros(first), micros(earlier), micros(before))
    return days(int(name[:-1]), now)


def days(count: int, now: int) -> Window:
    """N times 24 hours ending now."""
    length = count * DAY
    return Window(now - length, now, now - 2 * length, now - length, ends_now=True)


def between(start: int, end: int) -> Window:
    """Any two instants. Raises BadQuestion."""
    if start >= end:
        raise BadQuestion("from lies before to", "from")
    return Window(start, end, start - (end - start), start)


def instant(text: str, zone: ZoneInfo, parameter: str) -> int:
    """RFC 3339, a date (midnight of the zone) or unix milliseconds -> unix us, to the millisecond."""
    if text.isascii() and text.isdigit() and len(text) <= 15:
        if len(text) in (8, 10):  # a morning of 1970, if it were milliseconds
            raise BadQuestion("unix time is in milliseconds, and a date is written 2026-11-24", parameter)
        at = int(text) * 1000
    else:
        try:
            parsed = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        except ValueError:
            raise BadQuestion("an instant is written 2026-11-24T10:00:00Z or 2026-11-24", parameter) from None
        if parsed.tzinfo is None:
            parsed = parsed.replace(tzinfo=zone)
        try:
            at = micros(parsed)
        except OverflowError:
            raise BadQuestion("no such time", parameter) from None
    if not 0 <= at <= _FARTHEST:
        raise BadQuestion("between 1970 and 9999", parameter)
    return at - at % 1000


class Span(NamedTuple):
    """A part of a window that one source answers: raw, hours, days, tag_hours, or folds of hours or days.

    Of folds, `buckets` (unix seconds) are the hours or days they are of, beside their numbers in `folds`; of a rollup, those it leaves
    to the folds.
    """

    source: str
    start: int
    end: int
    buckets: tuple[int, ...] = ()
    folds: tuple[int, ...] = ()


def spans(start: int, end: int) -> list[Span]:
    """Days where they are whole, hours around them, raw rows for edges that are no whole hour. Exact for any instant."""
    first_hour, last_hour = start + -start % HOUR, end - end % HOUR
    if first_hour >= last_hour:
        return [Span("raw", start, end)] if end > start else []
    found = [Span("raw", start, first_hour)]
    first_day, last_day = first_hour + -first_hour % DAY, last_hour - last_hour % DAY
    if first_day < last_day:
        found += [
            Span("hours", first_hour, first_day),
            Span("days", first_day, last_day),
            Span("hours", last_day, last_hour),
        ]
    else:
        found.append(Span("hours", first_hour, last_hour))
    found.append(Span("raw", last_hour, end))
    return [span for span in found if span.end > span.start]
