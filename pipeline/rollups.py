"""Names of the rollups' columns, as clickhouse/*.sql has them; what writes, audits, folds and reads them agrees on these."""

from __future__ import annotations

SUMS = (
    "events", "calls", "tool_calls", "traces", "user_traces", "input_uncached", "input_cache_read", "input_cache_write",
    "output", "output_reasoning", "cost", "untraced", "priced", "unpriced", "estimated", "errors", "checksum",
)  # fmt: skip
MAPS = ("latency", "first_token")
# A slice of a fold is a tag, or a model under a name that no tag can have; '' is everything.
MODEL_SLICE = "\x01model="
