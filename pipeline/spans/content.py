"""What was asked and answered, from a span: content, so privacy applies to all of it."""

from __future__ import annotations

from typing import Any

from pipeline.spans import names
from pipeline.spans.read import content
from pipeline.spans.span import Attributes, Span

_PATH_PARTS = 12  # of a numbered attribute's name
_Tree = dict[str, Any]


def prompt_of(span: Span) -> Any:
    """Messages; with instructions or tools an object of them. None without."""
    given = span.attributes
    asked = _first(given, (names.MESSAGES,), names.PROMPT_LISTS, names.PROMPT)
    if asked is None:
        asked = _said(span, answer=False)
    around = {
        "system_instructions": content(given.get(names.INSTRUCTIONS)),
        "tools": content(given.get(names.TOOLS)) or numbered(given, names.TOOL_LIST),
    }
    around = {name: value for name, value in around.items() if value is not None}
    return {**around, "messages": asked} if around else asked


def response_of(span: Span) -> Any:
    """The answer's messages, or the whole answer. None without."""
    found = _first(span.attributes, names.RESPONSE[:1], names.RESPONSE_LISTS, names.RESPONSE[1:])
    return _said(span, answer=True) if found is None else found


def arguments_of(span: Span) -> Any:
    """What a tool was given."""
    return _first(span.attributes, names.ARGUMENTS, (), ())


def result_of(span: Span) -> Any:
    """What a tool gave back."""
    return _first(span.attributes, names.RESULT, (), ())


def _first(given: Attributes, before: tuple[str, ...], lists: tuple[str, ...], behind: tuple[str, ...]) -> Any:
    for name in before:
        if (value := given.get(name)) is not None:
            return content(value)
    for prefix in lists:
        if (found := numbered(given, prefix)) is not None:
            return found
    for name in behind:
        if (value := given.get(name)) is not None:
            return content(value)
    return None


def _said(span: Span, *, answer: bool) -> Any:
    """From events on the span."""
    found = [
        content(event.attributes.get(name))
        for event in span.events
        for of_answer, name in (names.CONTENT_EVENTS.get(event.name, (None, "")),)
        if of_answer is answer
    ]
    return (found[0] if len(found) == 1 else found) or None


def numbered(given: Attributes, prefix: str) -> Any:
    """`prefix0.role`, `prefix1.role`, ... as the list that they spell; None without any."""
    tree: _Tree = {}
    for name, value in given.items():
        if name.startswith(prefix):
            parts = name[len(prefix) :].split(".", _PATH_PARTS)
            _put(tree, parts, value)
    return _lists(tree) if tree else None


def _put(tree: _Tree, parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        below = tree.setdefault(part, {})
        if not isinstance(below, dict):
            return  # a name is both a value and a place for others: the first stands
        tree = below
    tree.setdefault(parts[-1], value)


def _lists(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    if tree and all(name.isascii() and name.isdigit() for name in tree):
        return [_lists(tree[name]) for name in sorted(tree, key=lambda name: (len(name), name))]
    return {name: _lists(value) for name, value in tree.items()}
