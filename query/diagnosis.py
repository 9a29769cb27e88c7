"""Why a page is empty, from the data: the checks of a first integration in order, each with what it found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipeline.store import Store
from query import shapes
from query.answers import Answers
from query.question import NAMES, Filter, Question
from query.shapes import Measured
from query.windows import ALL_TIME

Answer = dict[str, Any]
STATES = {
    "key_used": "key_unused", "events": "no_events", "in_trace": "no_trace", "with_user": "no_user",
    "in_window": "outside_window", "filters": "filtered_out",
}  # fmt: skip
_SOMEBODY = Filter("user_id", ("",), exclude=True)


def diagnose(answers: Answers, store: Store, q: Question) -> tuple[Answer, int]:
    """The checks; `state` is the first that fails, or ok. And the unpriced events of the question.

    Nothing beyond the key's scope is counted.
    """
    everything = replace(q, filters=q.scope, window=ALL_TIME)
    total, _ = answers.sum(everything)
    somebody, _ = answers.sum(replace(everything, filters=(*q.scope, _SOMEBODY)))
    in_window, _ = answers.sum(replace(q, filters=(*q.scope, _SOMEBODY)))
    asked, _ = answers.sum(replace(q, filters=(*q.filters, _SOMEBODY)))
    checks = [
        _key_used(store, q, total), _check("events", total), _in_trace(answers, everything, total),
        _check("with_user", somebody), _check("in_window", in_window), _check("filters", asked),
    ]  # fmt: skip
    failed = next((check["check"] for check in checks if not check["ok"]), None)
    told = {
        "state": STATES[failed] if failed else "ok",
        "checks": checks,
        "filters": [_without(answers, q, one) for one in q.filters if one not in q.scope],
        "last_at": shapes.time(total.seen),
    }
    return told, int(asked["unpriced"])


def _key_used(store: Store, q: Question, total: Measured) -> Answer:
    """Whether anything came by a key: events, records that could not be processed, or events that were rejected.

    A restricted key is told of its events alone.
    """
    used = _check("key_used", total)
    if q.scope:
        return used
    came = [total.seen] if total.seen else []
    for sql in (_LETTERS, _NOT_TAKEN):
        count, seen = store.select(sql, {"account": q.account}).rows[0]
        if count:
            used["count"] += int(count)
            came.append(seen)
    return used | {"ok": bool(came), "last_at": shapes.time(max(came, default=None))}


_LETTERS = """SELECT count(), max(at) FROM (
    SELECT max(received_at) AS at FROM dead_letters WHERE account = {account:String}
    GROUP BY log_id, log_partition, log_offset HAVING argMax(state, changed_at) != 'replayed')"""
_NOT_TAKEN = "SELECT sum(dropped), max(received_at) FROM sender_drops FINAL WHERE account = {account:String}"


def _in_trace(answers: Answers, everything: Question, total: Measured) -> Answer:
    """Within a scope traces may have begun outside it: then those are counted that have an event in it."""
    found = _check("in_trace", total, "traces")
    if found["ok"] or not everything.scope:
        return found
    count = answers.traces_within(everything)
    return found | {"ok": count > 0, "count": count}


def _check(name: str, m: Measured, measure: str = "events") -> Answer:
    return {"check": name, "ok": m[measure] > 0, "count": int(m[measure]), "last_at": shapes.time(m.seen)}


def _without(answers: Answers, q: Question, one: Filter) -> Answer:
    """What would be there if this filter alone were removed."""
    left, _ = answers.sum(replace(q, filters=(*(f for f in q.filters if f is not one), _SOMEBODY)))
    name = f"{NAMES.get(one.field, one.field)}{'!' if one.exclude else ''}"
    return {"filter": name, "values": list(one.values), "events": int(left["events"])}
