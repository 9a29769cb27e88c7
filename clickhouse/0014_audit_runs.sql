-- What an audit read and did: one row for each hour it closed, and the lease under which auditors take turns.
CREATE TABLE IF NOT EXISTS audit_runs {on_cluster}
(
    hour DateTime('UTC'),
    audited_at DateTime64(6, 'UTC'),
    keys UInt64,
    differing_keys UInt64,
    repaired_keys UInt64
)
ENGINE = {merge_tree}
ORDER BY (hour, audited_at)
TTL toDateTime(audited_at) + toIntervalDay(400)
