"""Event -> the record that the log may have."""

from __future__ import annotations

from pipeline.event import Event
from pipeline.keys import Principal
from pipeline.privacy import apply_privacy, strip_content
from pipeline.record import Record, stricter, to_record


def record_of(event: Event, principal: Principal, received_at: int) -> Record:
    """The record of an event; what `minimal` forbids never reaches the log, a log segment is a disk too."""
    mode = stricter(principal.privacy, event.privacy)
    if mode == "minimal":
        event = strip_content(event)
    elif mode == "standard" and principal.settings.redact_before_log:
        event = apply_privacy(event, "standard")
    return to_record(event, principal.settings, principal.privacy, received_at)
