"""The oracle can fail: damage of each kind, done to a world in which all is well, is named by the invariant that it breaks."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.ledger import Ledger
from tests.faults.load import Load, Tenant
from tests.faults.oracle import check, wait_settled
from tests.faults.world import World
from tests.support.needs import need_kafka


class Well(NamedTuple):
    """A world at rest, and what was sent to it."""

    world: World
    ledger: Ledger
    tenants: list[Tenant]

    def found(self, ledger: Ledger | None = None, tenants: list[Tenant] | None = None) -> str:
        """The violations, as one text."""
        return "\n".join(check(self.world.stack, ledger or self.ledger, tenants or self.tenants))


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Well]:
    need_kafka()
    with World(tmp_path_factory.mktemp("oracle"), workers=1, collectors=1) as world:
        tenants = world.tenants()
        ledger = Ledger(world.folder / "ledger-0.jsonl")
        load = Load(world.urls(), tenants, ledger, seed=3, rate=300).start()
        load.wait_acknowledged(400)
        load.finish(30)
        assert wait_settled(world.stack, ledger, tenants, 60) == []
        yield Well(world, ledger, tenants)
        ledger.close()


def test_all_is_well_where_nothing_was_done(well: Well) -> None:
    assert well.found() == ""


ONE = "account = '{account}' AND id = (SELECT max(id) FROM events WHERE account = '{account}')"
DAMAGE = {
    "I1": "ALTER TABLE events DELETE WHERE " + ONE,
    "I4": "INSERT INTO events SELECT * FROM events WHERE " + ONE,
    "I3": "INSERT INTO events SELECT * REPLACE (generateUUIDv4() AS id) FROM (SELECT * FROM events WHERE " + ONE + ")",
    "I5: raw": "ALTER TABLE events UPDATE output = output + 1 WHERE " + ONE,
    "I5: usage_hours": "INSERT INTO usage_hours (account, hour, cost) "
    "SELECT account, hour, toDecimal128('0.000000001', 9) FROM usage_hours WHERE account = '{account}' LIMIT 1",
    "I5: tag_hours": "ALTER TABLE tag_hours DELETE WHERE account = '{account}' AND tag = ''",
    "I5: usage_days": "ALTER TABLE usage_days DELETE WHERE account = '{account}'",
    "I5: traces": "ALTER TABLE usage_hours UPDATE traces = traces + 1 WHERE account = '{account}'",
    "I7: minimal content in table": "ALTER TABLE events UPDATE prompt = '{canary}' WHERE "
    + ONE.replace("{account}", "{minimal}"),
}


@pytest.mark.parametrize("named", DAMAGE)
def test_damage_to_the_tables_is_named(well: Well, named: str) -> None:
    standard, minimal, _ = well.tenants
    store = well.world.stack.store
    tables = ("events", "usage_hours", "usage_days", "tag_hours")
    for table in tables:
        store.execute(f"CREATE TABLE kept_{table} AS {table} ENGINE = MergeTree ORDER BY tuple()")
        store.execute(f"INSERT INTO kept_{table} SELECT * FROM {table}")
    try:
        store.execute(
            DAMAGE[named].format(account=standard.id, minimal=minimal.id, canary=minimal.canary), mutations_sync=1
        )
        assert named in well.found()
    finally:
        for table in tables:
            store.execute(f"TRUNCATE TABLE {table}")
        # Views do not run: rollups get what they had.
        for table in tables:
            _put_back(well.world, table)


def _put_back(world: World, table: str) -> None:
    store = world.stack.store
    views = {"events": ("events_to_usage_hours", "events_to_tag_hours"), "usage_hours": ("usage_hours_to_days",)}
    for view in views.get(table, ()):
        store.execute(f"DETACH TABLE {view}")
    store.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")
    for view in views.get(table, ()):
        store.execute(f"ATTACH TABLE {view}")
    store.execute(f"DROP TABLE kept_{table}")


def _of_another(well: Well) -> str:
    first, second, third = well.tenants
    return well.found(tenants=[dataclasses.replace(first, read=second.read), second, third])


def _refused(well: Well) -> str:
    return _with(well, "rejected:too_long")


def _unanswered(well: Well) -> str:
    return _with(well, "")


def _with(well: Well, result: str) -> str:
    sent = next(iter(well.ledger.events.values()))
    before, sent.result = sent.result, result
    try:
        return well.found()
    finally:
        sent.result = before


def _key_in_a_log(well: Well) -> str:
    return _written(well, "collector-0.log", well.tenants[0].ingest)


def _content_in_a_log(well: Well) -> str:
    return _written(well, "consumer-0.log", well.tenants[2].canary)


def _content_on_a_disk(well: Well) -> str:
    return _written(well, "kafka/segment", well.tenants[1].canary)


def _written(well: Well, name: str, text: str) -> str:
    path = Path(well.world.folder / name)
    path.write_text(f"... {text} ...")
    try:
        return well.found()
    finally:
        path.unlink()


OTHERS: dict[str, tuple[str, Callable[[Well], str]]] = {
    "an answer to another account": ("I6", _of_another),
    "a rejected event that is stored": ("I2", _refused),
    "an event without an answer": ("I8", _unanswered),
    "a key in a log": ("I12: a key", _key_in_a_log),
    "content in a log": ("I12: content", _content_in_a_log),
    "minimal content in a file": ("I7: minimal content in", _content_on_a_disk),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_else_must_not_be_is_named(well: Well, what: str) -> None:
    named, damage = OTHERS[what]
    assert named in damage(well)


def test_what_is_not_stored_in_time_is_named(well: Well) -> None:
    sent = next(iter(well.ledger.events.items()))
    extra = dataclasses.replace(sent[1])
    well.ledger.events[(extra.account, "never", "sent")] = extra
    began = time.monotonic()
    try:
        (told,) = wait_settled(well.world.stack, well.ledger, well.tenants, 1)
    finally:
        del well.ledger.events[(extra.account, "never", "sent")]
    assert told.startswith("I1 I10")
    assert time.monotonic() - began < 10
