"""Token classes x dated price table -> Decimal | None. Source: the genai-prices package, our overrides above it.

A model's price is linear in the token classes once its tier is chosen, so it is resolved once per (provider, model, context,
quarter of an hour) into one exact rate a class, and then only multiplied. Unknown is None, never 0.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from genai_prices import data_snapshot
from genai_prices.types import ModelPrice, TieredPrices
from genai_prices.units import UnitDef, _get_registry  # the only way to the package's table of units

from pipeline.usage import Usage

CODE_VERSION = 1  # of the arithmetic below
QUARTER_US = 15 * 60 * 1_000_000  # some models change their price at half past the hour
_SCALE = 10**30  # rates are integers of 1e-30 USD: exact for every price in the package, checked when resolved
_NANO = 10**21  # of them in a nano-dollar
_FREE = Decimal(0)
_EXACT = Context(prec=60)

# Names that instrumentations send -> the package's. What is sent stands on the row; the alias serves the price alone.
ALIASES = {
    "azure.ai.openai": "azure", "azure_openai": "azure", "az.ai.openai": "azure", "azure.ai.inference": "azure",
    "x_ai": "x-ai", "xai": "x-ai", "aws.bedrock": "aws", "bedrock": "aws", "amazon": "aws", "amazon-bedrock": "aws",
    "gcp.gemini": "google", "gcp.gen_ai": "google", "gcp.vertex_ai": "google", "gemini": "google", "vertex_ai": "google",
    "vertexai": "google", "google_genai": "google", "mistral_ai": "mistral", "mistralai": "mistral",
    "together_ai": "together", "togetherai": "together", "fireworks_ai": "fireworks", "deepseek_ai": "deepseek",
}  # fmt: skip
_STANDARD_TIERS = frozenset({"", "auto", "standard", "scale", "standard_only"})
_PRICED_TIERS = frozenset({"default", "flex", "priority", "fast"})

# The package's count of each unit, in our disjoint classes (subsets name what they are a subset of).
_UNITS: dict[str, tuple[str, ...]] = {
    "input_tokens": (
        "input_uncached", "input_cache_read", "input_cache_write_5m", "input_cache_write_30m", "input_cache_write_1h",
        "input_cache_write_12h",
    ),
    "output_tokens": ("output",),
    "cache_read_tokens": ("input_cache_read",),
    "cache_write_tokens": (
        "input_cache_write_5m", "input_cache_write_30m", "input_cache_write_1h", "input_cache_write_12h",
    ),
    "cache_write_5m_tokens": ("input_cache_write_5m",),
    "cache_write_1h_tokens": ("input_cache_write_1h",),
    "input_audio_tokens": ("input_audio", "input_audio_cache_read"),
    "cache_audio_read_tokens": ("input_audio_cache_read",),
    "output_audio_tokens": ("output_audio",),
    "output_reasoning_tokens": ("output_reasoning",),
    "web_searches": ("web_searches",),
}  # fmt: skip


class Override(NamedTuple):
    """A price of our own: USD per million of each class, or a multiple of the package's, for an account ("": every one)."""

    provider: str
    model: str
    rates: Mapping[str, Decimal] = {}
    multiplier: Decimal | None = None
    account: str = ""
    starts_at: int = 0  # unix us
    ends_at: int = 2**62


class _Step(NamedTuple):
    """Rates above a number of input tokens (all of them pay these): integers of 1/_SCALE USD in Usage's order, and a fee."""

    above: int
    rates: tuple[int, ...]
    fee: int


class Rates:
    """Resolved prices of one model in one context."""

    def __init__(self, price_id: str, steps: Sequence[_Step]) -> None:
        """`steps` in falling order of `above`; the last is above -1."""
        self.id = price_id
        self._steps = tuple(steps)
        self._json: dict[int, str] = {}
        self.free = all(not any(step.rates) and not step.fee for step in steps)

    def _step(self, usage: Usage) -> _Step:
        total = sum(usage[:6])
        for step in self._steps:
            if total > step.above:
                return step
        return self._steps[-1]

    def cost(self, usage: Usage) -> Decimal | None:
        """USD, rounded half even once, to 9 decimals; None where the classes contradict themselves below zero."""
        step = self._step(usage)
        total = step.fee
        for count, rate in zip(usage, step.rates, strict=True):
            if count:
                total += count * rate
        if total < 0:
            return None
        nanos, rest = divmod(total, _NANO)
        if rest * 2 > _NANO or (rest * 2 == _NANO and nanos & 1):
            nanos += 1
        return Decimal(nanos).scaleb(-9)

    def rates_json(self, usage: Usage) -> str:
        """The rates applied, USD per million of each class that has one, as compact JSON; `request` is the fee of one call."""
        step = self._step(usage)
        if step.above not in self._json:
            shown = {
                name: _plain(Decimal(rate) * 10**6 / _SCALE)
                for name, rate in zip(Usage._fields, step.rates, strict=True)
                if rate
            }
            if step.fee:
                shown["request"] = _plain(Decimal(step.fee) / _SCALE)
            self._json[step.above] = msgspec.json.encode(shown).decode()
        return self._json[step.above]


class Priced(NamedTuple):
    """What an event costs. `status`: priced, free, reported, estimated, unpriced or none."""

    status: str
    cost: Decimal | None
    price_id: str = ""
    rates: str = ""
    flags: tuple[str, ...] = ()


class PriceBook:
    """One immutable version of all prices."""

    def __init__(self, overrides: Sequence[Override] = ()) -> None:
        self._overrides = tuple(overrides)
        self._snapshot = data_snapshot.get_snapshot()
        digest = hashlib.sha256(repr(self._overrides).encode()).hexdigest()[:8] if overrides else "0"
        self.version = f"genai-prices-{importlib.metadata.version('genai-prices')}-{digest}-{CODE_VERSION}"
        self._resolve = lru_cache(maxsize=100_000)(self._resolve_uncached)

    def resolve(
        self,
        provider: str,
        model: str,
        *,
        service_tier: str = "",
        processing: str = "",
        speed: str = "",
        at: int,
        account: str = "",
    ) -> Rates | None:
        """Rates of a model at unix us `at`; None when no price is known."""
        if not model:
            return None
        return self._resolve(provider, model, service_tier, processing, speed, at // QUARTER_US, account if self._overrides else "")

    def _resolve_uncached(
        self, provider: str, model: str, tier: str, processing: str, speed: str, quarter: int, account: str
    ) -> Rates | None:
        at = quarter * QUARTER_US
        override = self._override(provider, model, account, at)
        if override is not None and override.multiplier is None:
            rates = tuple(_scaled(override.rates.get(name, _FREE) / 10**6) for name in Usage._fields)
            return Rates(f"override/{provider}/{model}", [_Step(-1, rates, _scaled(override.rates.get("request", _FREE)))])
        found = self._find(provider, model)
        if found is None:
            return None
        owner, info = found
        prices = info.get_prices(datetime.fromtimestamp(at / 1e6, UTC), _context(tier, processing, speed))
        steps = _steps(prices)
        if not steps:
            return None
        price_id = f"{owner}/{info.id}"
        if override is not None and override.multiplier is not None:
            steps = [_multiplied(step, override.multiplier) for step in steps]
            price_id = f"override/{price_id}"
        return Rates(price_id, steps)

    def _override(self, provider: str, model: str, account: str, at: int) -> Override | None:
        """The last matching one, an account's own before a global one."""
        matching = [
            o
            for o in self._overrides
            if o.model == model
            and o.provider in ("", provider)
            and o.account in ("", account)
            and o.starts_at <= at < o.ends_at
        ]
        return max(matching, key=lambda o: o.account != "", default=None) if matching else None

    def _find(self, provider: str, model: str) -> tuple[str, Any] | None:
        name = ALIASES.get(provider.lower(), provider.lower()) or None
        try:
            owner, info = self._snapshot.find_provider_model(model, None, name, None)
        except (LookupError, ValueError):
            return None
        return owner.id, info


def _context(tier: str, processing: str, speed: str) -> dict[str, str] | None:
    """The package's price context: only values that it knows, since it prices unknown ones as standard in silence."""
    context = {}
    if processing == "batch" or tier == "batch":
        context["processing"] = "batch"
    if tier in _PRICED_TIERS and tier not in _STANDARD_TIERS:
        context["service_tier"] = tier
    if speed == "fast":
        context["speed"] = "fast"
    return context or None


def _steps(prices: ModelPrice) -> list[_Step]:
    """One step for each threshold of the model's tiers, highest first; [] when nothing that an LLM call has is priced."""
    registry = _get_registry()
    priced: list[tuple[UnitDef, Decimal | TieredPrices]] = []
    for unit in registry.units.values():
        price = getattr(prices, unit.price_key, None)
        if price is not None and (unit.usage_key in _UNITS or unit.usage_key == "requests"):
            priced.append((unit, price))
    if not any(unit.usage_key in ("input_tokens", "output_tokens", "requests") for unit, _ in priced):
        return []
    starts = {tier.start for _, price in priced if isinstance(price, TieredPrices) for tier in price.tiers}
    return [_step(priced, above) for above in sorted(starts | {-1}, reverse=True)]


def _step(priced: Sequence[tuple[UnitDef, Decimal | TieredPrices]], above: int) -> _Step:
    """Rates per class: each unit pays for what is left of it after the more specific units that have a price."""
    rates = dict.fromkeys(Usage._fields, 0)
    fee = 0
    leaves: dict[str, dict[str, int]] = {}
    for unit, price in sorted(priced, key=lambda item: (-len(item[0].dimensions), item[0].usage_key)):
        amount = _scaled(_at(price, above) / unit.per)
        if unit.usage_key == "requests":
            fee += amount
            continue
        leaf = dict.fromkeys(Usage._fields, 0)
        for name in _UNITS[unit.usage_key]:
            leaf[name] += 1
        for other, _ in priced:
            below = leaves.get(other.usage_key)
            if below is not None and other is not unit and unit.dimensions.items() <= other.dimensions.items():
                for name, count in below.items():
                    leaf[name] -= count
        leaves[unit.usage_key] = leaf
        for name, count in leaf.items():
            rates[name] += count * amount
    return _Step(above, tuple(rates.values()), fee)


def _at(price: Decimal | TieredPrices, above: int) -> Decimal:
    if not isinstance(price, TieredPrices):
        return price
    applicable = price.base
    for tier in price.tiers:
        if tier.start <= above:
            applicable = tier.price
    return applicable


def _scaled(rate: Decimal) -> int:
    scaled = _EXACT.multiply(rate, _SCALE)
    whole = int(scaled)
    if whole != scaled:
        raise ValueError("a price has more digits than the arithmetic keeps")
    return whole


def _multiplied(step: _Step, by: Decimal) -> _Step:
    def times(rate: int) -> int:
        return int((Decimal(rate) * by).to_integral_value(ROUND_HALF_EVEN))

    return _Step(step.above, tuple(times(rate) for rate in step.rates), times(step.fee))


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def price(
    book: PriceBook,
    *,
    account: str,
    type: str,  # noqa: A002  # the event's field
    status: str,
    provider: str,
    model: str,
    service_tier: str,
    processing: str,
    speed: str,
    at: int,
    usage: Usage | None,
    usage_estimated: bool,
    cost_usd: str,
    prefer_reported: bool,
) -> Priced:
    """What an event costs: our override, the package, what the provider reported, else unpriced."""
    reported = Decimal(cost_usd) if cost_usd else None
    if type != "llm":
        return Priced("reported", reported) if type == "tool" and reported is not None else _NONE
    if usage is None or not any(usage):
        if reported is not None:
            return Priced("reported", reported)
        if status == "error":
            return _REFUSED
        return Priced("unpriced", None, flags=("usage_missing",))
    if prefer_reported and reported is not None:
        return Priced("reported", reported)
    rates = book.resolve(
        provider, model, service_tier=service_tier, processing=processing, speed=speed, at=at, account=account
    )
    cost = rates.cost(usage) if rates is not None else None
    if rates is None or cost is None:
        return Priced("reported", reported) if reported is not None else Priced("unpriced", None)
    kind = "estimated" if usage_estimated else "free" if rates.free else "priced"
    return Priced(kind, cost, rates.id, rates.rates_json(usage))


_NONE = Priced("none", None)
_REFUSED = Priced("none", _FREE)
