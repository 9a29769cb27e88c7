"""Made-up events as ClickHouse makes them itself: a hundred million in minutes."""

from __future__ import annotations

ACCOUNT = "acc_bench"

# Four tags, of which org and plan follow from the user; 20,000 users with a long tail; three events a trace. One trace in a
# hundred has no user, and of one in a hundred the events stand in no trace.
_ANONYMOUS = "intDiv(number, 3) % 100 = 7"
_UNTRACED = "intDiv(number, 3) % 100 = 11"
_USER = "toUInt32(pow(cityHash64(intDiv(number, 3), 1) % 1000003 / 1000003, 3) * 20000)"
# As our SDKs make them: a UUIDv7 of the time when the trace began.
_BEGAN = "lower(hex(toUInt64(intDiv(toInt64({start} + intDiv(number, 3) * 3 * {step}), 1000))))"
_CHANCE = "lower(hex(sipHash128(intDiv(number, 3))))"
_TRACE = (
    f"concat(substring({_BEGAN}, 1, 8), '-', substring({_BEGAN}, 9, 4), '-7', substring({_CHANCE}, 1, 3), '-8', "
    f"substring({_CHANCE}, 4, 3), '-', substring({_CHANCE}, 7, 12))"
)
_SPENT = "toDecimal64((cityHash64(number, 5) % 900000) / 1000000000 + 0.000001, 9)"
VALUES = {
    "account": f"'{ACCOUNT}'",
    "ts": "fromUnixTimestamp64Micro(toInt64({start} + number * {step}), 'UTC')",
    "received_at": "fromUnixTimestamp64Micro(toInt64({start} + number * {step} + 40000), 'UTC')",
    "id": "reinterpretAsUUID(sipHash128(number))",
    "type": "'llm'",
    "trace_id": f"if({_UNTRACED}, '', {_TRACE})",
    "name": "'answer'",
    "user_id": f"if({_ANONYMOUS}, '', concat('user_', toString({_USER})))",
    "tags": (
        "arraySort([concat('org=o', toString(u % 200)), ['plan=free', 'plan=pro', 'plan=team'][u % 3 + 1], "
        "['feature=chat', 'feature=search', 'feature=mail'][cityHash64(number, 2) % 3 + 1], 'env=production'])"
    ),
    "provider": "['openai', 'anthropic'][cityHash64(number, 3) % 2 + 1]",
    "model": "['gpt-4o', 'claude-sonnet-4-5', 'gpt-4o-mini', 'claude-haiku-4-5'][cityHash64(number, 3) % 4 + 1]",
    "agent": "['support', 'research'][cityHash64(intDiv(number, 3), 4) % 2 + 1]",
    "operation": "'chat'",
    "status": "if(cityHash64(number, 6) % 50 = 0, 'error', 'ok')",
    "input_uncached": "toUInt32(cityHash64(number, 7) % 4000)",
    "input_cache_read": "toUInt32(cityHash64(number, 8) % 2000)",
    "output": "toUInt32(cityHash64(number, 9) % 900)",
    "cost": f"toNullable({_SPENT})",
    "price_status": "'priced'",
    "price_id": "'openai/gpt-4o'",
    "latency_ms": "toNullable(toFloat64(100 + cityHash64(number, 10) % 6000))",
    "time_to_first_token_ms": "toNullable(toFloat64(50 + cityHash64(number, 11) % 800))",
    "privacy": "'standard'",
    "raw_usage": (
        "concat('{\"prompt_tokens\":', toString(cityHash64(number, 7) % 4000), ',\"completion_tokens\":', "
        "toString(cityHash64(number, 9) % 900), '}')"
    ),
    "sign": "toInt8(1)",
    "is_trace_start": f"toUInt8(number % 3 = 0 AND NOT {_UNTRACED})",
    "is_user_trace_start": f"toUInt8(number % 3 = 0 AND NOT {_UNTRACED})",
    "retention_days": "toUInt16(400)",
    "content_days": "toUInt16(400)",
    "log_id": "'bench'",
    "log_partition": "toUInt32(intDiv(number, 3) % 6)",
    "log_offset": "number",
}


def events_sql(first: int, count: int, start: int, step: float) -> str:
    """A SELECT of made-up events `first` to `first + count`, `step` us apart from unix us `start`."""
    columns = ", ".join(
        f"{sql.replace('{start}', str(start)).replace('{step}', str(step))} AS {name}" for name, sql in VALUES.items()
    )
    return f"SELECT {columns} FROM (SELECT number, {_USER} AS u FROM numbers({first}, {count}))"
