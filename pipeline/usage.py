"""Provider usage -> disjoint token classes. Known shapes by their keys, known keys only; never clamped, never dropped."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from pipeline import limits


class Usage(NamedTuple):
    """Tokens by class. `output_reasoning` and the audio classes are subsets of their text classes."""

    input_uncached: int = 0
    input_cache_read: int = 0
    input_cache_write_5m: int = 0
    input_cache_write_30m: int = 0
    input_cache_write_1h: int = 0
    input_cache_write_12h: int = 0
    output: int = 0
    output_reasoning: int = 0
    input_audio: int = 0
    input_audio_cache_read: int = 0
    output_audio: int = 0
    web_searches: int = 0

    @property
    def tokens(self) -> int:
        """Tokens shown: uncached + reads + writes + output."""
        return sum(self[:7])


class ReadUsage(NamedTuple):
    """Usage as understood; None where there is none or its shape is unknown."""

    usage: Usage | None
    flags: tuple[str, ...] = ()
    service_tier: str = ""


CLASSES = frozenset(Usage._fields)
NOTHING = ReadUsage(None)

# Numbers that are read of a provider's raw object, by the path to them.
_DETAILS = ("prompt_tokens_details", "input_tokens_details", "completion_tokens_details", "output_tokens_details",
            "cache_creation", "server_tool_use")  # fmt: skip
_READ_KEYS = frozenset({
    "prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens",
    "audio_tokens", "reasoning_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
    "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens", "web_search_requests",
})  # fmt: skip

_decode = msgspec.json.Decoder().decode


def read_usage(raw: msgspec.Raw | bytes | None, provider: str) -> ReadUsage:
    """Token classes of a usage object that `usage_problem` has passed. Shapes: ours, OpenAI's two, Anthropic's, embeddings."""
    if raw is None:
        return NOTHING
    found: Any = _decode(raw)
    if not isinstance(found, dict):
        return ReadUsage(None, ("usage_unknown",))
    if not CLASSES.isdisjoint(found):
        return _own(found)
    if "prompt_tokens" in found:
        return _inclusive(found, "prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details")
    if "input_tokens" in found:
        if _is_anthropic(found, provider):
            return _anthropic(found)
        return _inclusive(found, "input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details")
    return ReadUsage(None, ("usage_unknown",))


def _is_anthropic(found: Mapping[str, Any], provider: str) -> bool:
    if "cache_read_input_tokens" in found or "cache_creation_input_tokens" in found or "cache_creation" in found:
        return True
    return "anthropic" in provider and "input_tokens_details" not in found


def _own(found: Mapping[str, Any]) -> ReadUsage:
    usage = Usage(**{name: count for name, count in found.items() if name in CLASSES})
    return ReadUsage(usage, _subset_flags(usage), _tier(found))


def _inclusive(found: Mapping[str, Any], input_: str, output: str, input_details: str, output_details: str) -> ReadUsage:
    """Input that includes what was read from and written to the cache."""
    details = found.get(input_details) or {}
    made = found.get(output_details) or {}
    total, cached, written = _count(found, input_), _count(details, "cached_tokens"), _count(details, "cache_write_tokens")
    uncached, flags = total - cached - written, ()
    if uncached < 0:
        # The emitter was exclusive after all.
        uncached, flags = total, ("usage_inconsistent",)
    usage = Usage(
        input_uncached=uncached,
        input_cache_read=cached,
        input_cache_write_30m=written,
        output=_count(found, output),
        output_reasoning=_count(made, "reasoning_tokens"),
        input_audio=_count(details, "audio_tokens"),
        output_audio=_count(made, "audio_tokens"),
    )
    return ReadUsage(usage, flags or _subset_flags(usage), _tier(found))


def _anthropic(found: Mapping[str, Any]) -> ReadUsage:
    """Input without the cache; writes split by how long they live where the object says so."""
    written = _count(found, "cache_creation_input_tokens")
    split = found.get("cache_creation")
    flags: tuple[str, ...] = ()
    if isinstance(split, dict):
        hour = _count(split, "ephemeral_1h_input_tokens")
        minutes = _count(split, "ephemeral_5m_input_tokens")
        if written and minutes + hour != written:
            flags, minutes = ("usage_inconsistent",), max(minutes, written - hour)
    else:
        minutes, hour = written, 0
    made = found.get("output_tokens_details")
    usage = Usage(
        input_uncached=_count(found, "input_tokens"),
        input_cache_read=_count(found, "cache_read_input_tokens"),
        input_cache_write_5m=minutes,
        input_cache_write_1h=hour,
        output=_count(found, "output_tokens"),
        output_reasoning=_count(made, "reasoning_tokens") if isinstance(made, dict) else 0,
        web_searches=_count(found.get("server_tool_use") or {}, "web_search_requests"),
    )
    return ReadUsage(usage, flags or _subset_flags(usage), _tier(found))


def _count(found: Mapping[str, Any], key: str) -> int:
    return found.get(key) or 0


def _tier(found: Mapping[str, Any]) -> str:
    tier = found.get("service_tier")
    return tier[: limits.SESSION_ID_CHARS] if isinstance(tier, str) else ""


def _subset_flags(usage: Usage) -> tuple[str, ...]:
    whole_input = usage.input_uncached + usage.input_cache_read + sum(usage[2:6])
    fits = (
        usage.output_reasoning <= usage.output
        and usage.output_audio <= usage.output
        and usage.input_audio <= whole_input
        and usage.input_audio_cache_read <= usage.input_cache_read
    )
    return () if fits else ("usage_inconsistent",)


def usage_problem(value: object) -> tuple[str, str, str] | None:
    """Why a decoded usage object is refused: (code, field, detail); None when it is taken.

    In our own classes null is refused and a mistyped class is named; inside a provider's object null is absent.
    """
    if not isinstance(value, dict):
        return ("invalid_type", "usage", "usage is an object")
    if CLASSES.isdisjoint(value):
        return _raw_problem(value)
    for name, count in value.items():
        if name == "service_tier":
            continue
        if name not in CLASSES:
            near = difflib.get_close_matches(name, CLASSES, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return ("unknown_field", f"usage.{name}", f"not a token class{hint}")
        if problem := _number_problem(count, f"usage.{name}"):
            return problem
    return None


def _raw_problem(value: Mapping[str, Any]) -> tuple[str, str, str] | None:
    for name, count in value.items():
        if name in _READ_KEYS and count is not None:
            if problem := _number_problem(count, f"usage.{name}"):
                return problem
        elif name in _DETAILS and count is not None:
            if not isinstance(count, dict):
                return ("invalid_type", f"usage.{name}", "an object of counts")
            for inner, number in count.items():
                if inner in _READ_KEYS and number is not None:
                    if problem := _number_problem(number, f"usage.{name}.{inner}"):
                        return problem
    return None


def _number_problem(count: object, field: str) -> tuple[str, str, str] | None:
    if isinstance(count, bool) or not isinstance(count, int):
        return ("invalid_tokens", field, "tokens are whole numbers")
    if not 0 <= count <= limits.TOKENS_MAX:
        return ("invalid_tokens", field, f"tokens are 0 to {limits.TOKENS_MAX}")
    return None
