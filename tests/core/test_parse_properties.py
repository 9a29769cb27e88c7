"""Whatever bytes arrive: parsing ends in events, rejections or one of our own errors, and what is taken becomes a row or a dead letter."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import limits
from pipeline.errors import PercapitaError
from pipeline.log import Entry
from pipeline.parse import parse_batch
from pipeline.price import PriceBook
from pipeline.process import Context, Decoded, Finished, decode_all, finish, to_rows
from pipeline.reasons import REJECTED
from pipeline.record import Account, to_record
from pipeline.row import Row
from pipeline.usage import Usage
from pipeline.wire import FIELDS

NOW = time.time_ns() // 1000
CONTEXT = Context(PriceBook())
TYPES = st.sampled_from(
    ["application/json", "application/x-ndjson", "application/json; charset=utf-8", "text/plain", ""]
)

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
TOKENS = st.integers(0, 2**33) | st.none() | st.text(max_size=3) | st.floats()
USAGE = st.dictionaries(
    st.sampled_from([
        "prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "input_uncached", "output",
        "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation", "prompt_tokens_details", "service_tier",
    ]),
    TOKENS | st.dictionaries(st.sampled_from(["cached_tokens", "ephemeral_1h_input_tokens", "audio_tokens"]), TOKENS),
)  # fmt: skip
EVENT = st.dictionaries(st.sampled_from(sorted(FIELDS)) | st.text(max_size=8), JSON, max_size=6).flatmap(
    lambda event: st.fixed_dictionaries(
        {"type": st.sampled_from(["llm", "tool", "log", "trace", "custom"])},
        optional={
            "usage": USAGE,
            "provider": st.sampled_from(["openai", "anthropic", "azure", "x"]),
            "model": st.sampled_from(["gpt-4o", "claude-sonnet-4-5", "gpt-5", "nobody's"]),
            "metadata": st.fixed_dictionaries({}, optional={"tags": st.dictionaries(st.text("abC._-", min_size=1), st.text()), "x": JSON}),
            "prompt": JSON,
            "error_message": st.text(),
            "privacy": st.sampled_from(["minimal", "standard", "full"]),
            "cost_usd": st.from_regex(r"[0-9]{1,10}(\.[0-9]{1,9})?", fullmatch=True),
            "timestamp": st.integers(NOW // 1000 - 10**10, NOW // 1000 + 10**6) | st.datetimes().map(lambda d: d.isoformat() + "Z"),
        },
    ).map(lambda known: {**event, **known})
)  # fmt: skip


def parsed(body: bytes, kind: str) -> list[Any]:
    """Every event of a body, after the checks that hold for any body."""
    try:
        batch = parse_batch(body, kind, NOW)
    except PercapitaError as error:
        if not 400 <= error.status < 500:
            raise
        return []
    places = [item.index for item in batch.rejected]
    assert len(set(places)) == len(places)
    assert all(item.code in REJECTED for item in batch.rejected)
    assert len(batch.events) + len(places) <= limits.BATCH_EVENTS
    return batch.events


@settings(max_examples=400, deadline=None)
@given(body=st.binary(max_size=200), kind=TYPES)
def test_any_bytes(body: bytes, kind: str) -> None:
    parsed(body, kind)


@settings(max_examples=400, deadline=None)
@given(value=JSON, kind=TYPES)
def test_any_json(value: Any, kind: str) -> None:
    parsed(json.dumps(value).encode(), kind)


@settings(max_examples=600, deadline=None)
@given(events=st.lists(EVENT, min_size=1, max_size=3))
def test_what_is_taken_becomes_a_row_or_a_dead_letter(events: list[dict[str, Any]]) -> None:
    body = json.dumps(events).encode()
    taken = parsed(body, "application/json")
    records = [to_record(event, Account(id="a"), "standard", NOW) for event in taken]
    decoded, dead = decode_all([Entry(0, n, record.value) for n, record in enumerate(records)], "log")
    assert dead == []
    done = [finish(item, "log", CONTEXT) for item in decoded]
    finished = [item for item in done if isinstance(item, Finished)]
    marks = [0] * len(finished)
    rows = to_rows(finished, marks, marks, "log", CONTEXT)
    assert len(rows) == len(finished)
    assert len(rows.columns) == len(Row._fields)
    for place in range(len(rows)):
        row = rows[place]
        assert (row.cost is None) == (row.price_status in ("unpriced", "none") and row.cost != 0)
        assert all(0 <= getattr(row, name) <= limits.TOKENS_MAX for name in Usage._fields)


@settings(max_examples=300, deadline=None)
@given(event=EVENT)
def test_an_event_is_read_the_same_however_its_json_is_spelled(event: dict[str, Any]) -> None:
    compact = json.dumps(event, separators=(",", ":"), ensure_ascii=False, default=str)
    spaced = json.dumps(event, indent=2)
    try:
        one, other = (parse_batch(t.encode(), "application/json", NOW) for t in (compact, spaced))
    except (PercapitaError, UnicodeEncodeError):
        return
    assert [item.code for item in one.rejected] == [item.code for item in other.rejected]
    without_id = [[msgspec.structs.replace(e, id="") for e in batch.events] for batch in (one, other)]
    assert without_id[0] == without_id[1]


@settings(max_examples=200, deadline=None)
@given(event=EVENT, account=st.text(max_size=5))
def test_a_record_is_read_back_as_it_was_written(event: dict[str, Any], account: str) -> None:
    for one in parsed(json.dumps(event).encode(), "application/json"):
        record = to_record(one, Account(id=account), "standard", NOW)
        (decoded,), _ = decode_all([Entry(0, 0, record.value)], "log")
        assert isinstance(decoded, Decoded)
        assert decoded.envelope.event == one
        assert decoded.envelope.account == account
