"""Query parameters as pydantic models: what an endpoint takes, how each is read, and how the OpenAPI document describes it.

Filters (`userId`, `model`, `tag.KEY`, ...) have names of their own kind and are read in `question`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from pipeline import limits
from pipeline.errors import BadQuestion
from query import windows

TAG_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
GROUPS = {"user": "user_id", "provider": "provider", "model": "model", "agent": "agent", "service_tier": "service_tier"}
BUCKETS = ("day", "hour")
MEASURES = (
    "spend", "events", "calls", "traces", "tokens", "errors", "unpriced_events", "estimated_events", "last_seen",
)  # fmt: skip
FORMATS = ("json", "csv", "ndjson", "parquet", "focus")
TEXT_CHARS = 1_024
_CURSOR = re.compile(r"[A-Za-z0-9_-]{0,2048}")  # of events and traces it holds the sums of the first page
_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


def bad(detail: str) -> PydanticCustomError:
    """What is wrong with a value, in words for the person who wrote it."""
    return PydanticCustomError("parameter", "{detail}", {"detail": detail})


def text(value: str) -> str:
    """A value as it came, bounded; what is no text becomes what can be stored and never matches."""
    if len(value) > TEXT_CHARS or "\0" in value:
        raise bad("at most 1,024 characters, without NUL")
    return value.encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Read:
    """How a parameter is read, and its JSON schema: stands in an annotation."""

    check: Callable[[str], Any]
    schema: dict[str, Any] = field(hash=False)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(self.schema)


def one_of(*values: str) -> Read:
    """One of these words."""

    def check(value: str) -> str:
        if value not in values:
            near = difflib.get_close_matches(value[:40], values, 1)
            raise bad(f"one of {', '.join(values)}{f'; did you mean {near[0]}?' if near else ''}")
        return value

    return Read(check, {"type": "string", "enum": list(values)})


def whole(low: int, high: int) -> Read:
    """A whole number between two."""

    def check(value: str) -> int:
        if not (value.isascii() and value.isdigit() and len(value) <= 5 and low <= int(value) <= high):
            raise bad(f"{low} to {high}")
        return int(value)

    return Read(check, {"type": "integer", "minimum": low, "maximum": high})


def matching(pattern: re.Pattern[str], detail: str) -> Read:
    """Text of a form."""

    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise bad(detail)
        return value

    return Read(check, {"type": "string", "pattern": f"^{pattern.pattern}$"})


def column_of(*names: str) -> Read:
    """A column to sort by, `-` before it for descending."""

    def check(value: str) -> str:
        name = value.removeprefix("-")
        if value and name not in names:
            near = difflib.get_close_matches(name[:40], names, 1)
            raise bad(f"no such column{f'; did you mean {near[0]}?' if near else ''}")
        return value

    return Read(check, {"type": "string", "enum": [sign + name for name in names for sign in ("", "-")]})


def _zone(value: str) -> str:
    try:
        windows.zone_of(value)
    except BadQuestion as error:
        raise bad(error.detail) from None
    return value


def _group_by(value: str) -> str:
    parts = value.split(",") if value else []
    buckets = [part for part in parts if part in BUCKETS]
    keys = [part for part in parts if part not in BUCKETS]
    if len(buckets) > 1 or len(keys) > 1 or (buckets and parts[0] not in BUCKETS):
        raise bad("one key, or a time bucket and one key, like day,tag.plan")
    for key in keys:
        if key not in GROUPS and not (key.startswith("tag.") and TAG_KEY.fullmatch(key[4:])):
            near = difflib.get_close_matches(key[:80], [*GROUPS, *BUCKETS], 1)
            raise bad(f"no such key{f'; did you mean {near[0]}?' if near else ''}")
    return value


_GROUP_PATTERN = r"^((day|hour),)?(user|provider|model|agent|service_tier|tag\.[A-Za-z0-9_.-]{1,64})$|^(day|hour)$"
_INSTANT = Read(
    str,
    {
        "type": "string",
        "anyOf": [{"format": "date-time"}, {"format": "date"}, {"pattern": "^([0-9]{1,7}|[0-9]{9}|[0-9]{11,15})$"}],
    },
)
_ZONE = {"type": "string", "pattern": "^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$", "examples": ["UTC", "Europe/Berlin"]}
TEXT = {"type": "string", "maxLength": TEXT_CHARS, "pattern": r"^[^\u0000]*$"}
_TEXT = Read(text, TEXT)


def _of(quantiles: str) -> tuple[str, str]:
    """Columns of a row that has quantiles, named as exports name them."""
    return f"{quantiles}_p50", f"{quantiles}_p95"


Compare = Annotated[
    str, one_of("previous"), Field(description="adds `previous`, of the window before, to every row and sum")
]
Include = Annotated[str, one_of("spark"), Field(description="spark: the spend of each day, in every row and sum")]


class Asked(BaseModel):
    """A window and its zone: what every question has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: Annotated[str, one_of(*windows.NAMES), Field(description="ends now; 28d unless said")] = ""
    windowDays: Annotated[int, whole(1, 400), Field(description="so many times 24 hours, ending now")] = 0  # noqa: N815  # a contract
    from_: Annotated[
        str,
        _INSTANT,
        Field(alias="from", description="RFC 3339, a date (midnight of `tz`) or unix milliseconds; inclusive"),
    ] = ""
    to: Annotated[str, _INSTANT, Field(description="as `from`; exclusive; now unless said")] = ""
    tz: Annotated[str, Read(_zone, _ZONE), Field(description="IANA name, like Europe/Berlin")] = "UTC"

    def agree(self) -> None:
        """Raises BadQuestion for a parameter that means nothing beside the others: none is taken and ignored."""


class Listed(Asked):
    """A list, a page at a time."""

    limit: Annotated[int, whole(1, limits.PAGE_ROWS), Field(description="rows of a page")] = limits.PAGE_ROWS_DEFAULT
    cursor: Annotated[
        str, matching(_CURSOR, "not a cursor of ours"), Field(description="`next_cursor` of the page before")
    ] = ""
    format: Annotated[str, one_of(*FORMATS), Field(description="all but json: the whole answer, streamed")] = "json"


class RawListed(Listed):
    """A list of traces or events."""

    compare: Annotated[
        str, one_of("previous"), Field(description="adds `previous`, of the window before, to the totals")
    ] = ""


class TracesQuery(RawListed):
    """traces."""

    sort: Annotated[
        str,
        column_of(
            "started_at", "duration_ms", "spend", "events", "calls", "tokens", "errors", "unpriced_events", "last_seen"
        ),
        Field(description="-started_at, newest first, unless said; any other reads the whole window"),
    ] = ""


class EventsQuery(RawListed):
    """events."""

    sort: Annotated[
        str,
        column_of("timestamp", "cost", "latency_ms", "time_to_first_token_ms", "tokens"),
        Field(description="-timestamp, newest first, unless said"),
    ] = ""


class Compared(Listed):
    """A list of measured rows that can stand beside those of the window before."""

    compare: Compare = ""


class Searched(Compared):
    """One whose rows can be searched by name."""

    q: Annotated[
        str, _TEXT, Field(description="rows whose name holds this, whatever the case; sums are then of these alone")
    ] = ""


class OverviewQuery(Searched):
    """overview."""

    group_by: Annotated[
        str,
        Read(_group_by, {"type": "string", "pattern": _GROUP_PATTERN}),
        Field(description="a key, a time bucket, or both: day,tag.plan"),
    ] = ""
    include: Include = ""
    sort: Annotated[str, column_of(*MEASURES, "users", "key", "bucket"), Field(description="-spend unless said")] = ""

    def agree(self) -> None:
        if not self.group_by:
            for name in sorted(self.model_fields_set & {"cursor", "limit", "sort"}):
                raise BadQuestion("only with group_by", name)
        elif self.include and self.group_by.split(",")[0] in BUCKETS:
            raise BadQuestion("spark is of rows that are no days or hours themselves", "include")
        if self.sort.removeprefix("-") == "bucket" and "," not in self.group_by:
            raise BadQuestion("only with a time bucket and a key, like day,tag.plan", "sort")
        if self.q and (not self.group_by or self.group_by in BUCKETS):
            raise BadQuestion("only with a key in group_by", "q")


class UsersQuery(Searched):
    """users."""

    above: Annotated[
        str, matching(_AMOUNT, "an amount in USD, like 20"), Field(description="USD; counts the users above it")
    ] = ""
    include: Include = ""
    sort: Annotated[
        str, column_of(*MEASURES, "user_id", "top_model", "share"), Field(description="-spend unless said")
    ] = ""


class ModelsQuery(Searched):
    """models."""

    sort: Annotated[
        str,
        column_of(*MEASURES, "model", "provider", "share", *_of("latency_ms"), *_of("time_to_first_token_ms")),
        Field(description="-spend unless said"),
    ] = ""


class ToolsQuery(Searched):
    """tools."""

    sort: Annotated[
        str,
        column_of(*MEASURES, "tool_name", "users", "success_rate", "share", *_of("latency_ms")),
        Field(description="-calls unless said"),
    ] = ""


class TagsQuery(Searched):
    """tags."""

    sort: Annotated[str, column_of(*MEASURES, "key", "values"), Field(description="-spend unless said")] = ""


class TagValuesQuery(Searched):
    """tags/{key}."""

    sort: Annotated[str, column_of(*MEASURES, "value", "users"), Field(description="-spend unless said")] = ""


class UserQuery(Asked):
    """users/{id}."""

    compare: Compare = ""


class EventQuery(Asked):
    """events/{id}."""

    trace_id: Annotated[
        str | None, _TEXT, Field(description="tells two events of one id apart; empty: the one outside any trace")
    ] = None


@cache
def names_of(model: type[Asked]) -> frozenset[str]:
    """The parameters of an endpoint, as they are written in a URL."""
    return frozenset(field.alias or name for name, field in model.model_fields.items())


Q = TypeVar("Q", bound=Asked)


def read(model: type[Q], given: dict[str, str]) -> Q:
    """Raises BadQuestion that names the first parameter that is wrong."""
    try:
        found = model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadQuestion(str(first["msg"]), str(first["loc"][0])) from None
    found.agree()
    return found
