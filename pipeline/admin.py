"""The audit that commands and the embedded mode's admin API run. Values in, JSON-able values out."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

from consumers.audit import audit, count_raw, span
from consumers.auditor import Lease
from consumers.difference import ROLLUPS
from pipeline.errors import Unavailable
from pipeline.store import Store


def run_audit(store: Store, start: int | None, end: int | None, *, repair: bool) -> dict[str, Any]:
    """Raw against distinct identities, and every rollup against raw, over unix seconds (default: all that is stored)."""
    first, last = span(store)
    low = first if start is None else start
    high = last if end is None else end
    raw = count_raw(store, low - low % 3600, high + -high % 3600)
    turn = Lease(store) if repair else None
    if turn is not None and not turn.renew():
        raise Unavailable("another auditor repairs at this moment: try again in a minute")
    with turn.kept() if turn is not None else nullcontext():
        findings = audit(store, low, high, turn) if high > low else []
    clean = raw.rows == raw.distinct and not any(finding.differing for finding in findings)
    return {
        "from": _time(low * 1_000_000),
        "to": _time(high * 1_000_000),
        "rows": raw.rows,
        "distinct": raw.distinct,
        "rollups": [
            {
                "table": rollup.table,
                "differing_keys": sum(f.differing for f in findings if f.rollup == rollup.table),
                "repaired_keys": sum(f.repaired for f in findings if f.rollup == rollup.table),
            }
            for rollup in ROLLUPS
        ],
        "clean": clean,
    }


def _time(micros: int | None) -> str | None:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat().replace("+00:00", "Z") if micros else None
