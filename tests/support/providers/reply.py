"""What a handler gives back, and how it goes on the wire."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Event = tuple[str | None, Any]  # name, and an object or plain text


@dataclass(frozen=True)
class Reply:
    """One body, or the events of a stream. `breaks`: the connection ends with no end of the stream."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    events: tuple[bytes, ...] | None = None
    breaks: bool = False


def plain(body: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(json.dumps(body).encode(), status, {"content-type": "application/json", **headers})


def sse(name: str | None, data: Any) -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def aws(name: str | None, data: Any) -> bytes:
    """One message of Amazon's event stream: lengths, headers, payload, each part under a CRC."""
    if name == "error":
        headers = {":message-type": "exception", ":exception-type": "throttlingException"}
        payload = json.dumps({"message": data["error"]["message"]}).encode()
    else:
        headers = {":message-type": "event", ":event-type": "chunk"}
        text = data if isinstance(data, str) else json.dumps(data)
        payload = json.dumps({"bytes": base64.b64encode(text.encode()).decode(), "p": "abcdefgh"}).encode()
    return aws_message({**headers, ":content-type": "application/json"}, payload)


def aws_message(headers: dict[str, str], payload: bytes) -> bytes:
    """The frame. Headers are strings (type 7)."""
    encoded = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", len(encoded) + len(payload) + 16, len(encoded))
    message = prelude + struct.pack("!I", binascii.crc32(prelude)) + encoded + payload
    return message + struct.pack("!I", binascii.crc32(message))


def framed(events: Iterable[Event], amazon: bool) -> tuple[bytes, ...]:
    frame = aws if amazon else sse
    return tuple(frame(name, data) for name, data in events)
