"""From log entries to stored rows, on the real engine: repeats, corrections, trace marks; the same wherever batches are cut."""

from __future__ import annotations

import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.batch import make, remember
from consumers.doubt import by_column
from consumers.history import History
from pipeline.log import Entry
from pipeline.parse import parse_batch
from pipeline.price import PriceBook
from pipeline.process import Context
from pipeline.record import Account, to_dropped_record, to_record
from pipeline.row import Row, SenderDrop
from pipeline.store import ClickHouse

NOW = time.time_ns() // 1000
CONTEXT = Context(PriceBook())
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100}


def uuid(number: int) -> str:
    return str(UUID(int=(number + 1) << 64 | 4 << 12))


def llm(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": uuid(number), "type": "llm", "provider": "openai", "model": "gpt-4o", "usage": USAGE} | fields


def entry(offset: int, event: dict[str, Any], *, account: str, received: int = NOW) -> Entry:
    parsed = parse_batch(msgspec.json.encode(event), "application/json", received)
    assert not parsed.rejected, parsed.rejected
    record = to_record(parsed.events[0], Account(id=account), "standard", received)
    return Entry(0, offset, record.value)


def put(store: ClickHouse, entries: Sequence[Entry], cuts: Sequence[int] = (), log: str = "") -> str:
    """Store entries in batches that end before the offsets of `cuts`; answers the log's id."""
    log = log or str(uuid4())
    history = History(store, log)
    windows = history.rebuild(0, 0)
    start = 0
    for end in [*sorted(set(cuts)), len(entries)]:
        batch = entries[start:end]
        if not batch:
            continue
        made = make(batch, log, CONTEXT, windows, history, batch[0].offset)
        if len(made.rows):
            store.insert("events", Row._fields, made.rows.columns, token=str(uuid4()))
        remember(made.stamps, windows)
        start = end
    return log


def totals(store: ClickHouse, account: str) -> tuple[int, int, int, Decimal]:
    events, traces, user_traces, cost = store.select(
        "SELECT sum(events), sum(traces), sum(user_traces), sum(cost) FROM usage_hours WHERE account = {a:String}",
        {"a": account},
    ).rows[0]
    return int(events), int(traces), int(user_traces), cost


@pytest.mark.parametrize("cuts", [(), (1,)], ids=["in one batch", "in two"])
def test_a_correction_takes_the_estimate_back_and_stands_itself(store: ClickHouse, cuts: tuple[int, ...]) -> None:
    account = f"fix{len(cuts)}"
    estimate = llm(1, trace_id="t", status="aborted", usage_estimated=True, usage={"input_uncached": 10, "output": 10})
    late = llm(2, trace_id="t", replaces=uuid(1))
    put(store, [entry(0, estimate, account=account), entry(1, late, account=account)], cuts)
    assert totals(store, account) == (1, 1, 1, Decimal("0.0035"))
    signs = store.select(
        "SELECT sign, log_offset, log_row FROM events WHERE account = {a:String} ORDER BY log_offset, log_row",
        {"a": account},
    ).rows
    assert [tuple(map(int, row)) for row in signs] == [(1, 0, 0), (1, 1, 0), (-1, 1, 1)]


def test_an_estimate_is_taken_back_once_by_whichever_correction_comes_first(store: ClickHouse) -> None:
    for account, cuts in (("once1", ()), ("once2", (2,)), ("once3", (1, 2))):
        events = [llm(1, trace_id="t"), llm(2, trace_id="t", replaces=uuid(1)), llm(3, trace_id="t", replaces=uuid(1))]
        put(store, [entry(n, event, account=account) for n, event in enumerate(events)], cuts)
        assert totals(store, account) == (2, 1, 1, Decimal("0.007"))


def test_a_correction_before_its_estimate_takes_nothing_back(store: ClickHouse) -> None:
    for account, cuts in (("early1", ()), ("early2", (1,))):
        events = [llm(2, trace_id="t", replaces=uuid(1)), llm(1, trace_id="t")]
        put(store, [entry(n, event, account=account) for n, event in enumerate(events)], cuts)
        assert totals(store, account)[0] == 2


def test_an_event_minted_long_before_its_receipt_is_looked_up(store: ClickHouse) -> None:
    hour = 3_600_000_000
    stamp = (NOW - 5 * hour) // 1000
    first = entry(0, llm(1, timestamp=stamp), account="late", received=NOW - 5 * hour)
    log = put(store, [first])
    again = entry(1, llm(1, timestamp=stamp), account="late")
    history = History(store, log)
    made = make([again], log, CONTEXT, history.rebuild(0, 0), history, 1)
    assert (len(made.rows), made.duplicates) == (0, 1)


@pytest.mark.parametrize("off", [-86_400, 86_400])
@pytest.mark.parametrize("first", ["right", "off"])
def test_a_collector_whose_clock_is_a_day_off_doubles_no_trace_and_no_undated_repeat(
    store: ClickHouse, off: int, first: str
) -> None:
    account = f"clocks{off}{first}"
    clocks = (NOW, NOW + off * 1_000_000) if first == "right" else (NOW + off * 1_000_000, NOW)
    usual = [entry(n, llm(100 + n, trace_id="other"), account=account) for n in range(3)]
    one = entry(3, llm(1, trace_id="t"), account=account, received=clocks[0])
    rest = [
        entry(4, llm(2, trace_id="t"), account=account, received=clocks[1]),
        entry(5, llm(1, trace_id="t"), account=account, received=clocks[1]),
    ]
    put(store, [*usual, one, *rest], (3, 4))
    assert totals(store, account)[:3] == (5, 2, 2)


def test_the_same_id_in_another_trace_or_account_is_another_event(store: ClickHouse) -> None:
    events = [llm(1, trace_id="a"), llm(1, trace_id="b"), llm(1, trace_id="a")]
    put(store, [entry(n, event, account="ids") for n, event in enumerate(events)], (2,))
    put(store, [entry(0, llm(1, trace_id="a"), account="others")])
    assert totals(store, "ids")[:2] == (2, 2)
    assert totals(store, "others")[:2] == (1, 1)


def test_windows_rebuilt_from_the_table_are_those_that_were_remembered(store: ClickHouse) -> None:
    account = "rebuilt"
    entries = [entry(n, llm(n, trace_id=f"t{n % 40}" if n % 3 else ""), account=account) for n in range(120)]
    log = put(store, entries, (50, 90))
    history = History(store, log)
    windows = history.rebuild(0, 120)
    traced = len({f"t{n % 40}" for n in range(120) if n % 3})
    assert (len(windows.identities), len(windows.traces)) == (120, traced)
    repeated = make([e._replace(offset=e.offset + 120) for e in entries], log, CONTEXT, windows, history, 120)
    assert (len(repeated.rows), repeated.duplicates) == (0, 120)


def test_what_cannot_be_decoded_is_set_aside_without_its_bytes(store: ClickHouse) -> None:
    history = History(store, "poison")
    windows = history.rebuild(0, 0)
    bad = [b"", b"\xff\x00", b"{}", b"[" * 100_000, b'{"v":2}', entry(0, llm(1), account="p").value[:-1]]
    good = entry(len(bad), llm(1), account="p")
    made = make([*(Entry(0, n, value) for n, value in enumerate(bad)), good], "poison", CONTEXT, windows, history, 0)
    assert [letter.log_offset for letter in made.dead] == list(range(len(bad)))
    assert {letter.reason for letter in made.dead} == {"undecodable"}
    assert all(letter.value == "" and letter.value_bytes == len(bad[n]) for n, letter in enumerate(made.dead))
    assert made.rows.column("log_offset") == [len(bad)]


_EVENT = st.tuples(st.integers(0, 6), st.integers(0, 2), st.integers(0, 1), st.booleans())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(_EVENT, min_size=1, max_size=14), cuts=st.sets(st.integers(1, 13), max_size=4))
def test_rows_do_not_depend_on_where_batches_are_cut(
    store: ClickHouse, drawn: list[tuple[int, int, int, bool]], cuts: set[int]
) -> None:
    accounts = (str(uuid4()), str(uuid4()))
    for account, ends in zip(accounts, (cuts, set()), strict=True):
        events = [
            llm(n, trace_id=f"t{trace}" if trace else "", metadata={"tags": {"userId": f"u{user}"}})
            | ({"replaces": uuid((n + 1) % 7)} if fixes else {})
            for n, trace, user, fixes in drawn
        ]
        put(store, [entry(o, e, account=account) for o, e in enumerate(events)], [c for c in ends if c < len(events)])
    fields = "log_offset, log_row, id, sign, trace_id, user_id, cost, is_trace_start, is_user_trace_start"
    one, other = (
        store.select(
            f"SELECT {fields} FROM events WHERE account = {{a:String}} ORDER BY log_offset, log_row", {"a": a}
        ).rows
        for a in accounts
    )
    assert one == other


def test_what_an_sdk_dropped_is_counted_once_for_each_place_in_the_log(store: ClickHouse) -> None:
    log, account = str(uuid4()), str(uuid4())
    told = to_dropped_record(Account(id=account), {"queue_full": 7, "too_large": 1}, NOW).value
    entries = [entry(0, llm(1), account=account), Entry(0, 1, told), Entry(0, 2, told)]
    made = make(entries, log, CONTEXT, History(store, log).rebuild(0, 0), History(store, log), 0)
    assert (len(made.rows), made.dead) == (1, [])
    for token in ("one", "another, of a retry"):
        store.insert("sender_drops", SenderDrop._fields, by_column(made.drops), token=f"{log}{token}")
    rows = store.select(
        "SELECT reason, sum(dropped) FROM sender_drops FINAL WHERE account = {account:String} GROUP BY reason ORDER BY reason",
        {"account": account},
    ).rows
    assert rows == [("queue_full", 14), ("too_large", 2)]
