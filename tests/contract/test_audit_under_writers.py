"""Repair by difference while two writers insert: all damage is repaired, and nothing that was only under way."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from consumers.audit import audit
from consumers.auditor import Lease
from pipeline.row import Row, Rows
from pipeline.schema import Engines, migrate
from pipeline.store import ClickHouse, open_chdb
from tests.support.rows import make_rows

HOUR = int(time.time()) // 3600 * 3600 - 7_200
DAMAGED = 4


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    opened = open_chdb(tmp_path_factory.mktemp("writers"))
    migrate(opened, Engines())
    # An insert hangs for a while between the tables it fills: what an audit sees meanwhile is no damage.
    opened.execute("CREATE TABLE slow_rows (n UInt8) ENGINE = Null")
    opened.execute("CREATE MATERIALIZED VIEW aaa_slows TO slow_rows AS SELECT sleep(0.2) AS n FROM events LIMIT 1")
    opened.execute("CREATE MATERIALIZED VIEW zzz_slows TO slow_rows AS SELECT sleep(0.2) AS n FROM usage_hours LIMIT 1")
    yield opened
    opened.close()


def test_no_repair_is_false_under_two_writers(store: ClickHouse) -> None:
    ended = threading.Event()
    written: Counter[str] = Counter()

    def write(account: str, seed: int) -> None:
        """The same events over and over, under new ids: batches that look alike but for the checksum."""
        rng = random.Random(seed)
        while not ended.is_set():
            rows = make_rows(account, 20, 7, HOUR * 1_000_000, (HOUR + 3600) * 1_000_000)
            rows = [row._replace(id=str(uuid4()), log_offset=rng.getrandbits(60)) for row in rows]
            store.insert("events", Row._fields, Rows(zip(*rows, strict=True)).columns, token=str(uuid4()))
            written[account] += len(rows)

    writers = [threading.Thread(target=write, args=(f"w{n}", n)) for n in range(2)]
    for writer in writers:
        writer.start()
    lease, repaired = Lease(store), Counter[str]()
    for number in range(2 * DAMAGED):
        assert lease.renew()
        if number % 2:
            damage(store, f"d{number}")
        for finding in audit(store, HOUR, HOUR + 3600, lease):
            repaired[finding.rollup] += finding.repaired
    ended.set()
    for writer in writers:
        writer.join()
    assert lease.renew()
    for finding in audit(store, HOUR, HOUR + 3600, lease):
        repaired[finding.rollup] += finding.repaired
        assert finding.differing == 0
    assert min(written.values()) > 20
    assert dict(repaired) == {"usage_hours": DAMAGED, "tag_hours": 0, "usage_days": 0}
    held = store.select("SELECT sum(events) FROM usage_hours").rows[0][0]
    assert held == store.select("SELECT count() FROM events").rows[0][0] == sum(written.values())


def damage(store: ClickHouse, user: str) -> None:
    """A key of one writer's hour that counts what no event holds."""
    store.insert(
        "usage_hours",
        ("account", "hour", "user_id", "events", "checksum", "retention_days"),
        (["w0"], [datetime.fromtimestamp(HOUR, UTC)], [user], [3], [17], [4000]),
        token=str(uuid4()),
    )
