"""Finds what should not be kept in a text: the server's rules, with Python's own `re`, for text that may not leave the process."""

from __future__ import annotations

import ipaddress
import re
import string
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

_BOUND = r"(?:^|[^0-9A-Za-z_.+-])"


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def _is_card(found: str) -> bool:
    digits = "".join(c for c in found if c.isdigit())
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1 or not _luhn(digits):
        return False
    return digits[0] in "3456" or digits[:4] in ("2221", "2720") or "2221" <= digits[:4] <= "2720"


def _is_iban(found: str) -> bool:
    text = found.replace(" ", "").upper()
    if not 15 <= len(text) <= 34:
        return False
    number = "".join(str(int(c, 36)) for c in text[4:] + text[:4])
    return int(number) % 97 == 1


def _is_ssn(found: str) -> bool:
    area, group, serial = found[:3], found[4:6], found[7:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _is_ip(found: str) -> bool:
    try:
        address = ipaddress.ip_address(found)
    except ValueError:
        return False
    if address.version == 6 and max(len(group) for group in found.split(":")) < 3:
        return False  # a::b is an address, and more often a name
    return not address.is_unspecified and str(address) not in ("::1", "127.0.0.1")


def _is_phone(found: str) -> bool:
    digits = [c for c in found if c.isdigit()]
    if not 8 <= len(digits) <= 15 or len(set(digits)) < 3:
        return False
    return found.startswith(("+", "0", "(")) or len(digits) >= 10


def _always(_: str) -> bool:
    return True


# kind, pattern (one capture group around the finding; what stands before it only sets the bound), validator
_RULES: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("PRIVATE_KEY", r"(-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?s:.)*?(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\Z))", _always),
    ("JWT", r"(eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})", _always),
    (
        "API_KEY",
        (
            r"(?:^|[^0-9A-Za-z_-])((?:sk-(?:ant-|proj-|svcacct-|or-)?[A-Za-z0-9_-]{20,}|pc_(?:live|test)_[A-Za-z0-9]{16,}(?:_[A-Za-z0-9]+)?"
            r"|(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{30,}"
            r"|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{20,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{30,}|hf_[A-Za-z0-9]{30,}"
            r"|gsk_[A-Za-z0-9]{30,}|r8_[A-Za-z0-9]{30,}|xai-[A-Za-z0-9]{30,}|pplx-[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{40,}"
            r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|dop_v1_[a-f0-9]{40,}|ya29\.[A-Za-z0-9_-]{20,}))"
        ),
        _always,
    ),
    ("CONNECTION_STRING", r"([A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@\"'<>]{0,64}:[^\s/@\"'<>]{1,128}@[^\s\"'<>]{1,256})", _always),
    ("EMAIL", r"([A-Za-z0-9][A-Za-z0-9._%+'-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24})", _always),
    ("IBAN", r"(?:^|[^0-9A-Za-z])([A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?)", _is_iban),
    ("CARD", _BOUND + r"([2-6][0-9]{3}(?:[ -]?[0-9]{2,6}){2,4}[0-9]?)", _is_card),
    ("SSN", _BOUND + r"([0-9]{3}-[0-9]{2}-[0-9]{4})", _is_ssn),
    ("IP", r"(?:^|[^0-9A-Za-z_.:-])([0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3})", _is_ip),
    ("IP", r"(?:^|[^0-9A-Za-z_.:])([0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})", _is_ip),
    ("PHONE", _BOUND + r"((?:\+|00)[1-9][0-9]{0,2}(?:[ ./-]{0,2}\(?[0-9]{1,5}\)?){2,6})", _is_phone),
    ("PHONE", r"(?:^|[^0-9A-Za-z_.+(-])(\([2-9][0-9]{2}\) ?[0-9]{3}[ .-]?[0-9]{4})", _is_phone),
    ("PHONE", _BOUND + r"([2-9][0-9]{2}[ .-][2-9][0-9]{2}[ .-][0-9]{4})", _is_phone),
    ("PHONE", _BOUND + r"(0[1-9][0-9]{1,4}[ /-][0-9]{3,8}(?:[ -][0-9]{2,5}){0,3})", _is_phone),
)  # fmt: skip
_MAY_HOLD = re.compile(r"@|-----BEGIN|eyJ|://|[0-9]|[0-9A-Fa-f]:[0-9A-Fa-f:]|[A-Za-z0-9_-]{20}")


# Python's `re` tries every place of a text anew and keeps the interpreter to itself meanwhile, so a rule is looked for in a way that reads
# the text once, whatever stands in it: by the bound or the words that it begins with, or by a literal in its middle.


class _Found(NamedTuple):
    start: int  # with what sets the bound; the text itself begins at 1
    first: int
    end: int


class _Beginning:
    """Rules that begin with a bound: the first class of the pattern says at once where one cannot be."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern.replace("(?:^|[^", "(?:[^", 1), re.ASCII)

    def of(self, text: str) -> Callable[[int], _Found | None]:
        search = self._pattern.search

        def find(position: int) -> _Found | None:
            match = search(text, position)
            return _Found(max(1, match.start()), match.start(1), match.end(1)) if match is not None else None

        return find


class _Enclosed:
    """What stands between two texts, or behind the first: where it ends is looked for only once it is the next finding."""

    def __init__(self, pattern: str) -> None:
        begin, _, end = pattern[1:-1].partition("(?s:.)*?")
        self._begin, self._end = re.compile(begin, re.ASCII), re.compile(end, re.ASCII)

    def of(self, text: str) -> Callable[[int], _Found | None]:
        def find(position: int) -> _Found | None:
            match = self._begin.search(text, position)
            return _Found(match.start(), match.start(), match.end()) if match is not None else None

        return find

    def end(self, text: str, begun: int) -> int:
        match = self._end.search(text, begun)
        return match.end() if match is not None else len(text)


class _Around:
    """Rules with a literal in their middle: what stands behind it is the same for every beginning before it."""

    def __init__(self, pattern: str, literal: str, characters: str, most: int) -> None:
        before, _, after = pattern[1:-1].partition(literal)
        self._before, self._after = re.compile(before + r"\Z", re.ASCII), re.compile(literal + after, re.ASCII)
        self._literal = literal.replace("\\", "")
        self._characters, self._most = characters, most  # of what may stand before the literal

    def of(self, text: str) -> Callable[[int], _Found | None]:
        at, run, end = -1, 0, 0  # the literal, where what may stand before it begins, where the finding ends

        def find(position: int) -> _Found | None:
            nonlocal at, run, end
            while True:
                if at >= position and (match := self._before.search(text, max(run, position), at)) is not None:
                    return _Found(match.start(), match.start(), end)
                last, at = at, text.find(self._literal, max(at + 1, position))
                if at < 0:
                    at = len(text)
                    return None
                if (behind := self._after.match(text, at)) is not None:
                    before = text[max(last + 1, at - self._most, 0) : at]
                    run, end = at - len(before) + len(before.rstrip(self._characters)), behind.end()
                else:
                    run = at  # nothing begins here

        return find


_WORD = string.ascii_letters + string.digits
_AROUND = {
    "JWT": (r"\.eyJ", _WORD + "_-", sys.maxsize),
    "CONNECTION_STRING": ("://", _WORD + "+.-", 21),
    "EMAIL": ("@", _WORD + "._%+'-", 64),
}


def _looked_for(kind: str, pattern: str) -> _Beginning | _Enclosed | _Around:
    if kind in _AROUND:
        return _Around(pattern, *_AROUND[kind])
    return _Enclosed(pattern) if kind == "PRIVATE_KEY" else _Beginning(pattern)


_FINDERS = tuple((f"[{kind}]", _looked_for(kind, pattern), validate) for kind, pattern, validate in _RULES)


def redact(text: str) -> str:
    """The text with every finding replaced by its kind, like `[EMAIL]`. The leftmost is the next one, at one place the first rule's."""
    if not _MAY_HOLD.search(text):
        return text
    whole, text = text, f"\n{text}"  # a bound for the first character
    finds = [finder.of(text) for _, finder, _ in _FINDERS]
    waiting = [(found, number) for number, find in enumerate(finds) if (found := find(0)) is not None]
    parts: list[str] = []
    kept = 1
    while waiting:
        (_, first, end), number = min(waiting, key=lambda one: one[0].start)  # the first of those at one place
        kind, finder, validate = _FINDERS[number]
        if isinstance(finder, _Enclosed):
            end = finder.end(text, end)
        position = first + 1
        if validate(text[first:end]) and _ends(text, end, kind):
            parts += (text[kept:first], kind)
            kept = position = end
        waiting = [
            (later, which)
            for found, which in waiting
            if (later := found if found.start >= position else finds[which](position)) is not None
        ]
    return "".join((*parts, text[kept:])) if parts else whole


def _ends(text: str, end: int, kind: str) -> bool:
    """A number that goes on behind the finding is another number."""
    if kind not in ("[CARD]", "[SSN]", "[IP]", "[PHONE]", "[IBAN]") or end == len(text):
        return True
    following = text[end]
    if following.isalnum() or following == "_":
        return False
    return not (following in ".:-" and end + 1 < len(text) and text[end + 1].isalnum() and kind != "[IBAN]")


def redacted(value: Any) -> Any:
    """The same for every text, key and number in it."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return "[CARD]" if 10**12 <= value < 10**19 and _is_card(str(value)) else value
    if isinstance(value, list):
        return [redacted(item) for item in value]
    if isinstance(value, dict):
        return {redact(name): redacted(item) for name, item in value.items()}
    return value
