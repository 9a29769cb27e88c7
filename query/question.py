"""Query parameters -> Question: what is asked, of which account, in which window. Unknown parameters are refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_core import PydanticCustomError

from pipeline import limits
from pipeline.errors import BadQuestion
from query import windows
from query.parameters import TAG_KEY, Asked, names_of, read, text
from query.windows import Window

FIELDS = {"userId": "user_id", "provider": "provider", "model": "model", "agent": "agent", "status": "status"}
NAMES = {column: name for name, column in FIELDS.items()}
MOST_VALUES = 1_000  # of one filter
_LONG_TAG = re.compile(r"tag\.[A-Za-z0-9_.-]{65,}!?")
_MOST_FILTERS = 64  # twice the tags that an event may have
_LAST = 253_370_764_800_000_000  # the year 9999 begins: a zone ahead of UTC has no date for its end


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
    named: str = ""  # the window's name, when it has one
    filters: tuple[Filter, ...] = ()  # `scope` is among them
    scope: tuple[Filter, ...] = ()  # the key's restriction
    group_by: tuple[str, ...] = ()
    sort: str = ""
    descending: bool = True
    search: str = ""
    limit: int = limits.PAGE_ROWS_DEFAULT
    cursor: str = ""
    compare: bool = False
    above: str = ""
    trace_id: str | None = None  # "": outside any trace
    spark: bool = False
    content: bool = True  # whether prompts and answers may be shown
    format: str = "json"
    # What was found out on the way to the answer, to be asked once: of no weight for what is asked.
    noted: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

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
        return replace(self, window=Window(w.previous_start, w.previous_end, 0, 0), named="", compare=False)

    def anew(self) -> Question:
        """The same, asked at another time."""
        return replace(self, noted={})


def parse_question(
    account: str,
    pairs: Sequence[tuple[str, str]],
    now: int,
    *,
    restriction: Sequence[tuple[str, str]] = (),
    takes: type[Asked] = Asked,
) -> Question:
    """`takes` is the endpoint's model of parameters.

    Raises BadQuestion that names the parameter. The restriction of a key is added to every question.
    """
    single, filters = _sorted_out(pairs, names_of(takes))
    given = read(takes, single)
    scope = tuple(Filter(f"tag.{key}" if key != "userId" else "user_id", (value,)) for key, value in restriction)

    def asked(name: str, default: Any = "") -> Any:
        return getattr(given, name, default)

    sort: str = asked("sort")
    q = Question(
        account=account,
        window=_window(given, single.keys(), now),
        tz=given.tz,
        named=given.window,
        filters=(*_merged(filters), *scope),
        scope=scope,
        group_by=tuple(asked("group_by").split(",")) if asked("group_by") else (),
        sort=sort.removeprefix("-"),
        descending=not sort or sort.startswith("-"),
        search=asked("q"),
        limit=asked("limit", limits.PAGE_ROWS_DEFAULT),
        cursor=asked("cursor"),
        compare=bool(asked("compare")),
        above=asked("above"),
        trace_id=asked("trace_id", None),
        spark=asked("include") == "spark",
        format=asked("format", "json"),
    )
    width = {"day": windows.DAY, "hour": windows.HOUR}.get(",".join(q.group_by))
    if width is not None and q.end - q.start > limits.BUCKETS * width:
        raise BadQuestion(f"at most {limits.BUCKETS:,} buckets: use day, or a shorter window", "group_by")
    return q


def _sorted_out(
    pairs: Sequence[tuple[str, str]], allowed: frozenset[str]
) -> tuple[dict[str, str], list[tuple[str, str, bool]]]:
    single: dict[str, str] = {}
    filters: list[tuple[str, str, bool]] = []
    for name, value in pairs:
        # `tag.plan!=pro` arrives as the name `tag.plan!`.
        exclude = name.endswith("!")
        field = name.removesuffix("!")
        if field in FIELDS:
            filters.append((FIELDS[field], _value(value, field), exclude))
        elif field.startswith("tag.") and TAG_KEY.fullmatch(field[4:]):
            key = "user_id" if field == "tag.userId" else field
            filters.append((key, _value(value, field), exclude))
        elif name in allowed:
            if name in single:
                raise BadQuestion("given twice", name)
            single[name] = value
        else:
            _unknown(name, allowed)
    return single, filters


def _value(value: str, field: str) -> str:
    try:
        return text(value)
    except PydanticCustomError as error:
        raise BadQuestion(error.message(), field) from None


def _unknown(name: str, allowed: frozenset[str]) -> None:
    shown = safe(name)
    if _LONG_TAG.fullmatch(name):
        raise BadQuestion("a tag key has at most 64 characters", shown)
    if name.startswith("tags."):
        near = "tag." + name[5:]
        near = near if TAG_KEY.fullmatch(near[4:]) else "tag.KEY"
    else:
        close = difflib.get_close_matches(name, [*allowed, *FIELDS, "tag.KEY"], 1)
        near = close[0] if close else ""
    raise BadQuestion(f"unknown parameter{f'; did you mean {near}?' if near else ''}", shown)


def safe(name: str) -> str:
    """As much of a name as may be repeated; "?" for one that is no name at all."""
    field = name.removesuffix("!")
    found = re.match(r"(?:tags?\.)?[A-Za-z0-9_.-]{1,64}", field)
    return found[0] if found and (found[0] == field or len(found[0]) >= 64) else "?"


def _merged(filters: Sequence[tuple[str, str, bool]]) -> list[Filter]:
    """Repeating a key means OR, several keys mean AND."""
    found: dict[tuple[str, bool], list[str]] = {}
    for column, value, exclude in filters:
        found.setdefault((column, exclude), []).append(value)
    if len(found) > _MOST_FILTERS:
        raise BadQuestion(f"at most {_MOST_FILTERS} filters", filters[-1][0])
    for (column, _), values in found.items():
        if len(values) > MOST_VALUES:
            raise BadQuestion(f"at most {MOST_VALUES} values", NAMES.get(column, column))
    return [Filter(column, tuple(dict.fromkeys(values)), exclude) for (column, exclude), values in found.items()]


def _window(given: Asked, said: Collection[str], now: int) -> Window:
    zone = windows.zone_of(given.tz)
    if "from" in said or "to" in said:
        if "window" in said or "windowDays" in said:
            raise BadQuestion("either window, or from and to", "window")
        if "from" not in said:
            raise BadQuestion("from is missing", "from")
        start = windows.instant(given.from_, zone, "from")
        end = windows.instant(given.to, zone, "to") if "to" in said else now
        if end > _LAST:
            raise BadQuestion("before the year 9999", "to")
        window = windows.between(start, end)
        # Nothing was before 1970.
        before = max(0, window.previous_start), max(0, window.previous_end)
        return Window(window.start, window.end, *before, ends_now="to" not in said)
    if "windowDays" in said:
        if "window" in said:
            raise BadQuestion("either window or windowDays", "windowDays")
        return windows.days(given.windowDays, now)
    return windows.named(given.window if "window" in said else "28d", now, zone)
