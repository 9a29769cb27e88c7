-- Closed hours and days folded by user: all events (slice ''), and of days each tag and each model. Made off the insert path
-- by the auditor, read only while the hour or day still holds what was folded: see consumers/fold.py and query/folds.py.
CREATE TABLE IF NOT EXISTS user_folds {on_cluster}
(
    account LowCardinality(String),
    span LowCardinality(String),
    slice LowCardinality(String),
    at DateTime('UTC') CODEC(Delta, ZSTD(1)),
    fold UInt64 CODEC(Delta, ZSTD(1)),
    user_id String CODEC(ZSTD(1)),
    events Int64 CODEC(T64, ZSTD(1)),
    calls Int64 CODEC(T64, ZSTD(1)),
    tool_calls Int64 CODEC(T64, ZSTD(1)),
    traces Int64 CODEC(T64, ZSTD(1)),
    user_traces Int64 CODEC(T64, ZSTD(1)),
    input_uncached Int64 CODEC(T64, ZSTD(1)),
    input_cache_read Int64 CODEC(T64, ZSTD(1)),
    input_cache_write Int64 CODEC(T64, ZSTD(1)),
    output Int64 CODEC(T64, ZSTD(1)),
    output_reasoning Int64 CODEC(T64, ZSTD(1)),
    cost Decimal(38, 9) CODEC(ZSTD(1)),
    untraced Decimal(38, 9) CODEC(ZSTD(1)),
    priced Int64 CODEC(T64, ZSTD(1)),
    unpriced Int64 CODEC(T64, ZSTD(1)),
    estimated Int64 CODEC(T64, ZSTD(1)),
    errors Int64 CODEC(T64, ZSTD(1)),
    checksum Int64 CODEC(T64, ZSTD(1)),
    last_seen DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = {merge_tree}
PARTITION BY toYYYYMM(at)
ORDER BY (account, span, slice, at, user_id)
TTL at + toIntervalDay(if(span = 'day', 1100, 200))
