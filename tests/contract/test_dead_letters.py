"""Dead letters on the real engine: listed once, shown, sent again once, purged with their bytes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from uuid import uuid4

import pytest
from xxhash import xxh64_intdigest

from pipeline.errors import BadQuestion, NotFound
from pipeline.letters import choose, list_letters, purge, replay, show_letter
from pipeline.log import Entry
from pipeline.parse import parse_batch
from pipeline.process import decode_all, set_aside
from pipeline.record import Account, Record, from_bytes, to_record
from pipeline.row import DeadLetter
from pipeline.schema import Engines, migrate
from pipeline.store import ClickHouse, open_chdb

NOW = time.time_ns() // 1000
LOG = "topic-1"


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    opened = open_chdb(tmp_path_factory.mktemp("letters"))
    migrate(opened, Engines())
    yield opened
    opened.close()


def letter(offset: int, account: str = "a", reason: str = "out_of_range", **fields: str) -> DeadLetter:
    body = (
        b'{"type":"llm","trace_id":"t%d","prompt":"write to ada@example.com","metadata":{"tags":{"userId":"u"}}}'
        % offset
    )
    event = parse_batch(body, "application/json", NOW).events[0]
    record = to_record(event, Account(id=account), "standard", NOW)
    (decoded,) = decode_all([Entry(0, offset, record.value)], LOG).events
    return set_aside(decoded, LOG, reason, "cost")._replace(**fields)


def poison(offset: int) -> DeadLetter:
    return decode_all([Entry(0, offset, b"\xff no record")], LOG).dead[0]


def put(store: ClickHouse, *letters: DeadLetter) -> None:
    store.insert("dead_letters", DeadLetter._fields, list(zip(*letters, strict=True)), token=str(uuid4()))


def test_a_replayed_batch_lists_a_letter_once(store: ClickHouse) -> None:
    put(store, letter(1), poison(2))
    put(store, letter(1), poison(2))
    names = [found["name"] for found in list_letters(store, choose())]
    assert sorted(names) == ["topic-1:0:1", "topic-1:0:2"]


def test_letters_are_chosen_by_account_reason_and_name(store: ClickHouse) -> None:
    put(store, letter(1), letter(2, "b"), poison(3))

    def offsets(**which: str) -> list[str]:
        return sorted(found["name"][-1] for found in list_letters(store, choose(**which)))

    assert offsets() == ["1", "2", "3"]
    assert offsets(account="b") == ["2"]
    assert offsets(reason="undecodable") == ["3"]
    assert offsets(name="topic-1:0:1") == ["1"]
    assert offsets(name="topic-1:0:9") == []


def test_a_letter_is_shown_with_its_event_under_the_privacy_mode(store: ClickHouse) -> None:
    put(store, letter(1), poison(2))
    shown = show_letter(store, "topic-1:0:1")
    assert (shown["state"], shown["reason"]) == ("waiting", "out_of_range")
    assert "[EMAIL]" in shown["record"]
    assert "ada@example.com" not in shown["record"]
    blank = show_letter(store, "topic-1:0:2")
    assert (blank["record"], blank["bytes"], blank["account"]) == (None, len(b"\xff no record"), None)
    with pytest.raises(NotFound):
        show_letter(store, "topic-1:0:3")


@pytest.mark.parametrize("name", ["x", "a:b:c", ":1:2", "log:-1:2", "log:1:' OR 1=1"])
def test_a_name_that_is_none_is_refused(store: ClickHouse, name: str) -> None:
    with pytest.raises(BadQuestion):
        choose(name=name)
    with pytest.raises(BadQuestion):
        choose(reason=name)


def test_replay_sends_each_once_with_its_id_and_a_new_time_of_receipt(store: ClickHouse) -> None:
    letters = [letter(1), letter(2)]
    put(store, *letters, poison(3))
    sent: list[Record] = []
    assert replay(store, sent.extend, choose()) == {"replayed": 2, "left": 1}
    assert replay(store, sent.extend, choose()) == {"replayed": 0, "left": 1}
    assert len(sent) == 2
    envelopes = [from_bytes(record.value) for record in sent]
    assert [e.event.id for e in envelopes] == [from_bytes(found.value.encode()).event.id for found in letters]
    assert all(e.received_at > NOW for e in envelopes)
    put(store, letters[0])  # the same batch is settled again by a new owner
    assert [found["name"] for found in list_letters(store, choose())] == ["topic-1:0:3"]
    assert show_letter(store, "topic-1:0:1")["state"] == "replayed"


def test_a_log_that_is_away_leaves_letters_waiting(store: ClickHouse) -> None:
    put(store, letter(1))

    def away(_: Sequence[Record]) -> None:
        raise BadQuestion("away")

    with pytest.raises(BadQuestion):
        replay(store, away, choose())
    assert len(list_letters(store, choose())) == 1


def test_a_purged_letter_leaves_no_bytes(store: ClickHouse) -> None:
    put(store, letter(1), letter(2))
    assert purge(store, choose(name="topic-1:0:1")) == {"purged": 1}
    assert [found["name"] for found in list_letters(store, choose())] == ["topic-1:0:2"]
    held = store.select("SELECT log_offset, value FROM dead_letters").rows  # without FINAL: the parts themselves
    assert {int(offset): bool(value) for offset, value in held} == {1: False, 2: True}


def test_what_a_bad_deploy_could_not_decode_is_read_from_the_log_again(store: ClickHouse) -> None:
    good, other = (letter(offset).value.encode() for offset in (1, 2))
    held = [
        *(
            DeadLetter("", 0, LOG, 0, n, "undecodable", "", len(v), xxh64_intdigest(v), "")
            for n, v in ((1, good), (2, other))
        ),
        poison(3),
    ]
    put(store, *held)
    asked: list[int] = []
    sent: list[Record] = []

    def fetch(wanted: Sequence[DeadLetter]) -> dict[tuple[str, int, int], bytes]:
        asked.extend(one.log_offset for one in wanted)
        # The log holds the first, another record in place of the second, and bytes that are still none.
        return {(LOG, 0, 1): good, (LOG, 0, 2): good, (LOG, 0, 3): b"\xff no record"}

    assert replay(store, sent.extend, choose(), fetch) == {"replayed": 1, "left": 2}
    assert sorted(asked) == [1, 2, 3]
    (record,) = sent
    assert from_bytes(record.value).event == from_bytes(good).event
    assert from_bytes(record.value).received_at > NOW
    assert replay(store, sent.extend, choose(), lambda _: {}) == {"replayed": 0, "left": 2}
