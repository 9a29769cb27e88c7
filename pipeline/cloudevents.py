"""A CloudEvent (1.0; JSON, or HTTP's binary mode) -> an event in our fields.

`id` and `source` make its id, `subject` is the user, `time` its timestamp, `data` all else. A `type` of `percapita.llm` (or tool, log, trace,
custom) is the event's type; any other says nothing of it. `id`, `source`, `type` and extensions are kept under `metadata.cloudevents`.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote
from uuid import NAMESPACE_URL, uuid5

from pipeline import limits
from pipeline.fields import Problem
from pipeline.wire import Translated, read_object

_OURS = "percapita."
_READ = frozenset({"specversion", "subject", "time", "datacontenttype"})  # the others are kept
_NAME = re.compile(r"[a-z0-9]+")
_URI_REFERENCE = re.compile(r"[^\x00-\x20\x7f<>\"{}|\\^`]+")
_JSON_TYPE = re.compile(r"application/json|[\w.+-]+/[\w.+-]+\+json")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
_PRINTED = re.compile(r"[\x20-\x7e]*")
_ESCAPED = re.compile(r"\\(.)")


class _Names(NamedTuple):
    """What the sender calls an attribute, and a field of the data."""

    attribute: str
    data: str

    def sent_as(self, said: Mapping[str, str], field: str) -> str:
        """`said`: our fields that stand in attributes, and in which."""
        return f"{self.attribute}{said[field]}" if field in said else f"{self.data}{field}"


_HEADERS = _Names("ce-", "")


def translate(event: Mapping[str, Any]) -> Translated | Problem:
    """One event of the JSON format."""
    attributes = {name: value for name, value in event.items() if name not in ("data", "data_base64")}
    problem = _problem_of(attributes)
    if problem is not None:
        return problem
    found = _data(event)
    if isinstance(found, Problem):
        return found
    data, at, repaired = found
    return _joined(attributes, data, _Names("", f"{at}."), repaired)


def translate_binary(attributes: Mapping[str, str], data: Mapping[str, Any]) -> Translated | Problem:
    """One event of the HTTP binary mode: `attributes` are the values of its `ce-` headers, `data` is its body."""
    plain: dict[str, str] = {}
    for name, value in attributes.items():
        text = _header_text(value)
        if text is None:
            return Problem("invalid_value", f"ce-{name}", "printable ASCII, other characters percent-encoded")
        plain[name] = text
    problem = _problem_of(plain)
    if problem is not None:
        return Problem(problem.code, f"ce-{problem.field}", problem.detail)
    return _joined(plain, data, _HEADERS, repaired=False)


def _header_text(value: str) -> str | None:
    if not _PRINTED.fullmatch(value):
        return None
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = _ESCAPED.sub(r"\1", value[1:-1])
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        return None


# --- what an event must be


def _problem_of(attributes: Mapping[str, Any]) -> Problem | None:
    """The first rule of the specification that the attributes break."""
    for name in ("specversion", "id", "source", "type"):
        if attributes.get(name) is None:
            return Problem("missing_field", name, "every CloudEvent has it")
    for name, value in attributes.items():
        problem = _attribute_problem(name, value) if value is not None else None
        if problem is not None:
            return problem
    return None


def _attribute_problem(name: str, value: Any) -> Problem | None:
    if not _NAME.fullmatch(name):
        return Problem("unknown_field", name, "the name of an attribute is of a-z and 0-9")
    if name == "time":
        return None if isinstance(value, str) else Problem("invalid_timestamp", name, "RFC 3339 with an offset")
    if name not in _RULES:
        if not isinstance(value, (str, bool, int)):
            return Problem("invalid_type", name, "an extension is a string, a whole number or true or false")
    elif not isinstance(value, str):
        return Problem("invalid_type", name, "a string")
    elif not value:
        return Problem("invalid_value", name, "not empty")
    elif not _RULES[name].fullmatch(value):
        return Problem("invalid_value", name, _MEANT[name])
    if len(str(value)) > limits.ATTRIBUTE_CHARS:
        return Problem("too_long", name, f"at most {limits.ATTRIBUTE_CHARS} characters")
    return None


_ANY = re.compile(r".*", re.DOTALL)
_RULES = {
    "specversion": re.compile(r"1\.0"), "id": _ANY, "source": _URI_REFERENCE, "type": _ANY, "subject": _ANY,
    "dataschema": _URI_REFERENCE, "datacontenttype": re.compile(rf"(?:{_JSON_TYPE.pattern})\s*(?:;.*)?", re.IGNORECASE),
}  # fmt: skip
_MEANT = {
    "specversion": "1.0 is spoken here", "source": "a URI reference", "dataschema": "a URI", "datacontenttype": "data is JSON here",
}  # fmt: skip


def _data(event: Mapping[str, Any]) -> tuple[dict[str, Any], str, bool] | Problem:
    """The data, in which member it stands, and whether surrogates were mended in it."""
    data, encoded = event.get("data"), event.get("data_base64")
    if encoded is None:
        if data is None or isinstance(data, dict):
            return data or {}, "data", False
        return Problem("invalid_type", "data", "an object: an event without what the attributes say")
    if data is not None:
        return Problem("invalid_value", "data_base64", "data is there as well")
    if not isinstance(encoded, str):
        return Problem("invalid_type", "data_base64", "a string")
    try:
        raw = b64decode(encoded, validate=True)
    except ValueError:
        return Problem("invalid_value", "data_base64", "not base64")
    found = read_object(raw)
    if isinstance(found, Problem):
        return Problem(found.code, "data_base64", found.detail)
    return found[0], "data_base64", found[1]


# --- attributes and data as one event


def _joined(
    attributes: Mapping[str, Any], data: Mapping[str, Any], names: _Names, repaired: bool
) -> Translated | Problem:
    said = {"id": "id"}
    fields = dict(data)
    given: dict[str, Any] = {"id": attributes["id"]}
    if attributes.get("time") is not None:
        given["timestamp"], said["timestamp"] = attributes["time"], "time"
    if attributes["type"].startswith(_OURS):
        given["type"], said["type"] = attributes["type"].removeprefix(_OURS), "type"
    for name, value in given.items():
        if fields.get(name) not in (None, value):
            return Problem("invalid_value", f"{names.data}{name}", f"the attribute {said[name]} says otherwise")
        fields[name] = value
    fields["id"] = str(uuid5(NAMESPACE_URL, f"{attributes['source']}\n{attributes['id']}"))
    _add_trace(fields, attributes.get("traceparent"), said)
    problem = _add_metadata(fields, attributes, names, said)
    return problem or Translated(fields, partial(names.sent_as, said), repaired)


def _add_trace(fields: dict[str, Any], traceparent: Any, said: dict[str, str]) -> None:
    found = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    if found is not None and fields.get("trace_id") is None:
        fields["trace_id"], said["trace_id"] = found.group(1), "traceparent"
        if fields.get("span_id") is None:
            fields["span_id"], said["span_id"] = found.group(2), "traceparent"


def _add_metadata(
    fields: dict[str, Any], attributes: Mapping[str, Any], names: _Names, said: dict[str, str]
) -> Problem | None:
    """The user among the tags, and what has no field of ours. Metadata and tags that are none are left for their reader to refuse."""
    metadata, subject = fields.get("metadata"), attributes.get("subject")
    if metadata is not None and not isinstance(metadata, dict):
        return None
    kept = {name: value for name, value in attributes.items() if name not in _READ and value is not None}
    fields["metadata"] = metadata = {"cloudevents": kept, **(metadata or {})}
    tags = metadata.get("tags")
    if subject is None or not (tags is None or isinstance(tags, dict)):
        return None
    tags = tags or {}
    if tags.get("userId") is not None and str(tags["userId"]) != subject:
        return Problem("invalid_value", f"{names.data}metadata.tags.userId", "the attribute subject says otherwise")
    metadata["tags"] = {**tags, "userId": subject}
    said["metadata.tags.userId"] = "subject"
    return None
