-- One row for each hour, user and distinct tag set: exact under any number of filters.
CREATE TABLE IF NOT EXISTS usage_hours {on_cluster}
(
    account LowCardinality(String),
    hour DateTime('UTC') CODEC(Delta, ZSTD(1)),
    user_id String CODEC(ZSTD(1)),
    provider LowCardinality(String),
    model LowCardinality(String),
    agent LowCardinality(String),
    tool_name LowCardinality(String),
    service_tier LowCardinality(String),
    status LowCardinality(String),
    tags Array(LowCardinality(String)),
    events SimpleAggregateFunction(sum, Int64),
    calls SimpleAggregateFunction(sum, Int64),
    tool_calls SimpleAggregateFunction(sum, Int64),
    traces SimpleAggregateFunction(sum, Int64),
    user_traces SimpleAggregateFunction(sum, Int64),
    input_uncached SimpleAggregateFunction(sum, Int64),
    input_cache_read SimpleAggregateFunction(sum, Int64),
    input_cache_write SimpleAggregateFunction(sum, Int64),
    output SimpleAggregateFunction(sum, Int64),
    output_reasoning SimpleAggregateFunction(sum, Int64),
    cost SimpleAggregateFunction(sum, Decimal(38, 9)),
    untraced SimpleAggregateFunction(sum, Decimal(38, 9)),
    priced SimpleAggregateFunction(sum, Int64),
    unpriced SimpleAggregateFunction(sum, Int64),
    estimated SimpleAggregateFunction(sum, Int64),
    errors SimpleAggregateFunction(sum, Int64),
    checksum SimpleAggregateFunction(sum, Int64),
    latency SimpleAggregateFunction(sumMap, Map(Int16, Int64)),
    first_token SimpleAggregateFunction(sumMap, Map(Int16, Int64)),
    last_seen SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    retention_days SimpleAggregateFunction(min, UInt16)
)
ENGINE = {aggregating_merge_tree}
PARTITION BY toYYYYMM(hour)
ORDER BY (account, hour, user_id, provider, model, agent, tool_name, service_tier, status, tags)
TTL hour + toIntervalDay(1100)
SETTINGS {dedup_window}
