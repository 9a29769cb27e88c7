"""Every metric's name. Base units, never a user or tag as a label."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, Info, start_http_server

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

ingest_events = Counter("percapita_ingest_events", "Events by result: accepted, or why rejected", ["result"])
ingest_spans = Counter("percapita_ingest_spans", "Spans in bodies that were taken; most are nobody's call")
ingest_bytes = Counter("percapita_ingest_bytes", "Bytes of bodies after decompression")
publish_seconds = Histogram(
    "percapita_publish_seconds", "From a parsed batch to the log's acknowledgement", buckets=_SECONDS
)
batch_rows = Histogram(
    "percapita_batch_rows", "Rows of one insert", buckets=(1, 10, 100, 500, 1000, 5000, 10_000, 20_000, 50_000)
)
stored_rows = Counter("percapita_stored_rows", "Rows stored")
duplicates = Counter("percapita_duplicates", "Retries that were stored already")
dead_letters = Counter("percapita_dead_letters", "Records set aside, by reason", ["reason"])
end_to_end_seconds = Histogram("percapita_end_to_end_seconds", "Event received to queryable", buckets=_SECONDS)
lag_records = Gauge("percapita_lag_records", "Records in the log that are not stored", ["partition"])
insert_errors = Counter("percapita_insert_errors", "Inserts without an acknowledgement")
build = Info("percapita_build", "Version")


def serve(port: int, host: str = "127.0.0.1") -> None:
    """Metrics on a port of their own."""
    start_http_server(port, host)
