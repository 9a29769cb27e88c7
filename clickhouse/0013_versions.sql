-- Immutable versions of what rows depend on: price books with overrides, redaction rules, tag budgets, tombstones.
CREATE TABLE IF NOT EXISTS versions {on_cluster}
(
    kind LowCardinality(String),
    version String,
    body String CODEC(ZSTD(3)),
    created_at DateTime64(6, 'UTC')
)
ENGINE = {replacing_merge_tree}
ORDER BY (kind, version)
