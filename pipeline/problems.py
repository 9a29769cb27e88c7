"""Trouble as an answer: RFC 9457, with a stable code."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from aiohttp import web

from pipeline.errors import BadQuestion, PercapitaError, StoreError, TooMany, Unauthorized, Unavailable

TITLES = {
    400: "Bad request", 401: "Unauthorized", 403: "Forbidden", 404: "Not found", 405: "Method not allowed", 408: "Too slow",
    409: "Conflict", 410: "Gone", 413: "Too large", 415: "Unsupported media type", 429: "Too many requests",
    417: "Expectation failed", 500: "Internal error", 503: "Unavailable",
}  # fmt: skip


def problem(
    status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, errors: list[Any] | None = None
) -> web.Response:
    """A problem+json answer."""
    body: dict[str, Any] = {
        "type": "about:blank", "title": TITLES.get(status, "Error"), "status": status, "code": code, "detail": detail,
        "request_id": str(uuid4()),
    }  # fmt: skip
    if errors:
        body["errors"] = errors
    return web.Response(
        status=status, body=json.dumps(body).encode(), content_type="application/problem+json", headers=headers or {}
    )


def problem_of(error: PercapitaError) -> web.Response:
    """The answer that an exception suggests."""
    headers = {}
    errors = None
    if isinstance(error, (Unavailable, TooMany)):
        headers["Retry-After"] = str(error.retry_after)
    elif error.status == 503:
        headers["Retry-After"] = "2"
    elif isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="percapita"'
    if isinstance(error, BadQuestion) and error.parameter:
        errors = [{"parameter": error.parameter, "detail": error.detail}]
    detail = error.told if isinstance(error, StoreError) else error.detail
    return problem(error.status, error.code, detail, headers=headers, errors=errors)
