"""The shapes of rows and sums as pydantic models: they make the OpenAPI document and the columns of exports, and a test holds every
answer (`replied`) against them. Answers themselves are built from plain dicts.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

Money = Annotated[
    str,
    WithJsonSchema({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "examples": ["4812.37"]}),
    "money",
]
Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"}), "time"]
Content = Annotated[
    Any,
    Field(description="as sent and redacted; {absent: reason} where the privacy mode keeps none; null: none was sent"),
]


class Shape(BaseModel):
    """Nothing that is not said here stands in an answer."""

    model_config = ConfigDict(extra="forbid")


class TokenClasses(Shape):
    """Tokens by class; `output_reasoning` is a part of `output`."""

    input_uncached: int
    input_cache_read: int
    input_cache_write: int
    output: int
    output_reasoning: int


class Measures(Shape):
    """What every row and sum has."""

    spend: Money | None = Field(
        description="USD, 9 decimals at most; null: something is unpriced and nothing is priced"
    )
    events: int = Field(description="of every type")
    calls: int = Field(description="events of type llm; of tools their calls")
    traces: int
    tokens: int
    tokens_by_class: TokenClasses
    errors: int
    unpriced_events: int
    estimated_events: int
    last_seen: Time | None


class Earlier(Measures):
    """The same of the window before."""

    users: int | None = None


class Sum(Measures):
    """A sum beside rows."""

    previous: Earlier | None = Field(None, description="with compare=previous")
    spark: list[Money] | None = Field(None, description="with include=spark: spend of each of meta.spark_days")


class Overview(Sum):
    """Everything in the window."""

    users: int
    forecast: Money | None = Field(None, description="of the month, with window=mtd")


class Group(Sum):
    """One value of what is grouped by; or one bucket of time."""

    bucket: Time | None = Field(None, description="where a day or hour of the zone begins, when there is a key too")
    key: str | None = Field(description="null: no such value")
    users: int


class UserRow(Sum):
    """One user."""

    user_id: str
    top_model: str | None
    share: float | None = Field(description="of the spend, 0 to 1; null where `spend` is")
    label: str | None = Field(description="the org that most of its events carry")


class UsersEarlier(Earlier):
    """Users' totals of the window before."""

    mean_spend: Money | None = None
    median_spend: Money | None = None
    users_above: int | None = None


class UsersTotals(Measures):
    """Attributed spend alone, and users of whose spend something is known: mean and median are of these."""

    users: int
    mean_spend: Money | None
    median_spend: Money | None
    users_above: int | None = Field(None, description="with above=AMOUNT")
    previous: UsersEarlier | None = None
    spark: list[Money] | None = None


class User(Measures):
    """One user, with the most frequent value of each tag."""

    user_id: str
    top_model: str | None
    first_seen: Time
    tags: dict[str, str]
    previous: Earlier | None = None


class Trace(Measures):
    """One `with_trace` block: the numbers of its selected events."""

    trace_id: str
    name: str | None
    user_id: str | None
    started_at: Time
    duration_ms: float
    models: list[str]
    agent: str | None
    tags: dict[str, str]


class CostPart(Shape):
    """A class of tokens as it was priced."""

    class_: str = Field(alias="class")
    tokens: int
    price_per_million: Money | None
    amount: Money


class Event(Shape):
    """One event as it is stored."""

    id: str
    type: str
    timestamp: Time
    trace_id: str | None
    span_id: str | None
    parent_span_id: str | None
    user_id: str | None
    name: str | None
    operation: str | None
    tool_name: str | None
    provider: str | None
    model: str | None
    service_tier: str | None
    agent: str | None
    session_id: str | None
    status: str
    error_code: str | None
    finish_reason: str | None
    cost: Money | None
    cost_reported: Money | None
    cost_parts: list[CostPart]
    price_id: str | None
    price_status: Literal["priced", "free", "reported", "estimated", "unpriced", "none"]
    price_version: str
    tokens: int
    input_uncached: int
    input_cache_read: int
    input_cache_write_5m: int
    input_cache_write_30m: int
    input_cache_write_1h: int
    input_cache_write_12h: int
    output: int
    output_reasoning: int
    input_audio: int
    input_audio_cache_read: int
    output_audio: int
    web_searches: int
    latency_ms: float | None
    time_to_first_token_ms: float | None
    flags: list[str]
    privacy: str
    error_message: Content
    prompt: Content
    response: Content
    tool_arguments: Content
    tool_result: Content
    logs: Content
    tags: dict[str, str]
    metadata: Any
    raw_usage: Any
    replaces: str | None


class TraceWithEvents(Trace):
    """A trace and its events in order."""

    events: list[Event]  # type: ignore[assignment]  # api.md names both so: a list here, a count in lists


class Quantiles(Shape):
    """Milliseconds, within 5 %."""

    p50: float | None
    p95: float | None


class Model(Sum):
    """One model of a provider; null: tools that cost something."""

    provider: str | None
    model: str | None
    latency_ms: Quantiles
    time_to_first_token_ms: Quantiles
    share: float | None = Field(description="of the spend, 0 to 1; null where `spend` is")


class ToolUser(Shape):
    """Who calls a tool most."""

    user_id: str
    calls: int


class Tool(Sum):
    """One tool; `calls` are its calls."""

    tool_name: str
    users: int
    share: float = Field(description="of the tool calls, 0 to 1")
    success_rate: float
    latency_ms: Quantiles
    top_users: list[ToolUser]


class Tag(Sum):
    """One tag key."""

    key: str
    values: int


class TagValue(Sum):
    """One value of a tag key."""

    value: str
    users: int


class Check(Shape):
    """One step of a first integration."""

    check: Literal["key_used", "events", "in_trace", "with_user", "in_window", "filters"]
    ok: bool
    count: int
    last_at: Time | None


class FilterRemoved(Shape):
    """What removing one filter would bring back."""

    filter: str
    values: list[str]
    events: int


class Diagnosis(Shape):
    """Why a page is empty: the first check that fails."""

    state: Literal["ok", "key_unused", "no_events", "no_trace", "no_user", "outside_window", "filtered_out"]
    checks: list[Check]
    filters: list[FilterRemoved]
    last_at: Time | None


class NoticeItem(Shape):
    """A name and how often."""

    name: str
    count: int


class Notice(Shape):
    """What the owner of the data should know."""

    kind: Literal[
        "unpriced_models", "email_like_ids", "dropped_events", "rejected_events", "near_miss_tags", "old_prices"
    ]
    count: int
    items: list[NoticeItem]
    since: str | None
