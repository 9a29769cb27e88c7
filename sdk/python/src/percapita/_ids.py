"""Ids of events and traces."""

from __future__ import annotations

import os
import time

_AT_ONCE = 64  # ids whose random digits are asked of the system together: each question lets go of the interpreter
_DIGITS = 19
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}

_random: list[str] = []  # "-7fff-bfff-ffffffffffff"
_made_in = 0  # the process that they are for


def new_id(at: float | None = None) -> str:
    """A UUIDv7 of unix seconds: time first, so that the server can tell a late retry by its id."""
    milliseconds = f"{int((time.time() if at is None else at) * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}{_rest()}"


def _rest() -> str:
    """Of the system, each once, and in no two processes: a forked child does not use what its parent had asked for."""
    global _made_in
    if _made_in != (here := os.getpid()):
        _random.clear()
        _made_in = here
    try:
        return _random.pop()
    except IndexError:
        more = os.urandom(_AT_ONCE * _DIGITS // 2).hex()
        _random.extend(_formed(more[n : n + _DIGITS]) for n in range(_DIGITS, len(more), _DIGITS))
        return _formed(more[:_DIGITS])


def _formed(digits: str) -> str:
    return f"-7{digits[:3]}-{_VARIANT[digits[3]]}{digits[4:7]}-{digits[7:]}"
