"""Record -> Row | DeadLetter, as a readable list of steps. Never raises for bad data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec
import xxhash

from pipeline import limits
from pipeline.log import Entry
from pipeline.price import PriceBook, Priced, price
from pipeline.privacy import RULES_VERSION, apply_privacy
from pipeline.record import Envelope, from_bytes
from pipeline.row import DeadLetter, Row
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


def decode_all(entries: Sequence[Entry], log_id: str) -> tuple[list[Decoded], list[DeadLetter]]:
    """Split entries into records and dead letters; of undecodable bytes only length, hash and offset are kept."""
    decoded, dead = [], []
    for entry in entries:
        try:
            decoded.append(Decoded(entry, from_bytes(entry.value)))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            dead.append(_undecodable(entry, log_id))
    return decoded, dead


def _undecodable(entry: Entry, log_id: str) -> DeadLetter:
    digest = xxhash.xxh64_intdigest(entry.value)
    return DeadLetter(
        "", 0, log_id, entry.partition, entry.offset, "undecodable", "not a record of a known version",
        len(entry.value), digest, "",
    )  # fmt: skip


def to_row(item: Decoded, log_id: str, context: Context) -> list[object] | DeadLetter:
    """One record's row, in Row's order, its trace marks still 0."""
    entry, envelope = item
    event = envelope.event
    usage = read_usage(event.usage, event.provider)
    tier = event.service_tier or usage.service_tier
    priced = price(
        context.prices,
        account=envelope.account,
        type=event.type,
        status=event.status,
        provider=event.provider,
        model=event.model,
        service_tier=tier,
        processing=event.processing,
        speed=event.speed,
        at=event.timestamp,
        usage=usage.usage,
        usage_estimated=event.usage_estimated,
        cost_usd=event.cost_usd,
        prefer_reported=envelope.prefer_reported_cost,
    )
    problem = _out_of_range(priced)
    if problem:
        return set_aside(item, log_id, "out_of_range", problem)
    private = apply_privacy(event, envelope.privacy)
    counted, over = _tags(event.tags, context.budget.over.get(envelope.account))
    u = usage.usage or NO_USAGE
    return [
        envelope.account, event.timestamp, envelope.received_at, event.id, event.type,
        event.trace_id, event.span_id, event.parent_span_id, event.name, event.session_id, event.user_id,
        counted, over,
        event.provider, event.model, event.agent, event.operation, event.tool_name,
        tier, event.processing, event.speed, event.status, event.error_code, event.finish_reason,
        *u,
        int(event.usage_estimated),
        priced.cost, Decimal(event.cost_usd) if event.cost_usd else None,
        priced.status, priced.price_id, context.prices.version, priced.rates,
        event.latency_ms, event.time_to_first_token_ms,
        _flags(event.flags, usage, priced),
        envelope.privacy,
        private.error_message,
        _text(private.prompt), _text(private.response), _text(private.tool_arguments), _text(private.tool_result),
        _text(private.logs), _text(private.metadata), _text(private.usage),
        event.replaces, 1, 0, 0,
        envelope.retention_days, envelope.content_days,
        context.rules_version, context.budget.version, ROW_VERSION,
        log_id, entry.partition, entry.offset, 0,
    ]  # fmt: skip


def _tags(tags: Mapping[str, str], over: frozenset[str] | None) -> tuple[list[str], list[str]]:
    if not over:
        return sorted([f"{key}={value}" for key, value in tags.items()]), []
    counted = sorted(f"{key}={value}" for key, value in tags.items() if key not in over)
    return counted, sorted(f"{key}={value}" for key, value in tags.items() if key in over)


def _flags(sent: tuple[str, ...], usage: ReadUsage, priced: Priced) -> list[str]:
    if not (sent or usage.flags or priced.flags):
        return []
    return sorted({*sent, *usage.flags, *priced.flags})


def _text(raw: msgspec.Raw | msgspec.UnsetType) -> str:
    return "" if raw is msgspec.UNSET else str(raw, "utf-8")


def _out_of_range(priced: Priced) -> str:
    if priced.cost is not None and abs(priced.cost) >= _MONEY_LIMIT:
        return "cost"
    return ""


def set_aside(item: Decoded, log_id: str, reason: str, detail: str) -> DeadLetter:
    """A dead letter that keeps the event under the account's privacy mode."""
    entry, envelope = item
    private = msgspec.structs.replace(envelope, event=apply_privacy(envelope.event, envelope.privacy))
    return DeadLetter(
        envelope.account, envelope.received_at, log_id, entry.partition, entry.offset, reason, detail,
        len(entry.value), xxhash.xxh64_intdigest(entry.value), msgspec.json.encode(private).decode(),
    )  # fmt: skip


_SIGN = Row._fields.index("sign")
_LOG = Row._fields.index("log_id")
_RECEIVED = Row._fields.index("received_at")


def compensation(old: Sequence[tuple[object, ...]], item: Decoded, log_id: str) -> list[tuple[object, ...]]:
    """The signed row that takes back the event `replaces` names; nothing when it is not stored or taken back already."""
    if not old or any(row[_SIGN] == -1 for row in old):
        return []
    row = list(old[0])
    row[_SIGN] = -1
    row[_RECEIVED] = item.envelope.received_at
    row[_LOG:] = [log_id, item.entry.partition, item.entry.offset, 1]
    return [tuple(row)]
