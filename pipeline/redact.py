"""Finds what should not be kept in a text and replaces each finding by its kind. Pure, idempotent, versioned.

One re2 set as a prefilter, then one alternation, then validators in Python for what a pattern alone cannot tell.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import msgspec
import re2

RULES_VERSION = 1

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
    ("PRIVATE_KEY", r"(-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?s:.)*?(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\z))", _always),
    ("JWT", r"(eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})", _always),
    (
        "API_KEY",
        r"(?:^|[^0-9A-Za-z_-])((?:sk-(?:ant-|proj-|svcacct-|or-)?[A-Za-z0-9_-]{20,}|pc_(?:live|test)_[A-Za-z0-9]{16,}(?:_[A-Za-z0-9]+)?"
        r"|(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{30,}"
        r"|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{20,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{30,}|hf_[A-Za-z0-9]{30,}"
        r"|gsk_[A-Za-z0-9]{30,}|r8_[A-Za-z0-9]{30,}|xai-[A-Za-z0-9]{30,}|pplx-[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{40,}"
        r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|dop_v1_[a-f0-9]{40,}|ya29\.[A-Za-z0-9_-]{20,}))",
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
_AFTER = r"(?:$|[^0-9A-Za-z_-]|[.-](?:[^0-9A-Za-z]|$))"


def _options() -> Any:
    options = re2.Options()
    options.max_mem = 64 << 20
    options.log_errors = False
    return options


def _prefilter() -> Any:
    """A superset of every rule, also over JSON text: what a rule needs at least, without bounds."""
    found = re2.Set.SearchSet(_options())
    for pattern in (
        "@", r"-----BEGIN", r"eyJ", r"://[^\s]{0,64}:", r"[0-9](?:[ ./()-]{0,3}[0-9]){7}", r"[0-9]\.[0-9]{1,3}\.[0-9]", r"[0-9A-Fa-f]:[0-9A-Fa-f:]",
        r"[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4}", r"sk-|sk_|pk_|rk_|pc_|whsec_|AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|AIza|hf_|gsk_|r8_|xai-|pplx-|npm_|pypi-|SG\.|dop_v1_|ya29\.",
    ):  # fmt: skip
        found.Add(pattern)
    found.Compile()
    return found


_PREFILTER = _prefilter()
_ANY = re2.compile("|".join(f"(?:{pattern})" for _, pattern, _ in _RULES), _options())
_KINDS = tuple((f"[{kind}]".encode(), validate) for kind, _, validate in _RULES)


def redact(text: str) -> str:
    """The text with every finding replaced by its kind, like `[EMAIL]`; the same object when there is none."""
    raw = text.encode()  # once: re2 would do so at every search
    if not _PREFILTER.Match(raw):
        return text
    parts: list[bytes] = []
    kept, position = 0, 0
    while (match := _ANY.search(raw, position)) is not None:
        number = match.lastindex
        start, end = match.span(number)
        kind, validate = _KINDS[number - 1]
        if validate(raw[start:end].decode()) and _ends(raw, end, kind):
            parts += (raw[kept:start], kind)
            kept = position = end
        else:
            position = start + 1  # a finding begins with a character of one byte
    if not parts:
        return text
    parts.append(raw[kept:])
    return b"".join(parts).decode()


def _ends(raw: bytes, end: int, kind: bytes) -> bool:
    """A number that goes on behind the finding is another number."""
    if kind not in (b"[CARD]", b"[SSN]", b"[IP]", b"[PHONE]", b"[IBAN]") or end == len(raw):
        return True
    behind = raw[end : end + 8].decode(errors="ignore")  # two characters at least, where there are two
    if behind[0].isalnum() or behind[0] == "_":
        return False
    return not (behind[0] in ".:-" and behind[1:2].isalnum() and kind != b"[IBAN]")


_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def redact_json(raw: bytes) -> bytes:
    """The same for every string, key and number in a JSON text; the same object when there is nothing to find."""
    if is_clean(raw):
        return raw
    value = _decode(raw)
    clean = _walk(value)
    return raw if clean is value else _encode(clean)


def is_clean(raw: bytes) -> bool:
    """Whether the prefilter finds nothing in a JSON text, or in several joined by line feeds."""
    return b"\\" not in raw and not _PREFILTER.Match(raw)


def _walk(value: Any) -> Any:
    """The same object when nothing below it changed."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return "[CARD]" if 10**12 <= value < 10**19 and _is_card(str(value)) else value
    if isinstance(value, list):
        items = [_walk(item) for item in value]
        return value if all(a is b for a, b in zip(items, value, strict=True)) else items
    if isinstance(value, dict):
        pairs = [(redact(key), _walk(item)) for key, item in value.items()]
        same = all(k is key and v is item for (k, v), (key, item) in zip(pairs, value.items(), strict=True))
        return value if same else dict(pairs)
    return value
