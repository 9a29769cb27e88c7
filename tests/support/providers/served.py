"""What the server served: the truth that a recording of the same call is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Served:
    """One answered request.

    `usage` is what the provider counts and bills, in its own shape, also where a stream did not tell it (`told` is false) or was
    cut; None where the call failed.
    """

    path: str
    api: str  # chat, responses, embeddings, messages, count_tokens
    provider: str  # openai, azure, anthropic, bedrock, vertex
    body: dict[str, Any]
    id: str
    model: str
    tier: str
    status: int
    usage: dict[str, Any] | None
    streamed: bool
    told: bool
