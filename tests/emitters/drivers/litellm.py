"""LiteLLM with its `otel` callback. The user by `user=`, metadata by `metadata=`; the session stands on the application's span."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import litellm
from opentelemetry import trace

from tests.emitters.calls import NotOffered, abandon, arguments, use_up
from tests.emitters.cases import TAGS, Case
from tests.emitters.drivers import app

PROVIDERS = ("openai", "anthropic")


class Emitter:
    def __init__(self, to: str, key: str, provider: str) -> None:
        os.environ["OTEL_EXPORTER"] = "otlp_http"
        os.environ["OTEL_ENDPOINT"] = f"{to}/v1/traces"
        os.environ["OTEL_HEADERS"] = f"Authorization=Bearer {key}"
        os.environ["OTEL_SERVICE_NAME"] = "litellm"
        self._spans = app.provider("litellm", to, key)
        self._provider = provider
        litellm.callbacks = ["otel"]
        litellm.suppress_debug_info = True

    def perform(self, case: Case) -> None:
        if case.how in ("helper", "parse", "raw") or case.api == "beta":
            raise NotOffered(case.name)
        given = arguments(case)
        base = self._provider if case.provider == "anthropic" else f"{self._provider}/v1"
        given |= {
            "model": f"{case.provider}/{case.model}", "api_base": base, "api_key": "none", "user": case.user,
            "metadata": {**TAGS, "case": case.name}, "num_retries": 0, "max_retries": 0,
        }  # fmt: skip
        self._call(case, given)
        time.sleep(0.6)  # its callbacks run in threads of their own, which nothing waits for

    @staticmethod
    def _call(case: Case, given: dict[str, Any]) -> None:
        if case.api == "embeddings":
            litellm.embedding(**given)
        elif case.api == "responses":
            made = litellm.responses(**given, stream=case.how == "stream")
            if case.how == "stream":
                use_up(made)
        elif case.how == "async":
            asyncio.run(_call_async(given))
        elif case.how == "plain":
            litellm.completion(**given)
        else:
            made = litellm.completion(**given, stream=True)
            (use_up if case.how == "stream" else abandon)(made)

    def block(self, case: Case):
        return app.root(case, app.attributes(case))

    def flush(self) -> None:
        self._spans.force_flush()
        trace.get_tracer_provider().force_flush()

    def end(self) -> None:
        return


async def _call_async(given: dict[str, Any]) -> None:
    await litellm.acompletion(**given)
    await asyncio.sleep(0.6)
