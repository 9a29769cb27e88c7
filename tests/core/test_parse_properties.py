"""Whatever bytes arrive: parsing ends in events, rejections or one of our own errors, and what is taken becomes a row or a dead letter."""

from __future__ import annotations

import gzip
import json
import re
import time
import zlib
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import limits
from pipeline.body import depth, least_bytes
from pipeline.encoding import decompress
from pipeline.errors import BadBody, PercapitaError, TooLarge
from pipeline.fields import FIELDS
from pipeline.log import Entry
from pipeline.parse import parse_batch
from pipeline.price import PriceBook
from pipeline.process import Context, Decoded, Finished, decode_all, finish, to_rows
from pipeline.reasons import REJECTED
from pipeline.record import Account, to_record
from pipeline.row import Row
from pipeline.usage import Usage
from query.question import Filter, parse_question
from tests.fuzz.targets import NAMES, TAKES, ask, decode

NOW = time.time_ns() // 1000
COMPRESSED = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}
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


WIRE = (
    b'[{"type":"llm","provider":"openai","usage":{"prompt_tokens":10,"prompt_tokens_details":{"cached_tokens":3}},"latency_ms":1.5,'
    b'"metadata":{"tags":{"userId":"ada","plan":"pro"}},"prompt":[{"a":"\\ud83d\\ude00 \\n"}],"timestamp":"2026-11-18T10:00:00Z"},{"type":"log"}]'
)
TOKENS_OF_JSON = st.sampled_from([
    b"NaN", b"-Infinity", b"1e999", b"null", b"true", b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\ud800", b"\\u0000", b"\0", b"\xff",
    b"\xef\xbb\xbf", b" ", b"\n", b"7" * 500, b'"type":"log",', b'"events":', b"-0", b"0.1e-400", b"[" * 70, b"\xf0\x9f\x92\xa9",
])  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, original: bytes = WIRE) -> bytes:
    """Good bytes with a few cuts, copies and tokens where they do not belong."""
    text = original
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 30)))
        what = draw(st.integers(0, 3))
        if what == 0:
            text = text[:at] + text[end:]
        elif what == 1:
            text = text[:end] + text[at:end] + text[end:]
        elif what == 2:
            text = text[:at] + draw(TOKENS_OF_JSON) + text[at:]
        else:
            text = text[:at] + draw(st.binary(max_size=3)) + text[end:]
    return text


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


@settings(max_examples=500, deadline=None)
@given(body=mutated(), choice=st.integers(0, 48))
def test_json_that_was_damaged_on_its_way(body: bytes, choice: int) -> None:
    decode(bytes([choice]) + body)


@settings(max_examples=400, deadline=None)
@given(body=mutated())
def test_a_body_is_json_to_us_only_if_a_strict_reader_takes_it_but_for_nan_and_surrogates(body: bytes) -> None:
    try:
        batch = parse_batch(body, "application/json", NOW)
    except PercapitaError:
        return
    text = body.decode()
    if batch.events and not any(event.flags for event in batch.events) and not batch.rejected:
        value = msgspec.json.decode(text)
        events = value["events"] if isinstance(value, dict) and "events" in value else value
        assert len(batch.events) == (len(events) if isinstance(events, list) else 1)
        again = json.loads(text)
        assert again == value


@settings(max_examples=300, deadline=None)
@given(data=st.data(), encoding=st.sampled_from(["gzip", "deflate", "zstd"]))
def test_what_was_compressed_comes_back_and_what_was_damaged_never_as_something_else(
    data: st.DataObject, encoding: str
) -> None:
    body = data.draw(st.binary(max_size=2000) | st.just(WIRE * 50))
    encoded = COMPRESSED[encoding](body)
    assert decompress(encoded, encoding, limits.BODY_BYTES) == body
    try:
        # zlib, gzip and zstd as we write them carry a checksum or an end that damage breaks; else nothing was lost.
        read = decompress(data.draw(mutated(encoded)), encoding, limits.BODY_BYTES)
    except (BadBody, TooLarge):
        return
    assert isinstance(read, bytes)


@settings(max_examples=200, deadline=None)
@given(size=st.integers(0, 3000), cap=st.integers(0, 3000), encoding=st.sampled_from(["gzip", "deflate", "zstd", ""]))
def test_the_cap_counts_bytes_after_decompression_to_the_byte(size: int, cap: int, encoding: str) -> None:
    body = bytes(size)
    encoded = COMPRESSED[encoding](body) if encoding else body
    if size <= cap:
        assert decompress(encoded, encoding, cap) == body
    else:
        with pytest.raises(TooLarge):
            decompress(encoded, encoding, cap)


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet='[]{}",\\:a \n0NaI', max_size=60))
def test_depth_is_that_of_the_nesting_and_escapes_do_not_hide_it(text: str) -> None:
    raw = text.encode()
    try:
        value = json.loads(text)
    except ValueError:
        depth(raw)
        return
    assert depth(raw) == nesting(value)


def nesting(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(nesting, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(nesting, value), default=0)
    return 0


@settings(max_examples=300, deadline=None)
@given(value=JSON, indent=st.none() | st.integers(0, 4), ascii_only=st.booleans())
def test_the_least_size_is_never_above_the_compact_one(value: Any, indent: int | None, ascii_only: bool) -> None:
    try:
        raw = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
        compact = msgspec.json.encode(msgspec.json.decode(raw))
    except (UnicodeEncodeError, msgspec.MsgspecError):
        return
    numbers = sum(len(str(n)) for n in re.findall(rb"[-+.eE0-9]+", raw))  # as spelled; a reader may spell them shorter
    assert least_bytes(raw) <= len(compact) + numbers


PAIRS = st.lists(
    st.tuples(
        st.sampled_from([*sorted(NAMES), "tag.plan", "tag.plan!", "tag.", "tags.plan", "userId!", "windw", ""]) | st.text(max_size=8),
        st.sampled_from(["7d", "mtd", "28", "2026-11-01", "0", "253402300799000", "spend", "-events", "day,tag.plan", "previous", "Europe/Berlin", ""])
        | st.text(max_size=20)
        | st.integers(-(2**65), 2**65).map(str)
        | st.datetimes().map(lambda d: d.isoformat()),
    ),
    max_size=6,
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(pairs=PAIRS)
def test_parameters_become_a_question_or_a_refusal(pairs: list[tuple[str, str]]) -> None:
    ask(urlencode(pairs, errors="replace").encode())
    try:
        question = parse_question("a", pairs, NOW, takes=TAKES, restriction=[("org", "acme")])
    except PercapitaError as error:
        assert 400 <= error.status < 500  # noqa: PT017  # the kind of the error is the promise
        return
    assert question.filters[-1] == Filter("tag.org", ("acme",))


@settings(max_examples=600, deadline=None)
@given(events=st.lists(EVENT, min_size=1, max_size=3))
def test_what_is_taken_becomes_a_row_or_a_dead_letter(events: list[dict[str, Any]]) -> None:
    body = json.dumps(events).encode()
    taken = parsed(body, "application/json")
    records = [to_record(event, Account(id="a"), "standard", NOW) for event in taken]
    decoded, dead, _ = decode_all([Entry(0, n, record.value) for n, record in enumerate(records)], "log")
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
        (decoded,) = decode_all([Entry(0, 0, record.value)], "log").events
        assert isinstance(decoded, Decoded)
        assert decoded.envelope.event == one
        assert decoded.envelope.account == account
