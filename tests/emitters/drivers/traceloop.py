"""OpenLLMetry: traceloop-sdk. User, session and tags by `set_association_properties`, in a workflow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

os.environ["TRACELOOP_TELEMETRY"] = "false"

import anthropic
import openai
from opentelemetry import trace
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import workflow

from tests.emitters.calls import Clients
from tests.emitters.cases import SESSION, TAGS, Case

PROVIDERS = ("openai", "anthropic")


class Emitter:
    def __init__(self, to: str, key: str, provider: str) -> None:
        Traceloop.init("traceloop", to, headers={"Authorization": f"Bearer {key}"})
        self._clients = Clients(provider, openai, anthropic)

    def perform(self, case: Case) -> None:
        Traceloop.set_association_properties({"user_id": case.user, "session_id": SESSION, **TAGS, "case": case.name})
        workflow(name=case.name)(lambda: self._clients.perform(case))()

    @contextmanager
    def block(self, case: Case) -> Iterator[None]:
        with trace.get_tracer("app").start_as_current_span(f"request {case.name}"):
            yield

    def flush(self) -> None:
        trace.get_tracer_provider().force_flush()

    def end(self) -> None:
        return
