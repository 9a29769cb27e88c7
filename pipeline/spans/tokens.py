"""What one span says of a call's usage -> usage objects as events carry them, the most trusted first.

A provider's own object is carried as it is: `pipeline.usage` reads it as it reads everybody's. Only where attributes alone tell, they
become our disjoint classes here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from pipeline.spans import names
from pipeline.spans.read import first_count, json_object
from pipeline.spans.told import Told, count_named, raw_field
from pipeline.usage import read_usage, usage_problem

# Their counts of input leave out what came from the cache. Sums do not show it, so it is known by name.
EXCLUSIVE_SCOPES = frozenset({"openlit.instrumentation.anthropic"})

_RAW, _SDK, _ATTRIBUTES, _UNKNOWN = range(4)
_encode = msgspec.json.Encoder().encode
# Langfuse's own names, each priced for itself there: what is read from the cache is not in `input`.
_LANGFUSE = {
    "input": "input_uncached", "output": "output", "input_cached_tokens": "input_cache_read", "cache_read_input_tokens": "input_cache_read",
    "input_cache_read": "input_cache_read", "cache_creation_input_tokens": "input_cache_write_5m",
}  # fmt: skip


class Used(NamedTuple):
    """A usage object, and how far to trust it: a provider's own, the provider's package, attributes, a shape nobody knows."""

    trust: int
    usage: dict[str, Any]
    counts: bool  # whether anything in it is not zero
    flags: tuple[str, ...] = ()


def used(told: Told, provider: str) -> Iterator[Used]:
    """All that one span says, the most trusted first."""
    for raw in _raw_objects(told):
        if usage_problem(raw) is None:
            read = read_usage(_encode(raw), provider)
            yield Used(_UNKNOWN if read.usage is None else _RAW, raw, bool(read.usage and any(read.usage)))
    counted = _of_attributes(told, provider)
    if counted is not None:
        yield counted


def chosen(told: list[Told], provider: str) -> Used | None:
    """The usage of a call of several spans; zeros only where nobody says more, for they mean that nobody knew."""
    # What litellm makes of a provider's object has less than the object itself.
    said = [one for span in sorted(told, key=lambda one: one.kind.role != "raw") for one in used(span, provider)]
    best = min(said, key=lambda one: (one.trust == _UNKNOWN, not one.counts, one.trust), default=None)
    if best is not None and best.trust in (_SDK, _ATTRIBUTES) and "output" not in best.usage:
        # An abandoned stream: the provider's package ends before it knows, who reads the stream has seen some.
        output = next((one.usage["output"] for one in said if "output" in one.usage), 0)
        best = best._replace(usage={**best.usage, "output": output})
    return best


def _raw_objects(told: Told) -> Iterator[dict[str, Any]]:
    given = told.span.attributes
    if told.kind.role == "raw":
        found = json_object(raw_field(told.span, "usage")[1])
        if found:
            yield found
    for name in names.RAW_USAGE:
        found = json_object(given.get(name))
        if found:
            yield _of_langfuse(found)
    if told.answer.usage is not msgspec.UNSET:
        found = json_object(bytes(told.answer.usage).decode())
        if found:
            yield found


def _of_langfuse(found: dict[str, Any]) -> dict[str, Any]:
    if "input" not in found and "output" not in found:
        return found
    classes: dict[str, int] = {}
    for name, value in found.items():
        if name in _LANGFUSE and isinstance(value, int):
            classes[_LANGFUSE[name]] = classes.get(_LANGFUSE[name], 0) + value
    reasoning = found.get("output_reasoning_tokens")
    if isinstance(reasoning, int):
        classes["output_reasoning"] = reasoning
        classes["output"] = classes.get("output", 0) + reasoning
    return classes


def _of_attributes(told: Told, provider: str) -> Used | None:
    span = told.span
    given = span.attributes
    total, output = first_count(given, names.INPUT), first_count(given, names.OUTPUT_TOKENS)
    if total is None and output is None:
        return None
    read = first_count(given, names.CACHE_READ) or 0
    writes = _writes(told, provider)
    uncached = total or 0
    flags: tuple[str, ...] = ()
    if span.scope not in EXCLUSIVE_SCOPES:
        uncached -= read + sum(writes.values())
        if uncached < 0:
            # More came from the cache than was counted: the emitter's input is what did not.
            uncached, flags = total or 0, ("usage_inconsistent",)
    classes = {
        "input_uncached": uncached, "input_cache_read": read, **writes, "output": output,
        "output_reasoning": first_count(given, names.REASONING) or 0,
        "input_audio": first_count(given, names.AUDIO_INPUT) or 0, "output_audio": first_count(given, names.AUDIO_OUTPUT) or 0,
    }  # fmt: skip
    kept = {
        name: count for name, count in classes.items() if count or (count == 0 and name in ("input_uncached", "output"))
    }
    return Used(_SDK if told.of_sdk else _ATTRIBUTES, kept, any(kept.values()), flags)


def _writes(told: Told, provider: str) -> Mapping[str, int]:
    """Writes by how long they live: as split, else Anthropic's 5 minutes, OpenAI's 30."""
    span = told.span
    short, long = count_named(span, names.WRITE_5M), count_named(span, names.WRITE_1H)
    written = first_count(span.attributes, names.CACHE_WRITE) or 0
    if short is not None or long is not None:
        long = long or 0
        return {"input_cache_write_5m": max(short or 0, written - long), "input_cache_write_1h": long}
    name = "input_cache_write_30m" if "openai" in provider.lower() else "input_cache_write_5m"
    return {name: written}
