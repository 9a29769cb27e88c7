"""Langfuse: its stand-in for the openai package. User, session and metadata by `propagate_attributes`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from langfuse import Langfuse, propagate_attributes
from langfuse import openai as langfuse_openai

from tests.emitters.calls import Clients
from tests.emitters.cases import SESSION, TAGS, Case

PROVIDERS = ("openai",)


class Emitter:
    def __init__(self, to: str, key: str, provider: str) -> None:
        """The key is Langfuse's public key, and its secret key as well: Basic authentication sends both."""
        self._langfuse = Langfuse(public_key=key, secret_key=key, base_url=to)
        self.perform = Clients(provider, langfuse_openai).perform

    @contextmanager
    def block(self, case: Case) -> Iterator[None]:
        tags = {**TAGS, "case": case.name}
        with (
            propagate_attributes(user_id=case.user, session_id=SESSION, metadata=tags, tags=["app"]),
            self._langfuse.start_as_current_observation(as_type="span", name=case.name),
        ):
            yield

    def flush(self) -> None:
        self._langfuse.flush()

    def end(self) -> None:
        self._langfuse.shutdown()
