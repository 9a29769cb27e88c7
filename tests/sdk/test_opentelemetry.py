"""The span processor, with the real OpenTelemetry SDK: our tags on other instrumentations' spans."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from pathlib import Path

from tests.support.needs import ROOT, need_environment

HERE = Path(__file__).parent


def spans(text: str) -> list[dict[str, object]]:
    """Name -> attributes of the spans that a script makes."""
    python = need_environment("sdk-newest", HERE / "requirements" / "newest.txt")
    around = f"""
        import json, percapita, percapita.opentelemetry
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        kept, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(percapita.opentelemetry.TagProcessor())
        provider.add_span_processor(SimpleSpanProcessor(kept))
        tracer = provider.get_tracer("somebody else's")
        {textwrap.indent(textwrap.dedent(text), " " * 8).strip()}
        assert provider.force_flush()
        provider.shutdown()
        print(json.dumps([{{"name": s.name, **s.attributes}} for s in kept.get_finished_spans()]))
    """
    done = subprocess.run(
        [str(python), "-c", textwrap.dedent(around)], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "sdk" / "python" / "src"), "PERCAPITA_API_KEY": ""},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def test_every_span_inside_a_block_has_its_tags() -> None:
    inner, outer, outside = spans("""
        with percapita.with_trace(tags={"userId": "ada", "plan": "pro"}, session_id="s1"):
            with tracer.start_as_current_span("outer"):
                with percapita.with_trace(tags={"plan": "team"}):
                    tracer.start_span("inner").end()
        tracer.start_span("outside").end()
    """)
    common = {"user.id": "ada", "session.id": "s1", "percapita.tags.userId": "ada"}
    assert inner == {"name": "inner", **common, "percapita.tags.plan": "team"}
    assert outer == {"name": "outer", **common, "percapita.tags.plan": "pro"}
    assert outside == {"name": "outside"}


def test_what_the_host_has_set_stays() -> None:
    (span,) = spans("""
        with percapita.with_trace(tags={"userId": "ada"}):
            tracer.start_span("own", attributes={"user.id": "the host's"}).end()
    """)
    assert span == {"name": "own", "user.id": "the host's", "percapita.tags.userId": "ada"}
