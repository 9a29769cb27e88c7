"""B5: questions over HTTP, of 28 days with 100 million events, beside the same answers from the raw table.

The tables are made once and kept under .build/bench/, some 9 GB; `python -m bench.queries --load` makes them without asking.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import json
import math
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, NamedTuple

from aiohttp import web

from bench.common import ROOT, result, table
from bench.made_up import ACCOUNT, VALUES, events_sql
from consumers.difference import ROLLUPS, truth
from consumers.fold import Folder
from pipeline import limits
from pipeline.http import problems
from pipeline.limits import QUERY_SECONDS
from pipeline.memory import settle
from pipeline.schema import Engines, Migration, migrate, migrations
from pipeline.store import ClickHouse, open_chdb
from query.app import QueryService
from query.windows import DAY, HOUR

DAYS = 28
NOW = 1_795_132_800_000_000 + 10 * HOUR + 17 * HOUR // 60  # a morning in November 2026, at no whole hour
COUNT = 100_000_000
_CHUNK = 1_000_000
_REPEATS = 120  # seconds of the clock: so long what is read of the hour that a window begins in holds (EDGE_SECONDS)


def loaded(count: int) -> Path:
    """The folder of a database with so many events in the 28 days before NOW; made when it is not there, or is of other tables."""
    folder = ROOT / ".build" / "bench" / f"queries-{count}"
    stamp = folder / "complete"
    made_of = hashlib.sha256("".join([*(m.text for m in _filled()), *VALUES.values()]).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == made_of:
        store = open_chdb(folder / "data")
        _renew(store)
        store.close()
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store = open_chdb(folder / "data")
    migrate(store, Engines())
    _load(store, count)
    store.close()
    stamp.write_text(made_of)
    return folder


def _filled() -> list[Migration]:
    """The tables that are filled, and their views."""
    return [m for m in migrations() if re.search(r"events|usage_|tag_hours", m.name)]


def _renew(store: ClickHouse) -> None:
    """Every table but those that are filled is made anew: their migrations may be others by now."""
    kept = {m.number for m in _filled()}
    for migration in migrations():
        if migration.number not in kept:
            store.execute(f"DROP TABLE IF EXISTS {migration.name[5:]}")
    numbers = ", ".join(map(str, sorted(kept)))
    store.execute(f"ALTER TABLE migrations DELETE WHERE number NOT IN ({numbers}) SETTINGS mutations_sync = 2")
    migrate(store, Engines())


def _load(store: ClickHouse, count: int) -> None:
    """The raw rows, then each rollup a day at a time by its own view's select: what the views would have made, in a third of the time."""
    names = ", ".join(VALUES)
    start, step, began = NOW - DAYS * DAY, DAYS * DAY / count, time.monotonic()

    def say(what: str) -> None:
        print(f"  {what} after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    views = {m.name: m.sql(Engines()) for m in migrations() if "MATERIALIZED VIEW" in m.text}
    for name in views:
        store.execute(f"DROP VIEW {name[5:]}")
    for first in range(0, count, _CHUNK):
        store.execute(
            f"INSERT INTO events ({names}) {events_sql(first, min(_CHUNK, count - first), start, step)}",
            max_block_size=_CHUNK, min_insert_block_size_rows=_CHUNK, max_execution_time=600,
        )  # fmt: skip
        done = min(count, first + _CHUNK)
        if done % (10 * _CHUNK) == 0 or done == count:
            say(f"{done:,} events")
    for rollup in ROLLUPS:
        for day in range(start - start % DAY, NOW, DAY):
            bound = {"start": day // 1_000_000, "end": (day + DAY) // 1_000_000}
            columns = ", ".join(rollup.columns)
            select = f"SELECT {columns} FROM ({truth(rollup)})"
            store.execute(f"INSERT INTO {rollup.table} ({columns}) {select}", bound, max_execution_time=3600)
        say(rollup.table)
    for name in sorted(views):
        store.execute(views[name])


def run(scale: float) -> None:
    """100M events at scale 1."""
    count = int(COUNT * scale)
    folder = loaded(count)
    store = open_chdb(folder / "data")
    _fold(store)
    _sizes(store, count)
    at = [NOW]  # one clock for both
    with _served(store, at, raw=False) as ours, _served(store, at, raw=True) as raw:
        rows: list[tuple[Any, ...]] = [("ms over HTTP", "first", "p50", "p95", "goal p95", "raw", "plan")]
        worst = 0.0
        trace = ours.ask("traces?limit=50")["data"][20]["trace_id"]
        # Raw rows afterwards: a statement that reads all of them leaves the next one without a cache.
        asked = [_Asked(name, *question, ours.series(question[0])) for name, question in _questions(trace).items()]
        for name, path, goal, beside, told in asked:
            of_raw = math.inf
            for when, answer in told.answers:
                at[0] = when
                expected, taken = raw.answer_if_any(beside or path)
                of_raw = min(of_raw, taken)
                if expected not in (answer, None):
                    raise SystemExit(f"{name}: raw gives another answer")
                if expected is None:
                    break
            p50, p95 = median(told.taken), sorted(told.taken)[int(0.95 * len(told.taken))]
            rows.append(
                (name, told.first, p50, p95, goal or "", of_raw if math.isfinite(of_raw) else "none", told.plan)
            )
            print(f"  {name}: {rows[-1][1:]}", file=sys.stderr, flush=True)
            worst = max(worst, p95 / goal if goal else 0.0)
        table(
            f"28 days with {count:,} events of 20,000 users and 200 orgs; both answers agree, where raw rows give one in {QUERY_SECONDS} s",
            rows,
        )
    store.close()
    result("B5", worst, 1.0, f"{count} events", unit="the largest p95 as a part of its goal")


def _questions(trace: str) -> dict[str, tuple[str, float, str]]:
    """Name -> what is asked, its goal in ms (0: none is set), and what is asked of raw rows beside it when that is another question."""
    return {
        "Users": ("users", 100, ""),
        "Users, sorted by calls": ("users?sort=-calls", 100, ""),
        "Overview": ("overview", 50, ""),
        "Overview by day": ("overview?group_by=day", 0, ""),
        "Users, org (0.5 %)": ("users?tag.org=o17", 150, ""),
        "Users, plan (33 %)": ("users?tag.plan=pro", 150, ""),
        "Overview, plan": ("overview?tag.plan=pro", 150, ""),
        "Users, two tags": ("users?tag.plan=pro&tag.feature=chat", 400, ""),
        "Overview, two tags": ("overview?tag.plan=pro&tag.feature=chat", 400, ""),
        "Trace list": ("traces", 150, ""),
        "Trace list of an org": ("traces?tag.org=o17", 150, ""),
        "One trace": (f"traces/{trace}", 30, ""),
        "One user": ("users/user_123", 0, ""),
        "Values of a tag": ("tags/plan", 0, ""),
    }


def _fold(store: ClickHouse) -> None:
    """As the auditor does, until nothing is stale."""
    folder, began, spans = Folder(store), time.monotonic(), 0
    back = int(time.time() - NOW / 1e6) + (DAYS + 1) * 86_400
    folder.look(back_seconds=back)
    while folded := folder.look(back_seconds=back):
        spans += folded
        print(f"  {spans} hours and days folded after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    limits.FOLD_AGE_SECONDS = limits.KEPT_SETTLED_SECONDS = 0  # nothing is on its way
    # What was written at once is merged now, not as days go by.
    while store.select("SELECT count() FROM system.merges").rows[0][0]:
        time.sleep(1)


def _sizes(store: ClickHouse, count: int) -> None:
    held = store.select(
        "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() "
        "GROUP BY table HAVING sum(rows) > 1000 ORDER BY sum(bytes_on_disk) DESC"
    ).rows
    table(
        "On disk",
        [("", "rows", "bytes an event"), *((name, int(rows), int(size) / count) for name, rows, size in held)],
    )


class _Series(NamedTuple):
    """What one question was answered with, and when by the clock (unix us); ms."""

    answers: list[tuple[int, Any]]
    first: float
    taken: list[float]
    plan: str


class _Asked(NamedTuple):
    """A question, its goal, what is asked of raw rows, and how it was answered."""

    name: str
    path: str
    goal: float
    beside: str
    told: _Series


class Unanswered(Exception):
    """The service has no answer."""


class _Asker:
    """Asks a query service; each question a second later than the one before, so that none is quite the same."""

    def __init__(self, port: int, at: list[int]) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self._at = at

    def ask(self, path: str) -> Any:
        self._http.request("GET", f"/v1/me/ai-apps/{path}", headers={"Authorization": "Bearer bench"})
        answer = self._http.getresponse()
        body = answer.read()
        if answer.status >= 500:
            raise Unanswered(path)
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body.decode()[:500]}")
        return json.loads(body)

    def answer(self, path: str) -> tuple[Any, str, float]:
        """Everything but `meta` and the cursor, at one time of the clock; the plan, and how many ms it took."""
        began = time.perf_counter()
        told = self.ask(path)
        taken = 1e3 * (time.perf_counter() - began)
        told.pop("next_cursor", None)
        return told, told.pop("meta")["plan"], taken

    def answer_if_any(self, path: str) -> tuple[Any, float]:
        """The same without the plan; None where the store gave up."""
        try:
            told, _, taken = self.answer(path)
        except Unanswered:
            return None, math.inf
        return told, taken

    def series(self, path: str) -> _Series:
        """The first answer, how long the next _REPEATS took, and what is told after them."""
        began = self._at[0]
        answer, _, first = self.answer(path)
        taken = self.milliseconds(path, _REPEATS)
        again, plan, _ = self.answer(path)
        return _Series([(began, answer), (self._at[0], again)], first, taken, plan)

    def milliseconds(self, path: str, times: int) -> list[float]:
        taken = []
        for _ in range(times):
            self._at[0] += 1_000_000
            began = time.perf_counter()
            self.ask(path)
            taken.append(1e3 * (time.perf_counter() - began))
        return taken


@contextmanager
def _served(store: ClickHouse, at: list[int], *, raw: bool) -> Iterator[_Asker]:
    """A query service over HTTP in a thread of its own; with `raw` every answer comes from the raw table."""

    async def authenticate(_: Any) -> Any:
        return SimpleNamespace(account=ACCOUNT, restriction=(), content=True, key=SimpleNamespace(id="bench"))

    service = QueryService(
        store, authenticate, clock=lambda: at[0], cursor_secret=b"bench", prices=SimpleNamespace(version="bench", newest=""),
        questions_per_minute=10**9,
    )  # fmt: skip
    if raw:
        service.answer_from_raw()
    app = web.Application(middlewares=[problems])
    app.router.add_routes(service.routes())
    loop, ready = asyncio.new_event_loop(), threading.Event()
    ports: list[int] = []

    async def serve() -> None:
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ports.append(runner.addresses[0][1])
        ready.set()

    def work() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ready.wait()
    settle()  # as every service does
    yield _Asker(ports[0], at)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def main() -> None:
    """The command line of the load alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", type=int, default=COUNT, help="so many events")
    print(loaded(parser.parse_args().load))


if __name__ == "__main__":
    main()
