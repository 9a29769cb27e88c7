CREATE MATERIALIZED VIEW IF NOT EXISTS usage_hours_to_days {on_cluster} TO usage_days AS
SELECT
    account,
    toStartOfDay(hour) AS day,
    user_id, provider, model, agent, tool_name, service_tier, status, tags,
    sum(h.events) AS events,
    sum(h.calls) AS calls,
    sum(h.tool_calls) AS tool_calls,
    sum(h.traces) AS traces,
    sum(h.user_traces) AS user_traces,
    sum(h.input_uncached) AS input_uncached,
    sum(h.input_cache_read) AS input_cache_read,
    sum(h.input_cache_write) AS input_cache_write,
    sum(h.output) AS output,
    sum(h.output_reasoning) AS output_reasoning,
    sum(h.cost) AS cost,
    sum(h.untraced) AS untraced,
    sum(h.priced) AS priced,
    sum(h.unpriced) AS unpriced,
    sum(h.estimated) AS estimated,
    sum(h.errors) AS errors,
    sum(h.checksum) AS checksum,
    sumMap(h.latency) AS latency,
    sumMap(h.first_token) AS first_token,
    max(h.last_seen) AS last_seen,
    min(h.retention_days) AS retention_days
FROM usage_hours AS h
GROUP BY account, day, user_id, provider, model, agent, tool_name, service_tier, status, tags
