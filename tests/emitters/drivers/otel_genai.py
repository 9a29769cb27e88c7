"""OpenTelemetry's own instrumentations, opentelemetry-instrumentation-genai-*. User and tags by the baggage processor."""

from __future__ import annotations

import os

os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"
os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"

import anthropic
import openai
from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.processor.baggage import ALLOW_ALL_BAGGAGE_KEYS, BaggageSpanProcessor

from tests.emitters.calls import Clients
from tests.emitters.drivers import app

PROVIDERS = ("openai", "anthropic")


class Emitter:
    def __init__(self, to: str, key: str, provider: str) -> None:
        self._spans = app.provider("otel-genai", to, key)
        self._spans.add_span_processor(BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS))
        OpenAIInstrumentor().instrument()
        AnthropicInstrumentor().instrument()
        self.perform = Clients(provider, openai, anthropic).perform
        self.block = app.in_baggage

    def flush(self) -> None:
        self._spans.force_flush()

    def end(self) -> None:
        self._spans.shutdown()
