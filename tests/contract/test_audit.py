"""Audit and repair on the real engine: damage of every kind found to the last digit, repaired by difference, nothing else touched."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from consumers.audit import audit, count_raw
from consumers.auditor import Auditor, Lease, stretches
from consumers.doubt import mark_doubtful
from pipeline import limits
from pipeline.row import Row, Rows
from pipeline.schema import Engines, migrate
from pipeline.store import ClickHouse, open_chdb
from tests.support.rows import make_rows

NOW = int(time.time())
END = (NOW - NOW % 86_400) * 1_000_000
DAY = 86_400_000_000
DAMAGE = {
    "hours of a user lost": "ALTER TABLE usage_hours DELETE WHERE user_id = 'ada' SETTINGS mutations_sync = 1",
    "a day lost": "ALTER TABLE usage_days DELETE WHERE user_id = 'bob' SETTINGS mutations_sync = 1",
    "a tag lost": "ALTER TABLE tag_hours DELETE WHERE tag = 'plan=pro' SETTINGS mutations_sync = 1",
    "hours counted twice": "INSERT INTO usage_hours SELECT * FROM usage_hours WHERE model = 'gpt-4o'",
    "hours of a day without events": "INSERT INTO usage_hours SELECT * REPLACE (hour - INTERVAL 9 DAY AS hour) "
    "FROM usage_hours WHERE user_id = 'ada' LIMIT 3",
    "a digit wrong": "INSERT INTO tag_hours (account, hour, tag, cost, retention_days) "
    "SELECT account, hour, tag, toDecimal128('0.000000001', 9), 4000 FROM tag_hours LIMIT 1",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    opened = open_chdb(tmp_path_factory.mktemp("audit"))
    migrate(opened, Engines())
    put(opened, make_rows("a", 3_000, 1, END - 2 * DAY, END) + make_rows("b", 500, 2, END - 2 * DAY, END))
    yield opened
    opened.close()


def put(store: ClickHouse, rows: list[Row]) -> None:
    store.insert("events", Row._fields, Rows(zip(*rows, strict=True)).columns, token=str(uuid4()))


def differing(store: ClickHouse) -> dict[str, int]:
    found: dict[str, int] = {}
    for finding in audit(store, (END - 12 * DAY) // 1_000_000, END // 1_000_000):
        found[finding.rollup] = found.get(finding.rollup, 0) + finding.differing
    return found


def test_rollups_equal_raw_as_they_are_written(store: ClickHouse) -> None:
    assert differing(store) == {"usage_hours": 0, "tag_hours": 0, "usage_days": 0}
    counted = count_raw(store, 0, END // 1_000_000)
    assert counted.rows == counted.distinct == 3_500


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_found_and_repaired_by_the_difference(store: ClickHouse, damage: str) -> None:
    before = sums(store)
    store.execute(damage)
    assert sum(differing(store).values()) > 0
    lease = Lease(store)
    assert lease.renew()
    findings = audit(store, (END - 12 * DAY) // 1_000_000, END // 1_000_000, lease)
    assert sum(finding.repaired for finding in findings) > 0
    assert differing(store) == {"usage_hours": 0, "tag_hours": 0, "usage_days": 0}
    assert sums(store) == before
    end(store)


def sums(store: ClickHouse) -> list[tuple[str, int, Decimal, int]]:
    return [
        (table, *store.select(f"SELECT sum(events), sum(cost), sum(checksum) FROM {table}").rows[0])
        for table in ("usage_hours", "usage_days", "tag_hours")
    ]


def end(store: ClickHouse) -> None:
    """Every lease is over."""
    store.execute("TRUNCATE TABLE leases")


def test_one_auditor_at_a_time(store: ClickHouse) -> None:
    first, second = Lease(store), Lease(store)
    assert first.renew()
    assert not second.renew()
    assert first.renew()
    end(store)
    assert second.renew()
    assert not first.renew()
    end(store)


def test_a_repair_belongs_to_the_turn_of_its_reads(store: ClickHouse) -> None:
    lease = Lease(store)
    assert lease.renew()
    guard = lease.guard()
    assert store.select(f"SELECT {guard}").rows[0][0] == 0
    assert lease.renew()
    assert store.select(f"SELECT {guard}").rows[0][0] == 0
    end(store)  # it slept, and its turn went by
    assert lease.renew()
    assert store.select(f"SELECT {guard}").rows[0][0] == 1
    end(store)


def test_a_turn_is_kept_while_reads_take_long(store: ClickHouse) -> None:
    lease = Lease(store)
    assert lease.renew()
    before = store.select("SELECT max(ends_at) FROM leases").rows[0][0]
    with lease.kept():
        time.sleep(limits.LEASE_SECONDS / 3 + 1)
    assert store.select("SELECT max(ends_at) FROM leases").rows[0][0] > before
    end(store)


def test_a_repair_after_the_end_of_its_lease_inserts_nothing(store: ClickHouse) -> None:
    class Late(Lease):
        def renew(self) -> bool:
            return True  # believes so, as one that slept through its end does

    before = sums(store)
    store.execute(DAMAGE["hours counted twice"])
    damaged = sums(store)
    assert Lease(store).renew()  # another's turn now
    with pytest.raises(Exception, match=r"throwIf|395"):
        audit(store, (END - 2 * DAY) // 1_000_000, END // 1_000_000, Late(store))
    assert sums(store) == damaged
    end(store)
    lease = Lease(store)
    assert lease.renew()
    audit(store, (END - 2 * DAY) // 1_000_000, END // 1_000_000, lease)
    assert sums(store) == before
    end(store)


def test_a_doubtful_hour_is_settled_and_its_mark_cleared(store: ClickHouse) -> None:
    hour = END // 3_600_000_000 - 5
    store.execute(f"ALTER TABLE usage_hours DELETE WHERE hour = toDateTime({hour * 3600}) SETTINGS mutations_sync = 1")
    mark_doubtful(store, [hour], "test", "insert in doubt")
    auditor = Auditor(store)
    assert list(auditor.doubtful()) == [hour * 3600]
    assert sum(finding.repaired for finding in auditor.settle_doubtful()) > 0
    assert auditor.doubtful() == {}
    assert differing(store) == {"usage_hours": 0, "tag_hours": 0, "usage_days": 0}
    end(store)


def test_every_closed_hour_is_audited_once_and_repaired_where_it_must(store: ClickHouse) -> None:
    auditor = Auditor(store)
    hours = auditor.closed()
    assert hours == sorted(hours)
    assert len(hours) == 48
    store.execute(DAMAGE["a day lost"])
    repaired = 0
    while findings := auditor.audit_closed():
        repaired += sum(finding.repaired for finding in findings)
    assert repaired > 0
    assert auditor.closed() == []
    assert differing(store) == {"usage_hours": 0, "tag_hours": 0, "usage_days": 0}
    end(store)


def test_a_row_whose_retention_ends_takes_nothing_from_its_rollups(store: ClickHouse) -> None:
    old = [row._replace(account="old", retention_days=3) for row in make_rows("old", 50, 3, END - 2 * DAY, END - DAY)]
    put(store, old)
    kept = store.select("SELECT sum(cost) FROM usage_hours WHERE account = 'old'").rows[0][0]
    store.execute("ALTER TABLE events DELETE WHERE account = 'old' SETTINGS mutations_sync = 1")
    # Two days old and kept for three: the difference is damage. Kept for one: it is the end of its time.
    assert sum(differing(store).values()) > 0
    for table in ("usage_hours", "usage_days", "tag_hours"):
        store.execute(
            f"ALTER TABLE {table} UPDATE retention_days = 1 WHERE account = 'old' SETTINGS mutations_sync = 1"
        )
    assert differing(store) == {"usage_hours": 0, "tag_hours": 0, "usage_days": 0}
    assert store.select("SELECT sum(cost) FROM usage_hours WHERE account = 'old'").rows[0][0] == kept
    for table in ("usage_hours", "usage_days", "tag_hours"):
        store.execute(f"ALTER TABLE {table} DELETE WHERE account = 'old' SETTINGS mutations_sync = 1")


def test_hours_of_one_day_are_one_stretch() -> None:
    midnight = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp())
    assert stretches([midnight + 10_800, midnight - 3600, midnight]) == [
        (midnight - 3600, midnight), (midnight, midnight + 14_400),
    ]  # fmt: skip
