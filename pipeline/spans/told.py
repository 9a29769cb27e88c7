"""What one span says of a call, field by field; `calls` finds which spans are one call, `events` puts their words together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from pipeline.spans import names
from pipeline.spans.read import count_of, first_cost, first_text, json_object
from pipeline.spans.roles import OPENLIT_SCOPE, RAW_NAME, SDK_SCOPE, Kind
from pipeline.spans.span import ERROR, Span, Value

_SWAPPED_SCOPE = "opentelemetry.instrumentation.openai_v2"
_LITELLM = frozenset({names.USAGE_OBJECT, names.LITELLM_MODEL})
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ABANDONED = ("CancelledError", "GeneratorExit", "KeyboardInterrupt", "AbortError")


class _Answer(msgspec.Struct):
    """What is read of a provider's whole answer; its other fields are stepped over."""

    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    usage: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    service_tier: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_text = msgspec.json.Decoder(str).decode
_NO_ANSWER = _Answer()


class Told(NamedTuple):
    """A span that is part of a call, or a tool, with what is asked of it more than once."""

    place: int  # in the request
    span: Span
    kind: Kind
    response_id: str  # "" where none is known, or where it is the emitter's own
    answer: _Answer

    @property
    def of_sdk(self) -> bool:
        """Whether the provider's own package tells it."""
        return self.span.scope.startswith(SDK_SCOPE)

    @property
    def failed(self) -> bool:
        """Whether it is an error."""
        return self.span.status == ERROR or self.span.attributes.get(names.LEVEL) == "ERROR"


def told_of(place: int, span: Span, kind: Kind) -> Told:
    """What `span` says; `kind` is what `roles` found."""
    answer = _answer_of(span)
    return Told(place, span, kind, _response_id(span, kind, answer), answer)


def _answer_of(span: Span) -> _Answer:
    text = span.attributes.get(names.OUTPUT)
    if not isinstance(text, str) or not text.startswith("{"):
        return _NO_ANSWER
    try:
        return _decode_answer(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _NO_ANSWER


def _word_of(raw: msgspec.Raw | msgspec.UnsetType) -> str:
    try:
        return _decode_text(raw) if raw is not msgspec.UNSET else ""
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def _response_id(span: Span, kind: Kind, answer: _Answer) -> str:
    if kind.role == "raw":
        return raw_text(span, "id")
    given = first_text(span.attributes, names.RESPONSE_ID)
    if given and by_litellm(span) and not _is_providers(given, span):
        return ""  # litellm made it up
    return given or _word_of(answer.id)


def by_litellm(span: Span) -> bool:
    """Whether litellm wrote on it; by default it does on the app's own active span."""
    return not _LITELLM.isdisjoint(span.attributes)


def _is_providers(response_id: str, span: Span) -> bool:
    """litellm answers in OpenAI's shape for everybody, under ids of its own; only OpenAI's it passes on."""
    return "openai" in provider_of(span) and not _UUID.fullmatch(response_id)


def raw_field(span: Span, field: str) -> tuple[str, Value]:
    """What litellm repeats of a provider's answer, `llm.PROVIDER.FIELD`: the provider, "" where it knows none, and the value."""
    for name, value in span.attributes.items():
        if name.startswith("llm.") and name.endswith(f".{field}") and name.count(".") == 2:
            provider = name.split(".")[1]
            return ("" if provider == "None" else provider), value
    return "", None


def raw_text(span: Span, field: str) -> str:
    """The same where it is a text."""
    value = raw_field(span, field)[1]
    return value if isinstance(value, str) else ""


def provider_of(span: Span) -> str:
    """As the emitter names it; openlit's failed calls have a scope alone, litellm sometimes the model's prefix."""
    found = first_text(span.attributes, names.PROVIDER)
    if found:
        return found
    if span.name == RAW_NAME:
        return raw_field(span, "id")[0]
    if span.scope.startswith(OPENLIT_SCOPE) and not span.attributes:
        return span.scope.removeprefix(OPENLIT_SCOPE)
    before, slash, _ = first_text(span.attributes, (names.LITELLM_MODEL,)).partition("/")
    return before if slash else ""


def models_of(span: Span) -> tuple[str, str]:
    """(the model that stands first, if it is the one that answered, the one that stands first): either may be ""."""
    if span.name == RAW_NAME:
        return raw_text(span, "model"), ""
    found = first_text(span.attributes, names.MODEL) or _invocation(span, "model")
    if not found and span.scope.startswith(OPENLIT_SCOPE) and not span.attributes:
        found = span.name.partition(" ")[2]
    answered = any(span.attributes.get(name) == found for name in names.ANSWERED_MODEL)
    return found if answered else "", found


def operation_models(span: Span) -> frozenset[str]:
    """Every name that a span gives its model."""
    given = span.attributes
    found = {value for name in names.MODEL if isinstance(value := given.get(name), str) and value}
    return frozenset(found or {models_of(span)[1]} - {""})


def served_tier(told: Told) -> str:
    """The tier that served the call."""
    given = told.span.attributes
    swapped = told.span.scope == _SWAPPED_SCOPE
    return (
        first_text(given, names.SWAPPED_SERVED_TIER if swapped else names.SERVED_TIER)
        or _word_of(told.answer.service_tier)
        or _of_json(told.span, names.PARAMETERS, "service_tier")
        or (raw_text(told.span, "service_tier") if told.kind.role == "raw" else "")
    )


def asked_tier(told: Told) -> str:
    """The tier that was asked for; `auto` asks for none."""
    found = first_text(told.span.attributes, names.ASKED_TIER) or _invocation(told.span, "service_tier")
    return "" if found == "auto" else found


def _invocation(span: Span, field: str) -> str:
    return _of_json(span, names.INVOCATION, field)


def _of_json(span: Span, name: str, field: str) -> str:
    found = json_object(span.attributes.get(name))
    value = found.get(field) if found else None
    return value if isinstance(value, str) else ""


def cost_of(span: Span) -> str:
    """USD that the emitter reports, "" where it says none or 0."""
    return first_cost(span.attributes, names.COST)


def exceptions_of(span: Span) -> Iterator[tuple[str, str]]:
    """(type, message) of each exception on a span."""
    for event in span.events:
        if event.name == names.EXCEPTION:
            yield (
                first_text(event.attributes, (names.EXCEPTION_TYPE,)),
                first_text(event.attributes, (names.EXCEPTION_TEXT,)),
            )


def error_code(span: Span) -> str:
    """The kind of an error, never its text."""
    return first_text(span.attributes, names.ERROR_CODE) or next((kind for kind, _ in exceptions_of(span) if kind), "")


def error_text(span: Span) -> str:
    """What the error says: content."""
    said = next((message for _, message in exceptions_of(span) if message), "")
    return span.message or said or first_text(span.attributes, names.ERROR_TEXT)


def abandoned(span: Span) -> bool:
    """Whether the caller went away: what the provider did until then is not free."""
    return error_code(span).rpartition(".")[2] in _ABANDONED


def tags_of(span: Span) -> dict[str, Any]:
    """Tags as they are named, unchecked; users and sessions are none."""
    found: dict[str, Any] = {}
    for name, value in span.attributes.items():
        if name.startswith(names.TAG_PREFIXES):
            prefix = next(prefix for prefix in names.TAG_PREFIXES if name.startswith(prefix))
            found.setdefault(name.removeprefix(prefix), value)
        elif name.startswith(names.JSON_TAG_PREFIX):
            found.setdefault(name.removeprefix(names.JSON_TAG_PREFIX), _unquoted(value))
        elif name == names.METADATA:
            for key, item in (json_object(value) or {}).items():
                found.setdefault(key, item)
    return {key: value for key, value in found.items() if key not in _NO_TAGS and _is_tag(value)}


_NO_TAGS = frozenset({"userId", "user_id", "session_id", "sessionId"})


def _is_tag(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not str(value).startswith(names.SCRUBBED)


def _unquoted(value: Any) -> Any:
    """Langfuse writes a text as JSON, quotes and all."""
    try:
        return msgspec.json.decode(value) if isinstance(value, str) and len(value) <= 2_048 else value
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return value


def labels_of(span: Span) -> list[str]:
    """Words that are no key with a value."""
    for name in names.LABELS:
        value = span.attributes.get(name)
        if isinstance(value, list) and value:
            return [item for item in value if isinstance(item, str)]
    return []


def count_named(span: Span, name: str) -> int | None:
    """One attribute as a count of tokens."""
    return count_of(span.attributes.get(name))
