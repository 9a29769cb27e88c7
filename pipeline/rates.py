"""Rates of one model x a call's token classes -> USD, exact. Pure arithmetic on integers; `price.py` finds the rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from math import gcd
from typing import Final, NamedTuple

import msgspec

from pipeline.usage import Usage

SCALE: Final = 10**30  # rates are integers of 1e-30 USD: exact for every price in the package, checked when resolved
EXACT: Final = Context(prec=60)
CLASSES: Final = Usage._fields
# A class that is part of another -> the other: its rate is held as what it costs more (or less) than the other.
PART_OF: Final[Mapping[str, str]] = {
    "input_audio": "input_uncached",
    "input_audio_cache_read": "input_cache_read",
    "output_audio": "output",
    "output_reasoning": "output",
}
_NANO: Final = SCALE // 10**9
_NANO_USD: Final = Decimal("1e-9")
_PARTS: Final = tuple((CLASSES.index(part), CLASSES.index(whole)) for part, whole in PART_OF.items())
_PART_SLICE: Final = slice(7, 11)  # of the parts in Usage


class Step(NamedTuple):
    """Rates above a number of input tokens; all of them pay these."""

    above: int  # input tokens
    rates: tuple[int, ...]  # 1/SCALE USD in Usage's order; parts hold the difference to their whole
    fee: int  # 1/SCALE USD of one request


class _Sum:
    """A step as it is multiplied: the classes that cost, in the largest unit in which all its amounts are whole."""

    __slots__ = ("above", "fee", "nano", "step", "terms", "text")

    def __init__(self, step: Step) -> None:
        unit = gcd(_NANO, step.fee, *step.rates)
        self.step = step
        self.above = step.above
        self.terms = tuple((place, rate // unit) for place, rate in enumerate(step.rates) if rate)
        self.fee = step.fee // unit
        self.nano = _NANO // unit
        self.text = _text(step)


class Rates:
    """Resolved prices of one model in one context. Immutable."""

    __slots__ = ("_parts", "_sums", "free", "id")

    def __init__(self, price_id: str, steps: Sequence[Step]) -> None:
        """`steps` in falling order of `above`; the last is above -1."""
        self.id = price_id
        self.free = not any(step.fee or any(step.rates) for step in steps)
        self._sums = tuple(_Sum(step) for step in steps)
        self._parts = any(any(step.rates[_PART_SLICE]) for step in steps)

    def cost(self, usage: Usage) -> tuple[Decimal, str]:
        """USD, exact, rounded half even once, to 9 decimals; and the rates applied.

        These are compact JSON of class -> USD per million, a decimal string, for each class that costs; a part (audio,
        reasoning) is named when it costs other than its whole; `request` is USD of one request. A part above its whole
        (`usage_inconsistent`) is charged beside it, as if the emitter had meant it so.
        """
        applied = self._sums[0]
        if len(self._sums) > 1:
            total = sum(usage[:6])
            applied = next(s for s in self._sums if total > s.above)
        amount = applied.fee
        for place, rate in applied.terms:
            amount += usage[place] * rate
        if self._parts and any(usage[7:11]):
            amount += _beside(usage, applied.terms)
        nanos, rest = divmod(amount, applied.nano)
        if rest * 2 >= applied.nano and (rest * 2 > applied.nano or nanos & 1):
            nanos += 1
        return nanos * _NANO_USD, applied.text


def _beside(usage: Usage, terms: Sequence[tuple[int, int]]) -> int:
    """What is missing from a linear total where priced parts exceed their whole: the whole is charged in full as well."""
    rates = dict(terms)
    claimed: dict[int, int] = {}
    for part, whole in _PARTS:
        if part in rates:
            claimed[whole] = claimed.get(whole, 0) + usage[part]
    return sum(
        usage[part] * rates.get(whole, 0) for part, whole in _PARTS if part in rates and claimed[whole] > usage[whole]
    )


def _text(step: Step) -> str:
    shown = {}
    for place, (name, rate) in enumerate(zip(CLASSES, step.rates, strict=True)):
        if rate:
            whole = next((whole for part, whole in _PARTS if part == place), None)
            shown[name] = _plain(rate * 10**6 if whole is None else (rate + step.rates[whole]) * 10**6)
    if step.fee:
        shown["request"] = _plain(step.fee)
    return msgspec.json.encode(shown).decode()


def _plain(scaled: int) -> str:
    text = f"{EXACT.divide(Decimal(scaled), SCALE):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
