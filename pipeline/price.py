"""Token classes x dated prices -> Decimal | None. Source: the genai-prices package, our overrides above it.

A model's price is linear in the token classes once its tier is chosen. So it is resolved once per (provider, model,
context, quarter of an hour) into one exact integer rate a class, and then only multiplied. Unknown is None, never 0.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from genai_prices.data import providers as PROVIDERS  # noqa: N812  # a constant under a lower-case name
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.data_units import unit_data
from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices
from genai_prices.units import UnitDef, UnitRegistry

from pipeline.rates import CLASSES, EXACT, PART_OF, SCALE, Rates, Step
from pipeline.usage import Usage

CODE_VERSION = 3  # of the arithmetic below: raise it when the same usage would cost something else
QUARTER_US = 15 * 60 * 1_000_000  # deepseek's prices change at half past the hour, nobody's more finely
_MODELS_CACHED = 4_096  # names as sent: senders make them up, so every cache here is bounded
_RATES_CACHED = 16_384
_FREE = Decimal(0)
_RATE_LIMIT = Decimal(10) ** 12  # USD per million; an override above it is a mistake, and would not fit a column

# Names that instrumentations send -> the package's. What is sent stands on the row; the alias serves the price alone.
# Tried whole, then up to the first dot (the AI SDK says `xai.chat`); the package itself knows anthropic, bedrock,
# cohere, copilot, gemini, google, mistral, moonshot, openai, vertex inside a name.
ALIASES: Final[Mapping[str, str]] = {
    "azure.ai.openai": "azure", "azure.ai.inference": "azure", "az.ai.openai": "azure", "az.ai.inference": "azure",
    "azure_openai": "azure", "azure-openai": "azure", "azureopenai": "azure", "azure_ai": "azure", "az": "azure",
    "x_ai": "x-ai", "xai": "x-ai",
    "aws.bedrock": "aws", "aws_bedrock": "aws",
    "gcp.gen_ai": "google", "gcp.gemini": "google", "gcp.vertex_ai": "google", "gcp": "google",
    "mistral_ai": "mistral", "mistralai": "mistral", "deepseek_ai": "deepseek", "perplexity_ai": "perplexity",
    "together_ai": "together", "together-ai": "together", "togetherai": "together",
    "fireworks_ai": "fireworks", "fireworks-ai": "fireworks", "fireworksai": "fireworks",
    "zai_org": "zai", "z_ai": "zai", "z.ai": "zai", "zhipu": "zhipuai", "novita_ai": "novita", "open_router": "openrouter",
}  # fmt: skip

# Who is asked for a model that names no provider, when the package does not know it by name alone: it does not know embeddings so.
_MAKERS: Final = ("openai", "mistral", "cohere", "google")

_INPUTS = CLASSES[:6]
_WRITES = CLASSES[2:6]
# The package's count of each unit, in our disjoint classes. It knows 5m and 1h; other writes are its generic ones.
_UNITS: Final[Mapping[str, tuple[str, ...]]] = {
    "input_tokens": _INPUTS,
    "output_tokens": ("output",),
    "cache_read_tokens": ("input_cache_read",),
    "cache_write_tokens": _WRITES,
    "cache_write_5m_tokens": ("input_cache_write_5m",),
    "cache_write_1h_tokens": ("input_cache_write_1h",),
    "input_audio_tokens": ("input_audio", "input_audio_cache_read"),
    "cache_audio_read_tokens": ("input_audio_cache_read",),
    "output_audio_tokens": ("output_audio",),
    "output_reasoning_tokens": ("output_reasoning",),
    "web_searches": ("web_searches",),
}
_REQUESTS = "requests"
_REGISTRY = UnitRegistry(unit_data)


class Override(NamedTuple):
    """A price of our own, above the package's.

    `rates`: USD per million of each class named, `request` USD per request; classes not named keep the package's price,
    and for a model it does not know the price of what they are part of (cache reads and writes: `input_uncached`).
    `multiplier` applies to what is not in `rates`. Times are unix us, [starts_at, ends_at).
    """

    provider: str  # as sent; "": any
    model: str  # as sent
    rates: Mapping[str, Decimal] = {}
    multiplier: Decimal | None = None
    account: str = ""  # "": every one
    starts_at: int = 0
    ends_at: int = 2**62


class PriceBook:
    """One immutable version of all prices; safe to share between threads."""

    def __init__(self, overrides: Sequence[Override] = ()) -> None:
        """Raises ValueError for an override that is no price."""
        self._overrides = tuple(_checked(override) for override in overrides)
        # Where an override starts or ends inside a quarter, the quarter has two prices.
        self._edges = sorted({edge for o in self._overrides for edge in (o.starts_at, o.ends_at)})
        self.version = _version(self._overrides)
        self.newest = _newest()
        self._find = lru_cache(_MODELS_CACHED)(_find)
        self._rates = lru_cache(_RATES_CACHED)(self._rates_uncached)
        self._shared = lru_cache(_RATES_CACHED)(Rates)  # most quarters of a model have the same price

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
        """Rates of a model as named by the provider at unix us `at`; None when no price is known.

        Provider "" is found by the model's name. Tiers that the package does not know (auto, standard, scale) are standard.
        """
        if not self._edges:
            return self._rates(provider, model, service_tier, processing, speed, at // QUARTER_US, -1, "")
        era = bisect_right(self._edges, at)
        return self._rates(provider, model, service_tier, processing, speed, at // QUARTER_US, era, account)

    def _rates_uncached(
        self, provider: str, model: str, tier: str, processing: str, speed: str, quarter: int, era: int, account: str
    ) -> Rates | None:
        steps: list[Step] = []
        price_id = f"{provider}/{model}"
        found = self._find(provider, model) if model else None
        if found is not None:
            owner, info = found
            at = datetime.fromtimestamp(quarter * QUARTER_US // 1_000_000, UTC)
            steps = steps_of(owner, info, at, price_context(tier, processing, speed))
            price_id = f"{owner.id}/{info.id}"
        override = self._override(provider, model, account, self._edges[era - 1]) if era > 0 else None
        if override is not None and (steps or override.rates):
            steps = _overridden(steps, override)
            price_id = f"override/{price_id}"
        return self._shared(price_id, tuple(steps)) if steps else None

    def _override(self, provider: str, model: str, account: str, at: int) -> Override | None:
        """An account's own before a global one, the provider's before any, then the latest to start, then the last."""
        matching = [
            ((o.account != "", o.provider != "", o.starts_at, number), o)
            for number, o in enumerate(self._overrides)
            if o.model == model
            and o.provider in ("", provider)
            and o.account in ("", account)
            and o.starts_at <= at < o.ends_at
        ]
        return max(matching)[1] if matching else None


def _newest() -> str:
    """The day from which the newest price of the data holds that holds already, like 2026-11-09; "" when no price is dated."""
    models = [model for provider in PROVIDERS for model in provider.models]
    prices = [price for model in models if isinstance(model.prices, list) for price in model.prices]
    days = {str(day) for price in prices if (day := getattr(price.constraint, "start_date", None)) is not None}
    return max((day for day in days if day <= datetime.now(UTC).date().isoformat()), default="")


def _version(overrides: Sequence[Override]) -> str:
    """The package's version may stay while its data is replaced, so the prices themselves are hashed too."""
    content = repr(([(p.id, p.fallback_model_providers, p.models) for p in PROVIDERS], overrides))
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    return f"genai-prices-{importlib.metadata.version('genai-prices')}-{digest}-{CODE_VERSION}"


def _find(provider: str, model: str) -> tuple[Provider, ModelInfo] | None:
    """The package's provider and model for names as sent."""
    sent = provider.strip().lower()
    stem = sent.partition(".")[0]
    if not sent:
        return _look_up(None, model) or next((at for maker in _MAKERS if (at := _look_up(maker, model))), None)
    alias = ALIASES.get(sent) or ALIASES.get(stem)
    return _look_up(alias or sent, model) or (_look_up(stem, model) if stem and not alias and stem != sent else None)


def _look_up(provider_id: str | None, model: str) -> tuple[Provider, ModelInfo] | None:
    # A snapshot of its own for each look-up: it remembers every name it is ever asked for.
    try:
        return DataSnapshot(PROVIDERS, from_auto_update=False).find_provider_model(model, None, provider_id, None)
    except LookupError:
        return None


_KNOWN_CONTEXT = frozenset(
    item for p in PROVIDERS for m in p.models for v in m.price_variants or () for item in v.when.items()
)


def price_context(tier: str, processing: str, speed: str) -> dict[str, str]:
    """The package's price context: only values that it knows, since it prices unknown ones as standard in silence."""
    tier = tier.strip().lower()
    batch = "batch" in (tier, processing.strip().lower())  # Anthropic calls it a tier
    asked = {"service_tier": tier, "processing": "batch" if batch else "", "speed": speed.strip().lower()}
    return {key: value for key, value in asked.items() if (key, value) in _KNOWN_CONTEXT}


def steps_of(owner: Provider, info: ModelInfo, at: datetime, context: Mapping[str, str]) -> list[Step]:
    """A step for each threshold of the model's tiers, highest first; [] when nothing that an LLM call has is priced."""
    # As in the package: a model that a provider only borrows (Azure OpenAI's) has its owner's standard price.
    lent = context and not any(info is model for model in owner.models)
    prices = info.get_prices(at, None if lent else dict(context))
    priced = [
        (unit, price) for unit, price in _units(prices) if unit.usage_key in _UNITS or unit.usage_key == _REQUESTS
    ]
    if not any(unit.usage_key in ("input_tokens", "output_tokens", _REQUESTS) for unit, _ in priced):
        return []
    starts = {tier.start for _, price in priced if isinstance(price, TieredPrices) for tier in price.tiers}
    return [_step(priced, above) for above in sorted(starts | {-1}, reverse=True)]


def _units(prices: ModelPrice) -> Iterable[tuple[UnitDef, Decimal | TieredPrices]]:
    for unit in _REGISTRY.units.values():
        price = getattr(prices, unit.price_key)
        if price is not None:
            yield unit, price


def _step(priced: Sequence[tuple[UnitDef, Decimal | TieredPrices]], above: int) -> Step:
    """Rates per class: each unit pays for what is left of it after the more specific units that have a price."""
    rates = dict.fromkeys(CLASSES, 0)
    fee = 0
    left: list[tuple[UnitDef, dict[str, int]]] = []
    for unit, price in sorted(priced, key=lambda item: (-len(item[0].dimensions), item[0].usage_key)):
        amount = _scaled(_at(price, above) / unit.per)
        if unit.usage_key == _REQUESTS:
            fee = amount
            continue
        mine = dict.fromkeys(CLASSES, 0) | dict.fromkeys(_UNITS[unit.usage_key], 1)
        for other, theirs in left:
            if unit.dimensions.items() <= other.dimensions.items():
                for name, count in theirs.items():
                    mine[name] -= count
        left.append((unit, mine))
        for name, count in mine.items():
            rates[name] += count * amount
    return Step(above, tuple(rates.values()), fee)


def _at(price: Decimal | TieredPrices, above: int) -> Decimal:
    """The price of a request of more than `above` input tokens; tiers stand in rising order."""
    if not isinstance(price, TieredPrices):
        return price
    return next((tier.price for tier in reversed(price.tiers) if tier.start <= above), price.base)


def _scaled(rate: Decimal) -> int:
    scaled = EXACT.multiply(rate, SCALE)
    whole = int(scaled)
    if whole != scaled:
        raise ValueError("a price has more digits than the arithmetic keeps")
    return whole


def _checked(override: Override) -> Override:
    unknown = override.rates.keys() - {*CLASSES, "request"}
    if unknown:
        raise ValueError(f"no such class: {', '.join(sorted(unknown))}")
    amounts = [*override.rates.values(), *([] if override.multiplier is None else [override.multiplier])]
    if not amounts or not override.model or override.starts_at >= override.ends_at:
        raise ValueError("an override needs a model, rates or a multiplier, and a time to be in force")
    for amount in amounts:
        # All digits must survive: an exponent below -21 would not fit 1e-30 USD per token.
        if (
            not amount.is_finite()
            or not 0 <= amount <= _RATE_LIMIT
            or Decimal(amount).quantize(Decimal("1e-12"), context=EXACT) != amount
        ):
            raise ValueError("a rate or multiplier is a decimal from 0 to 1e12 with at most 12 decimals")
    return override._replace(rates=dict(sorted(override.rates.items())))


def _overridden(steps: Sequence[Step], override: Override) -> list[Step]:
    named = override.rates
    return [_overridden_step(step, named, override.multiplier) for step in steps or (_inherited(named),)]


def _inherited(named: Mapping[str, Decimal]) -> Step:
    """A model that only we know: input that is not named costs what uncached input does."""
    rate = _scaled(named.get("input_uncached", _FREE) / 10**6)
    return Step(-1, tuple(rate if name in _INPUTS else 0 for name in CLASSES), 0)


def _overridden_step(step: Step, named: Mapping[str, Decimal], multiplier: Decimal | None) -> Step:
    def times(rate: int) -> int:
        if multiplier is None:
            return rate
        return int(EXACT.multiply(rate, multiplier).to_integral_value(ROUND_HALF_EVEN))

    rates = {name: times(rate) for name, rate in zip(CLASSES, step.rates, strict=True)}
    wholes = {name: rate for name, rate in rates.items() if name not in PART_OF}
    wholes |= {name: _scaled(rate / 10**6) for name, rate in named.items() if name in wholes}
    for part, whole in PART_OF.items():
        if part in named:
            rates[part] = _scaled(named[part] / 10**6) - wholes[whole]
        elif rates[part]:
            # A part with a price of its own keeps it, whatever its whole costs now.
            rates[part] += rates[whole] - wholes[whole]
    fee = _scaled(named["request"]) if "request" in named else times(step.fee)
    return Step(step.above, tuple((rates | wholes).values()), fee)


class Priced(NamedTuple):
    """What an event costs, USD. `status`: priced, free, reported, estimated, unpriced (cost None) or none."""

    status: str
    cost: Decimal | None
    price_id: str = ""
    rates: str = ""
    flags: tuple[str, ...] = ()


_NONE = Priced("none", None)
_REFUSED = Priced("none", Decimal(0).scaleb(-9))
_UNPRICED = Priced("unpriced", None)
_MISSING = Priced("unpriced", None, flags=("usage_missing",))


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
    usage_unknown: bool = False,
) -> Priced:
    """What an event at unix us `at` costs: our override, the package, what was reported (`cost_usd`), else unpriced.

    `usage_unknown`: there was a usage object, of a shape nobody knows; then nothing is missing, and nothing is free.
    """
    if type != "llm":
        # A trace's or log's cost would repeat its calls'; what stands beside calls is a tool.
        return Priced("reported", Decimal(cost_usd)) if cost_usd and type == "tool" else _NONE
    if cost_usd and (prefer_reported or usage is None or not any(usage)):
        return Priced("reported", Decimal(cost_usd))
    if usage is None or not any(usage):
        if usage_unknown:
            return _UNPRICED
        # What the provider refused costs nothing. An answer without usage is unknown, which is not free.
        return _REFUSED if status == "error" else _MISSING
    rates = book.resolve(
        provider, model, service_tier=service_tier, processing=processing, speed=speed, at=at, account=account
    )
    if rates is None:
        return Priced("reported", Decimal(cost_usd)) if cost_usd else _UNPRICED
    kind = "estimated" if usage_estimated else "free" if rates.free else "priced"
    cost, applied = rates.cost(usage)
    return Priced(kind, cost, rates.id, applied)
