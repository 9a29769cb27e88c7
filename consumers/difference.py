"""What a rollup lacks: the SQL of the truth minus the rollup, key by key, to the last stored digit."""

from __future__ import annotations

import re
from typing import NamedTuple

from pipeline.rollups import MAPS, SUMS
from pipeline.schema import MIGRATIONS


class Rollup(NamedTuple):
    """A rollup, its keys, and the migration whose select it is derived by."""

    table: str
    bucket: str  # the column of the hour or day
    keys: tuple[str, ...]
    view: str

    @property
    def columns(self) -> tuple[str, ...]:
        """What a repair inserts, in order; `difference_sql` answers them in the same."""
        return (*self.keys, *SUMS, *MAPS, "last_seen", "retention_days")


_DIMENSIONS = ("provider", "model", "agent", "tool_name", "service_tier", "status")
USAGE_HOURS = Rollup(
    "usage_hours", "hour", ("account", "hour", "user_id", *_DIMENSIONS, "tags"), "0005_events_to_usage_hours"
)
TAG_HOURS = Rollup("tag_hours", "hour", ("account", "tag", "hour", *_DIMENSIONS), "0007_events_to_tag_hours")
USAGE_DAYS = Rollup(
    "usage_days", "day", ("account", "day", "user_id", *_DIMENSIONS, "tags"), "0006_usage_hours_to_days"
)
# Hours come before the days that cascade from them: a difference inserted into an hour flows into its day.
HOURLY = (USAGE_HOURS, TAG_HOURS)
ROLLUPS = (*HOURLY, USAGE_DAYS)


def difference_sql(rollup: Rollup) -> str:
    """Select of the truth minus the rollup, for the keys that differ; bound: start, end (unix seconds of whole buckets).

    Keys whose retention has begun to remove raw rows are final, and left out.
    """
    keys = ", ".join(rollup.keys)
    columns = ", ".join((*SUMS, *MAPS, "last_seen", "retention_days"))
    signed = ", ".join([
        *(f"sum(w * {c}) AS d_{c}" for c in SUMS),
        *(f"sumMap(mapApply((k, v) -> (k, v * w), {c})) AS d_{c}" for c in MAPS),
        "maxIf(last_seen, w = 1) AS truth_seen",
        "maxIf(last_seen, w = -1) AS rollup_seen",
        "min(retention_days) AS kept_days",
    ])  # fmt: skip
    differs = " OR ".join([
        *(f"d_{c} != 0" for c in SUMS),
        *(f"arrayExists(v -> v != 0, mapValues(d_{c}))" for c in MAPS),
        "truth_seen > rollup_seen",
    ])  # fmt: skip
    return f"""
SELECT {keys}, {", ".join(f"d_{c}" for c in (*SUMS, *MAPS))}, greatest(truth_seen, rollup_seen) AS last_seen, kept_days
FROM (
    SELECT {keys}, {signed}
    FROM (
        SELECT {keys}, toInt64(1) AS w, {columns} FROM ({truth(rollup)})
        UNION ALL
        SELECT {keys}, toInt64(-1) AS w, {columns} FROM ({_held(rollup)})
    )
    GROUP BY {keys}
)
WHERE ({differs}) AND {rollup.bucket} + toIntervalDay(kept_days) > now() + toIntervalHour(1)
ORDER BY {keys}
"""


def truth(rollup: Rollup) -> str:
    """The select of the rollup's own view; bound: start, end."""
    text = (MIGRATIONS / f"{rollup.view}.sql").read_text(encoding="utf-8")
    select = re.search(r"\bSELECT\b.*", text, re.DOTALL)
    assert select is not None
    bucket = "hour" if rollup is USAGE_DAYS else "toStartOfHour(ts)"
    return select.group(0).replace("\nGROUP BY", f"\nWHERE {_within(bucket)}\nGROUP BY")


def _held(rollup: Rollup) -> str:
    """What the rollup has, over the range."""
    held = ", ".join([
        *(f"sum(r.{c}) AS {c}" for c in SUMS),
        *(f"sumMap(r.{c}) AS {c}" for c in MAPS),
        "max(r.last_seen) AS last_seen",
        "min(r.retention_days) AS retention_days",
    ])  # fmt: skip
    keys = ", ".join(rollup.keys)
    return f"SELECT {keys}, {held} FROM {rollup.table} AS r WHERE {_within(rollup.bucket)} GROUP BY {keys}"


def _within(column: str) -> str:
    return f"{column} >= toDateTime({{start:Int64}}, 'UTC') AND {column} < toDateTime({{end:Int64}}, 'UTC')"
