"""The OpenAPI 3.1 document, from the models that parse requests (`parameters`) and describe answers (`rows`)."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from query import rows
from query.parameters import (
    TAG_KEY,
    TEXT,
    Asked,
    EventQuery,
    Listed,
    ModelsQuery,
    OverviewQuery,
    TagsQuery,
    TagValuesQuery,
    ToolsQuery,
    UserQuery,
    UsersQuery,
)
from query.question import FIELDS

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
    Operation("/v1/me", "me", "Whose data this is", None, [rows.Me]),
    Operation(
        f"{BASE}/overview", "overview", "Everything in the window, or grouped", OverviewQuery,
        [rows.OverviewAnswer, rows.GroupsAnswer], exports=True,
    ),
    Operation(f"{BASE}/users", "users", "Spend by user", UsersQuery, [rows.UsersAnswer], exports=True),
    Operation(f"{BASE}/users/{{id}}", "user", "One user", UserQuery, [rows.UserAnswer], may_be_missing=True),
    Operation(f"{BASE}/traces", "traces", "Traces, newest first", Listed, [rows.TracesAnswer], exports=True),
    Operation(f"{BASE}/traces/{{id}}", "trace", "One trace with its events", Asked, [rows.TraceAnswer], may_be_missing=True),
    Operation(f"{BASE}/events", "events", "Events, newest first", Listed, [rows.EventsAnswer], exports=True),
    Operation(f"{BASE}/events/{{id}}", "event", "One event", EventQuery, [rows.EventAnswer], may_be_missing=True),
    Operation(f"{BASE}/models", "models", "Spend and latency by model", ModelsQuery, [rows.ModelsAnswer], exports=True),
    Operation(f"{BASE}/tools", "tools", "Calls, success and latency by tool", ToolsQuery, [rows.ToolsAnswer], exports=True),
    Operation(f"{BASE}/tags", "tags", "The tag keys that were sent", TagsQuery, [rows.TagsAnswer], exports=True),
    Operation(f"{BASE}/tags/{{id}}", "tag", "The values of a tag key", TagValuesQuery, [rows.TagValuesAnswer], exports=True),
    Operation(f"{BASE}/diagnosis", "diagnosis", "Why a page is empty", Asked, [rows.DiagnosisAnswer]),
    Operation(f"{BASE}/notices", "notices", "What the owner should know", Asked, [rows.NoticesAnswer]),
)  # fmt: skip


def document() -> dict[str, Any]:
    """The whole document."""
    models = {model for operation in OPERATIONS for model in operation.answers} | {rows.Problem}
    ordered = sorted(models, key=lambda model: model.__name__)
    refs, definitions = models_json_schema([(model, "serialization") for model in ordered], ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Percapita", "version": importlib.metadata.version("percapita-server"), "license": {"name": "Apache-2.0"},
            "description": "What each of your end users costs you in LLM spend. Money is a decimal string, times are RFC 3339 UTC.",
        },
        "security": [{"key": []}, {"session": []}],
        "paths": {op.path: {"get": _operation(op, refs)} for op in OPERATIONS},
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "a key with the scope read"},
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
    answers["304"] = {"description": "nothing moved since the ETag"}
    told = {
        "400": "a parameter is unknown or wrong",
        "401": "no good key",
        "403": "the key may not read",
        "503": "try again",
    }
    if op.may_be_missing:
        told |= {"404": "never seen", "409": "two traces have an event of this id"}
    if op.query is not None and issubclass(op.query, Listed):
        told["410"] = "the cursor's answer is no longer kept"
    problem = {"application/problem+json": {"schema": refs[rows.Problem, "serialization"]}}
    answers |= {status: {"description": text, "content": problem} for status, text in told.items()}
    return {
        "operationId": op.id, "summary": op.summary, "parameters": list(_parameters(op)), "responses": answers,
    }  # fmt: skip


def _parameters(op: Operation) -> Iterator[dict[str, Any]]:
    if "{id}" in op.path:
        yield {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    if op.query is None:
        return
    shape = op.query.model_json_schema(mode="validation")
    for name, schema in shape["properties"].items():
        described = {key: value for key, value in schema.items() if key not in ("title", "description", "default")}
        yield {"name": name, "in": "query", "description": schema.get("description", ""), "schema": described}
    for name in FIELDS:
        for sign, word in (("", "is any of"), ("!", "is none of")):
            yield {
                "name": name + sign, "in": "query", "description": f"{name} {word}; empty: has none", "explode": True,
                "schema": {"type": "array", "items": TEXT, "maxItems": 100},
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
