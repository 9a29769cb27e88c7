"""The plain consumer that ours is measured against: read, insert, commit. At least once: no intents, no dedupe window, no doubt.

    python -m bench.plain_consumer BOOTSTRAP TOPIC GROUP CLICKHOUSE_URL DATABASE

Trouble ends it; whoever runs it starts it again. With `commit_first` it is the same at most once.
"""

from __future__ import annotations

import signal
import sys
from typing import Any

from confluent_kafka import Consumer

from pipeline import limits
from pipeline.log import Entry
from pipeline.price import PriceBook
from pipeline.process import Context, decode_all, finish, to_rows
from pipeline.row import DeadLetter, Row, Rows
from pipeline.store import Store, open_clickhouse


def consume(
    store: Store,
    bootstrap: str,
    topic: str,
    group: str,
    *,
    session_seconds: float = limits.SESSION_SECONDS,
    commit_first: bool = False,
) -> None:
    """Until SIGTERM, which lets it finish its batch and leave the group."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": int(session_seconds * 1000),
            "heartbeat.interval.ms": max(200, int(session_seconds * 1000 / 5)),
        }
    )
    stopping = False

    def stop(*_: Any) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    consumer.subscribe([topic])
    context = Context(PriceBook())
    while not stopping:
        messages = [m for m in consumer.consume(limits.BATCH_ROWS, limits.FLUSH_SECONDS) if m.error() is None]
        if not messages:
            continue
        rows = _rows([Entry(m.partition() or 0, m.offset() or 0, m.value() or b"") for m in messages], context)
        if commit_first:
            consumer.commit(asynchronous=False)
        store.insert("events", Row._fields, rows.columns)
        if not commit_first:
            consumer.commit(asynchronous=False)
    consumer.close()


def _rows(entries: list[Entry], context: Context) -> Rows:
    """Every record becomes a row, repeats too."""
    decoded = decode_all(entries, "plain").events
    made = [finish(item, "plain", context) for item in decoded]
    kept = [done for done in made if not isinstance(done, DeadLetter)]
    return to_rows(kept, [0] * len(kept), [0] * len(kept), "plain", context)


def main() -> None:
    """From the command line."""
    bootstrap, topic, group, url, database = sys.argv[1:6]
    consume(open_clickhouse(url, database=database, user="default", password=""), bootstrap, topic, group)


if __name__ == "__main__":
    main()
