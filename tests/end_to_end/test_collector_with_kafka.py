"""`percapita collector` over a real broker: a broker that stops answering, and the end by SIGTERM under load."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from pipeline import limits
from pipeline.record import from_bytes
from tests.support.needs import need_kafka
from tests.support.senders import CANARY, Sender, all_of, event, post, statuses
from tests.support.stack import Stack, wait_started

CAP_MB = 200
BIG = json.dumps([{"type": "log", "logs": "x" * 7900}] * 1000).encode()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    need_kafka()
    with Stack(tmp_path_factory.mktemp("stack")) as started:
        yield started


@pytest.fixture
def collector(stack: Stack) -> Iterator[subprocess.Popen[bytes]]:
    process = stack.start("collector", "--port", str(stack.collector_port))
    wait_started(process, f"{stack.url}/readyz")
    yield process
    if process.poll() is None:
        process.terminate()
        process.wait(60)


def peak(process: subprocess.Popen[bytes]) -> float:
    """MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def in_the_log(stack: Stack) -> list[str]:
    """Ids of every record of the topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": stack.kafka.bootstrap,
            "group.id": "test",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )
    consumer.subscribe([stack.topic])
    found, ended = [], set()
    deadline = time.monotonic() + 30
    while len(ended) < stack.partitions and time.monotonic() < deadline:
        for message in consumer.consume(1000, 1):
            if message.error() is None:
                found.append(from_bytes(message.value() or b"").event.id)
            else:
                ended.add(message.partition())
    consumer.close()
    return found


async def taken(port: int, request: bytes) -> None:
    """Until the log takes it."""
    deadline = time.monotonic() + 60
    while statuses(await all_of(port, [[request]])) != {202: 1}:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.5)


async def test_a_broker_that_stops_answering_costs_503_in_time_and_no_memory(
    stack: Stack, collector: subprocess.Popen[bytes]
) -> None:
    port, key = stack.collector_port, stack.account["keys"]["ingest"]
    await taken(port, post(key, BIG))
    stack.kafka.pause()
    said = await all_of(port, [[post(key, BIG)]] * 30 + [[post(key, event())]] * 300, seconds=40)
    stack.kafka.resume()
    assert statuses(said) == {503: 330}
    assert all(b"Retry-After: " in one.text for one in said)
    assert max(one.seconds for one in said) < limits.PUBLISH_SECONDS + 6  # two cores share the flood
    assert peak(collector) < CAP_MB, peak(collector)
    await taken(port, post(key, event()))


async def test_on_sigterm_every_request_is_answered_and_what_was_taken_is_in_the_log(
    stack: Stack, collector: subprocess.Popen[bytes]
) -> None:
    senders = [Sender(stack.collector_port, stack.account["keys"]["ingest"]) for _ in range(12)]
    running = [asyncio.create_task(sender.run()) for sender in senders]
    await asyncio.sleep(2)
    collector.send_signal(signal.SIGTERM)
    await asyncio.wait_for(asyncio.gather(*running), 40)
    assert await asyncio.to_thread(collector.wait, 40) == 0
    sent = {name: status for sender in senders for name, status in sender.sent.items()}
    assert set(sent.values()) <= {202, 503}
    in_log = {name for name, status in sent.items() if status == 202}
    assert len(in_log) > 50
    assert in_log <= set(await asyncio.to_thread(in_the_log, stack))
    logged = "".join(path.read_text(errors="replace") for path in stack.directory.glob("collector-*.log"))
    assert CANARY not in logged
    assert "Traceback" not in logged
    assert not any(token in logged for token in stack.account["keys"].values())
