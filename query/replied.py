"""The shapes of whole answers: a row, a page or a list from `rows`, what stands around it, and what stands in its place when it fails."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from pydantic import Field

from query.rows import (
    Diagnosis,
    Event,
    Group,
    Measures,
    Model,
    Money,
    Notice,
    Overview,
    Shape,
    Sum,
    Tag,
    TagValue,
    Time,
    Tool,
    Trace,
    TraceWithEvents,
    User,
    UserRow,
    UsersTotals,
)


class Span(Shape):
    """A window."""

    from_: Time = Field(alias="from")
    to: Time


class Meta(Shape):
    """What stands around every answer."""

    from_: Time = Field(alias="from")
    to: Time
    tz: str
    currency: Literal["USD"]
    as_of: Time = Field(description="the time of the read")
    complete_through: Time | None = Field(description="the time of receipt up to which every partition is stored")
    freshness_seconds: float | None
    provisional: bool = Field(description="an hour of the window waits to be audited")
    price_book: str
    warnings: list[str]
    plan: str = Field(description="the sources that were read: days, hours, raw")
    unpriced_events: int
    previous: Span | None = Field(None, description="with compare=previous: the window before")
    spark_days: list[Time] | None = Field(None, description="with include=spark: where each day begins")


D = TypeVar("D")
T = TypeVar("T")


class One(Shape, Generic[D]):
    """An answer that is one object."""

    data: D
    meta: Meta


class OverviewAnswer(Shape):
    """overview without group_by."""

    data: Overview
    totals: Overview
    unattributed: Sum
    meta: Meta


class UserAnswer(Shape):
    """users/{id}."""

    data: User
    totals: None
    unattributed: None
    meta: Meta


class Rows(Shape, Generic[D, T]):
    """A page of rows: page + rest + unattributed are the totals."""

    data: list[D]
    totals: T
    rest: Sum = Field(description="of the rows that are not on this page")
    unattributed: Sum | None = Field(description="of the events that stand in no row")
    next_cursor: str | None
    meta: Meta


class RawTotals(Measures):
    """Of everything that is listed."""

    previous: Measures | None = Field(None, description="with compare=previous")


class RawRows(Shape, Generic[D]):
    """A page of traces or events, newest first."""

    data: list[D]
    totals: RawTotals
    rest: Measures = Field(description="of all that is not on this page, events outside any trace too; no `last_seen`")
    unattributed: None = Field(description="events without a user are listed as others are")
    untraced: Money | None = Field(None, description="of traces: the spend outside any")
    next_cursor: str | None
    meta: Meta


class GroupsAnswer(Rows[Group, Sum]):
    """overview with group_by."""


class UsersAnswer(Rows[UserRow, UsersTotals]):
    """users."""


class ModelsAnswer(Rows[Model, Sum]):
    """models."""


class ToolsAnswer(Rows[Tool, Sum]):
    """tools."""


class TagsAnswer(Rows[Tag, Sum]):
    """tags."""


class TagValuesAnswer(Rows[TagValue, Sum]):
    """tags/{key}."""


class TracesAnswer(RawRows[Trace]):
    """traces."""


class EventsAnswer(RawRows[Event]):
    """events."""


class TraceAnswer(One[TraceWithEvents]):
    """traces/{id}."""


class EventAnswer(One[Event]):
    """events/{id}."""


class DiagnosisAnswer(One[Diagnosis]):
    """diagnosis."""


class NoticesAnswer(One[list[Notice]]):
    """notices."""


class ProblemError(Shape):
    """A parameter that is wrong."""

    parameter: str
    detail: str


class Problem(Shape):
    """RFC 9457, with a code that stays."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[ProblemError] | None = None
    request_id: str
