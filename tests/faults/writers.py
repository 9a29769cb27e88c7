"""The writers that are compared, as processes behind the same breaking seams (see tests.faults.process):

    python -m tests.faults.writers ours | without-intents | plain | commit-first

No auditor runs beside them: the comparison reads the damage first, and has it repaired then.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bench.plain_consumer import consume
from consumers.auditor import Auditor
from pipeline import kafka_log
from pipeline.config import load
from pipeline.log import Position
from pipeline.store import ClickHouse, open_clickhouse
from tests.faults import process

WRITERS = {
    "ours": "ours",
    "without-intents": "ours without intents",
    "plain": "insert, then commit",
    "commit-first": "commit, then insert",
}


class Forgetful(kafka_log.KafkaReader):
    """Commits how far it is and never what it is about to do: a new owner inherits nothing, and plans its own batches.

    All the rest of the worker stays: tokens of the offsets, the dedupe window, the rules for doubt of whoever is in doubt.
    """

    def commit(self, positions: Mapping[int, Position]) -> None:
        """The offsets, without their notes."""
        super().commit({partition: Position(position.offset, "") for partition, position in positions.items()})


class _PlainStore(ClickHouse):
    """The store, telling where a plain consumer is."""

    def insert(self, table: str, columns: Sequence[str], data: Sequence[Sequence[Any]], **given: Any) -> None:
        process.reached("before the insert")
        process.reached("during the insert")
        super().insert(table, columns, data, **given)
        process.reached("after the insert")


def main() -> None:
    """The writer named on the command line; where it reads and writes, from the environment as every process of ours."""
    name = sys.argv[1]
    if name in ("plain", "commit-first"):
        settings = load()
        store = open_clickhouse(
            settings.clickhouse_url, database=settings.clickhouse_database, user="default", password=""
        )
        store.__class__ = _PlainStore
        consume(
            store, settings.kafka_bootstrap, settings.topic, settings.group,
            session_seconds=settings.session_seconds, commit_first=name == "commit-first",
        )  # fmt: skip
        return
    Auditor.run = lambda self, stop: None  # type: ignore[method-assign]  # see above
    if name == "without-intents":
        kafka_log.KafkaReader = Forgetful  # type: ignore[misc]  # the seam, wrapped
    sys.argv[1] = "consumer"
    process.main()


if __name__ == "__main__":
    main()
