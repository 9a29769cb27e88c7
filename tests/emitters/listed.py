"""Emitter -> its gaps, of the versions in requirements/. What stands here is missing on the wire, not in Percapita."""

from __future__ import annotations

from tests.emitters.gaps import Gap

_BARE = ("chat-stream-bare", "chat-abandoned")  # nobody asks for include_usage, so OpenAI sends no usage
_ENDED_EARLY = ("messages-abandoned", "messages-error-in-stream")
_ABANDONED = ("*-abandoned",)
_SEARCHES = ("messages-search*",)

GAPS: dict[str, tuple[Gap, ...]] = {
    "anthropic-sdk": (
        Gap("output", _ENDED_EARLY),
        Gap("web searches", _SEARCHES),
        Gap("speed"),
        Gap("abandonment", _ABANDONED),
    ),
    "otel-genai": (
        Gap("usage", _BARE),
        Gap("output beyond 1", _ENDED_EARLY),
        Gap("split of writes", ("chat-*", "responses-*")),
        Gap("audio"),
        Gap("web searches", _SEARCHES),
        Gap("speed"),
        Gap("abandonment", _ABANDONED),
    ),
    "otel-v2": (
        Gap("call", ("chat-parse", "responses-*")),
        Gap("usage", _BARE),
        Gap("cache reads"),
        Gap("cache writes"),
        Gap("reasoning"),
        Gap("audio"),
        Gap("abandonment", _ABANDONED),
    ),
    "otel-v2-old": (
        Gap("call", ("chat-helper", "chat-parse", "responses-*", "embeddings-*")),
        Gap("usage", (*_BARE, "chat-raw")),
        Gap("dated model", ("chat-raw",)),
        Gap("success", ("chat-raw",)),
        Gap("cache reads"),
        Gap("cache writes"),
        Gap("reasoning"),
        Gap("audio"),
        Gap("abandonment", _ABANDONED),
    ),
    "openinference": (
        Gap("usage", _BARE),
        Gap("output beyond 1", _ENDED_EARLY),
        Gap("abandonment", _ABANDONED),
    ),
    "traceloop": (
        Gap("usage", _BARE),
        Gap("output", _ENDED_EARLY),
        Gap("cache writes", ("chat-*", "responses-*")),
        Gap("audio"),
        Gap("web searches", _SEARCHES),
        Gap("speed"),
        Gap("abandonment", _ABANDONED),
    ),
    "langfuse": (
        Gap("provider"),
        Gap("usage", _BARE),
        Gap("split of writes", ("chat-*",)),
        Gap("abandonment", _ABANDONED),
    ),
    "logfire": (
        Gap("usage", (*_BARE, "messages-raw")),
        Gap("output beyond 1", _ENDED_EARLY),
        Gap("dated model", ("chat-stream*", "chat-abandoned", "chat-helper", "responses-stream", "messages-raw")),
        Gap("tier", ("chat-*", "responses-*")),
        Gap("abandonment", _ABANDONED),
    ),
    "litellm": (
        Gap("call", ("*-abandoned",)),
        Gap("usage", ("chat-stream-bare", "messages-error-in-stream")),
        Gap("provider", ("responses-stream", "responses-error-*")),
        Gap("dated model", ("chat-stream*", "messages-*stream")),
        Gap("session", ("chat-*stream*", "messages-*stream")),
        Gap("tags", ("chat-*stream*", "messages-*stream")),
    ),
    "openlit": (
        Gap("call", ("*-abandoned", "messages-parse", "messages-error-in-stream", "beta-*")),
        Gap("its own count", ("chat-stream-bare",), (("input_uncached", 34), ("output", 12))),
        Gap("its own count", ("messages-search-stream",), (("input_uncached", 305),)),
        Gap("split of writes"),
        Gap("reasoning", ("chat-*", "messages-*")),
        Gap("audio"),
        Gap("web searches", _SEARCHES),
        Gap("tier", ("messages-*",)),
    ),
    "percapita": (
        Gap("its count", ("chat-abandoned",), (("input_uncached", 16), ("output", 4))),
        Gap("its count", _ENDED_EARLY, (("output", 3),)),
    ),
}  # fmt: skip
