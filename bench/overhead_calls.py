# mypy: ignore-errors
"""The calls of B6, in whatever environment: `python overhead_calls.py CONTESTANT CALLS ANSWER SINK` prints its times as JSON.

ANSWER is a file with what the provider answers, SINK the address of a collector.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

ASKED: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [
        {"role": "system", "content": "You answer questions about orders, briefly and kindly. " * 12},
        {"role": "user", "content": "tokens:1200,400,0,60 Where is my order? It was promised for Tuesday. " * 4},
    ],
}
TAGS = {"userId": "u-1024", "plan": "pro", "org": "acme"}
Block = Callable[[], AbstractContextManager[Any]]


def contestant(name: str, answer: bytes, sink: str) -> tuple[Any, Block, list[str]]:
    """A client, the block around each call, and whose versions to tell."""
    if name == "langfuse":
        from langfuse import Langfuse, propagate_attributes
        from langfuse import openai as stand_in

        Langfuse(public_key="pk", secret_key="sk", base_url=sink)
        client = stand_in.OpenAI(api_key="sk-test", http_client=stub(answer))
        return (
            client,
            lambda: propagate_attributes(user_id=TAGS["userId"], metadata={"plan": "pro", "org": "acme"}),
            ["langfuse"],
        )
    if name == "traceloop":
        os.environ["TRACELOOP_TELEMETRY"] = "false"
        from traceloop.sdk import Traceloop

        Traceloop.init("bench", sink, headers={"Authorization": "Bearer x"})

        def associated() -> AbstractContextManager[Any]:
            Traceloop.set_association_properties({"user_id": TAGS["userId"], "plan": "pro", "org": "acme"})
            return nullcontext()

        return bare(answer), associated, ["traceloop-sdk"]
    if name == "openinference":
        from openinference.instrumentation import using_attributes
        from openinference.instrumentation.openai import OpenAIInstrumentor
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        spans = TracerProvider()
        spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{sink}/v1/traces")))
        OpenAIInstrumentor().instrument(tracer_provider=spans)
        block = lambda: using_attributes(user_id=TAGS["userId"], metadata={"plan": "pro", "org": "acme"})  # noqa: E731
        return bare(answer), block, ["openinference-instrumentation-openai"]
    if name == "percapita":
        import percapita

        percapita.configure("pc_test", sink)
        return percapita.wrap(bare(answer)), lambda: percapita.with_trace(tags=TAGS), ["percapita"]
    return bare(answer), nullcontext, []


def bare(answer: bytes) -> Any:
    """The client as it comes, over a stub of its transport."""
    import openai

    return openai.OpenAI(api_key="sk-test", http_client=stub(answer))


def stub(answer: bytes) -> Any:
    """An HTTP client whose transport answers the same at once."""
    import openai

    http = importlib.import_module(openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])
    headers = {"content-type": "application/json", "x-request-id": "req_1"}
    return http.Client(transport=http.MockTransport(lambda _: http.Response(200, headers=headers, content=answer)))


def one(client: Any, block: Block) -> float:
    """Microseconds of a call."""
    began = time.perf_counter()
    with block():
        client.chat.completions.create(**ASKED)
    return (time.perf_counter() - began) * 1e6


def at(times: list[float], share: float) -> float:
    """A quantile."""
    return sorted(times)[int(share * (len(times) - 1))]


def paired(calls: int, answer: bytes, sink: str) -> dict[str, Any]:
    """Bare and ours in turns, a call each; what is added is the difference of the two quantiles."""
    ours, block, _ = contestant("percapita", answer, sink)
    plain = bare(answer)
    for _ in range(100):
        one(plain, nullcontext)
        one(ours, block)
    times: dict[str, list[float]] = {"bare": [], "wrapped": []}
    for n in range(2 * calls):
        pair = [("bare", plain, nullcontext), ("wrapped", ours, block)]
        for which, client, around in pair if n % 2 else reversed(pair):
            times[which].append(one(client, around))
    told = {which: (at(taken, 0.5), at(taken, 0.99)) for which, taken in times.items()}
    return {**told, "added": tuple(told["wrapped"][n] - told["bare"][n] for n in (0, 1))}


def idle(calls: int) -> dict[str, float]:
    """Microseconds that the wrapper itself takes without a key: around a request that does nothing, and a block."""
    import percapita

    percapita.configure("")
    client = bare(b"")
    client.request = nothing = lambda *_args, **_kwargs: None
    percapita.wrap(client)
    count = calls * 100

    def each(action: Callable[[], object]) -> float:
        return min(_timed(action, count) for _ in range(5))

    def block() -> None:
        with percapita.with_trace(tags=TAGS):
            pass

    options = object()
    return {
        "call": each(lambda: client.request(None, options, stream=False))
        - each(lambda: nothing(None, options, stream=False)),
        "block": each(block),
    }


def _timed(action: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        action()
    return (time.perf_counter() - began) / count * 1e6


def main() -> None:
    """Run what the command line names."""
    name, calls, answer, sink = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]).read_bytes(), sys.argv[4]
    if name == "paired":
        print(json.dumps(paired(calls, answer, sink)))
        return
    if name == "idle":
        print(json.dumps(idle(calls)))
        return
    client, block, packages = contestant(name, answer, sink)
    for _ in range(100):
        one(client, block)
    times = [one(client, block) for _ in range(calls)]
    versions = " ".join(f"{package} {importlib.metadata.version(package)}" for package in (*packages, "openai"))
    print(json.dumps({"p50": at(times, 0.5), "p99": at(times, 0.99), "versions": versions}), flush=True)
    if packages:
        os._exit(0)  # what is left to send is not measured


if __name__ == "__main__":
    main()
