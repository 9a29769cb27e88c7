-- plan: raw
-- {
--  "account": "acc_1",
--  "f0": [
--   "request=r1"
--  ],
--  "k0": "request="
-- }
SELECT sum(toInt64(sign)) AS events, sum(sign * (type = 'llm')) AS calls, sum(sign * (type = 'tool')) AS tool_calls, sum(sign * toInt64(is_trace_start)) AS traces, sum(sign * toInt64(is_user_trace_start)) AS user_traces, sum(sign * toInt64(e.input_uncached)) AS input_uncached, sum(sign * toInt64(e.input_cache_read)) AS input_cache_read, sum(sign * (toInt64(input_cache_write_5m) + input_cache_write_30m + input_cache_write_1h + input_cache_write_12h)) AS input_cache_write, sum(sign * toInt64(e.output)) AS output, sum(sign * toInt64(e.output_reasoning)) AS output_reasoning, sum(CAST(sign * ifNull(e.cost, 0), 'Decimal(38, 9)')) AS cost, sum(sign * (price_status IN ('priced', 'free', 'reported', 'estimated'))) AS priced, sum(sign * (price_status = 'unpriced')) AS unpriced, sum(sign * toInt64(usage_estimated)) AS estimated, sum(sign * (e.status = 'error')) AS errors, max(ts) AS last_seen FROM events AS e WHERE account = {account:String} AND toStartOfHour(ts) >= toDateTime(1794909600, 'UTC') AND toStartOfHour(ts) < toDateTime(1795518000, 'UTC') AND ts >= fromUnixTimestamp64Micro(1794911415000000, 'UTC') AND ts < fromUnixTimestamp64Micro(1795516215000000, 'UTC') AND (hasAny(arrayConcat(tags, tags_over), {f0:Array(String)}))
