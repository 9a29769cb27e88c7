"""The anthropic package's own spans: on as soon as there is a tracer provider. User and tags by OpenTelemetry's baggage processor."""

from __future__ import annotations

import anthropic
from opentelemetry.processor.baggage import ALLOW_ALL_BAGGAGE_KEYS, BaggageSpanProcessor

from tests.emitters.calls import Clients
from tests.emitters.drivers import app

PROVIDERS = ("anthropic",)


class Emitter:
    def __init__(self, to: str, key: str, provider: str) -> None:
        self._spans = app.provider("anthropic-sdk", to, key)
        self._spans.add_span_processor(BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS))
        self.perform = Clients(provider, anthropic=anthropic).perform
        self.block = app.in_baggage

    def flush(self) -> None:
        self._spans.force_flush()

    def end(self) -> None:
        self._spans.shutdown()
