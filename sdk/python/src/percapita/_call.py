"""One LLM call between its start and its end. Tags are those of the start: streams are consumed elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from percapita._reading import Listener, Surface, get
from percapita._say import once
from percapita._snapshot import characters, snapshot

if TYPE_CHECKING:
    from percapita._percapita import Percapita

_ANSWER_BYTES, _MODEL_BYTES = 1_500, 1_500  # of an answer's fields beside its text, and of its objects more
_MOST_AT_ONCE = 20_000  # bytes of an answer that is read in the host's thread
_BYTES_PER_TOKEN = 6
_STOPPED = ("KeyboardInterrupt", "GeneratorExit", "CancelledError")


class Call:
    """The event of a call while it runs. `end`, `answer` and `fail` hand it over, once."""

    __slots__ = (
        "ended", "event", "first_token", "lists_tokens", "percapita", "process", "served", "started", "surface", "weight",
    )  # fmt: skip

    def __init__(self, percapita: Percapita, surface: Surface, provider: str, body: dict[str, Any]) -> None:
        self.percapita, self.surface = percapita, surface
        self.ended = False
        self.served: Any = None  # the answer that a parser was given
        self.first_token: float | None = None
        self.event = percapita.event("llm")
        self.process = os.getpid()
        self.lists_tokens = "top_logprobs" in body or "logprobs" in body  # one by one, in the answer
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
        """An answer that is not a stream: a model, or the dict of its JSON.

        Read at once: held until it is sent, its objects would cost the host more, in Python's looks for cycles, than reading them does.
        A long one is left to the background: reading it takes the longer the longer it is.
        """
        surface, ended_at = self.surface, time.perf_counter()
        usage = get(result, "usage")
        tokens = get(usage, "completion_tokens") or get(usage, "output_tokens")
        weight = _ANSWER_BYTES + (_BYTES_PER_TOKEN * tokens if isinstance(tokens, int) else 0)
        if self.lists_tokens or weight > _MOST_AT_ONCE:
            return self.end("ok", _MODEL_BYTES + weight, lambda: surface.read(result), ended_at)
        try:
            told = surface.read(result)
            if isinstance(result, dict):
                told, _ = snapshot(told)  # the host may change it
        except Exception as error:
            once("read", f"an answer could not be read: {type(error).__name__}")
            told = {}
        for name, value in told.items():
            if value is not None:
                self.event[name] = value
        return self.end("ok", weight, None, ended_at)

    def heard(self, listener: Listener, status: str, weight: int) -> None:
        """The end of a stream."""
        prompt = self.event["prompt"]
        self.end("ok" if listener.complete else status, weight, lambda: listener.fields(characters(prompt)))

    def end(
        self,
        status: str,
        weight: int = 0,
        fill: Callable[[], dict[str, Any]] | None = None,
        ended_at: float | None = None,
    ) -> None:
        """Hand the event over; `fill` reads the rest of it, in the background."""
        if self.ended:
            return
        self.ended = True
        sender = self.percapita.sender()  # of now: it may have been configured anew since the start
        if sender is None:
            return
        event = self.event
        event.setdefault("status", status)  # else as the answer says
        event["latency_ms"] = round(((ended_at or time.perf_counter()) - self.started) * 1000, 3)
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
