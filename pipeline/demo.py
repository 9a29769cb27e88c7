"""Realistic traffic: Zipf users in orgs with plans, several providers and models, cached tokens, errors, a day's rhythm.

Pure: the same seed makes the same events. `percapita demo` and `percapita loadgen` send them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

PLANS = (("free", 0.6), ("pro", 0.3), ("enterprise", 0.1))
FEATURES = ("chat", "search", "summarise")
_SURNAMES = ("ada", "grace", "alan", "edsger", "barbara", "donald", "radia", "tim", "lin", "ken", "margaret", "dennis")


class Model(NamedTuple):
    """A model of the traffic's mix, and the shape of its provider's usage object."""

    provider: str
    name: str
    shape: str
    weight: float
    tokens_per_second: float


MODELS = (
    Model("openai", "gpt-4o-mini-2024-07-18", "chat", 0.34, 110),
    Model("openai", "gpt-4o-2024-08-06", "chat", 0.18, 80),
    Model("openai", "gpt-5-mini-2025-08-07", "responses", 0.12, 90),
    Model("anthropic", "claude-sonnet-5", "messages", 0.2, 70),
    Model("anthropic", "claude-haiku-5-5", "messages", 0.12, 140),
    Model("google", "gemini-2.5-flash", "classes", 0.03, 150),
    Model("acme-labs", "house-llm-1", "classes", 0.01, 60),
)


class User(NamedTuple):
    """One end user of the imaginary company."""

    id: str
    org: str
    plan: str


def make_users(count: int, seed: int) -> list[User]:
    """Users in orgs; an org has one plan. Index is the rank of a Zipf law: early users call most."""
    rng = random.Random(seed)
    orgs = max(1, count // 25)
    plans = [rng.choices([p for p, _ in PLANS], [w for _, w in PLANS])[0] for _ in range(orgs)]
    users = []
    for rank in range(count):
        org = min(int(rng.paretovariate(0.8)) - 1, orgs - 1)
        users.append(User(f"{rng.choice(_SURNAMES)}-{rank:05d}", f"org-{org:03d}", plans[org]))
    return users


def uuid7(milliseconds: int, rng: random.Random) -> str:
    """A UUIDv7 of the given unix time."""
    value = (
        (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | rng.getrandbits(12) << 64 | 0b10 << 62 | rng.getrandbits(62)
    )
    return str(UUID(int=value))


class Traffic:
    """An endless stream of traces between two times."""

    def __init__(self, *, seed: int, users: int, start: datetime, end: datetime) -> None:
        self._rng = random.Random(seed)
        self._users = make_users(users, seed)
        self._weights = _cumulative([1 / (rank + 2.7) ** 1.05 for rank in range(users)])
        self._start, self._end = start.timestamp(), end.timestamp()
        self._models = _cumulative([m.weight for m in MODELS])

    def events(self) -> Iterator[dict[str, Any]]:
        """Events as they are posted, trace after trace."""
        while True:
            yield from self._trace()

    def _moment(self) -> float:
        """A time of the span, following working days: three times the traffic in the afternoon, half at weekends."""
        rng = self._rng
        while True:
            at = rng.uniform(self._start, self._end)
            when = datetime.fromtimestamp(at, UTC)
            rhythm = 0.55 + 0.45 * math.sin((when.hour + when.minute / 60 - 9) / 24 * 2 * math.pi)
            if rng.random() < rhythm * (0.5 if when.weekday() > 4 else 1.0):
                return at

    def _trace(self) -> Iterator[dict[str, Any]]:
        rng = self._rng
        at = self._moment()
        user = rng.choices(self._users, cum_weights=self._weights)[0]
        tags = {"userId": user.id, "org": user.org, "plan": user.plan, "feature": rng.choice(FEATURES)}
        if rng.random() < 0.02:  # a background job: spend of nobody
            del tags["userId"]
        trace = uuid7(int(at * 1000), rng)
        agent = "support-bot" if rng.random() < 0.7 else "research-agent"
        spot = at
        for step in range(1 + min(6, int(rng.expovariate(0.9)))):
            event = self._call(spot)
            event |= {"trace_id": trace, "agent": agent, "metadata": {"tags": tags}}
            spot += event["latency_ms"] / 1000
            yield event
            if step and rng.random() < 0.3:
                yield self._tool(spot, trace, agent, tags)
                spot += 0.2
        yield {
            "id": uuid7(int(spot * 1000), rng), "type": "trace", "timestamp": int(at * 1000), "trace_id": trace,
            "name": "answer", "agent": agent, "latency_ms": round((spot - at) * 1000, 1), "metadata": {"tags": tags},
        }  # fmt: skip

    def _call(self, at: float) -> dict[str, Any]:
        rng = self._rng
        model = rng.choices(MODELS, cum_weights=self._models)[0]
        prompt = int(rng.lognormvariate(6.8, 0.9)) + 20
        output = int(rng.lognormvariate(5.3, 0.8)) + 1
        cached = int(prompt * rng.choice((0.5, 0.8))) if rng.random() < 0.4 else 0
        status = rng.choices(("ok", "error", "aborted"), (0.965, 0.02, 0.015))[0]
        first = round(rng.lognormvariate(5.8, 0.4), 1)
        event: dict[str, Any] = {
            "id": uuid7(int(at * 1000), rng), "type": "llm", "timestamp": int(at * 1000), "operation": "chat",
            "provider": model.provider, "model": model.name, "status": status,
            "latency_ms": round(first + output / model.tokens_per_second * 1000, 1), "time_to_first_token_ms": first,
        }  # fmt: skip
        if status == "error":
            event |= {"error_code": "rate_limit_exceeded", "error_message": "Rate limit reached", "latency_ms": first}
            return event
        if status == "aborted":
            output = max(1, output // 3)
            event["usage_estimated"] = True
        event["usage"] = _usage(model.shape, prompt, cached, output, rng)
        event["prompt"] = [{"role": "user", "content": f"Question {rng.randrange(10**6)}: how do I change my plan?"}]
        event["response"] = "You will find it under Settings, Billing. " * (1 + output // 300)
        event["finish_reason"] = "stop" if status == "ok" else "aborted"
        return event

    def _tool(self, at: float, trace: str, agent: str, tags: dict[str, str]) -> dict[str, Any]:
        rng = self._rng
        return {
            "id": uuid7(int(at * 1000), rng), "type": "tool", "timestamp": int(at * 1000), "trace_id": trace,
            "tool_name": rng.choice(("lookup_order", "search_docs", "send_email")), "operation": "execute_tool",
            "status": "ok" if rng.random() < 0.97 else "error", "latency_ms": round(rng.lognormvariate(4.5, 0.6), 1),
            "agent": agent, "metadata": {"tags": tags},
        }  # fmt: skip


def _usage(shape: str, prompt: int, cached: int, output: int, rng: random.Random) -> dict[str, Any]:
    """The usage object as that provider words it."""
    if shape == "chat":
        return {
            "prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output,
            "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }  # fmt: skip
    if shape == "responses":
        return {
            "input_tokens": prompt, "output_tokens": output, "total_tokens": prompt + output,
            "input_tokens_details": {"cached_tokens": cached}, "output_tokens_details": {"reasoning_tokens": output // 2},
        }  # fmt: skip
    if shape == "messages":
        written = prompt // 4 if rng.random() < 0.2 else 0
        return {
            "input_tokens": prompt - cached, "output_tokens": output, "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": written, "service_tier": "standard",
            "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        }  # fmt: skip
    return {"input_uncached": prompt - cached, "input_cache_read": cached, "output": output}


def _cumulative(weights: list[float]) -> list[float]:
    total, sums = 0.0, []
    for weight in weights:
        total += weight
        sums.append(total)
    return sums


def with_duplicates(events: Iterator[dict[str, Any]], share: float, seed: int) -> Iterator[dict[str, Any]]:
    """The same events, a share of them again within the next few hundred, as retries come."""
    rng = random.Random(seed + 1)
    held: list[dict[str, Any]] = []
    for event in events:
        yield event
        if rng.random() < share:
            held.append(event)
        if held and rng.random() < share:
            yield held.pop(rng.randrange(len(held)))
    yield from held
