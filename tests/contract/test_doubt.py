"""An insert in doubt, on the real engine: whatever landed before, every row is there once in the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from consumers.audit import audit
from consumers.doubt import Doubt, ask_server, mark_doubtful, trusted
from consumers.history import History
from consumers.intents import Intent, Versions
from pipeline import limits
from pipeline.errors import StoreError
from pipeline.row import DeadLetter, Row, Rows
from pipeline.store import ClickHouse
from tests.support.rows import make_rows

NOW = int(time.time())
END = NOW * 1_000_000
COUNT = 64
VERSIONS = Versions("p", 1, 0, 0, 1)


class Range:
    """One batch of a fresh account and log."""

    def __init__(self, store: ClickHouse, change: Callable[[Row], Row] = lambda row: row) -> None:
        self.account = uuid4().hex
        self.store = store
        made = make_rows(self.account, COUNT, 1, END - 3_600_000_000, END - 1_000_000)
        self.rows = Rows(zip(*map(change, made), strict=True))
        self.token = f"log-{self.account}:0:0:{COUNT}:x"
        self.doubt = Doubt(
            store, History(store, f"log-{self.account}"), 0, 0, COUNT, self.token, self.rows, self.set_aside
        )

    def set_aside(self, offset: int, detail: str) -> DeadLetter:
        return DeadLetter(self.account, 0, "log", 0, offset, "refused_by_store", detail, 0, 0, "")

    def insert(self, places: range = range(COUNT), token: str = "") -> None:
        self.store.insert("events", Row._fields, self.rows.at(places).columns, token=token or self.token)

    def intent(self, *, start_off: int = 0, age: int = 0) -> Intent:
        """As a worker would have committed it to a server that has been up for long enough."""
        while (server := ask_server(self.store)).now - server.start < limits.TRUST_UPTIME_SECONDS:
            time.sleep(0.1)
        return Intent(COUNT, VERSIONS, server.start + start_off, server.now - age)

    def settle(self, *, end_in: int = 60) -> int:
        """Insert what is missing until nothing is; the number of statements it took."""
        for attempt in range(1, 40):
            missing = self.doubt.missing()
            if not missing:
                return attempt - 1
            self.doubt.insert_missing(missing, attempt, ask_server(self.store).now + end_in)
        raise AssertionError("no end")

    def counted(self) -> tuple[int, int, int]:
        """Rows, distinct offsets, and events in the rollup."""
        rows, offsets = self.store.select(
            "SELECT count(), uniqExact(log_offset) FROM events WHERE account = {a:String}", {"a": self.account}
        ).rows[0]
        (events,) = self.store.select(
            "SELECT sum(events) FROM usage_hours WHERE account = {a:String}", {"a": self.account}
        ).rows[0]
        return int(rows), int(offsets), int(events)


def test_a_lost_reply_is_settled_by_the_token_alone(store: ClickHouse) -> None:
    batch = Range(store)
    batch.insert()
    assert batch.doubt.retry_under_token(batch.intent(), can_reproduce=True)
    assert batch.settle() == 0
    assert batch.counted() == (COUNT, COUNT, COUNT)


def test_an_insert_that_never_arrived_is_made_under_its_token(store: ClickHouse) -> None:
    batch = Range(store)
    assert batch.doubt.retry_under_token(batch.intent(), can_reproduce=True)
    assert batch.settle() == 0
    assert batch.counted() == (COUNT, COUNT, COUNT)


@pytest.mark.parametrize("start_off", [-60, 60])
def test_a_token_of_another_server_is_no_evidence(store: ClickHouse, start_off: int) -> None:
    batch = Range(store)
    assert not batch.doubt.retry_under_token(batch.intent(start_off=start_off), can_reproduce=True)
    assert batch.counted()[0] == 0


def test_a_token_of_a_server_that_was_hardly_up_is_no_evidence(store: ClickHouse) -> None:
    server = ask_server(store)
    young = Intent(COUNT, VERSIONS, server.start, server.start + limits.TRUST_UPTIME_SECONDS - 1)
    assert not trusted(young, server, server)


def test_a_token_as_old_as_the_window_is_no_evidence(store: ClickHouse) -> None:
    batch = Range(store)
    assert not batch.doubt.retry_under_token(batch.intent(age=3_601), can_reproduce=True)
    assert not batch.doubt.retry_under_token(batch.intent(age=-5), can_reproduce=True)
    assert not batch.doubt.retry_under_token(batch.intent(), can_reproduce=False)
    server = ask_server(store)
    grown = server._replace(start=server.now - 60)
    assert trusted(Intent(COUNT, VERSIONS, grown.start, grown.now), grown, grown)


@pytest.mark.parametrize("landed", [0, 1, 31, COUNT - 1, COUNT])
def test_only_missing_rows_are_inserted_when_nothing_is_trusted(store: ClickHouse, landed: int) -> None:
    batch = Range(store)
    if landed:
        batch.insert(range(landed), token=f"{batch.token} in part")
    assert batch.settle() == (landed < COUNT)
    assert batch.counted() == (COUNT, COUNT, COUNT)


def test_a_worker_that_wakes_up_after_its_end_adds_nothing(store: ClickHouse) -> None:
    batch = Range(store)
    with pytest.raises(StoreError) as caught:
        batch.doubt.insert_missing(batch.doubt.missing(), 1, ask_server(store).now - 1)
    assert not caught.value.data_error
    assert batch.counted()[0] == 0


def test_a_worker_that_wakes_up_beside_the_new_owner_adds_nothing(store: ClickHouse) -> None:
    batch = Range(store)
    sleeping = batch.doubt.missing()  # counted before the new owner inserted everything
    batch.insert(token=f"{batch.token} of the new owner")
    batch.doubt.insert_missing(sleeping, 1, ask_server(store).now + 60)
    assert batch.counted() == (COUNT, COUNT, COUNT)


def test_a_row_that_the_store_refuses_is_set_aside_alone(store: ClickHouse) -> None:
    batch = Range(store, lambda row: row._replace(input_uncached=-1) if row.log_offset in (3, 40) else row)
    with pytest.raises(StoreError) as caught:
        batch.insert()
    assert caught.value.data_error
    batch.settle()
    assert sorted(letter.log_offset for letter in batch.doubt.refused) == [3, 40]
    assert batch.counted() == (COUNT - 2, COUNT - 2, COUNT - 2)


def test_no_scratch_table_is_left(store: ClickHouse) -> None:
    assert store.select("SELECT name FROM system.tables WHERE name LIKE 'scratch%'").rows == []


def test_marks_of_two_owners_that_come_to_the_same_verdict_are_cleared_each(store: ClickHouse) -> None:
    mark_doubtful(store, [NOW // 3600], "token#1", "insert in doubt")
    mark_doubtful(store, [NOW // 3600], "token#1", "insert in doubt")
    ids = store.select("SELECT uniqExact(id) FROM doubtful_hours WHERE reason = 'insert in doubt'").rows[0][0]
    assert ids == 2


def test_raw_and_rollups_agree_after_everything(store: ClickHouse) -> None:
    assert not any(finding.differing for finding in audit(store, NOW - 7_200, NOW + 3_600))
