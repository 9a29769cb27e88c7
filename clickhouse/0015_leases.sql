CREATE TABLE IF NOT EXISTS leases {on_cluster}
(
    name LowCardinality(String),
    owner String,
    taken_at DateTime64(6, 'UTC'),
    ends_at DateTime64(6, 'UTC')
)
ENGINE = {merge_tree}
ORDER BY (name, taken_at)
TTL toDateTime(ends_at) + toIntervalDay(7)
