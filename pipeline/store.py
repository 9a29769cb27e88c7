"""Seam 2, the store: insert and select. The only import of clickhouse_connect.

ClickHouse over HTTP and chDB in process are the same client class behind two constructors.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from traceback import clear_frames
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast
from urllib.parse import urlsplit

import clickhouse_connect
import numpy as np
import numpy.typing as npt
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError, OperationalError
from clickhouse_connect.driver.insert import InsertContext

from pipeline.errors import StoreError
from pipeline.room import Room

if TYPE_CHECKING:  # a collector, which asks for no tables, has no room for it
    import pyarrow as pa

# Errors of ClickHouse that speak of the rows, not of the server: parse, range, type, argument, decimal overflow.
_DATA_CODES = frozenset({6, 27, 38, 41, 43, 53, 69, 70, 72, 131, 407, 349})
# Not worth a word of their own in logs: the statement is not to be repeated as it stands.
THROW_IF_CODE = 395
TOO_MANY_PARTS_CODE = 252
_UNANSWERED = "the database did not answer this question"
# The transport compresses where there is one.
_ARROW = "output_format_arrow_string_as_string = 1, output_format_arrow_compression_method = 'none'"
# The driver logs a row's error with its stack, which would keep the rows, and raises it as well.
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)


Array = npt.NDArray[np.void]


class Answer(NamedTuple):
    """Rows of a select: column names, and one tuple a row."""

    names: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]

    def dicts(self) -> Iterator[dict[str, Any]]:
        """The rows as name -> value."""
        return (dict(zip(self.names, row, strict=True)) for row in self.rows)


class Store(Protocol):
    """What workers, the query service and commands need of the database. Safe to call from several threads."""

    def insert(
        self,
        table: str,
        columns: Sequence[str],
        data: Sequence[Sequence[Any]],
        *,
        token: str = "",
        deadline: float = 60,
        not_after: float = math.inf,
    ) -> None:
        """Insert one block given by column. `token` deduplicates it in the table and in every rollup behind it.

        `deadline` is how many seconds the server may take; nothing is sent after `not_after` (monotonic seconds).
        Raises StoreError; with `data_error` when the rows are at fault, else the outcome is in doubt.
        """

    def insert_where(
        self,
        table: str,
        columns: Sequence[str],
        data: Sequence[Sequence[Any]],
        condition: str,
        *,
        token: str,
        deadline: float = 60,
    ) -> None:
        """The same of the rows that a condition lets through, judged by the server in the inserting statement itself.

        `condition` is SQL over the rows' columns; `{scratch}` in it names the table that holds them meanwhile.
        """

    def select(self, sql: str, parameters: Mapping[str, Any] | None = None, *, seconds: float = 30) -> Answer:
        """Rows of a query; values are bound as `{name:Type}`. Raises StoreError."""

    def select_array(self, sql: str, parameters: Mapping[str, Any] | None = None, *, seconds: float = 30) -> Array:
        """The rows of a query of numbers as one structured array, a field for each column. Raises StoreError."""

    def select_table(self, sql: str, parameters: Mapping[str, Any] | None = None, *, seconds: float = 30) -> pa.Table:
        """The rows of a query as columns in Arrow's form, for answers of very many rows. Raises StoreError."""

    def execute(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, query_id: str = "", **settings: Any
    ) -> None:
        """Run a statement that answers nothing. Raises StoreError."""

    def every_node(self, table: str) -> str:
        """A system table as all nodes of the cluster have it; the table itself where there is one node."""

    def sync(self, table: str) -> None:
        """Before rows are counted: wait until this replica has what the others took. Nothing where there is one node."""

    def columns_of(self, table: str) -> tuple[str, ...]:
        """Column names in order."""

    def close(self) -> None:
        """Release every connection, those that are in use when their statements end. Whatever is asked later raises StoreError."""


class ClickHouse:
    """The store over a ClickHouse client; `connect` makes one more of them when all are in use."""

    def __init__(self, connect: Any, *, clients: int = 8, cluster: str = "") -> None:
        self._connect = connect
        self._cluster = cluster
        self._free: list[Client] = []
        self._closed = False
        self._slots = threading.BoundedSemaphore(clients)
        self._lock = threading.Lock()
        self._types: dict[str, dict[str, Any]] = {}

    @contextmanager
    def _client(self) -> Iterator[Client]:
        with self._slots:
            with self._lock:
                if self._closed:
                    raise StoreError("the store was closed")
                client = self._free.pop() if self._free else None
            failed = True
            try:
                client = client or self._connect()
                yield client
                failed = False
            except ClickHouseError as error:
                code = getattr(error, "code", None)
                detail = _without_values(str(error))
                raise StoreError(
                    detail,
                    data_error=isinstance(error, DataError) or code in _DATA_CODES,
                    store_code=code,
                    told=_UNANSWERED,
                ) from error
            except (ValueError, TypeError, OverflowError, AttributeError) as error:
                # The driver could not write a value in its column's form.
                raise StoreError(f"{type(error).__name__} in a row", data_error=True) from error
            except (OSError, RuntimeError) as error:
                raise StoreError(f"{type(error).__name__} while speaking to the store") from error
            finally:
                if client is not None and (not failed or self._clean(client)):
                    self._give_back(client)

    def _give_back(self, client: Client) -> None:
        with self._lock:
            if not self._closed:
                self._free.append(client)
                return
        client.close()

    def _clean(self, client: Client) -> bool:
        """Whether a client whose statement failed can be asked again. Over HTTP each answer is one of its own."""
        return True

    def _writer(self) -> AbstractContextManager[Client]:
        """For a statement that writes."""
        return self._client()

    def insert(
        self,
        table: str,
        columns: Sequence[str],
        data: Sequence[Sequence[Any]],
        *,
        token: str = "",
        deadline: float = 60,
        not_after: float = math.inf,
    ) -> None:
        settings: dict[str, Any] = {
            "async_insert": 0,
            "max_execution_time": max(1, int(deadline)),
            "max_insert_block_size": 10_000_000,
        }
        settings |= {"min_insert_block_size_rows": 0, "min_insert_block_size_bytes": 0}
        if token:
            settings |= {
                "insert_deduplication_token": token,
                "insert_deduplicate": 1,
                "deduplicate_blocks_in_dependent_materialized_views": 1,
                "query_id": token,
            }
        with self._writer() as client:
            types = self._column_types(client, table)
            context = client.create_insert_context(
                table,
                column_names=list(columns),
                column_types=[types[c] for c in columns],
                column_oriented=True,
                settings=settings,
            )
            context.req_block_size = max(1, len(data[0]))  # one block: a token names one
            context.__class__ = _Once
            cast("_Once", context).not_after = not_after
            try:
                client.insert(data=data, context=context)
            except Exception as error:
                clear_frames(error.__traceback__)  # as below: one of the driver's holds the error, which holds it
                raise
            finally:
                # It names a method of its own, a cycle, and would hold the rows until Python looks for cycles.
                vars(context).clear()

    def insert_where(
        self,
        table: str,
        columns: Sequence[str],
        data: Sequence[Sequence[Any]],
        condition: str,
        *,
        token: str,
        deadline: float = 60,
    ) -> None:
        # Not `input()`: with cascaded views it inserted nothing, without an error.
        scratch = f"scratch_{hashlib.sha256(token.encode()).hexdigest()[:24]}_{time.time_ns():x}"
        names = ", ".join(columns)
        self.execute(f"CREATE TABLE {scratch} AS {table} ENGINE = Memory")
        try:
            self.insert(scratch, columns, data)
            self.execute(
                f"INSERT INTO {table} ({names}) SELECT {names} FROM {scratch} WHERE {condition.replace('{scratch}', scratch)}",
                query_id=token,
                insert_deduplication_token=token,
                insert_deduplicate=1,
                deduplicate_blocks_in_dependent_materialized_views=1,
                max_threads=1,
                max_insert_threads=1,
                max_block_size=10_000_000,
                min_insert_block_size_rows=10_000_000,
                min_insert_block_size_bytes=0,
                max_execution_time=max(1, int(deadline)),
            )
        finally:
            self.execute(f"DROP TABLE IF EXISTS {scratch}")

    def _column_types(self, client: Client, table: str) -> dict[str, Any]:
        if table not in self._types:
            described = client.query(f"DESCRIBE TABLE {table}").result_rows
            from clickhouse_connect.datatypes.registry import get_from_name

            self._types[table] = {row[0]: get_from_name(row[1]) for row in described}
        return self._types[table]

    def every_node(self, table: str) -> str:
        return f"clusterAllReplicas('{self._cluster}', {table})" if self._cluster else table

    def sync(self, table: str) -> None:
        if self._cluster:
            self.execute(f"SYSTEM SYNC REPLICA {table}")

    def columns_of(self, table: str) -> tuple[str, ...]:
        with self._client() as client:
            return tuple(self._column_types(client, table))

    def select(self, sql: str, parameters: Mapping[str, Any] | None = None, *, seconds: float = 30) -> Answer:
        with self._client() as client:
            result = client.query(
                sql, parameters=dict(parameters or {}), settings={"max_execution_time": max(1, int(seconds))}
            )
            rows: Sequence[Any] = result.result_rows
            return Answer(tuple(result.column_names), rows)

    def select_array(self, sql: str, parameters: Mapping[str, Any] | None = None, *, seconds: float = 30) -> Array:
        with self._client() as client:
            found: Array = client.query_np(
                sql, parameters=dict(parameters or {}), settings={"max_execution_time": max(1, int(seconds))}
            )
            return found

    def select_table(self, sql: str, parameters: Mapping[str, Any] | None = None, *, seconds: float = 30) -> pa.Table:
        # In the statement: given beside it the driver asks the engine what they were, sets them and sets them back, 10 ms each time.
        told = f"{sql}\nSETTINGS {_ARROW}, max_execution_time = {max(1, int(seconds))}"
        with self._client() as client:
            return client.query_arrow(told, parameters=dict(parameters or {}))

    def execute(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, query_id: str = "", **settings: Any
    ) -> None:
        if query_id:
            settings["query_id"] = query_id
        with self._writer() as client:
            client.command(sql, parameters=dict(parameters or {}), settings=settings)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for client in self._free:
                client.close()
            self._free.clear()


class _Once(InsertContext):
    """An insert that is sent once. The driver repeats one whose connection the server closed, and so would hide that the
    first is in doubt: the server may have been another one by then, which knows nothing of the token."""

    _sent = False
    not_after: float

    def next_block(self) -> Generator[Any, None, None]:
        """Raises OperationalError when it is asked for a second time, or too late."""
        if self._sent:
            raise OperationalError("the connection was closed before the answer")
        if time.monotonic() > self.not_after:
            raise OperationalError("too late to be sent")
        self._sent = True
        yield from super().next_block()


def _without_values(message: str) -> str:
    """The first line of a server's message, short: it may quote a row's content after its first sentence."""
    head = message.split("\n", 1)[0]
    return re.sub(r"'[^']*'", "'...'", head)[:300]


class _Chdb(ClickHouse):
    """The engine in this process: it does not look after the disk itself, so every write asks for room."""

    def __init__(self, path: Path) -> None:
        path = path.absolute()  # opening, the engine changes the working directory for a while
        # One engine a process, any number of clients on it.
        super().__init__(lambda: clickhouse_connect.get_client(interface="chdb", path=str(path), database="default"))
        self._room = Room(path, self._ask)

    def _ask(self, sql: str) -> object:
        with self._client() as client:
            return client.command(sql)

    def _clean(self, client: Client) -> bool:
        """What a statement had said before it failed stands before the next answer of its client: it is asked until it says what it should."""
        for _ in range(3):
            with suppress(Exception):
                if client.raw_query("SELECT 1") == b"1\n":
                    return True
        client.close()
        return False

    @contextmanager
    def _writer(self) -> Iterator[Client]:
        with self._room.to_write(), self._client() as client:
            yield client

    def close(self) -> None:
        self._room.close()
        super().close()


def open_chdb(path: Path) -> ClickHouse:
    """The embedded store: ClickHouse's engine in this process, data under `path`. Raises StoreError on a full disk."""
    path.mkdir(parents=True, exist_ok=True)
    return _Chdb(path)


def open_clickhouse(url: str, *, database: str, user: str, password: str, cluster: str = "") -> ClickHouse:
    """The clustered store: `url` like http://host:8123; `cluster` as its configuration names it."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"

    def connect() -> Client:
        return clickhouse_connect.get_client(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or (8443 if secure else 8123),
            secure=secure,
            username=user,
            password=password,
            database=database,
            query_retries=0,  # a statement in doubt is settled by the rules for doubt, never by a repeat
            autogenerate_session_id=False,
            send_receive_timeout=120,
            compress="lz4",
        )

    return ClickHouse(connect, cluster=cluster)
