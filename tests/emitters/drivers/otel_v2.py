"""opentelemetry-instrumentation-openai-v2. User, session and tags stand on the application's own span alone."""

from __future__ import annotations

import openai
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

from tests.emitters.calls import Clients
from tests.emitters.cases import Case
from tests.emitters.drivers import app

PROVIDERS = ("openai",)
NAME = "otel-v2"


class Emitter:
    def __init__(self, to: str, key: str, provider: str) -> None:
        self._spans = app.provider(NAME, to, key)
        OpenAIInstrumentor().instrument()
        self.perform = Clients(provider, openai).perform

    def block(self, case: Case):
        return app.root(case, app.attributes(case))

    def flush(self) -> None:
        self._spans.force_flush()

    def end(self) -> None:
        self._spans.shutdown()
