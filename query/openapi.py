"""The OpenAPI 3.1 document, from the models that parse requests (`parameters`) and describe answers (`rows`)."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from query import access, replied
from query.embed import Wanted
from query.keys import KeyWanted, Rotation
from query.parameters import (
    TAG_KEY,
    TEXT,
    Asked,
    EventQuery,
    EventsQuery,
    Listed,
    ModelsQuery,
    OverviewQuery,
    TagsQuery,
    TagValuesQuery,
    ToolsQuery,
    TracesQuery,
    UserQuery,
    UsersQuery,
)
from query.question import FIELDS, MOST_VALUES
from query.sessions import HEADER

BASE = "/v1/me/ai-apps"
_REF = "#/components/schemas/{model}"


class Operation(NamedTuple):
    """One GET of the API."""

    path: str
    id: str
    summary: str
    query: type[Asked] | None
    answers: Sequence[type[BaseModel]]
    exports: bool = False
    may_be_missing: bool = False


OPERATIONS = (
    Operation("/v1/me", "me", "Whose data this is", None, [access.Me]),
    Operation(
        f"{BASE}/overview", "overview", "Everything in the window, or grouped", OverviewQuery,
        [replied.OverviewAnswer, replied.GroupsAnswer], exports=True,
    ),
    Operation(f"{BASE}/users", "users", "Spend by user", UsersQuery, [replied.UsersAnswer], exports=True),
    Operation(f"{BASE}/users/{{id}}", "user", "One user", UserQuery, [replied.UserAnswer], may_be_missing=True),
    Operation(f"{BASE}/traces", "traces", "Traces, newest first", TracesQuery, [replied.TracesAnswer], exports=True),
    Operation(f"{BASE}/traces/{{id}}", "trace", "One trace with its events", Asked, [replied.TraceAnswer], may_be_missing=True),
    Operation(f"{BASE}/events", "events", "Events, newest first", EventsQuery, [replied.EventsAnswer], exports=True),
    Operation(f"{BASE}/events/{{id}}", "event", "One event", EventQuery, [replied.EventAnswer], may_be_missing=True),
    Operation(f"{BASE}/models", "models", "Spend and latency by model", ModelsQuery, [replied.ModelsAnswer], exports=True),
    Operation(f"{BASE}/tools", "tools", "Calls, success and latency by tool", ToolsQuery, [replied.ToolsAnswer], exports=True),
    Operation(f"{BASE}/tags", "tags", "The tag keys that were sent", TagsQuery, [replied.TagsAnswer], exports=True),
    Operation(f"{BASE}/tags/{{id}}", "tag", "The values of a tag key", TagValuesQuery, [replied.TagValuesAnswer], exports=True),
    Operation(f"{BASE}/diagnosis", "diagnosis", "Why a page is empty", Asked, [replied.DiagnosisAnswer]),
    Operation(f"{BASE}/notices", "notices", "What the owner should know", Asked, [replied.NoticesAnswer]),
)  # fmt: skip


class Other(NamedTuple):
    """What is not a question: sessions, embedding, the stream."""

    method: str
    path: str
    id: str
    summary: str
    told: dict[str, str]  # how it may end: the first is well
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    security: Sequence[dict[str, list[str]]] = ({"key": []}, {"session": []})
    same_site: bool = False  # carries a header that no foreign form can send


_HEADERS = {
    name: {"description": told, "schema": {"type": kind}}
    for name, told, kind in (
        ("ETag", "of the answer without the clock: asked again with If-None-Match, an answer that did not move is 304", "string"),
        ("RateLimit", "what is left of the policy", "string"),
        ("RateLimit-Policy", "how many questions a minute", "string"),
        ("Retry-After", "seconds", "integer"),
    )
}  # fmt: skip
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_BODY = {
    "400": "the body is wrong",
    "408": "the body came too slowly",
    "413": "the body is too large",
    "415": "the body is no JSON",
}
_READ = {"401": "no good key", "403": "the key may not read", "429": "too many questions", "503": "try again"}
_ADMIN = _READ | {"403": "the key has not the scope admin, or is restricted to tags"}
_KEY: Sequence[dict[str, list[str]]] = ({"key": []},)
OTHERS = (
    Other(
        "get", "/v1/me/stream", "stream", "Says when data moved (server-sent events: `watermark`)",
        {"200": "until the client leaves or the key ends", "400": "a parameter", **_READ},
    ),
    Other(
        "post", "/v1/session", "sign_in", "Open a session of the dashboard",
        {"204": "the cookie is set", "401": "no good key, or the link was used", "403": "no such header", "503": "try again", **_BODY},
        body=access.SignIn, security=(), same_site=True,
    ),
    Other(
        "delete", "/v1/session", "sign_out", "End the session in every process",
        {"204": "it has ended", "401": "no session", "403": "no such header", "503": "try again"},
        security=({"session": []},), same_site=True,
    ),
    Other("get", "/v1/me/keys", "keys", "The account's keys", {"200": "without their secrets", **_ADMIN}, answer=access.ApiKeys, security=_KEY),
    Other(
        "post", "/v1/me/keys", "create_key", "Make a key", {"201": "the key, shown this once", **_ADMIN, **_BODY},
        body=KeyWanted, answer=access.ApiKeyMade, security=_KEY,
    ),
    Other(
        "post", "/v1/me/keys/{id}/rotate", "rotate_key", "Make a key in the place of another, which is good a while longer",
        {"201": "the new key, shown this once", "404": "no such key", **_ADMIN, **_BODY},
        body=Rotation, answer=access.ApiKeyRotated, security=_KEY,
    ),
    Other(
        "delete", "/v1/me/keys/{id}", "revoke_key", "Revoke a key at once and for good",
        {"200": "it is good no more", "404": "no such key", **_ADMIN}, answer=access.ApiKeyRevoked, security=_KEY,
    ),
    Other(
        "post", "/v1/me/embed-tokens", "embed_token", "Mint a token for a tenant's page",
        {"201": "the token", **_READ, **_BODY}, body=Wanted, answer=access.EmbedMinted,
    ),
    Other(
        "post", "/v1/embed/session", "embed_session", "Trade a token for a credential",
        {"200": "the credential", "401": "the token is not ours, or its time is over", "403": "no such header", "503": "try again", **_BODY},
        body=access.EmbedToken, answer=access.EmbedSession, security=(), same_site=True,
    ),
)  # fmt: skip


def document() -> dict[str, Any]:
    """The whole document."""
    answers = {model for operation in OPERATIONS for model in operation.answers} | {replied.Problem}
    answers |= {other.answer for other in OTHERS if other.answer is not None}
    shapes: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((model, "serialization") for model in sorted(answers, key=lambda model: model.__name__)),
        *((other.body, "validation") for other in OTHERS if other.body is not None),
    ]  # fmt: skip
    refs, definitions = models_json_schema(shapes, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {op.path: {"get": _operation(op, refs)} for op in OPERATIONS}
    for other in OTHERS:
        paths.setdefault(other.path, {})[other.method] = _other(other, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Percapita", "version": importlib.metadata.version("percapita-server"), "license": {"name": "Apache-2.0"},
            "description": "What each of your end users costs you in LLM spend. Money is a decimal string, times are RFC 3339 UTC.",
        },
        "security": [{"key": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "a key with the scope read (of keys: admin), or a framed page's credential"},
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-percapita"},
            },
        },
    }  # fmt: skip


def _operation(op: Operation, refs: dict[Any, Any]) -> dict[str, Any]:
    schemas = [refs[model, "serialization"] for model in op.answers]
    content: dict[str, Any] = {"application/json": {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}}
    if op.exports:
        content |= {
            kind: {"schema": {"type": "string"}}
            for kind in ("text/csv", "application/x-ndjson", "application/vnd.apache.parquet")
        }
    answers: dict[str, Any] = {"200": {"description": "the answer", "content": content}}
    answers["200"]["headers"] = {name: _HEADERS[name] for name in ("ETag", "RateLimit", "RateLimit-Policy")}
    answers["304"] = {"description": "nothing moved since the ETag", "headers": {"ETag": _HEADERS["ETag"]}}
    told = {
        "400": "a parameter is unknown or wrong",
        **_READ,
    }
    if op.may_be_missing:
        told["404"] = "never seen"
    if op.query is EventQuery:
        told["409"] = "two traces have an event of this id"
    if op.query is not None and issubclass(op.query, Listed):
        told["410"] = "the cursor's answer is no longer kept"
    problem = {"application/problem+json": {"schema": refs[replied.Problem, "serialization"]}}
    answers |= {status: {"description": text, "content": problem} for status, text in told.items()}
    for status in ("429", "503"):
        answers[status]["headers"] = {"Retry-After": _HEADERS["Retry-After"]}
    return {
        "operationId": op.id, "summary": op.summary, "parameters": list(_parameters(op)), "responses": answers,
    }  # fmt: skip


def _other(other: Other, refs: dict[Any, Any]) -> dict[str, Any]:
    well, *_ = other.told
    problem = {"application/problem+json": {"schema": refs[replied.Problem, "serialization"]}}
    answers: dict[str, Any] = {status: {"description": text, "content": problem} for status, text in other.told.items()}
    answers[well] = {"description": other.told[well]}
    if other.answer is not None:
        answers[well]["content"] = {"application/json": {"schema": refs[other.answer, "serialization"]}}
    if other.id == "stream":
        answers[well]["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    made: dict[str, Any] = {
        "operationId": other.id, "summary": other.summary, "security": list(other.security), "responses": answers,
    }  # fmt: skip
    if "{id}" in other.path:
        made["parameters"] = [_ID]
    if other.same_site:
        made["parameters"] = [{
            "name": HEADER, "in": "header", "required": True, "description": "anything: no form of another site can send it",
            "schema": {"type": "string", "pattern": "^[a-z0-9]*$"},
        }]  # fmt: skip
    if other.body is not None:
        content = {"application/json": {"schema": refs[other.body, "validation"]}}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _parameters(op: Operation) -> Iterator[dict[str, Any]]:
    if "{id}" in op.path:
        yield _ID
    if op.query is None:
        return
    shape = op.query.model_json_schema(mode="validation")
    for name, schema in shape["properties"].items():
        described = {key: value for key, value in schema.items() if key not in ("title", "description")}
        if described.get("default") in ("", 0):  # not said; what that means stands in the description
            del described["default"]
        yield {"name": name, "in": "query", "description": schema.get("description", ""), "schema": described}
    for name in FIELDS:
        for sign, word in (("", "is any of"), ("!", "is none of")):
            yield {
                "name": name + sign, "in": "query", "description": f"{name} {word}; empty: has none", "explode": True,
                "schema": {"type": "array", "items": TEXT, "maxItems": MOST_VALUES},
            }  # fmt: skip
    yield {
        "name": "tags", "in": "query", "style": "form", "explode": True,
        "description": "any tag: tag.KEY=VALUE, repeated for OR; tag.KEY!=VALUE excludes; an empty value: has no such tag",
        "schema": {
            "type": "object", "propertyNames": {"pattern": rf"^tag\.{TAG_KEY.pattern}!?$"}, "additionalProperties": TEXT,
            "maxProperties": 32,
        },
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(document(), indent=1))  # into dashboard/openapi.json, from which its types are made
