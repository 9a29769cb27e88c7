"""Failures, each in its provider's own shape."""

from __future__ import annotations

from typing import Any

from tests.support.providers.reply import Reply, plain

_OPENAI = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}
_ANTHROPIC = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip
_AZURE = {401: "401", 404: "DeploymentNotFound", 429: "429", 500: "InternalServerError"}
_AMAZON = {
    400: "ValidationException", 403: "AccessDeniedException", 404: "ResourceNotFoundException", 408: "ModelTimeoutException",
    429: "ThrottlingException", 503: "ServiceUnavailableException",
}  # fmt: skip
_GOOGLE = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}  # fmt: skip


def failure(provider: str, status: int, message: str, request: str, retry_after: str | None) -> Reply:
    """A refusal. `request` is its id."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    if provider == "openai":
        kind, code = _OPENAI.get(status, ("server_error", None))
        error: Any = {"message": message, "type": kind, "param": None, "code": code}
        return plain({"error": error}, status, **headers)
    if provider == "azure":
        return plain({"error": {"code": _AZURE.get(status, "BadRequest"), "message": message}}, status, **headers)
    if provider == "bedrock":
        kind = _AMAZON.get(status, "InternalServerException")
        return plain({"message": message}, status, **{"x-amzn-errortype": f"{kind}:"}, **headers)
    if provider == "vertex":
        error = {"code": status, "message": message, "status": _GOOGLE.get(status, "INTERNAL")}
        return plain({"error": error}, status, **headers)
    error = {"type": _ANTHROPIC.get(status, "api_error"), "message": message}
    return plain({"type": "error", "error": error, "request_id": request}, status, **headers)
