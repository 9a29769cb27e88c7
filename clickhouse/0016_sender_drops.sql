-- Events that SDKs dropped and told us of, {dropped: {reason: count}}; once for each place in the log, however often it is inserted.
CREATE TABLE IF NOT EXISTS sender_drops {on_cluster}
(
    account LowCardinality(String),
    received_at DateTime64(6, 'UTC'),
    reason LowCardinality(String),
    dropped UInt64,
    log_id LowCardinality(String),
    log_partition UInt32,
    log_offset UInt64
)
ENGINE = {replacing_merge_tree}
ORDER BY (account, received_at, log_id, log_partition, log_offset, reason)
TTL toDateTime(received_at) + toIntervalDay(400)
