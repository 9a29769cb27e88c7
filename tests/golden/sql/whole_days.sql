-- plan: days
-- {
--  "account": "acc_1"
-- }
SELECT r.user_id AS user_id, r.model AS model, sum(r.events) AS events, sum(r.calls) AS calls, sum(r.tool_calls) AS tool_calls, sum(r.traces) AS traces, sum(r.user_traces) AS user_traces, sum(r.input_uncached) AS input_uncached, sum(r.input_cache_read) AS input_cache_read, sum(r.input_cache_write) AS input_cache_write, sum(r.output) AS output, sum(r.output_reasoning) AS output_reasoning, sum(r.cost) AS cost, sum(r.priced) AS priced, sum(r.unpriced) AS unpriced, sum(r.estimated) AS estimated, sum(r.errors) AS errors, max(r.last_seen) AS last_seen FROM usage_days AS r WHERE account = {account:String} AND day >= toDateTime(1793491200, 'UTC') AND day < toDateTime(1794096000, 'UTC') GROUP BY user_id, model
