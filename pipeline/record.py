"""Event <-> the bytes in the log, in a versioned envelope.

The envelope carries whatever a row depends on and the event does not say, so that a row is a function of these bytes.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import xxhash

from pipeline.event import Event, Privacy

VERSION: Literal[1] = 1


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A company using Percapita, and how its events are kept."""

    id: str
    name: str = ""
    privacy: Privacy = "standard"
    retention_days: int = 400
    content_days: int = 400
    redact_before_log: bool = False
    prefer_reported_cost: bool = False
    resource_tags: tuple[str, ...] = ()  # names of OpenTelemetry resource attributes that become tags


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """What stands in the log: one event of one account, and how to keep it."""

    v: Literal[1]
    account: str
    received_at: int  # unix microseconds, the collector's clock
    privacy: Privacy  # already the stricter of account's, key's and event's
    retention_days: int
    content_days: int
    prefer_reported_cost: bool = False
    event: Event


class Dropped(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What else stands in the log: events that are in no number, by reason: what an SDK says it dropped, what the collector rejected."""

    v: Literal[1]
    account: str
    received_at: int
    dropped: dict[str, int]


class Record(msgspec.Struct, frozen=True):
    """One message of the log before it has an offset."""

    key: bytes  # 8 bytes; records of one trace share it, and a retry has the same
    value: bytes


REJECTED = "rejected."  # before the code, where the reason is the collector's: those of SDKs have no full stop
_STRICTNESS = {"minimal": 0, "standard": 1, "full": 2}
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)
_dropped_decoder = msgspec.json.Decoder(Dropped)


def stricter(a: Privacy, b: Privacy | Literal[""]) -> Privacy:
    """The stricter of two modes; an event may only tighten."""
    return b if b and _STRICTNESS[b] < _STRICTNESS[a] else a


def routing_key(account: str, trace_id: str, event_id: str) -> bytes:
    """Hash of (account, trace, or event when there is no trace): decides the partition."""
    return xxhash.xxh64_digest(f"{account}\0{trace_id or event_id}".encode())


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a routing key; explicit, so that every producer agrees."""
    return int.from_bytes(key, "big") % partitions


def to_record(event: Event, account: Account, privacy: Privacy, received_at: int) -> Record:
    """Envelope and encode. `privacy` is the key's or account's mode; the event's wish has been applied to its content."""
    envelope = Envelope(
        v=VERSION,
        account=account.id,
        received_at=received_at,
        privacy=stricter(privacy, event.privacy),
        retention_days=account.retention_days,
        content_days=account.content_days,
        prefer_reported_cost=account.prefer_reported_cost,
        event=event,
    )
    return _record(envelope)


def to_dropped_record(account: Account, dropped: dict[str, int], received_at: int) -> Record:
    """The record of such counts, {reason: events}."""
    told = Dropped(v=VERSION, account=account.id, received_at=received_at, dropped=dropped)
    return Record(routing_key(account.id, "", "dropped"), _encoder.encode(told))


def again(value: bytes, received_at: int) -> Record:
    """A record of the same event with a new time of receipt: how a dead letter goes back into the log."""
    return _record(msgspec.structs.replace(from_bytes(value), received_at=received_at))


def _record(envelope: Envelope) -> Record:
    event = envelope.event
    anchor = event.replaces if event.replaces and not event.trace_id else event.id
    return Record(routing_key(envelope.account, event.trace_id, anchor), _encoder.encode(envelope))


def from_bytes(value: bytes) -> Envelope:
    """Decode; raises `msgspec.MsgspecError` or `UnicodeDecodeError` for bytes that are no record of a known version."""
    return _decoder.decode(value)


def dropped_from_bytes(value: bytes) -> Dropped:
    """The same of the counts of what was not taken."""
    return _dropped_decoder.decode(value)
