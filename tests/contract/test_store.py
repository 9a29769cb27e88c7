"""The contract of the store, on every implementation: a token counts once in the table and in every rollup behind it."""

from __future__ import annotations

import gc
import math
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import SchemaMismatch, StoreError
from pipeline.row import DeadLetter, Row
from pipeline.schema import Engines, applied, check_schema, migrate, migrations
from pipeline.store import ClickHouse, open_chdb, open_clickhouse
from tests.support.clickhouse import ChdbServer
from tests.support.rows import make_rows
from tests.support.stack import ROOT

NOW = time.time_ns() // 1000


@pytest.fixture(params=["chdb in process", "clickhouse over http"], scope="module")
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    folder = tmp_path_factory.mktemp("store")
    if request.param == "chdb in process":
        made = open_chdb(folder)
        migrate(made, Engines())
        yield made
        made.close()
        return
    with ChdbServer(folder) as server:
        made = open_clickhouse(server.url, database="default", user="default", password="")
        migrate(made, Engines())
        yield made
        made.close()


def columns(rows: list[Row]) -> list[tuple[object, ...]]:
    return list(zip(*rows, strict=True))


def events_in(store: ClickHouse, table: str, account: str) -> int:
    column = "sum(sign)" if table == "events" else "sum(events)"
    extra = " AND tag = ''" if table == "tag_hours" else ""
    rows = store.select(f"SELECT {column} FROM {table} WHERE account = {{a:String}}{extra}", {"a": account}).rows
    return int(rows[0][0])


TABLES = ("events", "usage_hours", "usage_days", "tag_hours")


def test_rows_columns_are_the_tables_columns(store: ClickHouse) -> None:
    assert store.columns_of("events") == Row._fields
    assert store.columns_of("dead_letters") == (*DeadLetter._fields, "state", "changed_at")


def test_a_token_counts_once_in_the_table_and_in_every_rollup(store: ClickHouse) -> None:
    rows = make_rows("once", 500, 1, NOW - 40 * 86_400_000_000, NOW)
    for _ in range(3):
        store.insert("events", Row._fields, columns(rows), token="log:0:0:500:abc")
    assert [events_in(store, table, "once") for table in TABLES] == [500] * 4


def test_without_a_token_it_counts_again(store: ClickHouse) -> None:
    rows = make_rows("twice", 50, 2, NOW - 3_600_000_000, NOW)
    store.insert("events", Row._fields, columns(rows), token="a")
    store.insert("events", Row._fields, columns(rows), token="b")
    assert [events_in(store, table, "twice") for table in TABLES] == [100] * 4


def test_every_value_comes_back_as_it_went_in(store: ClickHouse) -> None:
    (row,) = make_rows("same", 1, 3, NOW - 3_600_000_000, NOW)
    row = row._replace(
        prompt='"a\0b \'; DROP TABLE events; -- ü\n"', user_id="%{}'\\", tags=["a=b=c", "z="], latency_ms=None
    )
    store.insert("events", Row._fields, columns([row]), token="same")
    answer = store.select("SELECT * FROM events WHERE account = 'same'")
    (back,) = answer.dicts()
    for name in ("prompt", "user_id", "tags", "latency_ms", "cost", "trace_id", "log_offset", "sign"):
        assert back[name] == getattr(row, name), name
    assert str(back["id"]) == row.id


class Column(list[object]):
    """A list that can be asked whether it is still there."""


def test_the_rows_of_an_insert_are_let_go_at_once(store: ClickHouse) -> None:
    """Workers look for cycles rarely: one that held its batch made a gigabyte of them."""
    data = [Column(column) for column in columns(make_rows("let go", 200, 1, NOW - 3_600_000_000, NOW))]
    held = [weakref.ref(column) for column in data]
    gc.disable()
    try:
        store.insert("events", Row._fields, data)
        del data
        assert [name for name, ref in zip(Row._fields, held, strict=True) if ref() is not None] == []
    finally:
        gc.enable()
    assert events_in(store, "events", "let go") == 200


@pytest.mark.parametrize("fault", ["too late", "a wrong value"])
def test_the_rows_of_an_insert_that_failed_are_let_go_too(store: ClickHouse, fault: str) -> None:
    made = make_rows("let go failed", 200, 1, NOW - 3_600_000_000, NOW)
    if fault == "a wrong value":
        made[100] = made[100]._replace(output=-1)
    data = [Column(column) for column in columns(made)]
    held = [weakref.ref(column) for column in data]
    gc.disable()
    try:
        with suppress(StoreError):
            store.insert("events", Row._fields, data, not_after=0.0 if fault == "too late" else math.inf)
            pytest.fail("it did not fail")
        del data
        assert [name for name, ref in zip(Row._fields, held, strict=True) if ref() is not None] == []
    finally:
        gc.enable()
    assert events_in(store, "events", "let go failed") == 0


def test_parameters_are_values_and_never_sql(store: ClickHouse) -> None:
    hostile = "x' OR 1=1; DROP TABLE events; --"
    rows = store.select("SELECT {v:String}, count() FROM events WHERE account = {v:String}", {"v": hostile}).rows
    assert rows == [(hostile, 0)] or list(rows) == [(hostile, 0)]


@pytest.mark.parametrize("wrong", [{"id": "no uuid"}, {"model": 17}, {"output": -1}, {"ts": "yesterday"}], ids=str)
def test_a_bad_row_is_a_data_error_and_nothing_is_stored(store: ClickHouse, wrong: dict[str, Any]) -> None:
    (row,) = make_rows("bad", 1, 4, NOW - 3_600_000_000, NOW)
    with pytest.raises(StoreError) as refused:
        store.insert("events", Row._fields, columns([row._replace(**wrong)]), token="bad")
    assert refused.value.data_error
    assert events_in(store, "events", "bad") == 0


def test_a_statement_that_fails_is_an_error_with_its_code(store: ClickHouse) -> None:
    with pytest.raises(StoreError) as refused:
        store.execute("SELECT throwIf(1)")
    assert not refused.value.data_error


@pytest.mark.parametrize(
    "failing",
    [
        pytest.param("SELECT throwIf(number = 3) AS t FROM numbers(5)", id="before it said anything"),
        pytest.param("SELECT number, throwIf(number = 3000000) AS t FROM numbers(4000000)", id="in the middle"),
        pytest.param("SELECT number, sleepEachRow(0.00001) AS t FROM numbers(4000000)", id="out of time"),
    ],
)
@pytest.mark.parametrize("how", ["select", "select_table", "select_array", "execute"])
def test_what_a_failed_statement_had_said_stands_in_no_other_answer(store: ClickHouse, failing: str, how: str) -> None:
    limit: dict[str, Any] = {"max_execution_time": 1} if how == "execute" else {"seconds": 1}
    with pytest.raises(StoreError):
        getattr(store, how)(failing, **limit)
    for _ in range(2):
        assert store.select("SELECT 42 AS x").rows == [(42,)]
        assert store.select_table("SELECT 43 AS x").to_pydict() == {"x": [43]}
        assert store.select_array("SELECT 44 AS x, 0.5 AS y")["x"].tolist() == [44]
        assert store.columns_of("events") == Row._fields


def test_a_connection_that_does_not_come_clean_is_closed_and_another_one_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_chdb(tmp_path)
    with store._client() as client:
        monkeypatch.setattr(client, "raw_query", lambda _: b"what was left1\n")
    with pytest.raises(StoreError):
        store.select("SELECT throwIf(1)")
    assert store.select("SELECT 42 AS x").rows == [(42,)]
    with store._client() as another:
        assert another is not client
    store.close()


def test_a_connection_in_use_when_its_store_is_closed_is_closed_after_its_statement(tmp_path: Path) -> None:
    """It would hold the engine, of which a process has one, on its folder."""
    store = open_chdb(tmp_path / "one")
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(store.select, "SELECT sleep(1) + 42")
        while store._slots._value == 8:
            time.sleep(0.01)
        store.close()
        with pytest.raises(StoreError, match="closed"):
            store.select("SELECT 1")
        assert asked.result().rows == [(42,)]
    other = open_chdb(tmp_path / "two")
    assert other.select("SELECT 43 AS x").rows == [(43,)]
    other.close()


def test_migrating_twice_runs_nothing(store: ClickHouse) -> None:
    assert migrate(store, Engines()) == []
    assert applied(store).keys() == {m.number for m in migrations()}


def test_a_schema_of_a_newer_version_is_refused(store: ClickHouse) -> None:
    store.insert("migrations", ("number", "name", "checksum"), ([9999], ["9999_future"], ["x"]))
    try:
        with pytest.raises(SchemaMismatch, match="9999"):
            check_schema(store)
    finally:
        store.execute("ALTER TABLE migrations DELETE WHERE number = 9999", mutations_sync=1)


def test_replicated_macros_name_the_cluster_in_every_statement() -> None:
    for migration in migrations():
        sql = migration.sql(Engines("main"))
        assert "ON CLUSTER 'main'" in sql
        assert "MergeTree" not in sql or "Replicated" in sql
        assert "{on_cluster}" not in sql


def test_a_store_is_opened_again_by_another_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pipeline.schema import *; from pipeline.store import *; s = open_chdb(Path(sys.argv[1])); "
        "print(len(migrate(s, Engines())))"
    )
    ran = [
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert [int(out) for out in ran] == [len(migrations()), 0]
