-- The folds that are whole: the sums of what each was made of, to be compared with what its hour or day holds now.
CREATE TABLE IF NOT EXISTS folds {on_cluster}
(
    account LowCardinality(String),
    span LowCardinality(String),
    at DateTime('UTC'),
    fold UInt64,
    events Int64,
    calls Int64,
    tool_calls Int64,
    traces Int64,
    user_traces Int64,
    input_uncached Int64,
    input_cache_read Int64,
    input_cache_write Int64,
    output Int64,
    output_reasoning Int64,
    cost Decimal(38, 9),
    untraced Decimal(38, 9),
    priced Int64,
    unpriced Int64,
    estimated Int64,
    errors Int64,
    checksum Int64
)
ENGINE = {replacing_merge_tree_fold}
ORDER BY (account, span, at)
PARTITION BY toYYYYMM(at)
TTL at + toIntervalDay(if(span = 'day', 1100, 200))
