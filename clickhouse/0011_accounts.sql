CREATE TABLE IF NOT EXISTS accounts {on_cluster}
(
    id String,
    name String,
    settings String,
    created_at DateTime64(6, 'UTC'),
    version UInt64
)
ENGINE = {replacing_merge_tree_version}
ORDER BY id
