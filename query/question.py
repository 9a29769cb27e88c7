"""Query parameters -> Question: what is asked, of which account, in which window. Unknown parameters are refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from pipeline import limits
from pipeline.errors import BadQuestion
from query import windows
from query.windows import Window

_TAG_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
FIELDS = {"userId": "user_id", "provider": "provider", "model": "model", "agent": "agent", "status": "status"}
GROUPS = {"user": "user_id", "provider": "provider", "model": "model", "agent": "agent", "service_tier": "service_tier"}
BUCKETS = ("day", "hour")
_SINGLE = frozenset({
    "window", "windowDays", "from", "to", "tz", "group_by", "sort", "q", "limit", "cursor", "compare", "above", "trace_id",
})  # fmt: skip
_CURSOR = re.compile(r"[A-Za-z0-9_-]{0,512}")  # short enough that what it holds cannot nest deeply
_MOST_FILTERS = 64  # twice the tags that an event may have
_LAST = 253_370_764_800_000_000  # the year 9999 begins: a zone ahead of UTC has no date for its end
MEASURES = (
    "spend",
    "events",
    "calls",
    "traces",
    "tokens",
    "errors",
    "unpriced_events",
    "estimated_events",
    "last_seen",
)


@dataclass(frozen=True)
class Filter:
    """Events whose `field` is one of `values` (or none of them). A tag is `tag.KEY`; "" means: has none."""

    field: str
    values: tuple[str, ...]
    exclude: bool = False


@dataclass(frozen=True)
class Question:
    """Everything an answer depends on but the data."""

    account: str
    window: Window
    tz: str
    filters: tuple[Filter, ...] = ()
    group_by: tuple[str, ...] = ()
    sort: str = ""
    descending: bool = True
    search: str = ""
    limit: int = limits.PAGE_ROWS_DEFAULT
    cursor: str = ""
    compare: bool = False
    above: str = ""
    trace_id: str = ""

    @property
    def start(self) -> int:
        """Unix us, inclusive."""
        return self.window.start

    @property
    def end(self) -> int:
        """Unix us, exclusive."""
        return self.window.end

    def before(self) -> Question:
        """The same of the window before."""
        w = self.window
        return replace(self, window=Window(w.previous_start, w.previous_end, 0, 0), compare=False)


def parse_question(
    account: str,
    parameters: Sequence[tuple[str, str]],
    now: int,
    *,
    restriction: Sequence[tuple[str, str]] = (),
    takes: Mapping[str, Sequence[str]] | None = None,
) -> Question:
    """`takes` names what an endpoint has beyond filters and windows: {"sort": columns, "group_by": (...), "q": ()}.

    Raises BadQuestion that names the parameter. The restriction of a key is added to every question.
    """
    takes = takes or {}
    single, filters = _sorted_out(parameters, takes)
    zone = windows.zone_of(single.get("tz", "UTC"))
    window = _window(single, now, zone)
    sort, descending = _sort(single.get("sort", ""), takes)
    narrowing = [Filter(f"tag.{key}" if key != "userId" else "user_id", (value,)) for key, value in restriction]
    return Question(
        account=account,
        window=window,
        tz=single.get("tz", "UTC"),
        filters=(*_merged(filters), *narrowing),
        group_by=_group_by(single.get("group_by", ""), takes),
        sort=sort,
        descending=descending,
        search=_text(single.get("q", ""), "q"),
        limit=_limit(single.get("limit")),
        cursor=_cursor(single.get("cursor", "")),
        compare=_compare(single.get("compare")),
        above=_amount(single.get("above", "")),
        trace_id=_text(single.get("trace_id", ""), "trace_id"),
    )


def _sorted_out(
    parameters: Sequence[tuple[str, str]], takes: Mapping[str, Sequence[str]]
) -> tuple[dict[str, str], list[tuple[str, str, bool]]]:
    single: dict[str, str] = {}
    filters: list[tuple[str, str, bool]] = []
    allowed = {"window", "windowDays", "from", "to", "tz", *takes}
    for name, value in parameters:
        # `tag.plan!=pro` arrives as the name `tag.plan!`.
        exclude = name.endswith("!")
        field = name.removesuffix("!")
        if field in FIELDS:
            filters.append((FIELDS[field], _text(value, field), exclude))
        elif field.startswith("tag.") and _TAG_KEY.fullmatch(field[4:]):
            key = "user_id" if field == "tag.userId" else field
            filters.append((key, _text(value, field), exclude))
        elif name in allowed and name in _SINGLE:
            if name in single:
                raise BadQuestion("given twice", name)
            single[name] = value
        else:
            _unknown(name, allowed)
    return single, filters


def _unknown(name: str, allowed: set[str]) -> None:
    shown = name if _TAG_KEY.fullmatch(name) else ""
    if name.startswith("tags."):
        near = "tag." + name[5:]
        near = near if _TAG_KEY.fullmatch(near[4:]) else "tag.KEY"
    else:
        close = difflib.get_close_matches(name, [*allowed, *FIELDS, "tag.KEY"], 1)
        near = close[0] if close else ""
    raise BadQuestion(f"unknown parameter{f'; did you mean {near}?' if near else ''}", shown or "?")


def _merged(filters: Sequence[tuple[str, str, bool]]) -> list[Filter]:
    """Repeating a key means OR, several keys mean AND."""
    found: dict[tuple[str, bool], list[str]] = {}
    for field, value, exclude in filters:
        found.setdefault((field, exclude), []).append(value)
    if len(found) > _MOST_FILTERS:
        raise BadQuestion(f"at most {_MOST_FILTERS} filters", filters[-1][0])
    return [Filter(field, tuple(dict.fromkeys(values)), exclude) for (field, exclude), values in found.items()]


def _window(single: Mapping[str, str], now: int, zone: ZoneInfo) -> Window:
    named = single.get("window")
    count = single.get("windowDays")
    if "from" in single or "to" in single:
        if named is not None or count is not None:
            raise BadQuestion("either window, or from and to", "window")
        if "from" not in single:
            raise BadQuestion("from is missing", "from")
        start = windows.instant(single["from"], zone, "from")
        end = windows.instant(single["to"], zone, "to") if "to" in single else now
        if end > _LAST:
            raise BadQuestion("before the year 9999", "to")
        window = windows.between(start, end)
        # Nothing was before 1970.
        return window._replace(previous_start=max(0, window.previous_start), previous_end=max(0, window.previous_end))
    if count is not None:
        if named is not None:
            raise BadQuestion("either window or windowDays", "windowDays")
        if not (count.isascii() and count.isdigit() and len(count) <= 4 and 1 <= int(count) <= 400):
            raise BadQuestion("1 to 400", "windowDays")
        return windows.days(int(count), now)
    return windows.named("28d" if named is None else named, now, zone)


def _group_by(text: str, takes: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    if not text or "group_by" not in takes:
        return ()
    parts = text.split(",")
    buckets = [part for part in parts if part in BUCKETS]
    keys = [part for part in parts if part not in BUCKETS]
    if len(buckets) > 1 or len(keys) > 1 or (buckets and parts[0] not in BUCKETS):
        raise BadQuestion("one key, or a time bucket and one key, like day,tag.plan", "group_by")
    for key in keys:
        if key not in GROUPS and not (key.startswith("tag.") and _TAG_KEY.fullmatch(key[4:])):
            near = difflib.get_close_matches(key, [*GROUPS, *BUCKETS], 1)
            raise BadQuestion(f"no such key{f'; did you mean {near[0]}?' if near else ''}", "group_by")
    return tuple(parts)


def _sort(text: str, takes: Mapping[str, Sequence[str]]) -> tuple[str, bool]:
    columns = takes.get("sort", ())
    if not text or not columns:
        return "", True
    name = text.removeprefix("-")
    if name not in columns:
        near = difflib.get_close_matches(name, columns, 1)
        raise BadQuestion(f"no such column{f'; did you mean {near[0]}?' if near else ''}", "sort")
    return name, text.startswith("-")


def _limit(text: str | None) -> int:
    if text is None:
        return limits.PAGE_ROWS_DEFAULT
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= limits.PAGE_ROWS):
        raise BadQuestion(f"1 to {limits.PAGE_ROWS}", "limit")
    return int(text)


def _cursor(text: str) -> str:
    if not _CURSOR.fullmatch(text):
        raise BadQuestion("not a cursor of ours", "cursor")
    return text


def _compare(text: str | None) -> bool:
    if text not in (None, "previous"):
        raise BadQuestion("only previous", "compare")
    return text is not None


def _amount(text: str) -> str:
    if text and not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text):
        raise BadQuestion("an amount in USD, like 20", "above")
    return text


def _text(text: str, parameter: str) -> str:
    if len(text) > 1024 or "\0" in text:
        raise BadQuestion("at most 1,024 characters, without NUL", parameter)
    return text.encode("utf-8", "replace").decode()
