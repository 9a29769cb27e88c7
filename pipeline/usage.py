"""Provider usage -> disjoint token classes. Known shapes, known keys only; never clamped, never dropped."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from pipeline import limits


class Usage(NamedTuple):
    """Tokens by class, and web searches. The first seven are disjoint.

    `output_reasoning` and `output_audio` are parts of `output`, `input_audio` of `input_uncached`, and
    `input_audio_cache_read` of `input_cache_read`.
    """

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
    """Usage as understood (None: there is none, or its shape is unknown), and what the usage object says of the price.

    Flags: `usage_unknown`, `usage_inconsistent`.
    """

    usage: Usage | None
    flags: tuple[str, ...] = ()
    service_tier: str = ""
    speed: str = ""


CLASSES = frozenset(Usage._fields)
NOTHING = ReadUsage(None)
UNKNOWN = ReadUsage(None, ("usage_unknown",))
_FINE: tuple[str, ...] = ()
_INCONSISTENT: tuple[str, ...] = ("usage_inconsistent",)
# xAI's chat answers leave reasoning out of completion_tokens: known by name, for when no total tells.
_XAI = ("xai", "x_ai", "x-ai")

_Count = Annotated[int, Meta(ge=0, le=limits.TOKENS_MAX)]
_Maybe = _Count | None  # null is absent: OpenAI sends it


class _Own(Struct, forbid_unknown_fields=True):
    """Our own classes, in Usage's order."""

    input_uncached: _Count = 0
    input_cache_read: _Count = 0
    input_cache_write_5m: _Count = 0
    input_cache_write_30m: _Count = 0
    input_cache_write_1h: _Count = 0
    input_cache_write_12h: _Count = 0
    output: _Count = 0
    output_reasoning: _Count = 0
    input_audio: _Count = 0
    input_audio_cache_read: _Count = 0
    output_audio: _Count = 0
    web_searches: _Count = 0
    service_tier: Any = None


class _Ephemeral(Struct):
    ephemeral_5m_input_tokens: _Maybe = None
    ephemeral_1h_input_tokens: _Maybe = None


class _TimeToLive(Struct):
    ttl_30m_tokens: _Maybe = None
    ttl_12h_tokens: _Maybe = None


class _CachedDetails(Struct):
    audio_tokens: _Maybe = None


class _InputDetails(Struct):
    cached_tokens: _Maybe = None
    cache_write_tokens: _Maybe = None
    cache_write_tokens_details: _TimeToLive | None = None
    audio_tokens: _Maybe = None
    cached_tokens_details: _CachedDetails | None = None  # of the realtime API
    cache_creation_tokens: _Maybe = None  # this and the next: litellm, for Anthropic
    cache_creation_token_details: _Ephemeral | None = None


class _OutputDetails(Struct):
    reasoning_tokens: _Maybe = None
    thinking_tokens: _Maybe = None  # Anthropic's name
    audio_tokens: _Maybe = None


class _ServerTools(Struct):
    web_search_requests: _Maybe = None


class _Provider(Struct):
    """Every key that is read of the shapes of the providers; all others are skipped undecoded."""

    prompt_tokens: _Maybe = None
    completion_tokens: _Maybe = None
    input_tokens: _Maybe = None
    output_tokens: _Maybe = None
    total_tokens: _Maybe = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    input_token_details: _InputDetails | None = None  # of the realtime API
    output_token_details: _OutputDetails | None = None
    cache_read_input_tokens: _Maybe = None
    cache_creation_input_tokens: _Maybe = None
    cache_creation: _Ephemeral | None = None
    server_tool_use: _ServerTools | None = None
    service_tier: Any = None
    speed: Any = None


_NESTED: Mapping[str, type[Struct]] = {
    "prompt_tokens_details": _InputDetails,
    "completion_tokens_details": _OutputDetails,
    "input_tokens_details": _InputDetails,
    "output_tokens_details": _OutputDetails,
    "input_token_details": _InputDetails,
    "output_token_details": _OutputDetails,
    "cache_write_tokens_details": _TimeToLive,
    "cached_tokens_details": _CachedDetails,
    "cache_creation_token_details": _Ephemeral,
    "cache_creation": _Ephemeral,
    "server_tool_use": _ServerTools,
}
_WORDS = frozenset({"service_tier", "speed"})
_NO_INPUT, _NO_OUTPUT = _InputDetails(), _OutputDetails()

_decode_own = msgspec.json.Decoder(_Own).decode
_decode_provider = msgspec.json.Decoder(_Provider).decode
_decode_any = msgspec.json.Decoder().decode


def read_usage(raw: msgspec.Raw | msgspec.UnsetType | bytes | None, provider: str) -> ReadUsage:
    """Token classes of a usage object, JSON text. Never raises: what cannot be understood is `usage_unknown`.

    Shapes: our own classes; OpenAI's chat, embeddings, responses and realtime (input includes the cache); Anthropic's
    messages (input without it). `provider` decides only where the keys do not.
    """
    if raw is None or raw is msgspec.UNSET:
        return NOTHING
    return _read_provider(raw, provider) or _read_own(raw) or UNKNOWN


def _read_own(text: bytes | msgspec.Raw) -> ReadUsage | None:
    try:
        found = _decode_own(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    usage = Usage(*msgspec.structs.astuple(found)[:12])
    if not any(usage) and CLASSES.isdisjoint(_decode_any(text)):
        return None  # {} and the like say nothing, which is not zero
    return ReadUsage(usage, _subset_flags(usage), _word(found.service_tier))


def _read_provider(text: bytes | msgspec.Raw, provider: str) -> ReadUsage | None:
    try:
        found = _decode_provider(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if found.prompt_tokens is not None:
        inputs = found.prompt_tokens_details or _NO_INPUT
        outputs = found.completion_tokens_details or _NO_OUTPUT
        usage, flags = _inclusive(found, found.prompt_tokens, found.completion_tokens or 0, inputs, outputs, provider)
    elif found.input_tokens is None:
        return None
    elif _is_anthropic(found, provider):
        usage, flags = _anthropic(found, found.input_tokens)
    else:
        inputs = found.input_tokens_details or found.input_token_details or _NO_INPUT
        outputs = found.output_tokens_details or found.output_token_details or _NO_OUTPUT
        usage, flags = _inclusive(found, found.input_tokens, found.output_tokens or 0, inputs, outputs, "")
    if usage.output > limits.TOKENS_MAX:
        return None  # a sum that no column holds
    return ReadUsage(usage, flags or _subset_flags(usage), _word(found.service_tier), _word(found.speed))


def _is_anthropic(found: _Provider, provider: str) -> bool:
    if found.cache_creation is not None:
        return True
    if found.cache_read_input_tokens is not None or found.cache_creation_input_tokens is not None:
        return True
    if found.input_tokens_details is not None or found.input_token_details is not None:
        return False
    return "anthropic" in provider.lower()


def _inclusive(
    found: _Provider, total: int, output: int, inputs: _InputDetails, outputs: _OutputDetails, provider: str
) -> tuple[Usage, tuple[str, ...]]:
    """Input that includes what was read from and written to the cache. `provider` "": output includes reasoning."""
    read = inputs.cached_tokens or found.cache_read_input_tokens or 0
    write_5m = write_30m = write_1h = write_12h = 0
    consistent = True
    if inputs.cache_creation_token_details is None and (
        inputs.cache_write_tokens or inputs.cache_write_tokens_details is not None
    ):
        # OpenAI's: 30 minutes unless the split says otherwise.
        write_30m, kept = inputs.cache_write_tokens or 0, inputs.cache_write_tokens_details
        if kept is not None:
            write_30m, write_12h, consistent = _split(write_30m, kept.ttl_30m_tokens or 0, kept.ttl_12h_tokens or 0)
    else:
        written = inputs.cache_creation_tokens or found.cache_creation_input_tokens or inputs.cache_write_tokens or 0
        if written:
            write_5m, write_1h, consistent = _ephemeral(written, inputs.cache_creation_token_details)
    uncached = total - read - write_5m - write_30m - write_1h - write_12h
    if uncached < 0:
        # The emitter was exclusive after all.
        uncached, consistent = total, False
    reasoning = outputs.reasoning_tokens or 0
    if reasoning:
        beside, known = _reasoning_is_beside(found.total_tokens, total, output, reasoning, provider)
        if beside:
            output += reasoning
            consistent = consistent and known
    audio, audio_read = inputs.audio_tokens or 0, 0
    if audio:
        audio, audio_read = _audio(audio, uncached, read, inputs.cached_tokens_details)
    tools = found.server_tool_use
    usage = Usage(
        uncached, read, write_5m, write_30m, write_1h, write_12h, output, reasoning,
        audio, audio_read, outputs.audio_tokens or 0, (tools.web_search_requests or 0) if tools is not None else 0,
    )  # fmt: skip
    return usage, _FINE if consistent else _INCONSISTENT


def _reasoning_is_beside(
    whole: int | None, total: int, output: int, reasoning: int, provider: str
) -> tuple[bool, bool]:
    """Whether reasoning is counted beside `output` instead of in it, and whether that is known or only follows."""
    if whole == total + output + reasoning:
        return True, True
    if whole == total + output and reasoning <= output:
        return False, True
    if provider.lower().startswith(_XAI):
        return True, True
    return reasoning > output, False


def _audio(audio: int, uncached: int, read: int, cached: _CachedDetails | None) -> tuple[int, int]:
    """Audio of the uncached input and of what was read from the cache, of a count over both."""
    from_cache = (cached.audio_tokens or 0) if cached is not None else 0
    if from_cache > audio:
        return audio, from_cache
    audio -= from_cache
    if uncached < audio <= uncached + read - from_cache:
        # What is more than all uncached tokens must have come from the cache.
        return uncached, from_cache + audio - uncached
    return audio, from_cache


def _anthropic(found: _Provider, uncached: int) -> tuple[Usage, tuple[str, ...]]:
    """Input without the cache; writes split by how long they live where the object says so, else 5 minutes."""
    write_5m, write_1h, consistent = _ephemeral(found.cache_creation_input_tokens or 0, found.cache_creation)
    outputs, tools = found.output_tokens_details, found.server_tool_use
    usage = Usage(
        input_uncached=uncached,
        input_cache_read=found.cache_read_input_tokens or 0,
        input_cache_write_5m=write_5m,
        input_cache_write_1h=write_1h,
        output=found.output_tokens or 0,
        output_reasoning=(outputs.thinking_tokens or outputs.reasoning_tokens or 0) if outputs is not None else 0,
        web_searches=(tools.web_search_requests or 0) if tools is not None else 0,
    )
    return usage, _FINE if consistent else _INCONSISTENT


def _ephemeral(written: int, split: _Ephemeral | None) -> tuple[int, int, bool]:
    if split is None:
        return written, 0, True
    return _split(written, split.ephemeral_5m_input_tokens or 0, split.ephemeral_1h_input_tokens or 0)


def _split(written: int, short: int, long: int) -> tuple[int, int, bool]:
    """Writes by lifetime, and whether the parts make the whole. What they lack is short-lived, the default."""
    if short + long == written or not written:
        return short, long, True
    return max(short, written - long), long, False


def _word(value: object) -> str:
    """A tier as a column may hold it: NUL and other types are as good as nothing."""
    return value[: limits.SESSION_ID_CHARS] if isinstance(value, str) and "\0" not in value else ""


def _subset_flags(usage: Usage) -> tuple[str, ...]:
    """Kept as sent and flagged: a count we cannot explain is still what the sender knows."""
    fits = (
        usage.output_reasoning <= usage.output
        and usage.output_audio <= usage.output
        and usage.input_audio <= usage.input_uncached
        and usage.input_audio_cache_read <= usage.input_cache_read
    )
    return _FINE if fits else _INCONSISTENT


def usage_problem(value: object) -> tuple[str, str, str] | None:
    """Why a decoded usage object is refused: (code of `reasons.REJECTED`, field, detail); None when it is taken.

    In our own classes null is refused and a mistyped class is named; inside a provider's object null is absent and only
    numbers that are read must be right. An object of neither is taken: `read_usage` flags it.
    """
    if not isinstance(value, dict):
        return ("invalid_type", "usage", "usage is an object")
    own = not CLASSES.isdisjoint(value)
    if not own and value.get("prompt_tokens") is None and value.get("input_tokens") is None:
        return None
    try:
        msgspec.convert(value, _Own if own else _Provider)
    except msgspec.ValidationError:
        named = _own_problem(value) if own else _provider_problem(value, _Provider, "usage")
        return named or ("invalid_tokens", "usage", "counts cannot be read")
    return None


def _own_problem(value: Mapping[str, object]) -> tuple[str, str, str] | None:
    for name, count in value.items():
        if name == "service_tier":
            continue
        if name not in CLASSES:
            near = difflib.get_close_matches(name[: limits.NAME_CHARS], CLASSES, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return ("unknown_field", f"usage.{name}", f"not a token class{hint}")
        if problem := _count_problem(count, f"usage.{name}"):
            return problem
    return None


def _provider_problem(value: Mapping[str, object], shape: type[Struct], path: str) -> tuple[str, str, str] | None:
    for name in shape.__struct_fields__:
        found, field = value.get(name), f"{path}.{name}"
        if found is None or name in _WORDS:
            continue
        nested, problem = _NESTED.get(name), None
        if nested is None:
            problem = _count_problem(found, field)
        elif not isinstance(found, dict):
            problem = ("invalid_type", field, "an object of counts")
        else:
            problem = _provider_problem(found, nested, field)
        if problem:
            return problem
    return None


def _count_problem(count: object, field: str) -> tuple[str, str, str] | None:
    if isinstance(count, bool) or not isinstance(count, int):
        return ("invalid_tokens", field, "tokens are whole numbers")
    if not 0 <= count <= limits.TOKENS_MAX:
        return ("invalid_tokens", field, f"tokens are 0 to {limits.TOKENS_MAX}")
    return None
