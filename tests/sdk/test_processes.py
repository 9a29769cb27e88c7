"""Processes that fork, end, freeze or are ended: their events arrive, once. Real servers, real workers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support.intake import Intake
from tests.support.needs import ROOT, need_environment
from tests.support.providers import ProviderServer

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def python() -> str:
    """Of an environment with gunicorn and celery."""
    return str(need_environment("sdk-newest", HERE / "requirements" / "newest.txt"))


def given(intake: Intake, **more: str) -> dict[str, str]:
    """The environment of a process that records."""
    source = str(ROOT / "sdk" / "python" / "src")
    return {
        **os.environ,
        "PERCAPITA_API_KEY": "pc_test",
        "PERCAPITA_URL": intake.url,
        "PYTHONPATH": source,
        "NO_PROXY": "*",
        **more,
    }


def run(intake: Intake, text: str, python: str = sys.executable) -> None:
    """A script that must end well and say nothing."""
    done = subprocess.run(
        [python, "-c", textwrap.dedent(text)],
        env=given(intake),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def lines(intake: Intake) -> list[str]:
    return sorted(str(e["logs"][0]) for e in intake.events if e["type"] == "log")


def wait_for(intake: Intake, count: int, seconds: float = 15) -> list[str]:
    deadline = time.monotonic() + seconds
    while len(lines(intake)) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    return lines(intake)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_of_multiprocessing_send_what_they_recorded(intake: Intake, method: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(f"""
            import multiprocessing, percapita

            def work(n):
                with percapita.with_trace(tags={{"userId": f"u{{n}}"}}):
                    percapita.log(f"child {{n}}")

            if __name__ == "__main__":
                percapita.log("parent")
                context = multiprocessing.get_context("{method}")
                children = [context.Process(target=work, args=(n,)) for n in range(4)]
                for child in children:
                    child.start()
                for child in children:
                    child.join()
                    assert child.exitcode == 0
        """)
    )
    done = subprocess.run(
        [sys.executable, str(program)], env=given(intake), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert lines(intake) == [*(f"child {n}" for n in range(4)), "parent"]


def test_a_pool_that_forked_before_anything_was_recorded_sends_too(intake: Intake) -> None:
    run(intake, """
        import multiprocessing, percapita

        def work(n):
            percapita.log(f"task {n}")

        with multiprocessing.get_context("fork").Pool(3) as pool:
            pool.map(work, range(20))
            pool.close()
            pool.join()
    """)  # fmt: skip
    assert lines(intake) == sorted(f"task {n}" for n in range(20))


def test_a_child_forked_while_another_thread_looks_for_the_key_records(intake: Intake) -> None:
    run(intake, """
        import os, threading, time, percapita
        looks, ended = threading.Event(), threading.Event()

        def look():
            with percapita._default._guard:  # as the first call of a process does
                looks.set()
                ended.wait(30)

        threading.Thread(target=look).start()
        looks.wait()
        child = os.fork()
        if not child:
            percapita.log("child")
            percapita.flush(5)
            os._exit(0)
        deadline = time.monotonic() + 10
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, 9)
            time.sleep(0.02)
        ended.set()
    """)  # fmt: skip
    assert lines(intake) == ["child"]


def test_what_an_asyncio_program_recorded_last_arrives(intake: Intake) -> None:
    run(intake, """
        import asyncio, percapita

        async def main():
            async with percapita.with_trace(tags={"userId": "ada"}):
                await asyncio.gather(*(one(n) for n in range(10)))

        async def one(n):
            await asyncio.sleep(0)
            percapita.log(f"line {n}")

        asyncio.run(main())
    """)  # fmt: skip
    assert lines(intake) == [f"line {n}" for n in range(10)]


def test_a_program_that_dies_of_an_exception_sends_what_it_recorded(intake: Intake) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import percapita\nwith percapita.with_trace(tags={'userId': 'a'}):\n percapita.log('x')\n raise KeyError"],
        env=given(intake), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip().endswith("KeyError")
    assert [(e["type"], e.get("status")) for e in intake.events] == [("log", None), ("trace", "error")]


def test_a_function_that_freezes_after_its_answer_has_flushed(intake: Intake) -> None:
    """Serverless: the process is stopped between two requests, perhaps for ever."""
    text = """
        import os, signal, percapita
        with percapita.with_trace(tags={"userId": "ada"}):
            percapita.log("before the freeze")
        assert percapita.flush(5)
        os.kill(os.getpid(), signal.SIGSTOP)
        percapita.log("after the thaw")
        assert percapita.flush(5)
        os._exit(0)
    """
    frozen = subprocess.Popen([sys.executable, "-c", textwrap.dedent(text)], env=given(intake))
    try:
        assert wait_for(intake, 1) == ["before the freeze"]
        os.waitid(os.P_PID, frozen.pid, os.WSTOPPED)
        time.sleep(1.0)
        frozen.send_signal(signal.SIGCONT)
        assert frozen.wait(30) == 0
    finally:
        frozen.kill()
    assert lines(intake) == ["after the thaw", "before the freeze"]


def test_exit_is_bounded_when_the_server_hangs_with_several_configurations() -> None:
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        text = f"""
            from percapita import Percapita
            for n in range(3):
                Percapita(f"pc_{{n}}", "{url}").log("x")
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=30, check=False,
                              env={**os.environ, "PYTHONPATH": str(ROOT / "sdk" / "python" / "src")})  # fmt: skip
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < 5


APP = """
import os, openai, percapita
from flask import Flask

client = percapita.wrap(openai.OpenAI(api_key="sk-test", base_url=os.environ["PROVIDER"] + "/v1"))
percapita.log("preloaded")
app = Flask(__name__)

@app.get("/<user>")
def answer(user):
    with percapita.with_trace(tags={"userId": user}):
        made = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "tokens:100,0,0,10"}])
        percapita.log(f"{user} by {os.getpid()}")
        return made.choices[0].message.content
"""


def test_gunicorn_with_preload_loses_and_doubles_nothing(intake: Intake, python: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with ProviderServer() as provider:
        server = subprocess.Popen(
            [python, "-m", "gunicorn", "--preload", "--workers", "3", "--threads", "2", "--bind", f"127.0.0.1:{port}", "--chdir", str(tmp_path), "app:app"],
            env=given(intake, PROVIDER=provider.url), stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 30
            for n in range(40):
                while True:
                    try:
                        with urllib.request.urlopen(f"http://127.0.0.1:{port}/u{n}", timeout=10) as answered:
                            assert answered.read()
                        break
                    except OSError:
                        assert time.monotonic() < deadline
                        time.sleep(0.1)
            server.terminate()  # at once: what the workers hold is theirs to send
            assert server.wait(30) == 0
        finally:
            server.kill()
            said = server.stderr.read() if server.stderr else ""
            if server.stderr:
                server.stderr.close()
    assert "Traceback" not in said, said[-2_000:]
    logged = lines(intake)
    assert len(logged) == len(set(logged)) == 41, said[-1_000:]
    calls = [e["metadata"]["tags"]["userId"] for e in intake.events if e["type"] == "llm"]
    assert sorted(calls) == sorted(f"u{n}" for n in range(40))
    assert len({line.split(" by ")[1] for line in logged if " by " in line}) > 1


TASKS = """
import os, percapita
from celery import Celery

app = Celery("tasks", broker="filesystem://")
queue = os.environ["QUEUE"]
app.conf.broker_transport_options = {"data_folder_in": queue, "data_folder_out": queue, "control_folder": queue + "-control"}
percapita.log("imported")

@app.task(ignore_result=True)
def work(n):
    with percapita.with_trace(tags={"userId": f"u{n}"}):
        percapita.log(f"task {n}")
"""


def test_celery_with_prefork_loses_and_doubles_nothing(intake: Intake, python: str, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "queue").mkdir()
    environ = given(intake, QUEUE=str(tmp_path / "queue"))
    send = "import percapita; percapita.configure(''); from tasks import work; [work.delay(n) for n in range(24)]"
    subprocess.run(
        [python, "-c", send],
        cwd=tmp_path,
        env={**environ, "PERCAPITA_API_KEY": ""},
        check=True,
        timeout=60,
        capture_output=True,
    )
    worker = subprocess.Popen(
        [python, "-m", "celery", "-A", "tasks", "worker", "--pool", "prefork", "--concurrency", "2", "--without-gossip", "--without-mingle"],
        cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        found = wait_for(intake, 25, 60)
        worker.terminate()
        worker.wait(30)
    finally:
        worker.kill()
    assert found == sorted(["imported", *(f"task {n}" for n in range(24))])
    assert len(lines(intake)) == 25


def test_threads_that_record_while_the_process_ends_raise_nothing(intake: Intake) -> None:
    run(intake, """
        import threading, time, percapita

        def work():
            for n in range(2_000):
                percapita.log(f"line {n}")

        for _ in range(4):
            threading.Thread(target=work, daemon=True).start()
        time.sleep(0.05)
    """)  # fmt: skip
    assert intake.events


def test_an_exit_handler_of_the_hosts_own_may_still_record(intake: Intake) -> None:
    run(intake, """
        import atexit, percapita
        atexit.register(lambda: percapita.log("goodbye"))
    """)  # fmt: skip
    assert lines(intake) == ["goodbye"]
