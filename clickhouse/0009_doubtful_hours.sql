-- Hours whose rollups may differ from raw after a crash; marks have ids, and a cleared mark is a row with cleared = 1.
CREATE TABLE IF NOT EXISTS doubtful_hours {on_cluster}
(
    hour DateTime('UTC'),
    id UUID,
    marked_at DateTime64(6, 'UTC'),
    reason LowCardinality(String),
    cleared UInt8
)
ENGINE = {replacing_merge_tree_cleared}
ORDER BY (hour, id)
TTL toDateTime(marked_at) + toIntervalDay(400)
SETTINGS {dedup_window}
