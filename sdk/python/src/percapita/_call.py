"""One LLM call between its start and its end. Tags are those of the start: streams are consumed elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from percapita import _ids
from percapita._reading import Listener, Surface, get
from percapita._snapshot import characters, snapshot

if TYPE_CHECKING:
    from percapita._percapita import Percapita

_MODEL_BYTES = 3_000  # of an answer's objects beside its text
_BYTES_PER_TOKEN = 6
_STOPPED = ("KeyboardInterrupt", "GeneratorExit", "CancelledError")


class Call:
    """The event of a call while it runs. `end`, `answer` and `fail` hand it over, once."""

    __slots__ = ("ended", "event", "first_token", "percapita", "process", "served", "started", "surface", "weight")

    def __init__(self, percapita: Percapita, surface: Surface, provider: str, body: dict[str, Any]) -> None:
        self.percapita, self.surface = percapita, surface
        self.ended = False
        self.served: Any = None  # the answer that a parser was given
        self.first_token: float | None = None
        self.event = percapita.event("llm")
        self.process = _ids.made_in  # just now
        self.event["operation"] = surface.operation
        self.event["provider"] = provider
        model = body.get("model")
        if isinstance(model, str):
            self.event["model"] = model
        self.event["prompt"], self.weight = snapshot(surface.prompt(body))
        self.started = time.perf_counter()

    def token(self) -> None:
        """A piece of a stream has come."""
        if self.first_token is None:
            self.first_token = time.perf_counter()

    def answer(self, result: Any) -> None:
        """An answer that is not a stream: a model, or the dict of its JSON."""
        surface = self.surface
        if surface.operation == "embeddings":
            told = surface.read(result)  # at once: the vectors are not to be held until it is sent
            return self.end("ok", 0, lambda: told)
        usage = get(result, "usage")
        tokens = get(usage, "completion_tokens") or get(usage, "output_tokens") or 0
        return self.end("ok", _MODEL_BYTES + _BYTES_PER_TOKEN * tokens, lambda: surface.read(result))

    def heard(self, listener: Listener, status: str, weight: int) -> None:
        """The end of a stream."""
        prompt = self.event["prompt"]
        self.end("ok" if listener.complete else status, weight, lambda: listener.fields(characters(prompt)))

    def end(self, status: str, weight: int = 0, fill: Callable[[], dict[str, Any]] | None = None) -> None:
        """Hand the event over; `fill` reads the rest of it, in the background."""
        if self.ended:
            return
        self.ended = True
        sender = self.percapita.sender()  # of now: it may have been configured anew since the start
        if sender is None:
            return
        event = self.event
        event["status"] = status
        event["latency_ms"] = round((time.perf_counter() - self.started) * 1000, 3)
        if self.first_token is not None:
            event["time_to_first_token_ms"] = round((self.first_token - self.started) * 1000, 3)
        sender.put(event, self.weight + weight, fill, self.process)

    def fail(self, error: BaseException, heard: Callable[[], dict[str, Any]] | None = None) -> None:
        """The call raised, or its stream did after `heard`."""
        kinds = [cls.__name__ for cls in type(error).__mro__]
        status = "aborted" if any(kind in _STOPPED for kind in kinds) else "error"
        code = getattr(error, "code", None) or getattr(error, "status_code", None) or kinds[0]
        told = {"error_code": str(code), "error_message": str(error)[:2_000]}
        if heard is None and (served := self.served) is not None:
            heard = lambda: self.surface.read(served)  # noqa: E731
        self.end(status, 2_000, lambda: {**heard(), **told} if heard is not None else told)
