"""What a span is to us: a call, a tool, part of a call, or nobody's."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from pipeline.spans import names
from pipeline.spans.read import first_text
from pipeline.spans.span import CLIENT, ERROR, Span

Role = Literal[
    "call",  # a call of a model
    "tool",  # a call of a tool
    "begun",  # the request of a stream: the call is told by a log line behind it
    "ended",  # that log line
    "raw",  # litellm's, of the provider's own answer, without the names of a call; the call beside it, or the call itself
    "",  # nobody's, or an agent, chain or workflow, which repeats what its calls used
]


class Kind(NamedTuple):
    """A role, and the operation as we call it."""

    role: Role
    operation: str = ""


_NOBODY = Kind("")
_WORDS: dict[str, Kind] = {
    # gen_ai.operation.name, litellm's too
    "chat": Kind("call", "chat"), "text_completion": Kind("call", "text_completion"), "generate_content": Kind("call", "generate_content"),
    "embeddings": Kind("call", "embeddings"), "completion": Kind("call", "chat"), "acompletion": Kind("call", "chat"),
    "embedding": Kind("call", "embeddings"), "aembedding": Kind("call", "embeddings"), "responses": Kind("call", "responses"),
    "aresponses": Kind("call", "responses"), "atext_completion": Kind("call", "text_completion"),
    "execute_tool": Kind("tool", "execute_tool"),
    # openinference.span.kind, llm.request.type, langfuse.observation.type, traceloop.span.kind
    "llm": Kind("call", "chat"), "generation": Kind("call", "chat"), "tool": Kind("tool", "execute_tool"),
    # the AI SDK: the call is what an operation does, the operation around it repeats its sums
    "ai.generatetext.dogenerate": Kind("call", "chat"), "ai.streamtext.dostream": Kind("call", "chat"),
    "ai.generateobject.dogenerate": Kind("call", "chat"), "ai.streamobject.dostream": Kind("call", "chat"),
    "ai.embed.doembed": Kind("call", "embeddings"), "ai.embedmany.doembed": Kind("call", "embeddings"),
    "ai.toolcall": Kind("tool", "execute_tool"),
}  # fmt: skip
_AROUND = frozenset({
    "invoke_agent", "create_agent", "invoke_workflow", "agent", "chain", "workflow", "task", "retriever", "retrieval", "reranker", "guardrail",
    "evaluator", "prompt", "span", "event", "plan", "ai.generatetext", "ai.streamtext", "ai.generateobject", "ai.streamobject", "ai.embed",
    "ai.embedmany",
})  # fmt: skip
RAW_NAME = "raw_gen_ai_request"
SDK_SCOPE = "com.anthropic.sdk"  # the provider's own package
OPENLIT_SCOPE = "openlit.instrumentation."
COUNTS = (*names.RAW_USAGE, *names.INPUT, *names.OUTPUT_TOKENS)
_STREAM = re.compile(r'"stream"\s*:\s*true')


def kind_of(span: Span) -> Kind:
    """Decided by the operation's name; by scope where an emitter says nothing else."""
    given = span.attributes
    if not given:
        if span.scope.startswith(OPENLIT_SCOPE) and span.kind == CLIENT and span.status == ERROR:
            return _WORDS.get(span.name.partition(" ")[0], _NOBODY)
        return _NOBODY
    if span.name == RAW_NAME:
        return Kind("raw", "chat")
    marked = given.get(names.LOGFIRE_TYPE)
    if marked == "pending_span":
        return _NOBODY
    word = first_text(given, names.OPERATION).lower()
    found = _WORDS.get(word)
    if found is None:
        # An operation that nobody has named yet is a call if it says what it used.
        counted = word not in _AROUND and any(name in given for name in COUNTS)
        found = Kind("call", word) if counted else _NOBODY
    if found.role == "call" and marked == "log":
        return Kind("ended", found.operation)
    if found.role == "call" and marked is not None and span.status != ERROR and _is_stream(given.get(names.REQUEST)):
        return Kind("begun", found.operation)
    return found


def _is_stream(request: object) -> bool:
    return isinstance(request, str) and _STREAM.search(request) is not None
