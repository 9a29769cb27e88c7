"""The baseline of B3: read, make rows, insert, commit. At least once: no intents, no dedupe window, no doubt."""

from __future__ import annotations

import os
import signal
import sys

from confluent_kafka import Consumer

from pipeline.log import Entry
from pipeline.price import PriceBook
from pipeline.process import Context, decode_all, finish, to_rows
from pipeline.row import DeadLetter, Row
from pipeline.store import open_clickhouse


def main() -> None:
    """Bootstrap, topic, group and ClickHouse's url from the command line."""
    bootstrap, topic, group, url, database = sys.argv[1:6]
    store = open_clickhouse(url, database=database, user="default", password="")
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    context = Context(PriceBook())
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    while True:
        messages = [m for m in consumer.consume(20_000, 0.25) if m.error() is None]
        if not messages:
            continue
        entries = [Entry(m.partition() or 0, m.offset() or 0, m.value() or b"") for m in messages]
        decoded, _ = decode_all(entries, "plain")
        made = [finish(item, "plain", context) for item in decoded]
        kept = [done for done in made if not isinstance(done, DeadLetter)]
        rows = to_rows(kept, [0] * len(kept), [0] * len(kept), "plain", context)
        store.insert("events", Row._fields, rows.columns)
        consumer.commit(asynchronous=False)


main()
