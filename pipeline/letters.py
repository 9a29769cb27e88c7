"""Dead letters: accepted records that could not be processed. Listed, shown, sent again once, purged.

A letter's name is its place in the log, `log:partition:offset`. Its state is a later row of the same identity.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import xxhash

from pipeline.errors import BadQuestion, NotFound
from pipeline.reasons import SET_ASIDE
from pipeline.record import Record, again
from pipeline.row import DeadLetter
from pipeline.store import Store

Place = tuple[str, int, int]  # log, partition, offset
Publish = Callable[[Sequence[Record]], None]
Fetch = Callable[[Sequence[DeadLetter]], Mapping[Place, bytes]]

_CHUNK = 500
_LETTER = "account, received_at, log_id, log_partition, log_offset, reason, detail, value_bytes, value_hash, value"
_COLUMNS = (*DeadLetter._fields, "state", "changed_at")


class Which(NamedTuple):
    """A choice of letters that wait: those of an account, of a reason, one by its name; "" is any."""

    account: str = ""
    reason: str = ""
    name: str = ""


def list_letters(store: Store, which: Which, limit: int = 100) -> list[dict[str, Any]]:
    """Letters that wait, newest first, without their content."""
    return [_shown(letter) for letter in _waiting(store, which, limit)]


def show_letter(store: Store, name: str) -> dict[str, Any]:
    """One letter with the event under the account's privacy mode, whatever its state. Raises NotFound."""
    rows = store.select(
        f"SELECT {_LETTER}, state FROM dead_letters FINAL WHERE {_NAMED}", _parameters(Which(name=name))
    ).rows
    if not rows:
        raise NotFound("no such dead letter")
    *letter, state = rows[0]
    found = DeadLetter(*letter)
    return _shown(found) | {"state": state or "waiting", "record": found.value or None}


def replay(store: Store, publish: Publish, which: Which, fetch: Fetch = lambda _: {}) -> dict[str, Any]:
    """Send letters again, with their ids and a new time of receipt, each once.

    What could not be decoded is asked of the log again, which may still hold it: after a bad deploy it can be decoded, and else it
    stays. Published before it is marked: a crash between sends a letter twice, and its id makes the second a duplicate.
    """
    sent = 0
    letters = _waiting(store, which, 0)
    for first in range(0, len(letters), _CHUNK):
        chunk = letters[first : first + _CHUNK]
        values = fetch([letter for letter in chunk if not letter.value])
        found = [(letter, record) for letter in chunk if (record := _record_of(letter, values)) is not None]
        if found:
            publish([record for _, record in found])
            _mark(store, [letter for letter, _ in found], "replayed")
        sent += len(found)
    return {"replayed": sent, "left": len(_waiting(store, which, 0))}


def _record_of(letter: DeadLetter, values: Mapping[Place, bytes]) -> Record | None:
    """The event once more; None where it cannot be decoded, or is not what was set aside."""
    value = letter.value.encode() or values.get((letter.log_id, letter.log_partition, letter.log_offset), b"")
    if not letter.value and xxhash.xxh64_intdigest(value) != letter.value_hash:
        return None
    try:
        return again(value, time.time_ns() // 1000)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def purge(store: Store, which: Which) -> dict[str, Any]:
    """Forget letters: their content is gone from the table's parts when this returns."""
    letters = _waiting(store, which, 0)
    if letters:
        _mark(store, [letter._replace(value="", detail="") for letter in letters], "purged")
        store.execute("OPTIMIZE TABLE dead_letters FINAL")
    return {"purged": len(letters)}


def choose(account: str = "", reason: str = "", name: str = "") -> Which:
    """Raises BadQuestion for a reason or name that none can have."""
    if reason and reason not in SET_ASIDE:
        raise BadQuestion(f"one of {', '.join(SET_ASIDE)}", "reason")
    which = Which(account, reason, name)
    _parameters(which)
    return which


_NAMED = "log_id = {log:String} AND log_partition = {partition:UInt32} AND log_offset = {offset:UInt64}"


def _parameters(which: Which) -> dict[str, Any]:
    bound: dict[str, Any] = {"account": which.account, "reason": which.reason}
    if which.name:
        log, partition, offset = (["", "", *which.name.rsplit(":", 2)])[-3:]
        if not log or not partition.isdecimal() or not offset.isdecimal():
            raise BadQuestion("a dead letter is named log:partition:offset, as `list` shows it", "name")
        bound |= {"log": log, "partition": int(partition), "offset": int(offset)}
    return bound


def _waiting(store: Store, which: Which, limit: int) -> list[DeadLetter]:
    conditions = ["state = ''"]
    conditions += ["account = {account:String}"] * bool(which.account)
    conditions += ["reason = {reason:String}"] * bool(which.reason)
    conditions += [_NAMED] * bool(which.name)
    rows = store.select(
        f"SELECT {_LETTER} FROM dead_letters FINAL WHERE {' AND '.join(conditions)} "
        f"ORDER BY received_at DESC, log_id, log_partition, log_offset{f' LIMIT {int(limit)}' if limit else ''}",
        _parameters(which),
    ).rows
    return [DeadLetter(*row) for row in rows]


def _mark(store: Store, letters: Sequence[DeadLetter], state: str) -> None:
    now = time.time_ns() // 1000
    rows = [(*letter, state, now) for letter in letters]
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    at = _COLUMNS.index("received_at")
    columns[at] = [_micros(moment) for moment in columns[at]]
    store.insert("dead_letters", _COLUMNS, columns)


def _micros(moment: Any) -> int:
    if isinstance(moment, datetime):
        return int((moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6)
    return int(moment)


def _shown(letter: DeadLetter) -> dict[str, Any]:
    received = _micros(letter.received_at)
    return {
        "name": f"{letter.log_id}:{letter.log_partition}:{letter.log_offset}",
        "account": letter.account or None,
        "received_at": datetime.fromtimestamp(received / 1e6, UTC).isoformat().replace("+00:00", "Z")
        if received
        else None,
        "reason": letter.reason,
        "detail": letter.detail,
        "bytes": letter.value_bytes,
        "hash": f"{letter.value_hash:016x}",
    }
