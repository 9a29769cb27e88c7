-- Sessions of the dashboard that were signed out of before they ran out.
CREATE TABLE IF NOT EXISTS ended_sessions {on_cluster}
(
    id String,
    ends_at DateTime64(6, 'UTC')
)
ENGINE = {replacing_merge_tree}
ORDER BY id
TTL toDateTime(ends_at) + toIntervalDay(1)
