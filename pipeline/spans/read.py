"""Values of attributes as what they are meant to be; what is of another type is absent."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from pipeline import limits
from pipeline.body import depth
from pipeline.spans.names import SCRUBBED
from pipeline.spans.span import Attributes, Value

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_LONG_NUMBER = re.compile(f"[0-9]{{{limits.NUMBER_DIGITS}}}")
_PYTHON = re.compile(
    r"\s*(?:([{}\[\]:,])|'([^'\\\x00-\x1f\"]*)'|\"([^\"\\\x00-\x1f]*)\"|(None|True|False)\b|(-?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?))"
)
_CONSTANTS = {"None": "null", "True": "true", "False": "false"}


def first_text(given: Attributes, among: Iterable[str]) -> str:
    """The first name's text that is one and not empty, nor scrubbed by logfire; "" without."""
    for name in among:
        value = given.get(name)
        if value is None:
            continue
        if isinstance(value, list):
            value = value[0] if value else None  # finish_reasons
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)  # a user's id
        if isinstance(value, str) and value and not value.startswith(SCRUBBED):
            return value
    return ""


def first_count(given: Attributes, among: Iterable[str]) -> int | None:
    """The first name's value that is a count of tokens."""
    for name in among:
        count = count_of(given.get(name))
        if count is not None:
            return count
    return None


def count_of(value: Value) -> int | None:
    """A count of tokens; some emitters write whole numbers as floats."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limits.TOKENS_MAX:
        return value
    return None


def first_cost(given: Attributes, among: Iterable[str]) -> str:
    """USD as a decimal string that an event may carry; 0 is what emitters say who do not know."""
    for name in among:
        value = given.get(name)
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            try:
                amount = Decimal(str(value))
                if amount.is_finite() and 0 < amount < 10**limits.COST_INTEGER_DIGITS:
                    told = amount.quantize(Decimal(1).scaleb(-limits.COST_DECIMALS))
                    if told:
                        return f"{told:f}"
            except InvalidOperation:
                continue
    return ""


def content(value: Value) -> Any:
    """A value that may be JSON in a text, as what it spells; any other text as it is."""
    if not isinstance(value, str) or value[:1] not in ("{", "[", '"'):
        return value
    text = value.encode("utf-8", "replace")
    if len(text) > limits.EVENT_BYTES or _LONG_NUMBER.search(value) or depth(text, _LEVELS) > _LEVELS:
        return value
    try:
        return _decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return value


_LEVELS = limits.NESTING_LEVELS - 4  # an event puts it into something


def json_object(value: Value) -> dict[str, Any] | None:
    """A small object that stands in a text as JSON, or as Python writes one."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, str) or len(value) > limits.RAW_USAGE_CHARS or not value.lstrip().startswith("{"):
        return None
    found = content(value.lstrip())
    if not isinstance(found, dict):
        found = content(_from_python(value))
    return found if isinstance(found, dict) else None


def _from_python(text: str) -> str:
    """JSON of what Python's repr of plain values spells; "" for anything else. Nothing is evaluated."""
    parts, at, end = [], 0, len(text.rstrip())
    while at < end:
        found = _PYTHON.match(text, at)
        if found is None:
            return ""
        mark, single, double, constant, number = found.groups()
        name = single if single is not None else double
        parts.append(mark or (f'"{name}"' if name is not None else _CONSTANTS.get(constant or "") or number or ""))
        at = found.end()
    return "".join(parts)


def size_of(value: Any) -> int:
    """Bytes as compact JSON."""
    return len(_encode(value))
