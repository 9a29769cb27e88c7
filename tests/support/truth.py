"""What the answers must be, computed outside the product: from the events sent, with `genai_prices.calc_price`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from genai_prices import Usage, calc_price


@dataclass
class Sums:
    """Truth of one user."""

    spend: Decimal = Decimal(0)
    events: int = 0
    calls: int = 0
    tokens: int = 0
    errors: int = 0
    unpriced: int = 0
    traces: set[str] = field(default_factory=set)
    last_seen: int = 0
    by_model: dict[str, tuple[Decimal, int]] = field(default_factory=dict)

    def top_model(self) -> str | None:
        """By spend, then calls, then name."""
        ranked = sorted(self.by_model.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))
        return ranked[0][0] if ranked else None


def classes(usage: dict[str, Any]) -> dict[str, int]:
    """Counts of a usage object of the demo, in the price package's inclusive words."""
    if "prompt_tokens" in usage:
        read = usage["prompt_tokens_details"]["cached_tokens"]
        return {
            "input_tokens": usage["prompt_tokens"],
            "cache_read_tokens": read,
            "output_tokens": usage["completion_tokens"],
        }
    if "input_tokens_details" in usage:
        read = usage["input_tokens_details"]["cached_tokens"]
        return {
            "input_tokens": usage["input_tokens"],
            "cache_read_tokens": read,
            "output_tokens": usage["output_tokens"],
        }
    if "cache_creation" in usage:
        read, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
        return {
            "input_tokens": usage["input_tokens"] + read + written,
            "cache_read_tokens": read,
            "cache_write_tokens": written,
            "cache_write_5m_tokens": usage["cache_creation"]["ephemeral_5m_input_tokens"],
            "output_tokens": usage["output_tokens"],
        }
    read = usage["input_cache_read"]
    return {"input_tokens": usage["input_uncached"] + read, "cache_read_tokens": read, "output_tokens": usage["output"]}


def truth(events: Iterable[dict[str, Any]]) -> dict[str, Sums]:
    """User id ("" for nobody) -> sums; each id counted once."""
    seen: set[tuple[str, str]] = set()
    users: dict[str, Sums] = defaultdict(Sums)
    for event in events:
        identity = (event.get("trace_id", ""), event["id"])
        if identity in seen:
            continue
        seen.add(identity)
        sums = users[event["metadata"]["tags"].get("userId", "")]
        sums.events += 1
        sums.last_seen = max(sums.last_seen, event["timestamp"])
        sums.errors += event.get("status") == "error"
        sums.traces.add(event["trace_id"])
        if event["type"] == "llm":
            _add_call(sums, event)
    return users


def _add_call(sums: Sums, event: dict[str, Any]) -> None:
    sums.calls += 1
    cost = Decimal(0)
    if "usage" in event:
        counts = classes(event["usage"])
        sums.tokens += counts["input_tokens"] + counts["output_tokens"]
        at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
        try:
            found = calc_price(
                Usage(**counts), event["model"], provider_id=event["provider"], genai_request_timestamp=at
            )
            cost = found.total_price.quantize(Decimal("1e-9"), ROUND_HALF_EVEN)
        except LookupError:
            sums.unpriced += 1
    sums.spend += cost
    spent, calls = sums.by_model.get(event["model"], (Decimal(0), 0))
    sums.by_model[event["model"]] = (spent + cost, calls + 1)


def differences(users: dict[str, Sums], pages: Iterable[dict[str, Any]]) -> list[str]:
    """What an answer of /users, all of its pages, says otherwise."""
    told: list[str] = []
    rows: dict[str, dict[str, Any]] = {}
    last: dict[str, Any] = {}
    for page in pages:
        last = page
        for row in page["data"]:
            if row["user_id"] in rows:
                told.append(f"{row['user_id']} is listed twice")
            rows[row["user_id"]] = row
    expected = {user: sums for user, sums in users.items() if user}
    if rows.keys() != expected.keys():
        told.append(f"users: {len(rows)} instead of {len(expected)}")
    for user, sums in users.items():
        row = last["unattributed"] if not user else rows.get(user)
        if row is None:
            continue
        wanted = (sums.spend, sums.events, sums.calls, sums.tokens, sums.errors, sums.unpriced, len(sums.traces))
        said = (
            Decimal(row["spend"] or 0), row["events"], row["calls"], row["tokens"], row["errors"], row["unpriced_events"],
            row["traces"],
        )  # fmt: skip
        if wanted != said:
            told.append(f"{user or '(unattributed)'}: {said} instead of {wanted}")
        if user and row["top_model"] != sums.top_model():
            told.append(f"{user}: top model {row['top_model']} instead of {sums.top_model()}")
        if datetime.fromisoformat(row["last_seen"]).timestamp() * 1000 != sums.last_seen:
            told.append(f"{user}: last seen {row['last_seen']}")
    total = sum((sums.spend for sums in users.values()), Decimal(0))
    if Decimal(last["totals"]["spend"]) != total:
        told.append(f"total {last['totals']['spend']} instead of {total}")
    return told
