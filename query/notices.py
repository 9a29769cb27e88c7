"""What the owner of the data should know: money that is not counted, ids that should not be there, keys that look mistyped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import combinations
from typing import Any

from pipeline.record import REJECTED
from pipeline.store import Store
from query import shapes, windows
from query.answers import Answers
from query.question import Question
from query.sql import column

Notice = dict[str, Any]
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_OLD_DAYS = 7
_MOST = 20  # items of one notice


def notices(answers: Answers, store: Store, q: Question, newest_price: str) -> list[Notice]:
    """Of the window; a restricted key is told of its own scope alone."""
    found = [_unpriced(answers, q), _emails(answers, q), _near_misses(answers.tag_keys(q))]
    if not q.scope:
        found += [*_not_taken(store, q), _old_prices(q, newest_price)]
    return [notice for notice in found if notice is not None]


def _notice(kind: str, items: list[dict[str, Any]], count: int, since: str | None = None) -> Notice | None:
    return {"kind": kind, "count": count, "items": items[:_MOST], "since": since} if count else None


def _unpriced(answers: Answers, q: Question) -> Notice | None:
    """Models whose calls are in no sum, because their price is unknown."""
    rows, _ = answers.rows(q, [column("provider"), column("model")])
    counts = {"/".join(part for part in key if part) or "(no model)": int(m["unpriced"]) for key, m in rows}
    items = _most({name: count for name, count in counts.items() if count > 0})
    return _notice("unpriced_models", items, sum(counts.values()))


def _emails(answers: Answers, q: Question) -> Notice | None:
    """User ids that are e-mail addresses: a person's name in every answer and export."""
    found, _ = answers.by_user(q)
    items = _most({user: events for user, events in found.events() if events and _EMAIL.fullmatch(user)})
    return _notice("email_like_ids", items, len(items))


def _most(counts: dict[str, int]) -> list[dict[str, Any]]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"name": name, "count": count} for name, count in ordered]


def _near_misses(keys: Iterable[str]) -> Notice | None:
    """Tag keys that differ in case, hyphens or a letter: two spellings of one key split its spend."""
    pairs = [pair for pair in combinations(sorted({*keys, "userId"}), 2) if _alike(*pair)]
    items = [{"name": f"{one}, {other}", "count": 2} for one, other in pairs]
    return _notice("near_miss_tags", items, len(items))


def _alike(one: str, other: str) -> bool:
    a, b = (re.sub(r"[^a-z0-9]", "", key.lower()) for key in (one, other))
    if a == b or {a, b} <= {"userid", "user", "uid", "userids", "users"}:
        return True
    # A digit tells two keys apart on purpose: step1, step2.
    return _without_digits(a) != _without_digits(b) and _a_letter_apart(a, b)


def _without_digits(key: str) -> str:
    return re.sub(r"[0-9]", "", key)


def _a_letter_apart(a: str, b: str) -> bool:
    """One letter more or less, two that changed places, or another one in a word of five: date and data are two words."""
    if a == b or abs(len(a) - len(b)) > 1 or max(len(a), len(b)) < 4:
        return False
    another = len(a) > 4
    start = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[start:], b[start:]
    return (another and a[1:] == b[1:]) or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


def _not_taken(store: Store, q: Question) -> list[Notice | None]:
    """Events that SDKs dropped before they reached us, by reason, and those that the collector rejected, by code."""
    rows = store.select(
        """SELECT reason, sum(dropped), toUnixTimestamp(min(received_at)) FROM sender_drops FINAL WHERE account = {account:String}
           AND received_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC') AND received_at < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
           GROUP BY reason ORDER BY reason""",
        {"account": q.account, "start": q.start, "end": min(q.end, windows.ALL_TIME.end)},
    ).rows
    rejected = [(reason.removeprefix(REJECTED), *told) for reason, *told in rows if reason.startswith(REJECTED)]
    dropped = [row for row in rows if not row[0].startswith(REJECTED)]
    return [_by_reason("dropped_events", dropped), _by_reason("rejected_events", rejected)]


def _by_reason(kind: str, rows: Sequence[tuple[str, int, int]]) -> Notice | None:
    counts = {reason: int(count) for reason, count, _ in rows}
    since = min((int(at) for *_, at in rows), default=0)
    return _notice(kind, _most(counts), sum(counts.values()), shapes.time(since * 1_000_000))


def _old_prices(q: Question, newest: str) -> Notice | None:
    """No price of the last week: new models and changed prices are then likely to be missing."""
    if not newest:
        return None
    age = (windows.moment(q.end).date() - date.fromisoformat(newest)).days
    return _notice("old_prices", [{"name": newest, "count": age}], 1, newest) if age > _OLD_DAYS else None
