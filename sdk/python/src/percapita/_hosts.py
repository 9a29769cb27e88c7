"""Whose prices count: the provider behind a client."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

# Beginnings of a client's class name; the classes of one package that speak to another's cloud.
_CLASSES = (
    ("Azure", "azure"), ("Foundry", "azure"), ("Bedrock", "aws"), ("AWS", "aws"), ("Vertex", "google"), ("GoogleCloud", "google"),
)  # fmt: skip
# Ends of host names, for the many who speak OpenAI's or Anthropic's format.
_HOSTS = (
    ("openai.azure.com", "azure"), ("services.ai.azure.com", "azure"), ("amazonaws.com", "aws"), ("aiplatform.googleapis.com", "google"),
    ("generativelanguage.googleapis.com", "google"), ("api.deepseek.com", "deepseek"), ("api.groq.com", "groq"), ("openrouter.ai", "openrouter"),
    ("api.x.ai", "x-ai"), ("api.mistral.ai", "mistral"), ("api.together.xyz", "together"), ("api.together.ai", "together"),
    ("api.fireworks.ai", "fireworks"), ("api.perplexity.ai", "perplexity"), ("api.cerebras.ai", "cerebras"), ("api.cohere.com", "cohere"),
    ("api.moonshot.ai", "moonshotai"), ("api.novita.ai", "novita"), ("router.huggingface.co", "huggingface"),
)  # fmt: skip
# Known to take `stream_options.include_usage`; a server that does not know the option may refuse the call.
_TAKES_USAGE = (
    "openai.com",
    "api.groq.com",
    "api.deepseek.com",
    "openrouter.ai",
    "api.x.ai",
)
_AZURE = ("openai.azure.com", "services.ai.azure.com")
_AZURE_SINCE = "2024-09-01"  # the first version of Azure's that knows the option; one before answers 400


def provider_of(client: Any, package: str) -> str:
    """As prices know it: told by the client's class, else by its address, else the package's own."""
    for cls in type(client).__mro__:
        for part, provider in _CLASSES:
            if part in cls.__name__:
                return provider
    host = host_of(client)
    return next((provider for end, provider in _HOSTS if _ends(host, end)), package)


def takes_usage(client: Any) -> bool:
    """Whether a stream may be asked for its usage. PERCAPITA_INCLUDE_USAGE=1 says yes for every host, 0 for none."""
    wish = os.environ.get("PERCAPITA_INCLUDE_USAGE", "")
    if wish in ("0", "1"):
        return wish == "1"
    host = host_of(client)
    if any(_ends(host, end) for end in _AZURE):
        return _azure_takes_usage(client)
    return any(_ends(host, end) for end in _TAKES_USAGE)


def _azure_takes_usage(client: Any) -> bool:
    """By the version of the API: of the client, of every request's query, or the one that has only a path."""
    query = getattr(client, "default_query", None)
    version = getattr(client, "_api_version", None) or (query.get("api-version") if isinstance(query, dict) else None)
    if not isinstance(version, str):
        return "/openai/v1" in str(getattr(client, "base_url", ""))
    return version >= _AZURE_SINCE  # dates; `preview`, `latest` and `v1` come behind them


def host_of(client: Any) -> str:
    """Of the client's base URL, in lower case."""
    return (urlsplit(str(getattr(client, "base_url", ""))).hostname or "").lower()


def _ends(host: str, end: str) -> bool:
    return host == end or host.endswith(f".{end}")
