"""HTTP bytes -> Event | Rejected."""

from __future__ import annotations

from typing import Literal

import msgspec

EventType = Literal["llm", "tool", "log", "trace", "custom"]
Status = Literal["ok", "error", "aborted"]
Privacy = Literal["minimal", "standard", "full"]


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One valid event, normalised: what a `Record` carries and what a `Row` is made from.

    An absent string is "" and an absent number None; content is JSON text as `msgspec.Raw` (absent: UNSET).
    """

    id: str  # UUID, lower case with hyphens
    type: EventType
    timestamp: int  # start of the call, unix microseconds
    dated: bool = True  # False: the sender gave no timestamp, it is the time of receipt
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    name: str = ""
    session_id: str = ""
    user_id: str = ""  # metadata.tags.userId, verbatim
    tags: tuple[str, ...] = ()  # sorted "key=value", without userId and without empty values
    provider: str = ""
    model: str = ""
    agent: str = ""
    operation: str = ""
    tool_name: str = ""
    usage: msgspec.Raw | msgspec.UnsetType = (
        msgspec.UNSET
    )  # the object as sent; `usage.read_usage` makes token classes of it
    usage_estimated: bool = False
    service_tier: str = ""
    processing: str = ""
    speed: str = ""
    cost_usd: str = ""  # decimal string, as the provider reported
    latency_ms: float | None = None
    time_to_first_token_ms: float | None = None
    status: Status = "ok"
    error_code: str = ""
    finish_reason: str = ""
    replaces: str = ""  # id of the estimated event of the same trace that this one corrects
    privacy: Privacy | Literal[""] = ""  # asked for by the sender; may only be stricter than the account's
    flags: tuple[str, ...] = ()
    error_message: str = ""
    prompt: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    response: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    tool_arguments: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    tool_result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    logs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # metadata without tags, a JSON object
