-- Trace ids made by time (UUIDv7, as our SDKs') begin with it: eight digits are a minute. A block of rows holds those of an hour or so, which
-- is next to nothing to read beside by_trace; where ids are random the set is too large, is not kept, and by_trace alone is read.
ALTER TABLE events {on_cluster}
    ADD INDEX IF NOT EXISTS by_minute substring(trace_id, 1, 8) TYPE set(512) GRANULARITY 4
