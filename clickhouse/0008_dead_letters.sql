-- Accepted records that could not be processed. Identity is (log_id, log_partition, log_offset): a replayed batch lists one once.
-- A state ('replayed', 'purged') is a later row of the same identity; workers write none.
CREATE TABLE IF NOT EXISTS dead_letters {on_cluster}
(
    account LowCardinality(String),
    received_at DateTime64(6, 'UTC'),
    log_id LowCardinality(String),
    log_partition UInt32,
    log_offset UInt64,
    reason LowCardinality(String),
    detail String,
    value_bytes UInt64,
    value_hash UInt64,
    value String CODEC(ZSTD(3)),
    state LowCardinality(String),
    changed_at DateTime64(6, 'UTC')
)
ENGINE = {replacing_merge_tree_changed}
ORDER BY (log_id, log_partition, log_offset)
TTL toDateTime(received_at) + toIntervalDay(400) DELETE WHERE toYear(received_at) > 1970
SETTINGS {dedup_window}
