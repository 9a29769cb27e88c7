CREATE TABLE IF NOT EXISTS api_keys {on_cluster}
(
    id String,
    account String,
    hash FixedString(64),
    name String,
    scopes Array(LowCardinality(String)),
    privacy LowCardinality(String),
    record String,
    created_at DateTime64(6, 'UTC'),
    expires_at Nullable(DateTime64(6, 'UTC')),
    revoked_at Nullable(DateTime64(6, 'UTC')),
    version UInt64
)
ENGINE = {replacing_merge_tree_version}
ORDER BY id
