"""What a call was given, as it was when it was given: hosts go on to change their lists of messages."""

from __future__ import annotations

from typing import Any

_LEFT_OUT = frozenset({"NotGiven", "Omit"})  # how both packages say that an argument was not given


def given(value: Any) -> Any:
    """The argument, or None where the packages' own sentinel stands for none."""
    return None if type(value).__name__ in _LEFT_OUT else value


def snapshot(value: Any) -> tuple[Any, int]:
    """A copy of all dicts and lists (everything else is kept as it is: text does not change), and its characters."""
    weight = [0]
    return _copied(value, weight), weight[0]


def _copied(value: Any, weight: list[int]) -> Any:
    kind = type(value)
    if kind is str:
        weight[0] += len(value)
        return value
    if kind is dict:
        copy = {}
        for name, item in value.items():
            its = type(item)
            if its is str:  # without a call: most of what there is
                weight[0] += len(item)
                copy[name] = item
            elif its.__name__ not in _LEFT_OUT:
                copy[name] = _copied(item, weight)
        return copy
    if kind is list or kind is tuple:
        return [_copied(item, weight) for item in value]
    weight[0] += 32
    return value


def characters(value: Any) -> int:
    """How much text a prompt holds, for an estimate of its tokens; files and images are not text."""
    if isinstance(value, str):
        return 0 if value.startswith("data:") else len(value)
    if isinstance(value, dict):
        if value.get("type") in ("base64", "input_audio", "image_url", "input_image"):
            return 0
        return sum(characters(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return sum(characters(item) for item in value)
    return 0
