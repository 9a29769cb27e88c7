"""Random rows of `events`, and the sums that any question over them must give, in plain Python."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, get_type_hints
from uuid import UUID

from pipeline.row import Row

USERS = ["", "ada", "bob", "eve", "'; DROP TABLE events; --", "a/b", "{x}\n%41", "ünï"]
MODELS = [("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-5"), ("acme", "house-1")]
PLANS = ["free", "pro", None]


def make_rows(account: str, count: int, seed: int, start: int, end: int, first_offset: int = 0) -> list[Row]:
    """Rows with times in [start, end), unix us."""
    rng = random.Random(seed)
    traces = [f"t-{account}-{n}" for n in range(count // 3 + 1)]
    seen: set[str] = set()
    seen_users: set[tuple[str, str]] = set()
    rows = []
    for number in range(count):
        ts = rng.randrange(start, end)
        user, trace = rng.choice(USERS), rng.choice(traces)
        provider, model = rng.choice(MODELS)
        kind = rng.choices(("llm", "tool", "trace"), (8, 1, 1))[0]
        tags = sorted(f"{k}={v}" for k, v in (("plan", rng.choice(PLANS)), ("org", f"o{rng.randrange(4)}")) if v)
        priced = kind == "llm" and provider != "acme"
        status = "none" if kind != "llm" else "priced" if priced else "unpriced"
        cost = Decimal(rng.randrange(1, 10**9)).scaleb(-9) if priced else None
        llm = kind == "llm"
        values: dict[str, Any] = dict.fromkeys(Row._fields, "")
        values |= {name: 0 for name, kind_ in get_type_hints(Row).items() if kind_ is int}
        values |= {
            "account": account, "ts": ts, "received_at": ts + 1000, "id": str(UUID(int=rng.getrandbits(128))), "type": kind,
            "trace_id": trace, "user_id": user, "tags": tags, "tags_over": [], "provider": provider if llm else "",
            "model": model if llm else "", "agent": rng.choice(("bot", "")), "tool_name": "search" if kind == "tool" else "",
            "status": rng.choice(("ok", "ok", "error")), "input_uncached": rng.randrange(1000) if llm else 0,
            "input_cache_read": rng.randrange(100) if llm else 0, "output": rng.randrange(500) if llm else 0, "cost": cost,
            "cost_reported": None, "price_status": status, "latency_ms": rng.uniform(1, 5000), "time_to_first_token_ms": None,
            "flags": [], "privacy": "standard", "sign": 1, "is_trace_start": int(trace not in seen),
            "is_user_trace_start": int((trace, user) not in seen_users), "retention_days": 4000, "content_days": 4000,
            "log_id": f"log-{account}", "log_offset": first_offset + number,
        }  # fmt: skip
        seen.add(trace)
        seen_users.add((trace, user))
        rows.append(Row(**values))
    return rows


def sums(rows: Iterable[Row]) -> dict[str, Any]:
    """The measures of these rows, but traces."""
    rows = list(rows)
    cost = sum((r.cost for r in rows if r.cost is not None), Decimal(0))
    unpriced = sum(r.price_status == "unpriced" for r in rows)
    priced = sum(r.price_status == "priced" for r in rows)
    return {
        "spend": None if unpriced and not priced else cost,
        "events": len(rows),
        "calls": sum(r.type == "llm" for r in rows),
        "tokens": sum(r.input_uncached + r.input_cache_read + r.output for r in rows),
        "errors": sum(r.status == "error" for r in rows),
        "unpriced_events": unpriced,
        "last_seen": max((r.ts for r in rows), default=None),
    }


def grouped(rows: Sequence[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    """Rows by key."""
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found
