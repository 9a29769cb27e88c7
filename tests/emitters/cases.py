"""The calls that every emitter makes, and for whom. No imports from outside the standard library: emitters' environments read this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SESSION = "session-1"
TAGS = {"plan": "pro", "org": "acme"}
TOOL = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}


@dataclass(frozen=True)
class Case:
    """One call. `text` is what the provider server reads; `more` goes to the call as it is.

    `api`: chat, responses, embeddings, messages, beta. `how`: plain, stream (read to its end), abandoned, helper (the package's
    `.stream()`), parse, raw (`with_raw_response`), async.
    """

    name: str
    api: str
    how: str
    model: str
    text: str
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def provider(self) -> str:
        return "anthropic" if self.api in ("messages", "beta") else "openai"

    @property
    def user(self) -> str:
        """One user of each provider: what one sends must not land on the other."""
        return "bob" if self.provider == "anthropic" else "ada"

    @property
    def words(self) -> str:
        """The request's text, which names its case."""
        return f"case:{self.name} {self.text}"


_GPT, _GPT_AS = "gpt-4o", "as:gpt-4o-2024-08-06"
_CLAUDE, _CLAUDE_AS = "claude-sonnet-4-5", "as:claude-sonnet-4-5-20250929"
_COUNTED = {"stream_options": {"include_usage": True}}
_CHAT_TOOL = {"tools": [{"type": "function", "function": {"name": "look", "parameters": TOOL}}]}
_CLAUDE_TOOL = {"tools": [{"name": "look", "input_schema": TOOL}]}
_THINKING = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096}
_SEARCH = {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}

CASES: tuple[Case, ...] = (
    Case("chat-plain", "chat", "plain", _GPT, f"tokens:1000,400,0,50 {_GPT_AS}"),
    # The alias has another price than this dated model.
    Case("chat-dated", "chat", "plain", _GPT, "tokens:1100,0,0,51 as:gpt-4o-2024-05-13"),
    Case("chat-async", "chat", "async", _GPT, f"tokens:1200,0,0,52 {_GPT_AS}"),
    Case("chat-stream", "chat", "stream", _GPT, f"tokens:1300,300,0,53 {_GPT_AS}", _COUNTED),
    Case("chat-stream-bare", "chat", "stream", _GPT, f"tokens:1400,0,0,54 {_GPT_AS}"),
    Case("chat-abandoned", "chat", "abandoned", _GPT, f"tokens:1500,0,0,55 {_GPT_AS}"),
    Case("chat-helper", "chat", "helper", _GPT, f"tokens:1600,0,0,56 {_GPT_AS}", _COUNTED),
    Case("chat-parse", "chat", "parse", _GPT, f"tokens:1700,0,0,57 {_GPT_AS}"),
    Case("chat-raw", "chat", "raw", _GPT, f"tokens:1800,0,0,58 {_GPT_AS}"),
    Case("chat-tools", "chat", "plain", _GPT, f"tokens:1900,0,0,59 {_GPT_AS}", _CHAT_TOOL),
    Case("chat-reasoning", "chat", "plain", "gpt-5", "tokens:2000,500,0,600 reasoning:400 as:gpt-5-2025-08-07"),
    Case("chat-writes", "chat", "plain", "gpt-6-sol", "tokens:2100,200,700,61 long:300"),
    Case("chat-writes-stream", "chat", "stream", "gpt-6-sol", "tokens:2200,200,700,62", _COUNTED),
    Case("chat-audio", "chat", "plain", "gpt-audio", "tokens:2300,0,0,163 audio:900,63,0"),
    Case("chat-priority", "chat", "plain", "gpt-4.1", "tokens:2400,0,0,64", {"service_tier": "priority"}),
    Case("chat-priority-refused", "chat", "plain", "gpt-4.1", "tokens:2500,0,0,65 served:default", {"service_tier": "priority"}),
    Case("chat-flex-stream", "chat", "stream", "gpt-5", "tokens:2600,0,0,66", {"service_tier": "flex", **_COUNTED}),
    Case("chat-error-429", "chat", "plain", _GPT, "fail:429"),
    Case("chat-error-400", "chat", "plain", _GPT, "fail:400"),
    Case("responses-plain", "responses", "plain", _GPT, f"tokens:3000,600,0,70 {_GPT_AS}"),
    Case("responses-stream", "responses", "stream", _GPT, f"tokens:3100,0,0,71 {_GPT_AS}"),
    Case("responses-parse", "responses", "parse", _GPT, f"tokens:3200,0,0,72 {_GPT_AS}"),
    Case("responses-reasoning", "responses", "plain", "gpt-5", "tokens:3300,0,0,730 reasoning:500"),
    Case("responses-writes", "responses", "plain", "gpt-6-sol", "tokens:3400,400,800,74 long:200"),
    Case("responses-flex", "responses", "plain", "gpt-5", "tokens:3500,0,0,75", {"service_tier": "flex"}),
    Case("responses-error-500", "responses", "plain", _GPT, "fail:500"),
    Case("embeddings-plain", "embeddings", "plain", "text-embedding-3-small", "tokens:4000,0,0,0"),
    Case("messages-plain", "messages", "plain", _CLAUDE, f"tokens:500,300,0,90 {_CLAUDE_AS}"),
    Case("messages-writes", "messages", "plain", _CLAUDE, f"tokens:510,310,1000,91 long:400 {_CLAUDE_AS}"),
    Case("messages-async", "messages", "async", _CLAUDE, f"tokens:520,0,0,92 {_CLAUDE_AS}"),
    Case("messages-stream", "messages", "stream", _CLAUDE, f"tokens:530,330,1000,93 long:400 {_CLAUDE_AS}"),
    Case("messages-abandoned", "messages", "abandoned", _CLAUDE, f"tokens:540,0,0,94 {_CLAUDE_AS}"),
    Case("messages-helper", "messages", "helper", _CLAUDE, f"tokens:550,350,200,95 long:0 {_CLAUDE_AS}"),
    Case("messages-parse", "messages", "parse", _CLAUDE, f"tokens:560,0,0,96 {_CLAUDE_AS}"),
    Case("messages-raw", "messages", "raw", _CLAUDE, f"tokens:570,0,0,97 {_CLAUDE_AS}"),
    Case("messages-tools", "messages", "plain", _CLAUDE, f"tokens:580,0,0,98 {_CLAUDE_AS}", _CLAUDE_TOOL),
    Case("messages-thinking", "messages", "plain", _CLAUDE, f"tokens:590,0,0,990 reasoning:700 {_CLAUDE_AS}", _THINKING),
    Case("messages-search", "messages", "plain", _CLAUDE, f"tokens:600,0,0,100 searches:3 {_CLAUDE_AS}", _SEARCH),
    Case("messages-search-stream", "messages", "stream", _CLAUDE, f"tokens:610,0,0,101 searches:2 {_CLAUDE_AS}", _SEARCH),
    Case("messages-batch-tier", "messages", "plain", _CLAUDE, f"tokens:620,0,0,102 served:batch {_CLAUDE_AS}"),
    Case("messages-error-429", "messages", "plain", _CLAUDE, "fail:429"),
    Case("messages-error-in-stream", "messages", "stream", _CLAUDE, f"tokens:640,0,0,104 error:5 {_CLAUDE_AS}"),
    Case("beta-plain", "beta", "plain", _CLAUDE, f"tokens:650,100,100,105 long:60 {_CLAUDE_AS}"),
    Case("beta-fast", "beta", "plain", "claude-opus-5", "tokens:660,0,0,106", {"speed": "fast"}),
)  # fmt: skip
BY_NAME = {case.name: case for case in CASES}
