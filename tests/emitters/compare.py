"""What the product tells of an emitter's calls, beside the truth."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.emitters.cases import BY_NAME
from tests.emitters.gaps import Gap, without
from tests.emitters.run import Done
from tests.emitters.truth import Truth, differences, priced, told_by, truth_of
from tests.support.embedded import Running

ESTIMATED = "its count"  # our SDK says that it is an estimate
_SLACK_US = 2_000  # some timestamps are whole milliseconds


def events_of(running: Running, start: int, end: int) -> list[dict[str, Any]]:
    """All calls between two instants, unix us, through the query API."""
    window = f"from={_instant(start)}&to={_instant(end)}"
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = running.get(f"events?{window}&limit=100{cursor}")
        found += page["data"]
        if not page["next_cursor"]:
            return [event for event in found if event["type"] == "llm"]
        cursor = f"&cursor={page['next_cursor']}"


def send(running: Running, body: Any) -> Any:
    """One OTLP JSON body."""
    request = urllib.request.Request(f"{running.url}/v1/traces", data=json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {running.keys['ingest']}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def wrong(done: Iterable[Done], events: list[dict[str, Any]], gaps: Iterable[Gap]) -> list[str]:
    """What differs from the truth without being listed, or is listed without differing."""
    told: list[str] = []
    listed, seen = tuple(gaps), set[Gap]()
    for call in done:
        case = BY_NAME[call.case]
        if call.ended == "not offered":
            continue
        mine = [event for event in events if call.start - _SLACK_US <= _micros(event) <= call.end]
        missing = [gap for gap in listed if gap.what == "call" and gap.holds(case)]
        if missing:
            seen.update(missing)
            if mine:
                told.append(f"{call.case}: listed as not sent at all, and here it is")
            continue
        if len(mine) != 1:
            told.append(f"{call.case}: {len(mine)} events instead of 1")
            continue
        at = datetime.fromtimestamp(call.start / 1e6, UTC)
        wanted, used = expected(call.case, at, listed)
        seen |= used
        for name, (right, found) in differences(wanted, told_by(mine[0])).items():
            told.append(f"{call.case}: {name} is {found!r} instead of {right!r}; flags {mine[0]['flags']}")
    told += [f"{gap.what} of {gap.cases}: listed, and no call is without it" for gap in listed if gap not in seen]
    return told


def expected(name: str, at: datetime, gaps: Iterable[Gap]) -> tuple[Truth, set[Gap]]:
    """The truth without what the emitter does not send, and the gaps that made a difference."""
    case = BY_NAME[name]
    told = truth_of(case, at)
    used = set()
    for gap in gaps:
        if gap.holds(case):
            less = without(told, case, gap)
            if less != told:
                used.add(gap)
            told = less
    if used:
        told = priced(told, case.provider, at)
    estimated = any(gap.what == ESTIMATED for gap in used)
    return (replace(told, price_status="estimated") if estimated and told.cost is not None else told), used


def shifted(bodies: Any, moved: Mapping[str, int], prefix: str) -> Any:
    """Golden bodies at another time and under other ids, so that those of several emitters fit one account."""
    start, to = moved["from"], moved["to"]

    def value(key: str, each: Any) -> Any:
        if isinstance(each, dict):
            return {name: value(name, inner) for name, inner in each.items()}
        if isinstance(each, list):
            return [value(key, inner) for inner in each]
        if key.endswith("UnixNano"):
            return str(int(each) - start + to)
        if key in ("traceId", "spanId", "parentSpanId") and each:
            return prefix + each[len(prefix) :]
        return each

    return value("", bodies)


def _micros(event: dict[str, Any]) -> int:
    return round(datetime.fromisoformat(event["timestamp"]).timestamp() * 1e6)


def _instant(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat().replace("+00:00", "Z")
