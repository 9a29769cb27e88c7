"""What a model says: words, a call of the first tool offered, or an instance of the schema asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.support.providers.asked import Asked

WORDS = ["The ", "answer ", "is ", "forty", "-two", "."]
THOUGHT = "It is the answer to everything."


@dataclass(frozen=True)
class Answer:
    """The text in pieces as a stream brings them, or the call of a tool with its arguments in pieces."""

    pieces: tuple[str, ...]
    tool: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def answer(asked: Asked) -> Answer:
    """A tool is called where one is offered and the conversation does not hold its result yet."""
    tool = _first_tool(asked.body)
    if tool is not None and not _has_result(asked.body):
        return Answer(_pieces(json.dumps(instance(tool[1]))), tool[0])
    schema = _schema(asked.body)
    if schema is not None:
        return Answer(_pieces(json.dumps(instance(schema))))
    return Answer(tuple(WORDS))


def instance(schema: dict[str, Any], whole: dict[str, Any] | None = None) -> Any:
    """The plainest value that a JSON schema allows."""
    whole = schema if whole is None else whole
    if "$ref" in schema:
        found: Any = whole
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return instance(found, whole)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return instance(schema[choice][0], whole)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: instance(part, whole) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [instance(schema.get("items", {"type": "string"}), whole)]
    return {"string": "forty-two", "integer": 42, "number": 42.5, "boolean": True}.get(kind)


def _first_tool(body: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    if body.get("tool_choice") in ("none", {"type": "none"}):
        return None
    for tool in body.get("tools") or []:
        if tool.get("type") == "function":  # of chat completions, and of responses
            found = tool.get("function", tool)
            return found["name"], found.get("parameters") or {}
        if "input_schema" in tool:
            return tool["name"], tool["input_schema"]
    return None


def _has_result(body: dict[str, Any]) -> bool:
    turns = body.get("messages") or body.get("input")
    if not isinstance(turns, list) or not turns:
        return False
    last = turns[-1]
    content = last.get("content")
    return (
        last.get("role") == "tool"
        or last.get("type") == "function_call_output"
        or (isinstance(content, list) and any(part.get("type") == "tool_result" for part in content))
    )


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    shape = body.get("response_format") or (body.get("text") or {}).get("format")
    shape = shape or (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    if shape.get("type") == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "integer"}}}
    if shape.get("type") != "json_schema":
        return None
    found: dict[str, Any] = shape.get("schema") or shape["json_schema"]["schema"]
    return found


def _pieces(text: str, size: int = 9) -> tuple[str, ...]:
    return tuple(text[at : at + size] for at in range(0, len(text), size))
