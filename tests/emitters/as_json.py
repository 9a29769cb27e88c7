"""OTLP protobuf bodies as OTLP JSON: `python -m tests.emitters.as_json < framed > lines`, by an environment that has the protocol.

In: 4 bytes of length and the body, again and again. Out: one JSON object a line.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


def convert(body: bytes) -> Any:
    message = ExportTraceServiceRequest()
    message.ParseFromString(body)
    return _hexed(MessageToDict(message, use_integers_for_enums=True))


def _hexed(value: Any) -> Any:
    """Ids are hex in OTLP's JSON, not base64 as in protobuf's."""
    if isinstance(value, dict):
        return {key: base64.b64decode(each).hex() if key in _IDS else _hexed(each) for key, each in value.items()}
    return [_hexed(each) for each in value] if isinstance(value, list) else value


def main() -> None:
    content = sys.stdin.buffer.read()
    at = 0
    while at < len(content):
        length = int.from_bytes(content[at : at + 4])
        print(json.dumps(convert(content[at + 4 : at + 4 + length])))
        at += 4 + length


if __name__ == "__main__":
    main()
