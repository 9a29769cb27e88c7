-- Closed hours that the background audit has compared, once each; with the keys it repaired in the stretch they were part of.
CREATE TABLE IF NOT EXISTS audit_runs {on_cluster}
(
    hour DateTime('UTC'),
    audited_at DateTime64(6, 'UTC'),
    repaired_keys UInt64
)
ENGINE = {merge_tree}
ORDER BY (hour, audited_at)
TTL toDateTime(audited_at) + toIntervalDay(400)
