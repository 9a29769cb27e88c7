"""Pydantic Logfire, exporting to another backend. User, session and tags as baggage, which it writes on its own spans."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import anthropic
import logfire
import openai

from tests.emitters.calls import Clients
from tests.emitters.cases import Case
from tests.emitters.drivers import app

PROVIDERS = ("openai", "anthropic")


class Emitter:
    def __init__(self, to: str, key: str, provider: str) -> None:
        os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{to}/v1/traces"
        os.environ["OTEL_EXPORTER_OTLP_TRACES_HEADERS"] = f"Authorization=Bearer {key}"
        logfire.configure(service_name="logfire", send_to_logfire=False, console=False, inspect_arguments=False)
        logfire.instrument_openai()
        logfire.instrument_anthropic()
        self.perform = Clients(provider, openai, anthropic).perform

    @contextmanager
    def block(self, case: Case) -> Iterator[None]:
        with logfire.set_baggage(**app.attributes(case)), logfire.span(case.name):
            yield

    def flush(self) -> None:
        logfire.force_flush()

    def end(self) -> None:
        logfire.shutdown()
