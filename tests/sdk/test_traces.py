"""Whose call it is: blocks nested and side by side, in threads, tasks and generators; tags never lost, and never somebody else's."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from percapita import Percapita

from tests.support.intake import Intake


def lines(ours: Percapita, intake: Intake) -> dict[str, dict[str, str]]:
    """Log line -> tags of its event."""
    assert ours.flush(10)
    return {e["logs"][0]: e.get("metadata", {}).get("tags", {}) for e in intake.events if e["type"] == "log"}


def test_inner_blocks_inherit_and_override_and_leave_the_outer_as_it_was(ours: Percapita, intake: Intake) -> None:
    with ours.with_trace(tags={"userId": "ada", "plan": "pro"}, name="outer", session_id="s1"):
        with ours.with_trace(tags={"plan": "team"}, name="inner"):
            ours.tag(step="two")
            ours.log("inner")
        ours.log("outer")
    ours.log("outside")
    assert lines(ours, intake) == {
        "inner": {"userId": "ada", "plan": "team", "step": "two"},
        "outer": {"userId": "ada", "plan": "pro"},
        "outside": {},
    }
    (trace,) = [e for e in intake.events if e["type"] == "trace"]
    (inner, outer, _) = [e for e in intake.events if e["type"] == "log"]
    assert inner["trace_id"] == outer["trace_id"] == trace["trace_id"]
    assert (inner["name"], outer["name"], trace["name"], trace["session_id"]) == ("inner", "outer", "outer", "s1")


def test_an_empty_block_is_a_trace_and_a_block_that_raises_an_error(ours: Percapita, intake: Intake) -> None:
    with ours.with_trace(tags={"userId": "ada"}):
        pass
    with pytest.raises(KeyError), ours.with_trace(tags={"userId": "bob"}):
        raise KeyError
    assert ours.flush(10)
    assert [(e["type"], e["status"]) for e in intake.events] == [("trace", "ok"), ("trace", "error")]


def test_tasks_that_run_at_once_keep_their_tags(ours: Percapita, intake: Intake) -> None:
    async def request(name: str) -> None:
        async with ours.with_trace(tags={"userId": name}):
            for turn in range(5):
                await asyncio.sleep(0)
                await asyncio.gather(inner(f"{name}-{turn}-a"), inner(f"{name}-{turn}-b"))

    async def inner(line: str) -> None:
        await asyncio.sleep(0)
        ours.log(line)

    async def all_requests() -> None:
        await asyncio.gather(*(request(f"u{n}") for n in range(20)))

    asyncio.run(all_requests())
    found = lines(ours, intake)
    assert len(found) == 200
    assert all(tags == {"userId": line.partition("-")[0]} for line, tags in found.items())


def test_one_block_object_serves_many_tasks_and_calls(ours: Percapita, intake: Intake) -> None:
    block = ours.with_trace(tags={"job": "nightly"})

    async def run(n: int) -> None:
        with block:
            await asyncio.sleep(0.001 * (n % 3))
            ours.log(f"in {n}")
        ours.log(f"after {n}")

    async def all_runs() -> None:
        await asyncio.gather(*(run(n) for n in range(12)))

    asyncio.run(all_runs())
    found = lines(ours, intake)
    assert all(tags == ({"job": "nightly"} if line.startswith("in") else {}) for line, tags in found.items())
    assert len({e["trace_id"] for e in intake.events if e["type"] == "trace"}) == 12


@pytest.mark.parametrize("bound", [True, False])
def test_a_thread_pool_has_the_tags_that_copy_context_gave_it(ours: Percapita, intake: Intake, bound: bool) -> None:
    with ThreadPoolExecutor(4) as pool:
        for n in range(20):
            with ours.with_trace(tags={"userId": f"u{n}"}):
                work = ours.copy_context(ours.log) if bound else ours.log
                pool.submit(work, f"u{n}").result()
    assert lines(ours, intake) == {f"u{n}": {"userId": f"u{n}"} if bound else {} for n in range(20)}


def test_copy_context_works_in_many_threads_at_once(ours: Percapita, intake: Intake) -> None:
    with ours.with_trace(tags={"userId": "ada"}):
        work = ours.copy_context(ours.log)
    threads = [threading.Thread(target=work, args=(f"line {n}",)) for n in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lines(ours, intake) == {f"line {n}": {"userId": "ada"} for n in range(30)}


def test_decorated_functions_of_every_kind_are_blocks(ours: Percapita, intake: Intake) -> None:
    mark = ours.with_trace(tags={"userId": "ada"})

    @mark
    def plain(line: str) -> str:
        ours.log(line)
        return line

    @mark
    async def coroutine(line: str) -> str:
        await asyncio.sleep(0)
        ours.log(line)
        return line

    @mark
    def generator(line: str) -> Iterator[Any]:
        got = yield line
        ours.log(f"{line} {got}")
        return "end"

    assert plain("plain") == "plain"
    assert asyncio.run(coroutine("coroutine")) == "coroutine"
    made = generator("generator")
    assert next(made) == "generator"
    with pytest.raises(StopIteration) as end:
        made.send("sent")  # type: ignore[attr-defined]  # a generator
    assert end.value.value == "end"
    assert lines(ours, intake) == {line: {"userId": "ada"} for line in ("plain", "coroutine", "generator sent")}
    assert [e["name"] for e in intake.events if e["type"] == "trace"] == ["plain", "coroutine", "generator"]
    assert plain.__name__ == "plain"


def test_generators_read_in_turns_do_not_see_each_others_tags_and_leave_none_behind(
    ours: Percapita, intake: Intake
) -> None:
    def stream(name: str) -> Iterator[int]:
        for n in range(3):
            ours.log(f"{name} {n}")
            yield n

    one, two = (ours.with_trace(tags={"userId": name})(stream)(name) for name in ("ada", "bob"))
    for n in range(3):
        assert (next(one), next(two)) == (n, n)
        ours.log(f"host {n}")
    assert (list(one), list(two)) == ([], [])
    found = lines(ours, intake)
    assert all(
        tags == ({} if line.startswith("host") else {"userId": line.partition(" ")[0]}) for line, tags in found.items()
    )
    assert len(found) == 9


def test_async_generators_read_in_turns_keep_their_tags_too(ours: Percapita, intake: Intake) -> None:
    """As streaming responses of web frameworks are read."""

    async def stream(name: str) -> AsyncIterator[int]:
        for n in range(3):
            await asyncio.sleep(0)
            ours.log(f"{name} {n}")
            yield n

    async def read() -> None:
        one, two = (ours.with_trace(tags={"userId": name})(stream)(name) for name in ("ada", "bob"))
        for n in range(3):
            assert await anext(one) == await anext(two) == n  # type: ignore[call-overload]  # async generators
            ours.log(f"host {n}")
        assert [item async for item in one] == [item async for item in two] == []

    asyncio.run(read())
    found = lines(ours, intake)
    assert all(
        tags == ({} if line.startswith("host") else {"userId": line.partition(" ")[0]}) for line, tags in found.items()
    )
    assert sorted(e["metadata"]["tags"]["userId"] for e in intake.events if e["type"] == "trace") == ["ada", "bob"]


def test_a_generator_that_is_left_or_raises_is_one_trace(ours: Percapita, intake: Intake) -> None:
    @ours.with_trace(tags={"userId": "ada"})
    def stream() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            ours.log("cleaned up")

    left = stream()
    next(left)
    left.close()  # type: ignore[attr-defined]
    failing = stream()
    next(failing)
    with pytest.raises(ValueError, match="thrown"):
        failing.throw(ValueError("thrown"))  # type: ignore[attr-defined]
    assert ours.flush(10)
    assert [e["status"] for e in intake.events if e["type"] == "trace"] == ["ok", "error"]
    assert [e["metadata"]["tags"] for e in intake.events if e["type"] == "log"] == [{"userId": "ada"}] * 2


def test_a_block_inside_a_generator_that_is_finished_elsewhere_takes_nobodys_tags_away(
    ours: Percapita, intake: Intake
) -> None:
    def stream() -> Iterator[int]:
        with ours.with_trace(tags={"userId": "inner"}):
            yield 1

    left = stream()
    next(left)

    def finish() -> None:
        with ours.with_trace(tags={"userId": "other"}):
            left.close()  # type: ignore[attr-defined]
            ours.log("other")

    thread = threading.Thread(target=finish)
    thread.start()
    thread.join()
    assert lines(ours, intake) == {"other": {"userId": "other"}}


def test_tags_the_collector_would_refuse_are_left_out_and_their_calls_still_count(
    ours: Percapita, intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    given = {"userId": "ada", "bad key": "x", "long": "x" * 300, "none": None, "number": 7, "yes": True, "nul": "a\0b"}
    with ours.with_trace(tags={**given, **{f"k{n}": "v" for n in range(40)}}):
        ours.log("line")
    tags = lines(ours, intake)["line"]
    assert len(tags) == 32
    assert {name: value for name, value in tags.items() if not name.startswith("k")} == {
        "userId": "ada",
        "number": 7,
        "yes": True,
    }
    assert "bad key" not in caplog.text
    assert "x" * 300 not in caplog.text


def test_two_configurations_side_by_side_keep_their_tags_apart(ours: Percapita, intake: Intake) -> None:
    with Intake() as customers:
        theirs = Percapita("pc_theirs", customers.url, agent="their-app")
        with ours.with_trace(tags={"userId": "ada", "margin": "0.4"}), theirs.with_trace(tags={"userId": "a-1"}):
            ours.log("for operations")
            theirs.log("for the customer")
        assert theirs.flush(10)
        assert lines(ours, intake) == {"for operations": {"userId": "ada", "margin": "0.4"}}
        assert lines(theirs, customers) == {"for the customer": {"userId": "a-1"}}
        assert {e["agent"] for e in customers.events} == {"their-app"}
        theirs.shutdown()


def test_settings_may_change_and_what_was_recorded_before_is_sent(ours: Percapita, intake: Intake) -> None:
    with Intake() as later:
        ours.log("before")
        ours.configure("pc_other", later.url)
        ours.log("after")
        assert ours.flush(10)
        deadline = time.monotonic() + 5
        while not intake.events and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [e["logs"] for e in intake.events] == [["before"]]
        assert [e["logs"] for e in later.events] == [["after"]]
        ours.configure("")
        ours.log("nobody hears")
        assert ours.flush(1)
        with contextlib.suppress(AssertionError):
            assert len(later.events) == 1


def test_tools_and_usage_of_elsewhere_are_events(ours: Percapita, intake: Intake) -> None:
    from decimal import Decimal

    with ours.with_trace(tags={"userId": "ada"}):
        ours.tool("search", arguments={"q": "x"}, result=["y"], latency_ms=12.5, cost_usd=Decimal("1E-7"))
        ours.log_usage("openai", "gpt-4o", {"prompt_tokens": 10, "completion_tokens": 1}, processing="batch")
    assert ours.flush(10)
    tool, usage, trace = intake.events
    assert (tool["type"], tool["tool_name"], tool["tool_arguments"], tool["cost_usd"]) == (
        "tool",
        "search",
        {"q": "x"},
        "0.0000001",
    )
    assert (usage["type"], usage["usage"]["prompt_tokens"], usage["processing"]) == ("llm", 10, "batch")
    assert tool["trace_id"] == usage["trace_id"] == trace["trace_id"]


@pytest.mark.parametrize("wrong", ["text", 7, [1, 2], {1: 2}, {"userId": object()}])
def test_tags_that_are_none_raise_nothing(ours: Percapita, intake: Intake, wrong: Any) -> None:
    with ours.with_trace(tags=wrong):
        ours.log("line")
    assert list(lines(ours, intake)) == ["line"]


def test_the_33rd_tag_is_left_out_wherever_it_was_added_and_its_calls_are_taken(
    ours: Percapita, intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    with ours.with_trace(tags={f"outer{n}": n for n in range(20)}):
        with ours.with_trace(tags={"outer0": "new", **{f"inner{n}": n for n in range(20)}}):
            ours.log("nested")
            ours.tag(late="x", outer1="again")
            ours.log("added")
        ours.log_usage("openai", "gpt-4o", {"output_tokens": 1}, metadata={"tags": {f"own{n}": n for n in range(20)}})
    found = lines(ours, intake)
    assert len(found["nested"]) == len(found["added"]) == 32
    assert found["nested"]["outer0"] == "new"
    assert "late" not in found["added"]
    assert found["added"]["outer1"] == "again"
    (call,) = [e for e in intake.events if e["type"] == "llm"]
    assert len(call["metadata"]["tags"]) == 32


class Lazy:
    """As what a web framework looks up when it is asked for: its session may be over by then."""

    def __str__(self) -> str:
        raise LookupError


def test_a_value_that_raises_loses_its_tag_and_nothing_else(ours: Percapita, intake: Intake) -> None:
    with ours.with_trace(tags={"userId": Lazy(), "plan": "pro"}):
        ours.log("of the block")
        ours.tag(user=Lazy(), step="two")
        ours.log("added")
    assert lines(ours, intake) == {"of the block": {"plan": "pro"}, "added": {"plan": "pro", "step": "two"}}


def test_callables_without_a_name_are_decorated_too(ours: Percapita, intake: Intake) -> None:
    class Job:
        def __call__(self, line: str) -> None:
            ours.log(line)

    async def work(line: str) -> None:
        ours.log(line)

    mark = ours.with_trace(tags={"userId": "ada"})
    mark(functools.partial(ours.log, "partial"))()
    asyncio.run(mark(functools.partial(work, "coroutine"))())  # type: ignore[arg-type]
    mark(Job())("object")
    assert lines(ours, intake) == {line: {"userId": "ada"} for line in ("partial", "coroutine", "object")}
    assert [e.get("name") for e in intake.events if e["type"] == "trace"] == ["log", "work", None]


@pytest.mark.parametrize(
    ("given", "told"),
    [("0.003", "0.003"), (1e-7, "0.0000001"), (2, "2"), ([1], None), (float("nan"), None), (object(), None)],
)
def test_what_a_tool_cost_is_decimal_text_or_nothing(
    ours: Percapita, intake: Intake, given: Any, told: str | None
) -> None:
    ours.tool("search", cost_usd=given)
    assert ours.flush(10)
    assert intake.events[0].get("cost_usd") == told


def test_a_block_that_a_generator_leaves_open_between_two_items_is_there_again(ours: Percapita, intake: Intake) -> None:
    @ours.with_trace(tags={"userId": "ada"})
    def stream() -> Iterator[int]:
        with ours.with_trace(tags={"step": "inner"}):
            for n in range(2):
                ours.log(f"inner {n}")
                yield n
        ours.log("own")

    @ours.with_trace(tags={"userId": "bob"})
    async def async_stream() -> AsyncIterator[int]:
        with ours.with_trace(tags={"step": "inner"}):
            for n in range(2):
                ours.log(f"async inner {n}")
                yield n
        ours.log("async own")

    async def read() -> None:
        async for n in async_stream():
            ours.log(f"async host {n}")

    for n in stream():
        ours.log(f"host {n}")
    asyncio.run(read())
    found = lines(ours, intake)
    for prefix, user in (("", "ada"), ("async ", "bob")):
        assert found[f"{prefix}inner 0"] == found[f"{prefix}inner 1"] == {"userId": user, "step": "inner"}
        assert found[f"{prefix}own"] == {"userId": user}
        assert found[f"{prefix}host 0"] == found[f"{prefix}host 1"] == {}


def test_copy_context_binds_coroutines_and_generators_too(ours: Percapita, intake: Intake) -> None:
    async def coroutine() -> None:
        await asyncio.sleep(0)
        ours.log("coroutine")

    def generator() -> Iterator[int]:
        ours.log("generator")
        yield 1

    async def async_generator() -> AsyncIterator[int]:
        ours.log("async generator")
        yield 1

    with ours.with_trace(tags={"userId": "ada"}):
        bound = [ours.copy_context(made) for made in (coroutine, generator, async_generator)]  # type: ignore[type-var]

    async def run() -> None:
        await bound[0]()  # type: ignore[misc]
        assert [n async for n in bound[2]()] == [1]  # type: ignore[attr-defined]

    asyncio.run(run())
    assert list(bound[1]()) == [1]  # type: ignore[call-overload]
    ours.log("outside")
    tags = {line: {"userId": "ada"} for line in ("coroutine", "generator", "async generator")}
    assert lines(ours, intake) == {**tags, "outside": {}}


def test_a_block_in_a_generator_that_is_left_is_no_error(ours: Percapita, intake: Intake) -> None:
    def stream() -> Iterator[int]:
        with ours.with_trace(tags={"userId": "ada"}):
            yield 1

    left = stream()
    next(left)
    left.close()  # type: ignore[attr-defined]
    assert ours.flush(10)
    assert [e["status"] for e in intake.events] == ["ok"]


def test_usage_with_metadata_of_its_own_keeps_the_tags_around_it(ours: Percapita, intake: Intake) -> None:
    with ours.with_trace(tags={"userId": "ada", "plan": "pro"}):
        more = {"batch": "b-1", "tags": {"plan": "team", "step": "night"}}
        ours.log_usage("openai", "gpt-4o", {"output_tokens": 1}, metadata=more)
        ours.log_usage("openai", "gpt-4o", {"output_tokens": 1}, metadata="none")
    assert ours.flush(10)
    first, second, _ = intake.events
    assert first["metadata"] == {"batch": "b-1", "tags": {"userId": "ada", "plan": "team", "step": "night"}}
    assert second["metadata"] == {"tags": {"userId": "ada", "plan": "pro"}}
