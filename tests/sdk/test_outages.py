"""A collector that is away, in trouble, or slow: what was recorded waits for it, and the host's operator is told once."""

from __future__ import annotations

import gzip
import logging
import os
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from percapita import _say, _sender
from percapita._sender import MAX_BYTES, OPEN_SECONDS, Sender

from tests.support.intake import Intake
from tests.support.needs import ROOT

SERVER = """
import sys, time
from tests.support.intake import Intake

with Intake(int(sys.argv[1])) as intake, open(sys.argv[2], "a") as taken:
    told = 0
    while True:
        events = intake.events
        for event in events[told:]:
            print(event["id"], file=taken, flush=True)
        told = len(events)
        time.sleep(0.02)
"""


@pytest.fixture(autouse=True)
def _nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_say, "_said", set())


def event(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"00000000-0000-7000-8000-{number:012d}", "type": "llm", **fields}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def server(port: int, taken: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SERVER, str(port), str(taken)], cwd=ROOT)


def wait_until(done: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_events_wait_for_a_server_that_is_away_for_longer_than_any_number_of_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sender, "OPEN_SECONDS", 0.2)  # else it would take minutes
    port, taken = free_port(), tmp_path / "taken"
    taken.touch()
    sender = Sender("pc_test", f"http://127.0.0.1:{port}")
    process = server(port, taken)
    try:
        sender.put(event(0))
        wait_until(lambda: taken.read_text().split(), 20)
        process.kill()
        process.wait()
        for number in range(1, 300):
            sender.put(event(number))
        wait_until(lambda: sender._failures > 15, 30)
        process = server(port, taken)
        assert sender.flush(20)
        wait_until(lambda: len(taken.read_text().split()) >= 300, 5)
    finally:
        process.kill()
        process.wait()
    assert sorted(taken.read_text().split()) == [event(number)["id"] for number in range(300)]
    assert sender._dropped == {}
    sender.close()


def test_a_server_in_trouble_is_left_alone_after_five_failures(intake: Intake) -> None:
    intake.statuses.extend([500] * 100)
    sender = Sender("pc_test", intake.url)
    sender.put(event(1))
    wait_until(lambda: len(intake.tries) == 5, 10)
    time.sleep(OPEN_SECONDS / 2)
    assert len(intake.tries) == 5
    sender.flush(0.3)  # somebody asks: one try more, at once
    assert len(intake.tries) == 6
    intake.statuses.clear()
    assert sender.flush(5)
    assert len(intake.tries) == 7
    sender.close()


def test_a_sender_that_waits_ends_at_once_when_it_is_closed(intake: Intake) -> None:
    intake.statuses.extend([500] * 5)
    sender = Sender("pc_test", intake.url)
    sender.put(event(1))
    wait_until(lambda: len(intake.tries) == 5, 10)
    began = time.monotonic()
    sender.close(5)
    assert time.monotonic() - began < 1
    assert [found["id"] for found in intake.events] == [event(1)["id"]]


def test_a_flush_waits_for_what_was_recorded_before_it_whatever_comes_meanwhile(intake: Intake) -> None:
    sender = Sender("pc_test", intake.url)
    stop = threading.Event()

    def load() -> None:
        number = 1_000
        while not stop.wait(0.0005):
            sender.put(event(number))
            number += 1

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for number in range(10):
            sender.put(event(number))
            began = time.monotonic()
            assert sender.flush(5)
            assert time.monotonic() - began < 2
            assert event(number)["id"] in {found["id"] for found in intake.events}
    finally:
        stop.set()
        thread.join()
        sender.close()


def test_the_queue_is_bounded_in_bytes_and_what_is_in_hand_counts() -> None:
    """The weight that a host's thread gave is a guess: the sender finds out what answers really hold."""
    port = free_port()
    sender = Sender("pc_test", f"http://127.0.0.1:{port}")
    answer = "a picture " * 90_000
    for number in range(100):
        sender.put(event(number), 3_000, lambda: {"response": answer, "usage": {"output": 1}})
        time.sleep(0.01)
    wait_until(lambda: not sender._queue, 20)
    held = sum(len(one.body) for one in (*sender._held, *sender._ready))
    assert MAX_BYTES - 2 * len(answer) < held < MAX_BYTES
    for number in range(100, 110):
        sender.put(event(number), 3_000, lambda: {"response": answer, "usage": {"output": 1}})
    wait_until(lambda: not sender._queue, 20)
    with Intake(port) as intake:
        assert sender.flush(30)
        sender.put(event(200))
        assert sender.flush(30)
        dropped = intake.dropped()
        assert len(intake.events) + dropped.get("queue_full", 0) == 111
        assert dropped["content_queue_full"] >= 30
        last = next(found for found in intake.events if found["id"] == event(109)["id"])
        assert last == event(109, usage={"output": 1})
    sender.close()


def test_an_address_where_nobody_answers_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    sender = Sender("pc_test", f"http://127.0.0.1:{free_port()}")
    sender.put(event(1))
    assert not sender.flush(1.5)
    sender.close(0.1)
    (said,) = caplog.messages
    assert "nobody answers" in said
    assert "ConnectionRefusedError" in said


def test_a_certificate_that_cannot_be_trusted_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def refuse(listening: socket.socket) -> None:
        while True:
            try:
                context.wrap_socket(listening.accept()[0], server_side=True)
            except ssl.SSLError:
                continue
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=refuse, args=(listening,), daemon=True).start()
        sender = Sender("pc_test", f"https://localhost:{listening.getsockname()[1]}")
        sender.put(event(1))
        assert not sender.flush(1)
        sender.close(0.1)
        listening.shutdown(socket.SHUT_RDWR)
    assert "CERTIFICATE_VERIFY_FAILED" in "".join(caplog.messages)


@pytest.mark.parametrize(
    "url", ["percapita.internal:8900", "ftp://percapita.internal", "http://", "http://[::1", "http://h:port", "//h"]
)
def test_an_address_that_is_none_is_said_and_nothing_is_recorded_or_raised(url: str) -> None:
    text = """
        import openai, percapita
        client = percapita.wrap(openai.OpenAI(api_key="x", base_url="http://127.0.0.1:9", max_retries=0))
        for _ in range(2):
            with percapita.with_trace(tags={"userId": "ada"}):
                percapita.log("line")
                try:
                    client.chat.completions.create(model="m", messages=[])
                except openai.APIConnectionError:
                    print("as without us")
        assert percapita.flush()
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        env={**os.environ, "PERCAPITA_API_KEY": "pc_test", "PERCAPITA_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "as without us\n" * 2)
    (said,) = ended.stderr.splitlines()
    assert "PERCAPITA_URL" in said
    assert url not in said  # it may hold a password


def test_a_process_that_can_start_no_thread_at_its_end_ends_in_two_seconds() -> None:
    """Python 3.12 and newer start none once the main thread has returned."""
    text = """
        import threading, percapita
        def refused(thread):
            raise RuntimeError("can't create new thread at interpreter shutdown")
        threading.Thread.start = refused
        percapita.log("the last line")
    """
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes connections, never answers
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        began = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(text)],
            env={**os.environ, "PERCAPITA_API_KEY": "pc_test", "PERCAPITA_URL": url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 0
    assert time.monotonic() - began < 4
    assert "nobody answers" in ended.stderr


def test_counts_of_what_was_dropped_survive_an_answer_that_fails(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = Sender("pc_test", intake.url)
    sender._count("queue_full", 3)
    compress, failed = gzip.compress, []

    def once_broken(*given: Any) -> bytes:
        if not failed:
            failed.append(1)
            raise MemoryError
        return compress(*given)

    monkeypatch.setattr(_sender.gzip, "compress", once_broken)
    sender.put(event(1))
    assert sender.flush(5)
    sender.put(event(2))
    assert sender.flush(5)
    assert intake.dropped() == {"queue_full": 3, "failed": 1}
    sender.close()


def test_what_comes_after_the_shutdown_is_counted_and_said(intake: Intake, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="percapita")
    sender = Sender("pc_test", intake.url)
    sender.close()
    for number in range(3):
        sender.put(event(number))
    assert sender._dropped == {"closed": 3}
    assert caplog.messages == ["what ends after shutdown() is not recorded"]
