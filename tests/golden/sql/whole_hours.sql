-- plan: tag_hours
-- {
--  "account": "acc_1"
-- }
SELECT sum(r.events) AS events, sum(r.calls) AS calls, sum(r.tool_calls) AS tool_calls, sum(r.traces) AS traces, sum(r.user_traces) AS user_traces, sum(r.input_uncached) AS input_uncached, sum(r.input_cache_read) AS input_cache_read, sum(r.input_cache_write) AS input_cache_write, sum(r.output) AS output, sum(r.output_reasoning) AS output_reasoning, sum(r.cost) AS cost, sum(r.priced) AS priced, sum(r.unpriced) AS unpriced, sum(r.estimated) AS estimated, sum(r.errors) AS errors, max(r.last_seen) AS last_seen FROM tag_hours AS r WHERE account = {account:String} AND hour >= toDateTime(1793509200, 'UTC') AND hour < toDateTime(1793523600, 'UTC') AND tag = ''
