"""The names under which emitters tell what we want to know: the first that a span has wins. docs/opentelemetry.md shows them."""

from __future__ import annotations

import re
from functools import lru_cache

# --- what a span is

OPERATION = (
    "gen_ai.operation.name",
    "openinference.span.kind",
    "llm.request.type",
    "traceloop.span.kind",
    "langfuse.observation.type",
    "ai.operationId",
)

# --- what a call was

PROVIDER = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider")
ANSWERED_MODEL = ("gen_ai.response.model", "llm.response.model_name", "ai.response.model")
MODEL = (
    "gen_ai.response.model", "gen_ai.request.model", "llm.response.model_name", "llm.model_name", "embedding.model_name",
    "langfuse.observation.model.name", "ai.response.model", "ai.model.id",
)  # fmt: skip
RESPONSE_ID = ("gen_ai.response.id", "ai.response.id")
FINISH_REASON = (
    "gen_ai.response.finish_reasons",
    "gen_ai.completion.0.finish_reason",
    "anthropic.message.stop_reason",
    "llm.finish_reason",
    "ai.response.finishReason",
)
COST = ("gen_ai.usage.cost", "llm.cost.total", "gen_ai.cost.total_cost")
ERROR_CODE = ("error.type", "error.code")
PARAMETERS = "langfuse.observation.model.parameters"  # JSON
OUTPUT = "output.value"  # OpenInference: the provider's whole answer, as JSON, where it was no stream
FIRST_CHUNK_MS = "ai.response.msToFirstChunk"
FIRST_CHUNK_SECONDS = "gen_ai.response.time_to_first_chunk"
INVOCATION = "llm.invocation_parameters"  # OpenInference: what was asked for, as JSON
LITELLM_MODEL = "litellm.provider.model"  # provider/model
LITELLM_STREAM = "llm.is_streaming"  # as a text

# Served and asked for. The old openai-v2 has them swapped, but in streams, under names that litellm uses rightly: what it calls the
# request's was served, and where it has none, what it calls the response's.
SERVED_TIER = ("openai.response.service_tier", "gen_ai.openai.response.service_tier", "anthropic.response.service_tier")
ASKED_TIER = (
    "openai.request.service_tier",
    "gen_ai.openai.request.service_tier",
    "gen_ai.request.service_tier",
    "anthropic.request.service_tier",
)
SWAPPED_SERVED_TIER = (
    "openai.response.service_tier",
    "gen_ai.openai.request.service_tier",
    "gen_ai.openai.response.service_tier",
)

# --- tokens

USAGE_OBJECT = "metadata.usage_object"  # litellm's, and nobody else's
RAW_USAGE = ("gen_ai.usage.raw", "langfuse.observation.usage_details", USAGE_OBJECT)
INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "ai.usage.promptTokens")
OUTPUT_TOKENS = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "ai.usage.completionTokens",
)
CACHE_READ = (
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.cache_read_tokens",
    "llm.token_count.prompt_details.cache_read", "ai.usage.cachedInputTokens",
)  # fmt: skip
WRITE_5M = "anthropic.usage.cache_creation.ephemeral_5m_input_tokens"
WRITE_1H = "anthropic.usage.cache_creation.ephemeral_1h_input_tokens"
CACHE_WRITE = (
    "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens",
    "llm.token_count.prompt_details.cache_write",
)  # fmt: skip
REASONING = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
)
AUDIO_INPUT = ("llm.token_count.prompt_details.audio",)
AUDIO_OUTPUT = ("llm.token_count.completion_details.audio",)

# --- who, and under what

USER = (
    "percapita.tags.userId", "user.id", "enduser.id", "enduser.pseudo.id", "traceloop.association.properties.user_id", "gen_ai.user",
    "llm.user", "langfuse.user.id", "ai.telemetry.metadata.userId",
)  # fmt: skip
SESSION = ("gen_ai.conversation.id", "session.id", "traceloop.association.properties.session_id", "langfuse.session.id")
AGENT = ("gen_ai.agent.name", "agent.name", "traceloop.workflow.name")
SERVICE = "service.name"  # of the resource
SCRUBBED = "[Scrubbed due to"  # in place of a value that logfire takes for a secret
TAG_PREFIXES = ("percapita.tags.", "traceloop.association.properties.", "ai.telemetry.metadata.")
JSON_TAG_PREFIX = "langfuse.trace.metadata."  # values are JSON
METADATA = "metadata"  # OpenInference: one JSON object. Not the prefix: `metadata.` is litellm's own
LABELS = ("tag.tags", "langfuse.trace.tags")  # lists of words

# --- tools

TOOL = ("gen_ai.tool.name", "tool.name", "ai.toolCall.name", "traceloop.entity.name")
ARGUMENTS = (
    "gen_ai.tool.call.arguments",
    "ai.toolCall.args",
    "langfuse.observation.input",
    "input.value",
    "tool.parameters",
    "traceloop.entity.input",
)
RESULT = (
    "gen_ai.tool.call.result",
    "ai.toolCall.result",
    "langfuse.observation.output",
    "output.value",
    "traceloop.entity.output",
)

# --- content

MESSAGES, INSTRUCTIONS, TOOLS = "gen_ai.input.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions"
PROMPT = (
    "langfuse.observation.input", "input.value", "traceloop.entity.input", "request_data", "llm.openai.messages", "llm.anthropic.messages",
    "ai.prompt.messages", "ai.prompt",
)  # fmt: skip
PROMPT_LISTS = ("gen_ai.prompt.", "llm.input_messages.", "embedding.embeddings.")  # numbered attributes
TOOL_LIST = "llm.tools."
RESPONSE = (
    "gen_ai.output.messages", "langfuse.observation.output", "output.value", "traceloop.entity.output", "response_data", "llm.openai.choices",
    "llm.anthropic.content", "ai.response.text", "ai.response.toolCalls",
)  # fmt: skip
RESPONSE_LISTS = ("gen_ai.completion.", "llm.output_messages.")
REQUEST = "request_data"  # logfire: what the client was asked for
ERROR_TEXT = ("langfuse.observation.status_message", "error.message")
EXCEPTION, EXCEPTION_TYPE, EXCEPTION_TEXT = "exception", "exception.type", "exception.message"
CONTENT_EVENTS = {  # an event on a span -> (whether it is the answer, the attribute that holds the text)
    "gen_ai.content.prompt": (False, "gen_ai.prompt"),
    "gen_ai.content.completion": (True, "gen_ai.completion"),
}
LEVEL = "langfuse.observation.level"
LOGFIRE_TYPE = "logfire.span_type"
LOGFIRE_SECONDS = "duration"

_SINGLE = frozenset({
    *OPERATION, *PROVIDER, *MODEL, *RESPONSE_ID, *FINISH_REASON, *COST, *ERROR_CODE, PARAMETERS, OUTPUT, FIRST_CHUNK_MS,
    FIRST_CHUNK_SECONDS, INVOCATION, LITELLM_MODEL, LITELLM_STREAM,
    *SERVED_TIER, *ASKED_TIER, *RAW_USAGE, *INPUT, *OUTPUT_TOKENS, *CACHE_READ, WRITE_5M, WRITE_1H, *CACHE_WRITE, *REASONING, *AUDIO_INPUT,
    *AUDIO_OUTPUT, *USER, *SESSION, *AGENT, SERVICE, METADATA, *LABELS, *TOOL, *ARGUMENTS, *RESULT, MESSAGES, INSTRUCTIONS, TOOLS, *PROMPT,
    *RESPONSE, *ERROR_TEXT, EXCEPTION, EXCEPTION_TYPE, EXCEPTION_TEXT, *CONTENT_EVENTS, *(name for _, name in CONTENT_EVENTS.values()),
    LEVEL, LOGFIRE_TYPE, LOGFIRE_SECONDS,
})  # fmt: skip
_MANY = (
    *TAG_PREFIXES, JSON_TAG_PREFIX, TOOL_LIST, "gen_ai.prompt.", "gen_ai.completion.", "llm.input_messages.", "llm.output_messages.",
)  # fmt: skip
_ANSWERED = re.compile(
    r"llm\.[A-Za-z_]+\.(?:id|model|usage|service_tier|messages|choices|content)"
)  # litellm's, of the provider's answer
_EMBEDDED = "embedding.embeddings."  # its texts alone: beside each stands a vector of a thousand numbers


@lru_cache(4_096)
def wanted(name: str) -> bool:
    """Whether a span's attribute, or an event on a span, is read by anybody here."""
    if name in _SINGLE or name.startswith(_MANY):
        return True
    return (name.startswith(_EMBEDDED) and name.endswith(".text")) or _ANSWERED.fullmatch(name) is not None
