"""Record -> Row | DeadLetter | SenderDrop, as a readable list of steps. Never raises for bad data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import xxhash

from pipeline import limits
from pipeline.event import Event
from pipeline.log import Entry
from pipeline.price import PriceBook, Priced, price
from pipeline.privacy import RULES_VERSION, apply_privacy
from pipeline.record import Envelope, dropped_from_bytes, from_bytes
from pipeline.row import DeadLetter, Row, Rows, SenderDrop
from pipeline.usage import ReadUsage, Usage, read_usage

ROW_VERSION = 1  # of the code below: raise it when the same bytes would become another row

NO_USAGE = Usage()
_MONEY_LIMIT = Decimal(10) ** limits.COST_INTEGER_DIGITS


class TagBudget(NamedTuple):
    """Tag keys with too many values: kept out of the counted set. Immutable per version."""

    version: int = 0
    over: Mapping[str, frozenset[str]] = {}  # account -> keys


class Context(NamedTuple):
    """What a row depends on besides its bytes."""

    prices: PriceBook
    budget: TagBudget = TagBudget()
    rules_version: int = RULES_VERSION
    tombstones: int = 0


class Decoded(NamedTuple):
    """An entry that is a record."""

    entry: Entry
    envelope: Envelope


class DecodedAll(NamedTuple):
    """Entries by what they are."""

    events: list[Decoded]
    dead: list[DeadLetter]
    drops: list[SenderDrop]


def decode_all(entries: Sequence[Entry], log_id: str) -> DecodedAll:
    """Split entries into events, dead letters and counts of SDKs; of undecodable bytes only length, hash and offset are kept."""
    found = DecodedAll([], [], [])
    for entry in entries:
        try:
            found.events.append(Decoded(entry, from_bytes(entry.value)))
        except _UNDECODABLE:
            _no_event(entry, log_id, found)
    return found


_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def _no_event(entry: Entry, log_id: str, found: DecodedAll) -> None:
    try:
        told = dropped_from_bytes(entry.value)
    except _UNDECODABLE:
        found.dead.append(_undecodable(entry, log_id))
        return
    found.drops.extend(
        SenderDrop(told.account, told.received_at, reason, count, log_id, entry.partition, entry.offset)
        for reason, count in told.dropped.items()
    )


def _undecodable(entry: Entry, log_id: str) -> DeadLetter:
    digest = xxhash.xxh64_intdigest(entry.value)
    return DeadLetter(
        "", 0, log_id, entry.partition, entry.offset, "undecodable", "not a record of a known version",
        len(entry.value), digest, "",
    )  # fmt: skip


class Finished(NamedTuple):
    """A record of which everything is known that its row says, but for the trace marks."""

    entry: Entry
    envelope: Envelope
    private: Event  # as the privacy mode may store it
    usage: ReadUsage
    priced: Priced


def finish(item: Decoded, log_id: str, context: Context, *, clean: bool = False) -> Finished | DeadLetter:
    """Price and redact one record. `clean`: `privacy.clean_ones` found nothing in it."""
    entry, envelope = item
    event = envelope.event
    usage = read_usage(event.usage, event.provider)
    priced = price(
        context.prices,
        account=envelope.account,
        type=event.type,
        status=event.status,
        provider=event.provider,
        model=event.model,
        service_tier=event.service_tier or usage.service_tier,
        processing=event.processing,
        speed=event.speed or usage.speed,
        at=event.timestamp,
        usage=usage.usage,
        usage_estimated=event.usage_estimated,
        cost_usd=event.cost_usd,
        prefer_reported=envelope.prefer_reported_cost,
        usage_unknown="usage_unknown" in usage.flags,
    )
    if priced.cost is not None and abs(priced.cost) >= _MONEY_LIMIT:
        return set_aside(item, log_id, "out_of_range", "cost")
    return Finished(entry, envelope, apply_privacy(event, envelope.privacy, clean=clean), usage, priced)


_EVENT_COLUMNS = (
    "timestamp", "id", "type", "trace_id", "span_id", "parent_span_id", "name", "session_id", "user_id", "tags",
    "provider", "model", "agent", "operation", "tool_name", "processing", "status", "error_code", "finish_reason",
    "latency_ms", "time_to_first_token_ms", "replaces", "error_message",
)  # fmt: skip
_ENVELOPE_COLUMNS = ("account", "received_at", "privacy", "retention_days", "content_days")
_of_event = attrgetter(*_EVENT_COLUMNS)
_of_envelope = attrgetter(*_ENVELOPE_COLUMNS)
_CONTENT = ("prompt", "response", "tool_arguments", "tool_result", "logs", "metadata")


def to_rows(
    finished: Sequence[Finished],
    trace_starts: Sequence[int],
    user_trace_starts: Sequence[int],
    log_id: str,
    context: Context,
) -> Rows:
    """Their rows, in order, each with its marks."""
    if not finished:
        return Rows()
    entries, envelopes, events, usages, priced = zip(*finished, strict=True)
    columns: dict[str, Sequence[Any]] = dict(
        zip(_EVENT_COLUMNS, zip(*map(_of_event, events), strict=True), strict=True)
    )
    columns |= zip(_ENVELOPE_COLUMNS, zip(*map(_of_envelope, envelopes), strict=True), strict=True)
    columns |= zip(Usage._fields, zip(*(u.usage or NO_USAGE for u in usages), strict=True), strict=True)
    columns["ts"] = columns["timestamp"]
    columns["tags"], columns["tags_over"] = _within(columns["tags"], columns["account"], context.budget)
    columns["service_tier"] = [e.service_tier or u.service_tier for e, u in zip(events, usages, strict=True)]
    columns["speed"] = [e.speed or u.speed for e, u in zip(events, usages, strict=True)]
    columns["usage_estimated"] = [int(e.usage_estimated) for e in events]
    columns["price_status"], columns["cost"], columns["price_id"], columns["price_rates"], flags = zip(
        *priced, strict=True
    )
    columns["flags"] = [
        sorted({*e.flags, *u.flags, *f}) if e.flags or u.flags or f else ()
        for e, u, f in zip(events, usages, flags, strict=True)
    ]
    columns["cost_reported"] = [Decimal(e.cost_usd) if e.cost_usd else None for e in events]
    for name in _CONTENT:
        columns[name] = _texts(map(attrgetter(name), events))
    columns["raw_usage"] = _texts(e.usage for e in events)
    columns["is_trace_start"], columns["is_user_trace_start"] = trace_starts, user_trace_starts
    columns["log_partition"], columns["log_offset"], _ = zip(*entries, strict=True)
    same = {
        "price_version": context.prices.version, "rules_version": context.rules_version,
        "budget_version": context.budget.version, "row_version": ROW_VERSION, "log_id": log_id, "log_row": 0, "sign": 1,
    }  # fmt: skip
    columns |= {name: [value] * len(finished) for name, value in same.items()}
    return Rows(columns[name] for name in Row._fields)


def _texts(raws: Iterable[msgspec.Raw | msgspec.UnsetType]) -> list[str]:
    return ["" if raw is msgspec.UNSET else str(raw, "utf-8") for raw in raws]


def _within(
    tags: Sequence[Sequence[str]], accounts: Sequence[str], budget: TagBudget
) -> tuple[Sequence[Sequence[str]], Sequence[Sequence[str]]]:
    """The tags that are counted, and those of keys above their budget."""
    if not budget.over:
        return tags, [()] * len(tags)
    counted, beyond = [], []
    for mine, account in zip(tags, accounts, strict=True):
        over = budget.over.get(account, frozenset())
        counted.append([tag for tag in mine if tag.partition("=")[0] not in over])
        beyond.append([tag for tag in mine if tag.partition("=")[0] in over])
    return counted, beyond


def set_aside(item: Decoded, log_id: str, reason: str, detail: str) -> DeadLetter:
    """A dead letter that keeps the event under the account's privacy mode."""
    entry, envelope = item
    private = msgspec.structs.replace(envelope, event=apply_privacy(envelope.event, envelope.privacy))
    return DeadLetter(
        envelope.account, envelope.received_at, log_id, entry.partition, entry.offset, reason, detail,
        len(entry.value), xxhash.xxh64_intdigest(entry.value), msgspec.json.encode(private).decode(),
    )  # fmt: skip


def compensation(old: Sequence[Row], item: Decoded, log_id: str) -> Row | None:
    """The signed row that takes back the event `replaces` names; None when it is not stored or taken back already.

    Its trace marks are 0: the trace was begun by the old event, whatever that turned out to cost.
    """
    if not old or any(row.sign == -1 for row in old):
        return None
    return old[0]._replace(
        sign=-1,
        received_at=item.envelope.received_at,
        is_trace_start=0,
        is_user_trace_start=0,
        log_id=log_id,
        log_partition=item.entry.partition,
        log_offset=item.entry.offset,
        log_row=1,
    )
