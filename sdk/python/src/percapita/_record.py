"""What happened -> an event, as the collector takes it. Never raises into the host."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from percapita import _sender
from percapita._trace import Trace, current, new_id


class Call:
    """One LLM call between its start and its end. Tags are those of the start: streams are consumed elsewhere."""

    __slots__ = ("event", "first_token", "sender", "started")

    def __init__(
        self, sender: _sender.Sender, operation: str, provider: str, request: Mapping[str, Any], prompt: Any
    ) -> None:
        self.sender = sender
        self.started = time.perf_counter()
        self.first_token: float | None = None
        self.event = _event("llm", current())
        self.event |= {"operation": operation, "provider": provider, "prompt": prompt}
        model = request.get("model")
        if isinstance(model, str):
            self.event["model"] = model

    def token(self) -> None:
        """The first piece of a stream has come."""
        if self.first_token is None:
            self.first_token = time.perf_counter()

    def end(self, status: str = "ok", **fields: Any) -> None:
        """Hand the event over."""
        event = self.event
        event["status"] = status
        event["latency_ms"] = round((time.perf_counter() - self.started) * 1000, 3)
        if self.first_token is not None:
            event["time_to_first_token_ms"] = round((self.first_token - self.started) * 1000, 3)
        event |= {name: value for name, value in fields.items() if value is not None}
        self.sender.put(event)

    def fail(self, error: BaseException) -> None:
        """The call raised."""
        code = getattr(error, "code", None) or getattr(error, "status_code", None) or type(error).__name__
        stopped = isinstance(error, (KeyboardInterrupt, GeneratorExit)) or type(error).__name__ == "CancelledError"
        self.end("aborted" if stopped else "error", error_code=str(code)[:64], error_message=str(error)[:2000])


def _event(kind: str, trace: Trace | None) -> dict[str, Any]:
    event: dict[str, Any] = {"id": new_id(), "type": kind, "timestamp": int(time.time() * 1000)}
    if trace is not None:
        event["trace_id"] = trace.id
        if trace.name:
            event["name"] = trace.name[:128]
        if trace.tags:
            event["metadata"] = {"tags": trace.tags}
    return event


def trace_ended(trace: Trace, error: BaseException | None) -> None:
    """Every outermost block is one event, so that an empty block is a trace too."""
    sender = _sender.default()
    if sender is None:
        return
    event = _event("trace", trace)
    event["timestamp"] = trace.started_ms
    event["latency_ms"] = round((time.perf_counter() - trace.started) * 1000, 3)
    event["status"] = "error" if error is not None else "ok"
    sender.put(event)


def _send(kind: str, **fields: Any) -> None:
    sender = _sender.default()
    if sender is not None:
        sender.put(_event(kind, current()) | {name: value for name, value in fields.items() if value is not None})


def log(*lines: Any) -> None:
    """Log lines of the request."""
    _send("log", logs=list(lines))


def tool(
    name: str, *, arguments: Any = None, result: Any = None, latency_ms: float | None = None, status: str = "ok",
    cost_usd: str | None = None,
) -> None:  # fmt: skip
    """A tool call."""
    _send(
        "tool", tool_name=name, operation="execute_tool", tool_arguments=arguments, tool_result=result,
        latency_ms=latency_ms, status=status, cost_usd=cost_usd,
    )  # fmt: skip


def log_usage(provider: str, model: str, usage: Mapping[str, Any], **fields: Any) -> None:
    """A call that happened elsewhere: a batch, a background response. `usage` as the provider words it."""
    _send("llm", provider=provider, model=model, usage=dict(usage), **fields)
