CREATE MATERIALIZED VIEW IF NOT EXISTS events_to_tag_hours {on_cluster} TO tag_hours AS
SELECT
    account,
    arrayJoin(arrayConcat([''], tags)) AS tag,
    toStartOfHour(ts) AS hour,
    provider, model, agent, tool_name, service_tier, e.status AS status,
    sum(toInt64(sign)) AS events,
    sum(sign * (type = 'llm')) AS calls,
    sum(sign * (type = 'tool')) AS tool_calls,
    sum(sign * toInt64(is_trace_start)) AS traces,
    sum(sign * toInt64(is_user_trace_start)) AS user_traces,
    sum(sign * toInt64(e.input_uncached)) AS input_uncached,
    sum(sign * toInt64(e.input_cache_read)) AS input_cache_read,
    sum(sign * (toInt64(input_cache_write_5m) + input_cache_write_30m + input_cache_write_1h + input_cache_write_12h)) AS input_cache_write,
    sum(sign * toInt64(e.output)) AS output,
    sum(sign * toInt64(e.output_reasoning)) AS output_reasoning,
    sum(CAST(sign * ifNull(e.cost, 0), 'Decimal(38, 9)')) AS cost,
    sum(CAST(if(trace_id = '', sign * ifNull(e.cost, 0), 0), 'Decimal(38, 9)')) AS untraced,
    sum(sign * (price_status IN ('priced', 'free', 'reported', 'estimated'))) AS priced,
    sum(sign * (price_status = 'unpriced')) AS unpriced,
    sum(sign * toInt64(usage_estimated)) AS estimated,
    sum(sign * (e.status = 'error')) AS errors,
    sum(sign * reinterpretAsInt64(cityHash64(id))) AS checksum,
    sumMapIf(map(toInt16(round(log(greatest(ifNull(latency_ms, 1), 0.01)) / log(1.1))), toInt64(sign)), latency_ms IS NOT NULL) AS latency,
    sumMapIf(map(toInt16(round(log(greatest(ifNull(time_to_first_token_ms, 1), 0.01)) / log(1.1))), toInt64(sign)), time_to_first_token_ms IS NOT NULL) AS first_token,
    max(ts) AS last_seen,
    min(e.retention_days) AS retention_days
FROM events AS e
GROUP BY account, tag, hour, provider, model, agent, tool_name, service_tier, status
