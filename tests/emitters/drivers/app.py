"""What an application with plain OpenTelemetry has: a provider, an exporter, a span of its own around each call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from opentelemetry import baggage, context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.emitters.cases import SESSION, TAGS, Case


def provider(service: str, to: str, key: str) -> TracerProvider:
    """The tracer provider, made the process's own."""
    made = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = OTLPSpanExporter(f"{to}/v1/traces", headers={"Authorization": f"Bearer {key}"})
    made.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(made)
    return made


def attributes(case: Case) -> dict[str, str]:
    """User, session and tags in names that Percapita reads."""
    tags = {f"percapita.tags.{key}": value for key, value in {**TAGS, "case": case.name}.items()}
    return {"user.id": case.user, "session.id": SESSION, **tags}


@contextmanager
def root(case: Case, given: dict[str, str] | None = None) -> Iterator[None]:
    with trace.get_tracer("app").start_as_current_span(case.name, attributes=given):
        yield


@contextmanager
def in_baggage(case: Case) -> Iterator[None]:
    """The attributes as baggage, which a baggage processor writes on every span."""
    with ExitStack() as stack:
        for name, value in attributes(case).items():
            stack.callback(context.detach, context.attach(baggage.set_baggage(name, value)))
        with root(case):
            yield
