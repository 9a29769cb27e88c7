"""Our arithmetic equals `genai_prices.calc_price` for every model and class in the package, in every context, at several dates."""

import random
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price, data_snapshot

from pipeline.price import PriceBook, Rates, price_context, steps_of
from pipeline.usage import Usage

DATES = [
    datetime(2025, 3, 1, 0, 29, tzinfo=UTC),
    datetime(2025, 3, 1, 0, 31, tzinfo=UTC),
    datetime(2025, 3, 1, 16, 31, tzinfo=UTC),
    datetime(2026, 10, 13, 12, tzinfo=UTC),
    datetime(2026, 11, 24, 12, tzinfo=UTC),
    datetime(2027, 1, 2, 12, tzinfo=UTC),
]
CONTEXTS = [
    ("", "", ""),
    ("flex", "", ""),
    ("priority", "", ""),
    ("default", "", ""),
    ("fast", "", ""),
    ("", "batch", ""),
    ("batch", "", ""),
    ("", "", "fast"),
]
NANO = Decimal("1e-9")
PROVIDERS = data_snapshot.get_snapshot().providers


def theirs(usage: Usage) -> TheirUsage:
    writes = sum(usage[2:6])
    return TheirUsage(
        input_tokens=usage.input_uncached + usage.input_cache_read + writes,
        output_tokens=usage.output,
        cache_read_tokens=usage.input_cache_read,
        cache_write_tokens=writes,
        cache_write_5m_tokens=usage.input_cache_write_5m,
        cache_write_1h_tokens=usage.input_cache_write_1h,
        input_audio_tokens=usage.input_audio + usage.input_audio_cache_read,
        cache_audio_read_tokens=usage.input_audio_cache_read,
        output_audio_tokens=usage.output_audio,
        output_reasoning_tokens=usage.output_reasoning,
        web_searches=usage.web_searches,
    )


def random_usage(rng: random.Random) -> Usage:
    top = rng.choice((200, 50_000, 2_000_000))
    uncached, read, output = rng.randrange(top), rng.choice((0, rng.randrange(top))), rng.randrange(top)
    return Usage(
        input_uncached=uncached,
        input_cache_read=read,
        input_cache_write_5m=rng.choice((0, rng.randrange(top))),
        input_cache_write_30m=rng.choice((0, 0, rng.randrange(top))),
        input_cache_write_1h=rng.choice((0, rng.randrange(top))),
        input_cache_write_12h=rng.choice((0, 0, rng.randrange(top))),
        output=output,
        output_reasoning=rng.choice((0, rng.randint(0, output))),
        input_audio=rng.choice((0, rng.randint(0, uncached))),
        input_audio_cache_read=rng.choice((0, rng.randint(0, read))),
        web_searches=rng.choice((0, 3)),
    )


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda p: p.id)
def test_every_model_of_the_package_costs_what_calc_price_says(provider: Any) -> None:
    rng, compared = random.Random(provider.id), 0
    for model in provider.models:
        for at in DATES:
            for named in CONTEXTS:
                context = price_context(*named)
                steps = steps_of(provider, model, at, context)
                if not steps:
                    continue
                rates = Rates(model.id, steps)
                for usage in (Usage(1), Usage(output=1), random_usage(rng)):
                    truth = model.calc_price(
                        theirs(usage), provider, genai_request_timestamp=at, price_context=context or None
                    )
                    assert rates.cost(usage)[0] == truth.total_price.quantize(NANO, ROUND_HALF_EVEN), (
                        model.id,
                        at,
                        named,
                        usage,
                    )
                    compared += 1
    assert compared or not any(steps_of(provider, model, DATES[0], {}) for model in provider.models)


def test_a_model_is_resolved_as_the_package_finds_it() -> None:
    book, at = PriceBook(), DATES[4]
    for provider, model in (
        ("openai", "gpt-4o-2024-08-06"),
        ("anthropic", "claude-sonnet-4-5-20250929"),
        ("", "gpt-4o-mini"),
    ):
        usage = Usage(1234, 500, output=77)
        truth = calc_price(theirs(usage), model, provider_id=provider or None, genai_request_timestamp=at)
        rates = book.resolve(provider, model, at=int(at.timestamp() * 1e6))
        assert rates is not None
        assert rates.cost(usage)[0] == truth.total_price.quantize(NANO, ROUND_HALF_EVEN)


def test_every_model_with_token_prices_has_rates() -> None:
    known, models = 0, 0
    for provider in PROVIDERS:
        for model in provider.models:
            prices = model.get_prices(DATES[4])
            if prices.input_mtok is None and prices.output_mtok is None:
                continue
            models += 1
            known += bool(steps_of(provider, model, DATES[4], {}))
    assert models > 1000
    assert known == models
