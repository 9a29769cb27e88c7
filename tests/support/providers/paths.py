"""Which provider and which API a path is."""

from __future__ import annotations

import re
from typing import Any

_CHAT = re.compile(r"/chat/completions$")
_RESPONSES = re.compile(r"/responses$")
_EMBEDDINGS = re.compile(r"/embeddings$")
_MESSAGES = re.compile(r"/messages$")
_COUNT = re.compile(r"/messages/count_tokens$|/models/count-tokens(@[^:/]+)?:rawPredict$")
_AMAZON = re.compile(r"/model/(?P<model>[^/]+)/invoke(?P<stream>-with-response-stream)?$")
_GOOGLE = re.compile(r"/projects/.+/models/(?P<model>[^/:]+):(?P<stream>streamRawPredict|rawPredict)$")
_AZURE = re.compile(r"/openai/(deployments/(?P<model>[^/]+)|v1)/")


def provider_of(path: str) -> str:
    if _AZURE.search(path):
        return "azure"
    if _AMAZON.search(path):
        return "bedrock"
    if _GOOGLE.search(path) or _COUNT.search(path):
        return "vertex" if "/projects/" in path else "anthropic"
    return "anthropic" if _MESSAGES.search(path) else "openai"


def api_of(path: str) -> tuple[str, dict[str, Any]] | None:
    """Which API a path is, and what of the request stands in the path."""
    if _COUNT.search(path):
        return "count_tokens", {}
    cloud = _AMAZON.search(path) or _GOOGLE.search(path)
    if cloud is not None:
        streams = cloud["stream"] in ("-with-response-stream", "streamRawPredict")
        return "messages", {"model": cloud["model"], "stream": streams}
    azure = _AZURE.search(path)
    given = {"model": azure["model"]} if azure is not None and azure["model"] else {}
    for pattern, api in (
        (_CHAT, "chat"), (_RESPONSES, "responses"), (_EMBEDDINGS, "embeddings"), (_MESSAGES, "messages"),
    ):  # fmt: skip
        if pattern.search(path):
            return api, given
    return None
