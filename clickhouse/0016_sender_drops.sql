-- Events that SDKs dropped and told us of: {dropped: {reason: count}}.
CREATE TABLE IF NOT EXISTS sender_drops {on_cluster}
(
    account LowCardinality(String),
    received_at DateTime64(6, 'UTC'),
    reason LowCardinality(String),
    dropped UInt64
)
ENGINE = {merge_tree}
ORDER BY (account, received_at)
TTL toDateTime(received_at) + toIntervalDay(400)
