"""Four writers on the same topic, tables and faults: `make compare-delivery [SEED=1] [SECONDS=50]`.

Ours, ours without intents, a plain consumer that inserts and then commits, and the same that commits and then inserts.

A load is sent once through a collector, its clients' repeats included, and written into a ledger. The topic that came of it is
then replayed for one writer after the other into a topic of its own: the same bytes at the same offsets and at the same pace,
with the same faults at the same seconds, and the whole machine for each. (Side by side each would be measured by how much the
others leave it; three loads of the same seed would be three topics.) What was lost and what was doubled is told by the ledger.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from bench.common import result, table
from consumers.audit import audit, span
from consumers.auditor import Auditor
from pipeline.kafka_log import KafkaSettings, create_topics
from pipeline.schema import Engines, migrate
from pipeline.store import ClickHouse, open_clickhouse
from tests.faults.faults import SESSION
from tests.faults.ledger import Identity, Ledger, sums_of
from tests.faults.load import MODES, Load
from tests.faults.nemesis import Nemesis, Step
from tests.faults.oracle import group_lag
from tests.faults.replay import LOOK_SECONDS, Place, Recorded, Replay, Sight, first_places, quantile, read_topic
from tests.faults.world import Watched, World
from tests.faults.writers import WRITERS

RATE = 300  # records a second of a replay
WORKERS = 3
SETTLE_SECONDS = 90  # from the end of the faults to a lag of 0

# --- the schedule


class Kind(NamedTuple):
    """A fault and how many seconds it is given, for the slowest writer."""

    verb: str
    given: tuple[object, ...]
    seconds: float


KINDS = (
    Kind("break_worker", ("before the insert", "SIGKILL"), 4),
    Kind("break_worker", ("during the insert", "SIGKILL", 0.01), 4),
    Kind("break_worker", ("after the insert", "SIGKILL"), 4),
    Kind("break_worker", ("before the insert", "SIGSTOP", 0.0, SESSION + 3), 11),
    Kind("lose_replies", (2, 4.0), 4),
    Kind("kill_store", (0.5,), 6),
    Kind("break_view", (1.5,), 4),
    Kind("join", (1.5,), 5),
    Kind("restart_worker", (0, 0.3), 3),
)


def schedule(seed: int, seconds: float) -> list[Step]:
    """Every kind in an order made from the seed, again and again while there is time for one."""
    rng = random.Random(seed)
    steps: list[Step] = []
    at = 1.0
    while at < seconds:
        for kind in rng.sample(KINDS, len(KINDS)):
            if at + kind.seconds <= seconds + 2:
                steps.append(Step(at, kind.verb, kind.given))
                at += kind.seconds
        if at + min(kind.seconds for kind in KINDS) > seconds + 2:
            break
    return steps


class Faults(Nemesis):
    """The nemesis, for writers that use no tokens and have tables of their own."""

    def __init__(self, world: World, load: Load, tables: ClickHouse) -> None:
        super().__init__(world, load, _tell)
        self._tables = tables

    def break_view(self, seconds: float) -> None:
        """A view behind the rollups throws: the table takes the rows, the rollups in part."""
        self._tables.execute("CREATE TABLE IF NOT EXISTS broken_rows (n UInt64) ENGINE = Null")
        self._tables.execute(
            "CREATE MATERIALIZED VIEW breaks TO broken_rows AS SELECT toUInt64(throwIf(events >= 0)) AS n FROM usage_hours"
        )
        time.sleep(seconds)
        self._tables.execute("DROP VIEW breaks")
        self.hits["view broken"] += 1

    def lose_replies(self, count: int, seconds: float) -> None:
        """The insert is done, its reply never arrives."""
        store = self.world.store
        store.marker, before = b"max_insert_block_size=", store.replies_lost
        store.replies_to_lose, deadline = count, time.monotonic() + seconds
        while store.replies_lost - before < count and time.monotonic() < deadline:
            time.sleep(0.02)
        store.replies_to_lose = 0
        self.hits["replies lost"] += store.replies_lost - before


# --- what became of it


class Row(NamedTuple):
    """A stored row: what it is of, and where in the log it was read."""

    identity: Identity
    place: Place


class Counted(NamedTuple):
    """Stored rows against the ledger."""

    lost: int  # acknowledged identities without a row
    strange: int  # identities with rows that were never acknowledged
    doubled: int  # rows more than identities
    repeats: int  # of them: rows of records that were a client's repeat
    again: int  # of them: rows of a record that was inserted more than once
    identities: int  # identities with more than one row


def count(acknowledged: set[Identity], rows: Sequence[Row]) -> Counted:
    """Nothing of the product's own audit is asked."""
    of_identity = Counter(row.identity for row in rows)
    places = len({row.place for row in rows})
    return Counted(
        lost=len(acknowledged - of_identity.keys()),
        strange=len(of_identity.keys() - acknowledged),
        doubled=len(rows) - len(of_identity),
        repeats=places - len(of_identity),
        again=len(rows) - places,
        identities=sum(1 for times in of_identity.values() if times > 1),
    )


_DIMENSIONS = "provider, model, agent, tool_name, service_tier, status"
_CACHE_WRITES = "input_cache_write_5m + input_cache_write_30m + input_cache_write_1h + input_cache_write_12h"
# Keys of a rollup, and the same of a raw row.
_ROLLUPS = {
    "usage_hours": (f"account, hour, user_id, {_DIMENSIONS}, tags", "toStartOfHour(ts) AS hour"),
    "usage_days": (f"account, day, user_id, {_DIMENSIONS}, tags", "toStartOfDay(ts) AS day"),
    "tag_hours": (
        f"account, tag, hour, {_DIMENSIONS}",
        "toStartOfHour(ts) AS hour, arrayJoin(arrayConcat([''], tags)) AS tag",
    ),
}


def differing_sql(rollup: str) -> str:
    """How many keys have sums other than those of the raw rows: events, calls, tokens, money. Not the audit's own query."""
    keys, computed = _ROLLUPS[rollup]
    plain = ", ".join(key for key in keys.split(", ") if f"AS {key}" not in computed)
    return f"""
    SELECT count() FROM (
        SELECT {keys}, sum(n) AS n_off, sum(llm) AS llm_off, sum(i) AS i_off, sum(o) AS o_off, sum(c) AS c_off FROM (
            SELECT {keys}, n, llm, i, o, c FROM (
                SELECT {plain}, {computed}, toInt64(1) AS n, toInt64(type = 'llm') AS llm, toInt64(e.output) AS o,
                       toInt64(e.input_uncached) + e.input_cache_read + {_CACHE_WRITES} AS i,
                       toDecimal128(ifNull(e.cost, 0), 9) AS c FROM events AS e
            )
            UNION ALL
            SELECT {keys}, -events, -calls, -(input_uncached + input_cache_read + input_cache_write), -output,
                   -toDecimal128(cost, 9) FROM {rollup}
        ) GROUP BY {keys}
        HAVING n_off != 0 OR llm_off != 0 OR i_off != 0 OR o_off != 0 OR c_off != 0
    )
    """


@dataclass
class Rollup:
    """How the rollups stood at one moment: keys that differ from the raw rows, and how far the days' spend is from the ledger's."""

    keys: int
    dollars: Decimal

    @staticmethod
    def read(store: ClickHouse, truth: Decimal) -> Rollup:
        """Now."""
        keys = sum(int(store.select(differing_sql(rollup), seconds=120).rows[0][0]) for rollup in _ROLLUPS)
        told = Decimal(store.select("SELECT sum(cost) FROM usage_days").rows[0][0] or 0)
        return Rollup(keys, told - truth)


@dataclass
class Outcome:
    """One writer's."""

    writer: str
    counted: Counted
    found: Rollup  # as the faults left it
    unasked: Rollup  # after the auditor has settled the hours that the workers marked
    repaired: Rollup  # after `percapita audit --repair`
    waits: list[float]  # seconds from the log to visible, one for each acknowledged event that became so
    hits: dict[str, int]
    complaints: list[str] = field(default_factory=list)


# --- a run


class WritersWorld(World):
    """The harness's world whose workers are one of the writers, each with topic, group and database of its own."""

    def __init__(self, folder: Path) -> None:
        self._writer = ""
        self._environment: dict[str, str] = {}
        super().__init__(folder, workers=0, collectors=1, session_seconds=SESSION)

    def add_worker(self, **environment: str) -> Watched:
        """One more of the writer whose turn it is."""
        writer, given = self._writer, self._environment | environment
        return Watched("consumer", lambda: self.stack.start(writer, **given))

    def begin(self, writer: str) -> ClickHouse:
        """Fresh topic, tables and processes; answers the tables."""
        stack, name = self.stack, f"compare_{writer.replace('-', '_')}"
        stack.topic = stack.group = name
        create_topics(KafkaSettings(stack.kafka.bootstrap, name), partitions=stack.partitions, replication=1)
        stack.store.execute(f"CREATE DATABASE {name}")
        tables = open_clickhouse(stack.clickhouse.url, database=name, user="default", password="")
        migrate(tables, Engines())
        stack.entry = ("-m", "tests.faults.writers")
        self._writer = writer
        self._environment = {
            "PERCAPITA_TOPIC": name,
            "PERCAPITA_GROUP": name,
            "PERCAPITA_CLICKHOUSE_DATABASE": name,
        }
        self.workers = [self.add_worker() for _ in range(WORKERS)]
        self._wait_for_members()
        return tables

    def _wait_for_members(self, seconds: float = 60) -> None:
        kafka = AdminClient({"bootstrap.servers": self.stack.kafka.bootstrap, "log_level": 2})
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(KafkaException):
                group = kafka.describe_consumer_groups([self.stack.group])[self.stack.group].result(timeout=10)
                if group.state.name == "STABLE" and len(group.members) == WORKERS:
                    return
            time.sleep(0.2)
        raise TimeoutError("the writers do not join their group")

    def end(self) -> None:
        """The writer's processes end in good order."""
        leaving, self.workers = self.workers, []
        for one in leaving:
            one.expected = True
            one.process.terminate()
        for one in leaving:
            one.process.wait(60)


def record(world: WritersWorld, ledger: Ledger, seed: int, seconds: float) -> list[Recorded]:
    """Send the load, through the collector, four times as fast as it will be replayed."""
    load = Load(world.urls(), world.tenants(MODES), ledger, seed=seed, rate=4 * RATE, repeats=0.03).start()
    time.sleep(seconds / 4)
    load.finish(60)
    open_ones = [sent for sent in ledger.events.values() if sent.result != "ok"]
    if open_ones:
        raise SystemExit(f"{len(open_ones)} events of the load were not acknowledged")
    return read_topic(world.stack.kafka.bootstrap, world.stack.topic, world.stack.partitions)


def compare(
    world: WritersWorld, writer: str, ledger: Ledger, records: Sequence[Recorded], steps: Sequence[Step], seconds: float
) -> Outcome:
    """One writer under the faults; then all heals, and what is stored is held against the ledger."""
    acknowledged = {identity for identity, _ in ledger.with_result("ok")}
    truth = sum((sums_of(sent.event).cost for _, sent in ledger.with_result("ok")), Decimal(0))
    firsts = first_places(records)
    tables = world.begin(writer)
    sight = Sight(tables, firsts)
    replay = Replay(world.stack.kafka.bootstrap, world.stack.topic, records, seconds)
    load = Load(world.urls(), (), ledger, seed=0)  # never started: the replay is the load
    faults = Faults(world, load, tables)
    sight.start()
    replay.start()
    faults.run(steps)
    replay.join()
    world.heal()
    complaints = list(faults.complaints)
    deadline = time.monotonic() + SETTLE_SECONDS
    while (lag := group_lag(world.stack)) and time.monotonic() < deadline:
        time.sleep(0.3)
    if lag:
        complaints.append(f"a lag of {lag} after {SETTLE_SECONDS} s")
    if replay.moved:
        complaints.append(f"{replay.moved} records are not where they were in the recorded topic")
    time.sleep(2 * LOOK_SECONDS)
    sight.end()
    world.end()
    counted = count(acknowledged, stored_rows(tables))
    found = Rollup.read(tables, truth)
    auditor = Auditor(tables)
    settle(auditor)
    unasked = Rollup.read(tables, truth)
    audit(tables, *span(tables), auditor._lease)  # as the command, on the same turn
    repaired = Rollup.read(tables, truth)
    waits = [sight.seen[place] - replay.published[place] for place in firsts if place in sight.seen]
    tables.execute(f"DROP DATABASE {world.stack.group} SYNC")
    tables.close()
    return Outcome(writer, counted, found, unasked, repaired, waits, dict(faults.hits), complaints)


def stored_rows(store: ClickHouse) -> list[Row]:
    """All of the raw table."""
    rows = store.select(
        "SELECT account, trace_id, toString(id), log_partition, log_offset FROM events", seconds=120
    ).rows
    return [
        Row((account, trace, event), (int(partition), int(offset))) for account, trace, event, partition, offset in rows
    ]


def settle(auditor: Auditor, seconds: float = 60) -> None:
    """What the auditor beside the workers does unasked, until no hour is doubtful."""
    deadline = time.monotonic() + seconds
    while auditor.doubtful() and time.monotonic() < deadline:
        auditor.settle_doubtful()


def judge(outcomes: Sequence[Outcome], steps: Sequence[Step]) -> list[str]:
    """Why the comparison fails: ours counted other than once, or a fault never hit it."""
    found = [f"{one.writer}: {complaint}" for one in outcomes for complaint in one.complaints]
    for one in outcomes:
        if one.writer != "ours":
            continue
        if any(one.counted):
            found.append(f"ours: {one.counted}")
        if one.unasked.keys or one.unasked.dollars:
            found.append(f"ours: after the unasked repair: {one.unasked}")
        if not {step.verb for step in steps} >= {kind.verb for kind in KINDS}:
            continue  # too short for all of them
        for hit in ("broke", "replies lost", "store killed in mid insert", "view broken", "worker joined and left"):
            if not one.hits.get(hit):
                found.append(f"ours: the fault never hit: {hit}")
    return found


# --- what is printed


def lines(outcomes: Sequence[Outcome], events: int, records: int) -> list[tuple[Any, ...]]:
    """The table: a column for each writer."""
    each: list[tuple[str, Any]] = [
        ("events acknowledged", lambda o: events),
        ("records in the topic, clients' repeats included", lambda o: records),
        ("lost", lambda o: o.counted.lost),
        ("doubled rows", lambda o: o.counted.doubled),
        ("- records inserted more than once", lambda o: o.counted.again),
        ("- clients' repeats stored", lambda o: o.counted.repeats),
        ("identities stored more than once", lambda o: o.counted.identities),
        ("rollup keys other than raw, as the faults left them", lambda o: o.found.keys),
        ("- after the unasked repair of marked hours", lambda o: o.unasked.keys),
        ("- after percapita audit --repair", lambda o: o.repaired.keys),
        ("spend told by the days, USD off the truth, as the faults left it", lambda o: f"{o.found.dollars:+f}"),
        ("- after the unasked repair of marked hours", lambda o: f"{o.unasked.dollars:+f}"),
        ("- after percapita audit --repair", lambda o: f"{o.repaired.dollars:+f}"),
        ("visible after, p50 s", lambda o: f"{quantile(o.waits, 0.5):.2f}"),
        ("visible after, p99 s", lambda o: f"{quantile(o.waits, 0.99):.2f}"),
    ]
    head = ("", *(WRITERS[outcome.writer] for outcome in outcomes))
    return [head, *((name, *(cell(outcome) for outcome in outcomes)) for name, cell in each)]


def _tell(text: str) -> None:
    print(text, flush=True)


def _json(outcome: Outcome) -> dict[str, Any]:
    return {
        **outcome.counted._asdict(),
        "rollup_keys": [outcome.found.keys, outcome.unasked.keys, outcome.repaired.keys],
        "dollars_off": [f"{r.dollars:f}" for r in (outcome.found, outcome.unasked, outcome.repaired)],
        "p50": round(quantile(outcome.waits, 0.5), 3),
        "p99": round(quantile(outcome.waits, 0.99), 3),
        "hits": outcome.hits,
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make compare-delivery", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=50, help="of faults, for each writer")
    parser.add_argument("--writers", default=",".join(WRITERS), help="some of %(default)s")
    given = parser.parse_args()
    writers = given.writers.split(",")
    began = time.monotonic()
    steps = schedule(given.seed, given.seconds)
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # the server is down now and then
    with tempfile.TemporaryDirectory(prefix="compare-") as folder, WritersWorld(Path(folder)) as world:
        ledger = Ledger(Path(folder) / "ledger.jsonl")
        records = record(world, ledger, given.seed, given.seconds)
        events = ledger.count("ok")
        _tell(f"{events:,} events acknowledged, {len(records):,} records; each writer for {given.seconds:g} s")
        _tell(f"faults, seed {given.seed}; {WORKERS} workers, sessions of {SESSION:g} s")
        for step in steps:
            _tell(f"    {step}")
        outcomes = []
        for writer in writers:
            _tell(f"{WRITERS[writer]}, {time.monotonic() - began:.0f} s, load average {os.getloadavg()[0]:.1f}")
            outcomes.append(compare(world, writer, ledger, records, steps, given.seconds))
            _tell(f"  {', '.join(f'{name} {times}' for name, times in outcomes[-1].hits.items())}")
        ledger.close()
    wrong = judge(outcomes, steps)
    table(f"delivery, seed {given.seed}, {given.seconds:g} s of faults", lines(outcomes, events, len(records)))
    doubled = {outcome.writer: outcome.counted.doubled for outcome in outcomes}
    result(
        "compare-delivery", doubled.get("ours", 0), doubled.get("plain", 0), f"{events} events, seed {given.seed}",
        unit="doubled rows; the baseline inserts, then commits", writers={one.writer: _json(one) for one in outcomes}, violations=wrong,
    )  # fmt: skip
    for violation in wrong:
        print(f"VIOLATION {violation}")
    print(f"{time.monotonic() - began:.0f} s; again: make compare-delivery SEED={given.seed} SECONDS={given.seconds:g}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
