"""An event as Voight's public wrappers send it -> an event in our fields: their users change a URL and a key.

What they send was read in their source: `@voightxyz/openai`, `anthropic`, `vercel-ai` and `sdk`, and `bitfrost` for Python. All post one
event a request to /v1/events with a bearer key. docs/events.md has the table. What has no field of ours stays in metadata, that of the
event itself under `metadata.voight`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from pipeline.fields import FIELDS, Problem, unknown_field
from pipeline.wire import Translated

_MARKS = frozenset({"agentId", "durationMs", "outcome"})
_SHARED = frozenset({"timestamp", "type", "model", "metadata"})
_OURS_ALONE = FIELDS - _SHARED
_THEIRS = _MARKS | _SHARED | {
    "input", "reasoning", "toolsConsidered", "toolExecuted", "transaction", "amount", "errorMessage", "tokens", "traceId", "spanId",
    "parentSpanId",
}  # fmt: skip
_TYPES = frozenset({"reasoning", "tool", "tx", "decision", "action", "error"})
_STATUS = {"success": "ok", "failed": "error", "pending": "ok"}
# A field of ours, and where theirs may stand: the first that is there is taken, the others stay where they are.
_PLACES = {
    "timestamp": ("timestamp",), "agent": ("agentId",), "latency_ms": ("durationMs",), "error_message": ("errorMessage",),
    "trace_id": ("traceId", "metadata.traceId"), "span_id": ("spanId", "metadata.spanId"),
    "parent_span_id": ("parentSpanId", "metadata.parentSpanId"), "session_id": ("metadata.sessionId",),
    "name": ("metadata.endpoint", "metadata.routeTag"), "finish_reason": ("metadata.finishReason", "metadata.stopReason"),
    "model": ("metadata.responseModel", "model", "metadata.model"), "privacy": ("metadata.privacyLevel",),
    "prompt": ("input",), "tool_arguments": ("metadata.toolInput", "metadata.detail", "metadata.subagentInput"),
    "tool_result": ("metadata.response_preview", "metadata.subagentOutput"),
}  # fmt: skip
# Whose client was wrapped, which models are its own (both clients speak to other hosts too), and what our SDK calls the operation.
_CLIENTS = {
    "openai-sdk": ("openai", re.compile(r"(?:ft:)?(?:gpt-|chatgpt-|codex-|o\d)"), "chat"),
    "anthropic-sdk": ("anthropic", re.compile("claude-"), "messages"),
}


# Their counts as those of a provider that counts alike, which `usage.read_usage` knows. Other keys stay as they are.
_INCLUSIVE = {  # OpenAI's: input has the cached tokens in it
    "input": "prompt_tokens", "output": "completion_tokens", "total": "total_tokens", "cache_read": "prompt_tokens_details.cached_tokens",
    "cache_creation": "prompt_tokens_details.cache_creation_tokens", "reasoning": "completion_tokens_details.reasoning_tokens",
}  # fmt: skip
_EXCLUSIVE = {  # Anthropic's: input is what was neither read from the cache nor written to it
    "input": "input_tokens", "output": "output_tokens", "total": "total_tokens", "cache_read": "cache_read_input_tokens",
    "cache_creation": "cache_creation_input_tokens",
}  # fmt: skip
_BREAKDOWN = {
    "inputBase": "input_tokens", "output": "output_tokens", "cacheRead": "cache_read_input_tokens",
    "cacheCreation": "cache_creation_input_tokens",
}  # fmt: skip


def translate(event: Mapping[str, Any]) -> Translated | Problem | None:
    """None: it has no field that tells theirs, or one that only ours have."""
    if _MARKS.isdisjoint(event) or not _OURS_ALONE.isdisjoint(event):
        return None
    problem = _problem_of(event)
    if problem is not None:
        return problem
    left = _flat(event)
    source, theirs = left.get("metadata.source"), left.pop("type", None)
    said = {"status": "outcome"}
    fields = _placed(left, said)
    _add_usage(fields, left, said, _EXCLUSIVE if source == "anthropic-sdk" else _INCLUSIVE)
    _add_kind(fields, left, theirs)
    _add_origin(fields, left, source)
    _add_content(fields, left)
    event_id = _id_of(fields, left.get("metadata.dedupKey"))
    if event_id:
        fields["id"], said["id"] = event_id, said.get("span_id", "metadata.dedupKey")
    fields["metadata"] = _metadata(left, theirs)
    return Translated(fields, partial(_sent_as, said))


def _problem_of(event: Mapping[str, Any]) -> Problem | None:
    for name in event:
        if name not in _THEIRS:
            return unknown_field(name, _THEIRS)
    for name, allowed in (("type", _TYPES), ("outcome", frozenset(_STATUS))):
        word = event.get(name)
        if word is not None and not isinstance(word, str):
            return Problem("invalid_type", name, "a string")
        if word is not None and word not in allowed:
            return Problem("invalid_value", name, f"one of {', '.join(sorted(allowed))}")
    metadata = event.get("metadata")
    if not (metadata is None or isinstance(metadata, dict)):
        return Problem("invalid_type", "metadata", "an object")
    for place in _TOKENS:
        counts = event.get(place) if place == "tokens" else (metadata or {}).get(place.removeprefix("metadata."))
        if counts is not None and not isinstance(counts, dict):
            return Problem("invalid_type", place, "an object of counts")
    return None


_TOKENS = ("metadata.tokensBreakdown", "metadata.tokens", "tokens")  # the first that says something is taken


def _flat(event: Mapping[str, Any]) -> dict[str, Any]:
    """What is there, by its place; the steps below take out of it what they put into a field of ours."""
    left = {name: value for name, value in event.items() if name != "metadata" and value is not None}
    metadata: Mapping[str, Any] = event.get("metadata") or {}
    return left | {f"metadata.{name}": value for name, value in metadata.items() if value is not None}


def _placed(left: dict[str, Any], said: dict[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for ours, places in _PLACES.items():
        found = next((place for place in places if left.get(place) not in (None, "")), None)
        if found is None:
            continue
        value = fields[ours] = left[found]
        said[ours] = found
        for place in places:
            if left.get(place) == value:
                del left[place]
    return fields


def _add_usage(fields: dict[str, Any], left: dict[str, Any], said: dict[str, str], keys: Mapping[str, str]) -> None:
    """All zeros are no usage: some of the wrappers send them where the provider said nothing."""
    for place in _TOKENS:
        counts = left.get(place)
        if counts is None or not any(counts.values()):
            continue
        names = _BREAKDOWN if place == "metadata.tokensBreakdown" else keys
        known = _with_input(counts, names)
        usage: dict[str, Any] = {}
        for name in sorted(known, key=lambda name: name not in names):
            path = names.get(name, name)
            outer, _, inner = path.rpartition(".")
            if (usage.setdefault(outer, {}) if outer else usage).setdefault(inner, known[name]) is known[name]:
                said[f"usage.{path}"] = f"{place}.{name}"
                known.pop(name)
        fields["usage"], said["usage"] = usage, place
        if not known:
            del left[place]
        return


def _with_input(counts: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Input that is left out beside other counts is 0, or what the total has more than the output."""
    known = {name: count for name, count in counts.items() if count is not None}
    base = next(iter(names))
    if base in known or known.keys().isdisjoint(names.keys() - {"total"}):
        return known
    total, output = known.get("total"), known.get("output")
    more = total - output if type(total) is int and type(output) is int else 0
    return {base: max(more, 0), **known}


def _add_kind(fields: dict[str, Any], left: dict[str, Any], theirs: str | None) -> None:
    """A call is what has tokens, known or not. A tool that has only begun is told again when it ends: it is no call of a tool."""
    outcome = left.get("outcome")
    if outcome is not None or theirs == "error":
        fields["status"] = _STATUS[outcome or "failed"]
    if outcome != "pending":
        left.pop("outcome", None)
        if theirs != "reasoning" and "toolExecuted" in left:
            fields["tool_name"], fields["operation"] = left.pop("toolExecuted"), "execute_tool"
    if theirs == "reasoning" or "usage" in fields or any(place in left for place in _TOKENS):
        fields["type"] = "llm"
    elif "tool_name" in fields:
        fields["type"] = "tool"
    else:
        fields["type"] = "log" if "reasoning" in left or "metadata.logs" in left else "custom"


def _add_origin(fields: dict[str, Any], left: dict[str, Any], source: Any) -> None:
    provider, models, operation = _CLIENTS.get(source if isinstance(source, str) else "", ("", None, ""))
    if left.get("metadata.provider") not in (None, "", "unknown"):
        fields["provider"] = left.pop("metadata.provider")
    elif models and isinstance(fields.get("model"), str) and models.match(fields["model"]):
        fields["provider"] = provider
    if operation:
        fields["operation"] = "responses" if left.get("metadata.api") == "responses" else operation


def _add_content(fields: dict[str, Any], left: dict[str, Any]) -> None:
    prompt = fields.get("prompt")
    if isinstance(prompt, dict) and prompt.keys() == {"messages"}:
        fields["prompt"] = prompt["messages"]
    answer = {
        name: left.pop(place)
        for name, place in (
            ("content", "metadata.responseText"), ("tool_calls", "metadata.toolCalls"), ("thinking", "metadata.thinkingPreview"),
        )
        if place in left
    }  # fmt: skip
    if answer:
        fields["response"] = answer["content"] if answer.keys() == {"content"} else answer
    lines = left.pop("metadata.logs", [])
    lines = lines if isinstance(lines, list) else [lines]
    if "reasoning" in left:
        lines = [*lines, left.pop("reasoning")]
    if lines:
        fields["logs"] = lines


def _id_of(fields: Mapping[str, Any], dedup_key: Any) -> str:
    """The same for a call that is sent twice; "" where nothing tells."""
    span = fields.get("span_id")
    if isinstance(dedup_key, str) and dedup_key:
        return str(uuid5(NAMESPACE_URL, f"voight\n{fields.get('agent')}\n{dedup_key}"))
    if not isinstance(span, str):
        return ""
    try:
        return str(UUID(span))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, f"voight\n{fields.get('trace_id')}\n{span}"))


def _metadata(left: Mapping[str, Any], theirs: str | None) -> dict[str, Any]:
    """What has no field of ours. Tags are as ours, but for values of lists and objects, which become their JSON text."""
    metadata = {
        place.removeprefix("metadata."): value for place, value in left.items() if place.startswith("metadata.")
    }
    own = {place: value for place, value in left.items() if not place.startswith("metadata.")}
    if theirs is not None:
        own["type"] = theirs
    if own:
        metadata["voight"] = own
    tags = metadata.get("tags")
    if isinstance(tags, dict):
        metadata["tags"] = {key: _tag(value) for key, value in tags.items()}
    return metadata


def _tag(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, (list, dict)) else value


def _sent_as(said: Mapping[str, str], field: str) -> str:
    if field in said:
        return said[field]
    return f"{said['usage']}{field.removeprefix('usage')}" if field.startswith("usage.") else field
