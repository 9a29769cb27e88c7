"""Percapita's own SDK: `wrap` once, `with_trace` around each request. Not OpenTelemetry: its events go to /v1/events."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import anthropic
import openai
import percapita

from tests.emitters.calls import Clients
from tests.emitters.cases import SESSION, TAGS, Case

PROVIDERS = ("openai", "anthropic")


class Emitter:
    def __init__(self, to: str, key: str, provider: str) -> None:
        os.environ["PERCAPITA_INCLUDE_USAGE"] = "1"  # the provider of the tests stands at no address that is known
        percapita.configure(key, to)
        clients = Clients(provider, openai, anthropic)
        for name in ("openai", "async_openai", "anthropic", "async_anthropic"):
            setattr(clients, name, percapita.wrap(getattr(clients, name)))
        self.perform = clients.perform

    @contextmanager
    def block(self, case: Case) -> Iterator[None]:
        with percapita.with_trace(
            tags={**TAGS, "userId": case.user, "case": case.name}, name=case.name, session_id=SESSION
        ):
            yield

    def flush(self) -> None:
        percapita.flush(10)

    def end(self) -> None:
        percapita.shutdown()
