"""OpenInference (Arize Phoenix). User, session and metadata by `using_attributes`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anthropic
import openai
from openinference.instrumentation import using_attributes
from openinference.instrumentation.anthropic import AnthropicInstrumentor
from openinference.instrumentation.openai import OpenAIInstrumentor

from tests.emitters.calls import Clients
from tests.emitters.cases import SESSION, TAGS, Case
from tests.emitters.drivers import app

PROVIDERS = ("openai", "anthropic")


class Emitter:
    def __init__(self, to: str, key: str, provider: str) -> None:
        self._spans = app.provider("openinference", to, key)
        OpenAIInstrumentor().instrument(tracer_provider=self._spans)
        AnthropicInstrumentor().instrument(tracer_provider=self._spans)
        self.perform = Clients(provider, openai, anthropic).perform

    @contextmanager
    def block(self, case: Case) -> Iterator[None]:
        tags = {**TAGS, "case": case.name}
        with using_attributes(session_id=SESSION, user_id=case.user, metadata=tags, tags=["app"]), app.root(case):
            yield

    def flush(self) -> None:
        self._spans.force_flush()

    def end(self) -> None:
        self._spans.shutdown()
