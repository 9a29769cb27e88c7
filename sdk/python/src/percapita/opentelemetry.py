"""Our tags on other instrumentations' spans: for calls that arrive by OpenTelemetry instead of `wrap`.

provider.add_span_processor(percapita.opentelemetry.TagProcessor())
"""

from __future__ import annotations

from typing import Any

import percapita
from percapita._say import once


class TagProcessor:
    """A span processor: every span begun inside `with_trace` gets `percapita.tags.KEY` of each tag, and `user.id` of `userId`.

    Attributes that the host has set itself stay. It needs no exporter and keeps nothing; `ours` is a configuration other than the
    module's own.
    """

    def __init__(self, ours: percapita.Percapita | None = None) -> None:
        self._ours = ours

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """The span begins."""
        try:
            trace = (self._ours or percapita._default).trace.get()
            if trace is None:
                return
            there = getattr(span, "attributes", None) or {}
            told = {f"percapita.tags.{key}": value for key, value in trace.tags.items()}
            if "userId" in trace.tags:
                told["user.id"] = str(trace.tags["userId"])
            if trace.session_id:
                told["session.id"] = str(trace.session_id)
            for name, value in told.items():
                if name not in there:
                    span.set_attribute(name, value)
        except Exception as error:
            once("span", f"a span has no tags: {type(error).__name__}")

    def on_end(self, span: Any) -> None:
        """The span ends: nothing to do."""

    def _on_ending(self, span: Any) -> None:
        """Asked by newer releases of the OpenTelemetry SDK."""

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held."""
        return True
