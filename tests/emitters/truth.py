"""What a call used and cost, computed outside the product: from what the provider server serves, with the price package itself."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from genai_prices import Usage, calc_price

from tests.emitters.cases import SESSION, TAGS, Case
from tests.support.providers import usage as provider_usage
from tests.support.providers.asked import Asked

CLASSES = (
    "input_uncached", "input_cache_read", "input_cache_write_5m", "input_cache_write_30m", "input_cache_write_1h",
    "input_cache_write_12h", "output", "output_reasoning", "input_audio", "output_audio", "web_searches",
)  # fmt: skip
_CALL = {
    "chat": "chat",
    "responses": "responses",
    "embeddings": "embeddings",
    "messages": "messages",
    "beta": "messages",
}


@dataclass(frozen=True)
class Truth:
    """One call as it was, or as a recording tells it: what is compared field by field. `cost` None: unpriced."""

    input_uncached: int = 0
    input_cache_read: int = 0
    input_cache_write_5m: int = 0
    input_cache_write_30m: int = 0
    input_cache_write_1h: int = 0
    input_cache_write_12h: int = 0
    output: int = 0
    output_reasoning: int = 0
    input_audio: int = 0
    output_audio: int = 0
    web_searches: int = 0
    provider: str = ""
    model: str = ""
    tier: str = "standard"  # of the price: standard, priority, flex, batch
    speed: str = ""  # of the price; no answer of the query API tells it, the cost does
    status: str = "ok"
    user: str = ""
    session: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    cost: Decimal | None = None
    price_status: str = "priced"

    @property
    def tokens(self) -> tuple[int, ...]:
        return tuple(getattr(self, name) for name in CLASSES)


COMPARED = tuple(field.name for field in fields(Truth) if field.name != "speed")


def served_usage(case: Case) -> dict[str, Any] | None:
    """The usage object that the provider server serves for a case, in the provider's shape; None where it refuses."""
    asked = _asked(case)
    if asked.failure(0) is not None:
        return None
    found: dict[str, Any] = getattr(provider_usage, _CALL[case.api])(asked)
    return found


def truth_of(case: Case, at: datetime) -> Truth:
    """The truth of a case whose call began at `at`."""
    asked = _asked(case)
    usage = served_usage(case)
    whose = {
        "provider": case.provider,
        "user": case.user,
        "session": SESSION,
        "tags": tuple(sorted({**TAGS, "case": case.name}.items())),
    }
    if usage is None:
        return Truth(model=case.model, status="error", cost=Decimal(0), price_status="none", **whose)  # type: ignore[arg-type]
    counts = _anthropic(usage) if case.provider == "anthropic" else _openai(usage)
    tier = usage["service_tier"] if case.provider == "anthropic" else asked.tier
    made = Truth(
        **counts, model=asked.model, tier="standard" if tier == "default" or case.api == "embeddings" else tier,
        speed=usage.get("speed", ""), status=_status(case, asked), **whose,
    )  # type: ignore[arg-type]  # fmt: skip
    return priced(made, case.provider, at)


def priced(told: Truth, provider: str, at: datetime) -> Truth:
    """The same with the price package's cost, to the last digit that a column keeps. No usage at all is unpriced, unless it failed."""
    if not any(told.tokens):
        if told.status == "error":
            return replace(told, cost=Decimal(0), price_status="none")
        return replace(told, cost=None, price_status="unpriced")
    cached = told.input_cache_read
    written = sum(told.tokens[2:6])
    usage = Usage(
        input_tokens=told.input_uncached + cached + written, cache_read_tokens=cached, cache_write_tokens=written,
        cache_write_5m_tokens=told.input_cache_write_5m, cache_write_1h_tokens=told.input_cache_write_1h,
        output_tokens=told.output, input_audio_tokens=told.input_audio, output_audio_tokens=told.output_audio,
        web_searches=told.web_searches,
    )  # fmt: skip
    context = {"service_tier": told.tier} if told.tier in ("priority", "flex") else {}
    context |= {"processing": "batch"} if told.tier == "batch" else {}
    context |= {"speed": told.speed} if told.speed else {}
    cost = calc_price(
        usage, told.model, provider_id=provider, genai_request_timestamp=at, price_context=context or None
    ).total_price
    return replace(told, cost=cost.quantize(Decimal("1e-9"), ROUND_HALF_EVEN), price_status="priced")


def told_by(event: dict[str, Any]) -> Truth:
    """An event of the query API in the same words."""
    tier = event["service_tier"] or "standard"
    return Truth(
        **{name: event[name] for name in CLASSES},
        provider=event["provider"] or "",
        model=event["model"] or "",
        tier="standard" if tier in ("default", "auto", "scale") else tier,
        status=event["status"],
        user=event["user_id"] or "",
        session=event["session_id"] or "",
        tags=tuple(sorted(event["tags"].items())),
        cost=None if event["cost"] is None else Decimal(event["cost"]),
        price_status=event["price_status"],
    )


def differences(wanted: Truth, told: Truth) -> dict[str, tuple[Any, Any]]:
    """Field -> (wanted, told) of each that differs."""
    pairs = {name: (getattr(wanted, name), getattr(told, name)) for name in COMPARED}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _status(case: Case, asked: Asked) -> str:
    if case.how == "abandoned":
        return "aborted"
    return "error" if asked.number("error") else "ok"


def _asked(case: Case) -> Asked:
    return Asked.of({"model": case.model, "input": case.words, **case.more})


def _openai(usage: dict[str, Any]) -> dict[str, int]:
    """Chat completions, responses and embeddings: input includes the cache."""
    inputs = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    outputs = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    written = inputs.get("cache_write_tokens", 0)
    long = inputs.get("cache_write_tokens_details", {}).get("ttl_12h_tokens", 0)
    read = inputs.get("cached_tokens", 0)
    return {
        "input_uncached": usage.get("prompt_tokens", usage.get("input_tokens", 0)) - read - written,
        "input_cache_read": read,
        "input_cache_write_30m": written - long,
        "input_cache_write_12h": long,
        "output": usage.get("completion_tokens", usage.get("output_tokens", 0)),
        "output_reasoning": outputs.get("reasoning_tokens", 0),
        "input_audio": inputs.get("audio_tokens", 0),
        "output_audio": outputs.get("audio_tokens", 0),
    }


def _anthropic(usage: dict[str, Any]) -> dict[str, int]:
    """Messages: input is what the cache had no part in."""
    return {
        "input_uncached": usage["input_tokens"],
        "input_cache_read": usage["cache_read_input_tokens"],
        "input_cache_write_5m": usage["cache_creation"]["ephemeral_5m_input_tokens"],
        "input_cache_write_1h": usage["cache_creation"]["ephemeral_1h_input_tokens"],
        "output": usage["output_tokens"],
        "output_reasoning": usage.get("output_tokens_details", {}).get("thinking_tokens", 0),
        "web_searches": usage.get("server_tool_use", {}).get("web_search_requests", 0),
    }
