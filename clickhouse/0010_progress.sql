-- How far each partition is stored: position is the next offset, complete_through the time of receipt up to which all is stored.
CREATE TABLE IF NOT EXISTS progress {on_cluster}
(
    log_id LowCardinality(String),
    log_partition UInt32,
    position UInt64,
    complete_through DateTime64(6, 'UTC'),
    reported_at DateTime64(6, 'UTC')
)
ENGINE = {replacing_merge_tree_reported}
ORDER BY (log_id, log_partition)
