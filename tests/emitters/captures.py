"""Golden captures: what an emitter sent, as OTLP JSON, with everything that differs from run to run made the same.

`python -m tests.emitters.captures [NAME ...]` makes them anew.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tests.emitters.environments import BUILT, NAMES, ROOT, python_of
from tests.emitters.recorder import Recorder
from tests.emitters.run import Done, as_json, drive
from tests.support.providers import ProviderServer

CAPTURED = Path(__file__).parent / "captured"
START = 1_795_000_000_000_000_000  # unix ns: each time is this and its rank in ms, so their order is kept
_TIMES = ("startTimeUnixNano", "endTimeUnixNano", "timeUnixNano")
_OF_THE_MACHINE = ("process.", "host.", "os.", "code.", "service.instance.id", "service.version", "thread.")
_LENGTHS = re.compile(r"duration|latency|time_to|time_per|_ms$|completion_start_time")
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_MOMENT = re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?")
_NUMBERS = re.compile(r"(\"(?:_response_ms|litellm_overhead_time_ms|callback_duration_ms)\": )[\d.]+")
_HTTP_DATE = re.compile(r"\w{3}, \d\d \w{3} 20\d\d \d\d:\d\d:\d\d GMT")


def capture(name: str) -> tuple[list[Any], list[Done]]:
    """The bodies that an emitter sends for all of its calls, one export a call, and those calls, normalised. Raises NotBuilt."""
    with Recorder() as recorder, ProviderServer() as provider:
        done = drive(name, to=recorder.url, key="key", provider=provider.url, flush_each=True)
        bodies = [sent.body for sent in recorder.sent if sent.path.endswith("/v1/traces")]
    return normalised(as_json(python_of(name), bodies), done, name)


def load(name: str) -> tuple[list[Any], list[Done]]:
    """The golden bodies of an emitter, and the calls they tell of."""
    calls = json.loads((CAPTURED / f"{name}.calls.json").read_text())
    return json.loads((CAPTURED / f"{name}.json").read_text()), [Done(**call) for call in calls]


def normalised(bodies: list[Any], done: list[Done], name: str) -> tuple[list[Any], list[Done]]:
    edges = {edge * 1000 for call in done for edge in (call.start, call.end)}
    times = sorted({int(value) for body in bodies for value in _values(body, _TIMES)} | edges)
    ranked = {time: START + rank * 1_000_000 for rank, time in enumerate(times)}
    made = _Normal(name, ranked)
    calls = [
        replace(call, start=ranked[call.start * 1000] // 1000, end=ranked[call.end * 1000] // 1000) for call in done
    ]
    return [made.value(body) for body in bodies], calls


class _Normal:
    def __init__(self, name: str, times: dict[int, int]) -> None:
        self._times = times
        self._ids: dict[str, str] = {}
        self._uuids: dict[str, str] = {}
        self._folder = str(BUILT / name)

    def value(self, value: Any) -> Any:
        if isinstance(value, list):
            kept = [each for each in value if not (isinstance(each, dict) and _is_of_the_machine(each.get("key")))]
            return [self.value(each) for each in kept]
        if isinstance(value, str):
            return self._text(value)
        if not isinstance(value, dict):
            return value
        if "key" in value:
            return self._attribute(value)
        return {key: self._field(key, each) for key, each in value.items()}

    def _field(self, key: str, value: Any) -> Any:
        if key in _TIMES:
            return str(self._times[int(value)])
        if key in ("traceId", "spanId", "parentSpanId") and value:
            return self._ids.setdefault(value, f"{len(self._ids) + 1:0{len(value)}x}")
        return self.value(value)

    def _attribute(self, attribute: dict[str, Any]) -> dict[str, Any]:
        key, value = attribute["key"], attribute.get("value", {})
        if key == "server.port":
            return {"key": key, "value": {"intValue": "8000"}}
        if _LENGTHS.search(key):
            fixed = (
                {"doubleValue": 0.001} if "doubleValue" in value else {"stringValue": '"2026-11-18T08:26:40.000000Z"'}
            )
            return {"key": key, "value": fixed if "intValue" not in value else {"intValue": "5"}}
        if key in ("exception.stacktrace", "error.stack_trace"):
            return {"key": key, "value": {"stringValue": self._text(_short(value["stringValue"]))}}
        return {"key": key, "value": self.value(value)}

    def _text(self, text: str) -> str:
        text = text.replace(self._folder, "/environment").replace(str(ROOT), "/app")
        text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8000", text)
        text = _UUID.sub(lambda found: self._uuid(found[0]), text)
        text = _MOMENT.sub("2026-11-18T08:26:40.000000", text)
        text = re.sub(r"took [\d.]+s", "took 0.05s", text)
        text = _HTTP_DATE.sub("Wed, 18 Nov 2026 08:26:40 GMT", text)
        return _NUMBERS.sub(r"\g<1>5.0", text)

    def _uuid(self, found: str) -> str:
        return self._uuids.setdefault(found, f"00000000-0000-4000-8000-{len(self._uuids) + 1:012x}")


def _short(trace: str) -> str:
    """A stack trace without its frames: they name the machine's files."""
    return "Traceback (most recent call last):\n  ...\n" + trace.strip().splitlines()[-1]


def _is_of_the_machine(key: object) -> bool:
    return isinstance(key, str) and key.startswith(_OF_THE_MACHINE)


def _values(value: Any, names: tuple[str, ...]) -> list[str]:
    if isinstance(value, dict):
        here = [each for key, each in value.items() if key in names]
        return here + [found for each in value.values() for found in _values(each, names)]
    return [found for each in value for found in _values(each, names)] if isinstance(value, list) else []


def written(value: Any, depth: int = 0) -> str:
    """JSON with a line for whatever fits one."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or len(flat) + depth <= 120 or not value:
        return flat
    inner = " " * (depth + 1)
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(key)}: {written(each, depth + 1)}" for key, each in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{' ' * depth}}}"
    return "[\n" + ",\n".join(f"{inner}{written(each, depth + 1)}" for each in value) + f"\n{' ' * depth}]"


def main() -> None:
    for name in sys.argv[1:] or NAMES:
        bodies, calls = capture(name)
        (CAPTURED / f"{name}.json").write_text(written(bodies) + "\n")
        (CAPTURED / f"{name}.calls.json").write_text(written([asdict(call) for call in calls]) + "\n")
        print(name, len(bodies), "bodies")


if __name__ == "__main__":
    main()
