"""A development server: chDB behind ClickHouse's HTTP interface, where no ClickHouse server can run. Not a product.

    python -m tests.support.chdb_server --data DIR --port 0      prints `listening PORT`

It speaks what clickhouse-connect's HTTP client speaks: statements in the body, the URL or a form; `param_*` values;
settings as URL parameters; inserts with lz4, zstd or gzip bodies; exception codes, summaries, compressed answers.
A write that fails it would acknowledge; pipeline/room.py keeps it from that, as in the embedded mode.
Every request has a chDB connection of its own (0.9 ms), so settings and USE end with it and requests run side by side.
Not here: users, sessions, external tables, KILL QUERY by the client's id; an answer is whole before it is sent.
`system.processes` shows the client's query ids: chDB cannot be given one, so it travels as `log_comment`.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import lz4.frame  # type: ignore[import-untyped]  # has no types
from aiohttp import web
from chdb.state import connect
from multidict import CIMultiDict

from pipeline.errors import StoreError
from pipeline.logs import set_up_logs
from pipeline.room import Room

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# What ClickHouse's HTTP interface takes itself from the URL; everything else there is a setting.
_TRANSPORT = frozenset(
    {"query", "database", "default_format", "query_id", "session_id", "session_timeout", "session_check", "quota_key"}
    | {
        "role",
        "compress",
        "decompress",
        "buffer_size",
        "wait_end_of_query",
        "client_protocol_version",
        "user",
        "password",
    }
    | {"send_progress_in_http_headers", "http_headers_progress_interval_ms", "enable_http_compression"}
    | {"cancel_http_readonly_queries_on_client_close"}
)
_STATUS = {62: 400, 27: 400, 36: 400, 41: 400, 44: 400, 53: 400, 60: 404, 81: 404, 164: 403, 193: 401, 516: 403}
_INSERT = re.compile(
    rb"(?is)\A\s*(INSERT\s+INTO\s.*?)\s+FORMAT\s+(?!VALUES\b)(\w+)(?:[ \t]*\r?\n|\s|\Z)", re.IGNORECASE | re.DOTALL
)
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*\Z", re.IGNORECASE)
_ANSWERS = re.compile(
    r"(?is)\A(?:\s|/\*.*?\*/|--[^\n]*\n|\()*(SELECT|WITH|SHOW|DESC|EXISTS|EXPLAIN|CHECK)", re.IGNORECASE | re.DOTALL
)
_PROCESSES = re.compile(r"\b(FROM|JOIN)\s+system\.processes\b", re.IGNORECASE)
_CODE = re.compile(r"Code: (\d+)\. DB::")
_THREADS = 32


class Answer(NamedTuple):
    """One HTTP answer, ready to send."""

    status: int
    headers: CIMultiDict[str]
    body: bytes


class RefusedError(Exception):
    """An error of this server in ClickHouse's words: code and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {text}")


class Engine:
    """chDB on one folder, used by many threads."""

    def __init__(self, data: Path) -> None:
        self._path = str(data / "store")
        self._spool = data / "spool"
        shutil.rmtree(self._spool, ignore_errors=True)  # bodies that a killed server left
        self._spool.mkdir(parents=True)
        self._keep = connect(self._path)  # the engine lives as long as one connection does
        row = self._keep.query("SELECT version(), timezone()", "TabSeparated").bytes().decode()
        self._version, self._timezone = row.rstrip("\n").split("\t")
        self._running: set[str] = set()
        self._lock = threading.Lock()
        self._room = Room(data, lambda sql: self._keep.query(sql, "TabSeparated").bytes().decode().strip())

    def answer(self, given: Mapping[str, str], body: bytes, headers: Mapping[str, str], *, readonly: bool) -> Answer:
        """Run one statement. Never raises: an exception is an answer with its code."""
        query_id = given.get("query_id") or str(uuid.uuid4())
        said = CIMultiDict({"X-ClickHouse-Query-Id": query_id, "X-ClickHouse-Timezone": self._timezone})
        try:
            body = _decompressed(body, headers.get("Content-Encoding", ""))
            with nullcontext() if _ANSWERS.match(_start(given, body)) else self._room.to_write():
                result, form, nanoseconds = self._claimed(query_id, given, body, readonly=readonly)
        except StoreError as error:
            return self._exception(RefusedError(243, f"{error.detail}. (NOT_ENOUGH_SPACE)"), said)
        except Exception as error:
            return self._exception(error, said)
        said["X-ClickHouse-Summary"] = _summary(result, nanoseconds)
        said["Content-Type"] = (
            "application/json; charset=UTF-8" if form.startswith("JSON") else "text/plain; charset=UTF-8"
        )
        if form:
            said["X-ClickHouse-Format"] = form
        answer = bytes(result.bytes() or b"")
        if given.get("enable_http_compression") == "1":
            answer = _compressed(answer, headers.get("Accept-Encoding", ""), said)
        return Answer(200, said, answer)

    def _claimed(self, query_id: str, given: Mapping[str, str], body: bytes, *, readonly: bool) -> tuple[Any, str, int]:
        with self._lock:
            if query_id in self._running:
                raise RefusedError(
                    216, f"Query with id = {query_id} is already running. (QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING)"
                )
            self._running.add(query_id)
        connection = connect(self._path)
        try:
            if given.get("database"):
                connection.query(f"USE {_identifier(given['database'])}")
            settings = {"log_comment": query_id}
            settings |= {n: v for n, v in given.items() if n not in _TRANSPORT and not n.startswith("param_")}
            settings |= {"readonly": "2"} if readonly else {}
            connection.query("SET " + ", ".join(f"{_identifier(name)} = {_literal(v)}" for name, v in settings.items()))
            started = time.perf_counter_ns()
            result, form = self._run(connection, given, body)
            return result, form, time.perf_counter_ns() - started
        finally:
            connection.close()
            with self._lock:
                self._running.discard(query_id)

    def _run(self, connection: Any, given: Mapping[str, str], body: bytes) -> tuple[Any, str]:
        values = {name.removeprefix("param_"): value for name, value in given.items() if name.startswith("param_")}
        text = b"\n".join(part for part in (given.get("query", "").encode(), body) if part)
        insert = _INSERT.match(text)
        if insert and insert.end() < len(text):
            return self._insert(connection, insert, memoryview(text)[insert.end() :], values), ""
        statement = _PROCESSES.sub(
            r"\1 (SELECT * REPLACE (Settings['log_comment'] AS query_id) FROM system.processes) AS processes",
            text.decode("utf-8", "surrogateescape"),
        )
        named = _FORMAT.search(statement)
        form = named.group(1) if named else given.get("default_format", "TabSeparated")
        return connection.query(statement, form, params=values), form if _ANSWERS.match(statement) else ""

    def _insert(self, connection: Any, insert: re.Match[bytes], data: memoryview, values: dict[str, str]) -> Any:
        with tempfile.NamedTemporaryFile(dir=self._spool) as file:
            file.write(data)
            file.flush()
            head, form = insert.group(1).decode(), insert.group(2).decode()
            return connection.query(f"{head} FROM INFILE {_literal(file.name)} FORMAT {form}", params=values)

    def _exception(self, error: Exception, said: CIMultiDict[str]) -> Answer:
        text = str(error)
        if isinstance(error, OSError):
            text = f"Code: 243. DB::Exception: Cannot spool the request: {error.strerror}. (NOT_ENOUGH_SPACE)"
        found = _CODE.search(text)
        code = int(found.group(1)) if found else 1001  # STD_EXCEPTION, as ClickHouse says for what has no code
        text = text[found.start() :] if found else f"Code: {code}. DB::Exception: {text} (STD_EXCEPTION)"
        said["X-ClickHouse-Exception-Code"] = str(code)
        said["Content-Type"] = "text/plain; charset=UTF-8"
        whole = text if "(version " in text else f"{text} (version {self._version} (chDB))"
        return Answer(_STATUS.get(code, 500), said, f"{whole}\n".encode("utf-8", "replace"))

    def close(self) -> None:
        """End the engine: merges stop, files are closed."""
        self._room.close()
        self._keep.close()


def _start(given: Mapping[str, str], body: bytes) -> str:
    """Of a statement, as far as it takes to tell a question from a write."""
    return (given.get("query") or body[:1000].decode("utf-8", "replace")) + " "


def _identifier(name: str) -> str:
    if not re.fullmatch(r"\w+", name):
        raise RefusedError(62, "Syntax error: not an identifier. (SYNTAX_ERROR)")
    return name


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _summary(result: Any, nanoseconds: int) -> str:
    rows, size = result.rows_read(), result.bytes_read()
    read, written = (result.storage_rows_read(), result.storage_bytes_read()), result.rows_written()
    counts = {
        "read_rows": read[0],
        "read_bytes": read[1],
        "written_rows": written,
        "written_bytes": result.bytes_written(),
    }
    counts |= {
        "total_rows_to_read": "0",
        "result_rows": written or rows,
        "result_bytes": size,
        "elapsed_ns": nanoseconds,
    }
    return json.dumps({name: str(count) for name, count in counts.items()})


def _decompressed(body: bytes, encoding: str) -> bytes:
    try:
        if encoding == "lz4":
            whole = b""
            while body:
                frame = lz4.frame.LZ4FrameDecompressor()
                whole += frame.decompress(body)
                if not frame.eof:
                    raise EOFError("a frame is cut")
                body = frame.unused_data or b""
            return whole
        if encoding == "zstd":
            return bytes(zstd.decompress(body))
        return gzip.decompress(body) if encoding == "gzip" else body
    except Exception as error:
        raise RefusedError(354, f"Cannot decompress the request: {error}. (ZLIB_INFLATE_FAILED)") from error


def _compressed(answer: bytes, accepted: str, said: CIMultiDict[str]) -> bytes:
    for name in (part.split(";")[0].strip() for part in accepted.split(",")):
        if name in {"lz4", "zstd", "gzip"}:
            said["Content-Encoding"] = name
            if name == "lz4":
                return bytes(lz4.frame.compress(answer))
            return bytes(zstd.compress(answer, 1)) if name == "zstd" else gzip.compress(answer, 1)
    return answer


def application(engine: Engine) -> web.Application:
    """The HTTP side: read the whole request, hand it to a thread, answer."""
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="statement")

    async def ping(_: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    async def statement(request: web.Request) -> web.Response:
        given = dict(request.query)
        if request.content_type == "multipart/form-data":
            given |= {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
            body = b""
        else:
            body = await request.read()
        if not body and "query" not in given:
            return await ping(request)
        loop = asyncio.get_running_loop()
        readonly = request.method == "GET"
        answer = await loop.run_in_executor(
            threads, lambda: engine.answer(given, body, request.headers, readonly=readonly)
        )
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    app = web.Application(client_max_size=1 << 30)
    app.router.add_get("/ping", ping)
    app.router.add_route("*", "/", statement)
    return app


async def serve(data: Path, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; `port` 0 takes a free one."""
    engine = Engine(data)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # auto_decompress off: the engine does it, lz4 included. Bound parameters make long lines.
    runner = web.AppRunner(
        application(engine), auto_decompress=False, max_line_size=1 << 20, access_log=None, shutdown_timeout=10
    )
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    print(f"listening {runner.addresses[0][1]}", flush=True)
    await stop.wait()
    await runner.cleanup()
    engine.close()


def _end_with_parent() -> None:
    """Whoever started this holds its standard input; at its end there is nobody left to serve."""
    while os.read(0, 1024):
        pass
    os._exit(0)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="chDB behind ClickHouse's HTTP interface, for tests and benchmarks")
    parser.add_argument("--data", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--end-with-input", action="store_true", help="end when standard input does")
    given = parser.parse_args()
    given.data.mkdir(parents=True, exist_ok=True)
    set_up_logs("info")
    if given.end_with_input:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(serve(given.data, given.host, given.port))


if __name__ == "__main__":
    main()
