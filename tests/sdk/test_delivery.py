"""The SDK's background delivery, with real sockets and processes: nothing is raised, nothing waits, nothing is lost in silence."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import percapita
import pytest
from percapita._sender import MAX_EVENTS, Sender

from tests.support.intake import Intake


def event(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"00000000-0000-7000-8000-{number:012d}", "type": "llm", **fields}


def message(found: dict[str, Any]) -> str:
    """Of a log line."""
    (line,) = found["logs"]
    return str(line)


def script(intake: Intake, text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "PERCAPITA_API_KEY": "pc_test", "PERCAPITA_URL": intake.url, **environment}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        env=given,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_events_of_a_process_that_ends_at_once_arrive(intake: Intake) -> None:
    ended = script(intake, """
        import percapita
        with percapita.with_trace(tags={"userId": "ada"}):
            percapita.log("the last line")
    """)  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(e["type"] for e in intake.events) == ["log", "trace"]


def test_events_that_come_one_by_one_arrive_within_a_second_each(intake: Intake) -> None:
    sender = Sender("pc_test", intake.url)
    for number in range(4):
        began = time.monotonic()
        sender.put(event(number))
        while len(intake.events) <= number and time.monotonic() - began < 5:
            time.sleep(0.01)
        assert time.monotonic() - began < 1
        time.sleep(0.2 * number)
    assert [found["id"] for found in intake.events] == [event(number)["id"] for number in range(4)]
    sender.close()


def test_a_process_ends_in_two_seconds_when_nobody_answers(intake: Intake) -> None:
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes connections, never answers
        ended = script(intake, """
            import percapita
            with percapita.with_trace(tags={"userId": "ada"}):
                pass
        """, PERCAPITA_URL=f"http://127.0.0.1:{deaf.getsockname()[1]}")  # fmt: skip
    assert ended.returncode == 0
    assert "Traceback" not in ended.stderr
    assert time.monotonic() - began < 5


def test_parent_and_forked_children_each_send_their_own_once(intake: Intake) -> None:
    ended = script(intake, """
        import os, percapita
        for number in range(50):
            percapita.log(f"before {number}")  # the thread runs, events wait
        children = []
        for child in range(3):
            pid = os.fork()
            if not pid:
                percapita.log(f"child {child}")
                percapita.flush(5)
                os._exit(0)
            children.append(pid)
        percapita.log("parent")
        for pid in children:
            os.waitpid(pid, 0)
    """)  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = sorted(str(e["logs"]) for e in intake.events)
    assert len(lines) == len(set(lines)) == 54


def test_a_server_in_trouble_is_asked_again_with_the_same_ids(intake: Intake) -> None:
    intake.statuses.extend([503, 500, 429])
    sender = Sender("pc_test", intake.url)
    sender.put(event(1))
    assert sender.flush(10)
    assert [status for status, _ in intake.tries] == [503, 500, 429, 202]
    assert {body["events"][0]["id"] for _, body in intake.tries} == {event(1)["id"]}
    sender.close()


def test_a_batch_that_is_too_large_goes_in_halves(intake: Intake) -> None:
    intake.largest = 3
    sender = Sender("pc_test", intake.url)
    for number in range(20):
        sender.put(event(number))
    assert sender.flush(10)
    assert sorted(e["id"] for e in intake.events) == sorted(event(n)["id"] for n in range(20))
    sender.close()


def test_what_is_refused_for_good_is_counted_and_told(intake: Intake) -> None:
    intake.statuses.append(400)
    sender = Sender("pc_test", intake.url)
    sender.put(event(1))
    assert sender.flush(10)
    sender.put(event(2))
    assert sender.flush(10)
    assert [e["id"] for e in intake.events] == [event(2)["id"]]
    assert intake.dropped() == {"refused_400": 1}
    sender.close()


def test_a_full_queue_drops_content_then_the_oldest_and_says_so() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # nobody listens here yet
        port = held.getsockname()[1]
    sender = Sender("pc_test", f"http://127.0.0.1:{port}")
    began = time.monotonic()
    for number in range(MAX_EVENTS + 300):
        sender.put(event(number, prompt="secret", usage={"output": 1}))
    assert time.monotonic() - began < 5
    with Intake(port) as intake:
        deadline = time.monotonic() + 60
        while not intake.dropped() or len(intake.events) < MAX_EVENTS:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        sender.flush(10)
        dropped = intake.dropped()
        assert len(intake.events) + dropped["queue_full"] == MAX_EVENTS + 300
        last = next(e for e in intake.events if e["id"] == event(MAX_EVENTS + 299)["id"])
        assert last == event(MAX_EVENTS + 299, usage={"output": 1})
        assert dropped["content_queue_full"] >= dropped["queue_full"] > 0
    sender.close()


def test_without_a_key_nothing_is_recorded_and_no_thread_starts(intake: Intake) -> None:
    ended = script(intake, """
        import threading, percapita
        with percapita.with_trace(tags={"userId": "ada"}):
            percapita.log("a line")
        assert percapita.flush()
        assert threading.active_count() == 1
    """, PERCAPITA_API_KEY="")  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert intake.tries == []


def test_tags_follow_threads_through_copy_context_and_never_leak(intake: Intake) -> None:
    percapita.configure("pc_test", intake.url)
    try:

        def work(name: str) -> None:
            with percapita.with_trace(tags={"userId": name}):
                threading.Thread(target=percapita.copy_context(lambda: percapita.log(f"of {name}"))).start()
                time.sleep(0.01)
                threading.Thread(target=lambda: percapita.log(f"outside {name}")).start()

        threads = [threading.Thread(target=work, args=(f"u{n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(0.1)
        assert percapita.flush(10)
    finally:
        percapita.configure("")
    for found in (e for e in intake.events if e["type"] == "log"):
        where, _, name = message(found).partition(" ")
        tags = found.get("metadata", {}).get("tags", {})
        assert tags == ({"userId": name} if where == "of" else {}), found


def test_nested_blocks_inherit_and_override_tags_and_are_one_trace(intake: Intake) -> None:
    percapita.configure("pc_test", intake.url)
    try:
        with percapita.with_trace(tags={"userId": "ada", "plan": "pro"}):
            percapita.log("outer")
            with percapita.with_trace(tags={"plan": "team"}):
                percapita.tag(step="two")
                percapita.log("inner")
            percapita.log("after")
        assert percapita.flush(10)
    finally:
        percapita.configure("")
    logs = [e["metadata"]["tags"] for e in intake.events if e["type"] == "log"]
    assert logs == [
        {"userId": "ada", "plan": "pro"}, {"userId": "ada", "plan": "team", "step": "two"}, {"userId": "ada", "plan": "pro"},
    ]  # fmt: skip
    assert len({e["trace_id"] for e in intake.events}) == 1
    assert [e["type"] for e in intake.events].count("trace") == 1


def test_the_thread_makes_way_for_the_host_between_a_few_events_unless_somebody_waits(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    sleep = time.sleep
    monkeypatch.setattr("percapita._turns.time.sleep", lambda seconds: (slept.append(seconds), sleep(seconds)))
    monkeypatch.setattr("percapita._turns._TURN_SECONDS", 0.0)
    sender = Sender("pc_test", intake.url)
    for number in range(20):
        sender.put(event(number))
    while len(intake.events) < 20:
        sleep(0.01)
    assert len(slept) >= 5
    slept.clear()
    sender.put(event(20))
    assert sender.flush(10)
    assert len(intake.events) == 21
    sender.close()
    assert slept == []


# A host that lets go of the interpreter for moments only, too short for another thread to wake up.
NEVER_WAITS = """
    import os, time, percapita
    for number in range(EVENTS):
        until = time.perf_counter() + SECONDS
        while time.perf_counter() < until:
            os.urandom(8)
            for _ in range(5_000):
                pass
        percapita.log_usage("openai", "gpt-4o", {"output_tokens": number})
    assert percapita.flush(60)
"""


def test_a_host_that_never_waits_loses_nothing(intake: Intake) -> None:
    found = script(intake, NEVER_WAITS.replace("EVENTS", "14_000").replace("SECONDS", "0.0004"))
    assert found.returncode == 0, found.stderr
    assert sorted(event["usage"]["output_tokens"] for event in intake.events) == list(range(14_000))
    assert intake.dropped() == {}


def test_events_of_a_host_that_never_waits_arrive_while_it_runs(intake: Intake) -> None:
    ages: list[float] = []
    take = intake.take

    def timed(body: dict[str, Any]) -> int:
        ages.extend(time.time() - event["timestamp"] / 1000 for event in body["events"])
        return take(body)

    intake.take = timed  # type: ignore[method-assign]
    found = script(intake, NEVER_WAITS.replace("EVENTS", "4_000").replace("SECONDS", "0.002"))  # 8 s
    assert found.returncode == 0, found.stderr
    assert len(ages) == 4_000
    assert max(ages) < 4


def test_handlers_of_signals_that_record_and_raise_stop_nothing(intake: Intake) -> None:
    """Wherever they come: in the queue, or while the host gives way."""
    found = script(
        intake,
        """
        import os, signal, time, percapita
        from percapita._turns import Turns
        Turns.late_at = property(lambda self: 0.0, lambda self, at: None)  # the thread is late at every event
        class Late(Exception):
            pass
        alarms, may_raise = 0, False
        def handler(*_):
            global alarms, may_raise
            alarms += 1
            percapita.log("a handler")
            if may_raise and alarms % 2:
                may_raise = False
                raise Late
        signal.signal(signal.SIGALRM, handler)
        raised = 0
        until = time.monotonic() + 3
        signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
        while time.monotonic() < until:
            try:
                may_raise = True
                for _ in range(20_000):
                    pass
                percapita.log("the host")
                may_raise = False
            except Late:
                raised += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        percapita.log("the last")
        assert percapita.flush(10)
        assert raised > 20, (raised, alarms)
        """,
    )
    assert found.returncode == 0, found.stderr
    assert intake.events[-1]["logs"] == ["the last"]


@pytest.mark.parametrize("fork", ["os.fork", "ctypes.PyDLL(None).fork"])
def test_ids_are_all_different_also_in_forked_children(intake: Intake, fork: str) -> None:
    """Forked by Python, and without Python being told."""
    found = script(
        intake,
        """
        import ctypes, os, threading, percapita
        from percapita._ids import new_id
        from concurrent.futures import ThreadPoolExecutor
        new_id()
        fork = FORK
        children = []
        for _ in range(3):
            child = fork()
            if child == 0:
                break
            children.append(child)
        with ThreadPoolExecutor(4) as pool:
            ids = [one for some in pool.map(lambda _: [new_id() for _ in range(500)], range(8)) for one in some]
        for n in range(0, len(ids), 100):  # as much as a pipe takes in one piece
            os.write(1, "".join(one + "\\n" for one in ids[n : n + 100]).encode())
        for child in children:
            os.waitpid(child, 0)
        os._exit(0)
        """.replace("FORK", fork),
    )
    assert found.returncode == 0, found.stderr
    ids = found.stdout.split()
    assert len(set(ids)) == len(ids) == 4 * 8 * 500
    assert all(re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", one) for one in ids)
