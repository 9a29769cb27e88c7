"""The tables: numbered migrations under clickhouse/, run once each, and whether a database is one that this code knows."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import SchemaMismatch
from pipeline.store import Store

MIGRATIONS = Path(__file__).resolve().parent.parent / "clickhouse"


@dataclass(frozen=True)
class Engines:
    """What the macros of clickhouse/*.sql stand for: plain, or replicated on a named cluster."""

    cluster: str = ""

    def macros(self) -> dict[str, str]:
        """Macro name -> SQL."""
        replicated = bool(self.cluster)
        prefix = "Replicated" if replicated else ""

        def engine(name: str, *arguments: str) -> str:
            paths = ("'/clickhouse/tables/{shard}/{database}/{table}'", "'{replica}'") if replicated else ()
            return f"{prefix}{name}({', '.join((*paths, *arguments))})"

        window = (
            "replicated_deduplication_window = 150000, replicated_deduplication_window_seconds = 604800"
            if replicated
            else "non_replicated_deduplication_window = 150000"
        )
        return {
            "on_cluster": f"ON CLUSTER '{self.cluster}'" if replicated else "",
            "merge_tree": engine("MergeTree"),
            "aggregating_merge_tree": engine("AggregatingMergeTree"),
            "replacing_merge_tree": engine("ReplacingMergeTree"),
            "replacing_merge_tree_cleared": engine("ReplacingMergeTree", "cleared"),
            "replacing_merge_tree_changed": engine("ReplacingMergeTree", "changed_at"),
            "replacing_merge_tree_fold": engine("ReplacingMergeTree", "fold"),
            "replacing_merge_tree_reported": engine("ReplacingMergeTree", "reported_at"),
            "replacing_merge_tree_version": engine("ReplacingMergeTree", "version"),
            "dedup_window": window,
        }


class Migration(NamedTuple):
    """One numbered statement."""

    number: int
    name: str
    text: str  # as in the file: this is what the checksum is of
    checksum: str

    def sql(self, engines: Engines) -> str:
        """The statement with its macros filled in."""
        macros = engines.macros()
        return re.sub(r"\{(\w+)\}", lambda m: macros[m.group(1)], self.text)


def migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """Every migration in order."""
    found = []
    for path in sorted(folder.glob("[0-9]*.sql")):
        text = path.read_text(encoding="utf-8")
        found.append(Migration(int(path.stem[:4]), path.stem, text, hashlib.sha256(text.encode()).hexdigest()))
    return found


_CREATE_LEDGER = """CREATE TABLE IF NOT EXISTS migrations {on_cluster}
(number UInt32, name String, checksum String, applied_at DateTime64(6, 'UTC') DEFAULT now64(6))
ENGINE = {merge_tree} ORDER BY number"""


def applied(store: Store) -> dict[int, str]:
    """Number -> checksum of the migrations in the database; empty when it has none yet."""
    exists = store.select(
        "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'migrations'"
    )
    if not exists.rows[0][0]:
        return {}
    return dict(store.select("SELECT number, any(checksum) FROM migrations GROUP BY number ORDER BY number").rows)


def check_schema(store: Store) -> list[Migration]:
    """The migrations still to run. Raises SchemaMismatch for a database this code does not know."""
    known = {m.number: m for m in migrations()}
    done = applied(store)
    for number, checksum in done.items():
        if number not in known:
            raise SchemaMismatch(f"the database has migration {number}, which this version does not know: upgrade it")
        if known[number].checksum != checksum:
            raise SchemaMismatch(f"migration {known[number].name} was changed after it was applied")
    return [m for m in known.values() if m.number not in done]


def require_schema(store: Store) -> None:
    """Refuse to start on a schema that is older or newer than this code."""
    missing = check_schema(store)
    if missing:
        raise SchemaMismatch(f"the database lacks migration {missing[0].name}: run `percapita migrate`")


def migrate(store: Store, engines: Engines) -> list[Migration]:
    """Run what is missing, in order; every statement can be repeated, so a run that was cut short is run again."""
    macros = engines.macros()
    store.execute(re.sub(r"\{(\w+)\}", lambda m: macros[m.group(1)], _CREATE_LEDGER))
    missing = check_schema(store)
    for migration in missing:
        store.execute(migration.sql(engines))
        store.insert(
            "migrations", ("number", "name", "checksum"), ([migration.number], [migration.name], [migration.checksum])
        )
    return missing
