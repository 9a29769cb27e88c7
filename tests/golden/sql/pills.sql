-- plan: raw+hours
-- {
--  "account": "acc_1",
--  "f0": [
--   "ada"
--  ],
--  "f1": [
--   "openai"
--  ],
--  "f2": [
--   "gpt-4o"
--  ],
--  "f3": [
--   "error"
--  ],
--  "k0": "_id=",
--  "k1": "ider=",
--  "k2": "l=",
--  "k3": "us="
-- }
SELECT sum(u.events) AS events, sum(u.calls) AS calls, sum(u.tool_calls) AS tool_calls, sum(u.traces) AS traces, sum(u.user_traces) AS user_traces, sum(u.input_uncached) AS input_uncached, sum(u.input_cache_read) AS input_cache_read, sum(u.input_cache_write) AS input_cache_write, sum(u.output) AS output, sum(u.output_reasoning) AS output_reasoning, sum(u.cost) AS cost, sum(u.priced) AS priced, sum(u.unpriced) AS unpriced, sum(u.estimated) AS estimated, sum(u.errors) AS errors, max(u.last_seen) AS last_seen
FROM (
    SELECT sum(toInt64(sign)) AS events, sum(sign * (type = 'llm')) AS calls, sum(sign * (type = 'tool')) AS tool_calls, sum(sign * toInt64(is_trace_start)) AS traces, sum(sign * toInt64(is_user_trace_start)) AS user_traces, sum(sign * toInt64(e.input_uncached)) AS input_uncached, sum(sign * toInt64(e.input_cache_read)) AS input_cache_read, sum(sign * (toInt64(input_cache_write_5m) + input_cache_write_30m + input_cache_write_1h + input_cache_write_12h)) AS input_cache_write, sum(sign * toInt64(e.output)) AS output, sum(sign * toInt64(e.output_reasoning)) AS output_reasoning, sum(CAST(sign * ifNull(e.cost, 0), 'Decimal(38, 9)')) AS cost, sum(sign * (price_status IN ('priced', 'free', 'reported', 'estimated'))) AS priced, sum(sign * (price_status = 'unpriced')) AS unpriced, sum(sign * toInt64(usage_estimated)) AS estimated, sum(sign * (e.status = 'error')) AS errors, max(ts) AS last_seen FROM events AS e WHERE account = {account:String} AND toStartOfHour(ts) >= toDateTime(1795428000, 'UTC') AND toStartOfHour(ts) < toDateTime(1795431600, 'UTC') AND ts >= fromUnixTimestamp64Micro(1795429815000000, 'UTC') AND ts < fromUnixTimestamp64Micro(1795431600000000, 'UTC') AND (e.user_id IN {f0:Array(String)}) AND (e.provider IN {f1:Array(String)}) AND NOT (e.model IN {f2:Array(String)}) AND (e.status IN {f3:Array(String)})
    UNION ALL
    SELECT sum(r.events) AS events, sum(r.calls) AS calls, sum(r.tool_calls) AS tool_calls, sum(r.traces) AS traces, sum(r.user_traces) AS user_traces, sum(r.input_uncached) AS input_uncached, sum(r.input_cache_read) AS input_cache_read, sum(r.input_cache_write) AS input_cache_write, sum(r.output) AS output, sum(r.output_reasoning) AS output_reasoning, sum(r.cost) AS cost, sum(r.priced) AS priced, sum(r.unpriced) AS unpriced, sum(r.estimated) AS estimated, sum(r.errors) AS errors, max(r.last_seen) AS last_seen FROM usage_hours AS r WHERE account = {account:String} AND hour >= toDateTime(1795431600, 'UTC') AND hour < toDateTime(1795514400, 'UTC') AND (r.user_id IN {f0:Array(String)}) AND (r.provider IN {f1:Array(String)}) AND NOT (r.model IN {f2:Array(String)}) AND (r.status IN {f3:Array(String)})
    UNION ALL
    SELECT sum(toInt64(sign)) AS events, sum(sign * (type = 'llm')) AS calls, sum(sign * (type = 'tool')) AS tool_calls, sum(sign * toInt64(is_trace_start)) AS traces, sum(sign * toInt64(is_user_trace_start)) AS user_traces, sum(sign * toInt64(e.input_uncached)) AS input_uncached, sum(sign * toInt64(e.input_cache_read)) AS input_cache_read, sum(sign * (toInt64(input_cache_write_5m) + input_cache_write_30m + input_cache_write_1h + input_cache_write_12h)) AS input_cache_write, sum(sign * toInt64(e.output)) AS output, sum(sign * toInt64(e.output_reasoning)) AS output_reasoning, sum(CAST(sign * ifNull(e.cost, 0), 'Decimal(38, 9)')) AS cost, sum(sign * (price_status IN ('priced', 'free', 'reported', 'estimated'))) AS priced, sum(sign * (price_status = 'unpriced')) AS unpriced, sum(sign * toInt64(usage_estimated)) AS estimated, sum(sign * (e.status = 'error')) AS errors, max(ts) AS last_seen FROM events AS e WHERE account = {account:String} AND toStartOfHour(ts) >= toDateTime(1795514400, 'UTC') AND toStartOfHour(ts) < toDateTime(1795518000, 'UTC') AND ts >= fromUnixTimestamp64Micro(1795514400000000, 'UTC') AND ts < fromUnixTimestamp64Micro(1795516215000000, 'UTC') AND (e.user_id IN {f0:Array(String)}) AND (e.provider IN {f1:Array(String)}) AND NOT (e.model IN {f2:Array(String)}) AND (e.status IN {f3:Array(String)})
) AS u
