"""What the collector's process does under load: memory, descriptors, neighbours, the end by SIGTERM, and what it logs."""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from backports import zstd

from pipeline import limits
from tests.support.collector_process import CollectorProcess
from tests.support.raw import Said, exchange, head
from tests.support.senders import CANARY, Sender, all_of, event, post, statuses

CAP_MB = 200
WIDE = b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"  # a zstd frame that asks for a window of 2 GB


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CollectorProcess]:
    with CollectorProcess(tmp_path_factory.mktemp("collector")) as started:
        yield started


def filled(start: bytes, unit: bytes, end: bytes, size: int = limits.BODY_BYTES) -> bytes:
    """A body as large as one may be."""
    return start + unit * ((size - len(start) - len(end)) // len(unit)) + end


def assert_nothing_told(process: CollectorProcess, said: list[Said]) -> None:
    everything = process.output() + "".join(one.text.decode("latin-1") for one in said)
    for token in (*process.keys.values(), *process.other.values()):
        assert token not in everything
    assert CANARY not in everything
    assert "Traceback" not in everything


BIG = [{"type": "log", "logs": "x" * 7900}] * 1000
COSTLY = {  # what a hundred times its bytes would be if it were built, or copied for each of its parts
    "objects in one event": (filled(b'[{"prompt":[', b'{"a":0},', b"{}]}]"), 202),
    "numbers beside NaN": (filled(b'[{"prompt":[', b"0,", b"NaN]}]"), 202),
    "NaN": (filled(b'[{"prompt":[', b"NaN,", b"0]}]"), 202),
    "lone surrogates": (filled(b'[{"prompt":["', b"\\ud800", b'"]}]'), 202),
    "four million events": (filled(b"[", b"0,", b"0]"), 413),
    "blanks around events": (filled(b'{"events":[{"prompt":[', b"0,", b"0]}]" + b" " * 200 + b"}"), 202),
    "a million names": (b"{" + b",".join(b'"%d":0' % n for n in range(700_000)) + b"}", 202),
    "a string behind brackets": (filled(b'[{"prompt":["' + b"[" * 100, b"a", b'"]}]'), 202),
    "a string without an end": (filled(b'[{"prompt":NaN,"', b'\\"', b""), 400),
    "brackets": (filled(b"", b"[", b""), 400),
    "empty strings in a deep list": (b"[" * 1500 + filled(b"", b'"[",', b"", limits.BODY_BYTES - 4000), 400),
    "the largest event": (filled(b'[{"prompt":[', b'{"a":0},', b"{}]}]", limits.EVENT_BYTES), 202),
    "the largest event under blanks": (filled(b'[{"prompt":[', b'{"a": 0}, ', b"{}]}]", limits.EVENT_BYTES), 202),
}


async def test_no_body_costs_many_times_its_bytes(process: CollectorProcess) -> None:
    key = process.keys["ingest"]
    for name, (body, status) in COSTLY.items():
        before = process.memory("VmRSS")
        process.forget_peak()
        busy = process.cpu()
        (said,) = await all_of(process.port, [[post(key, body)]])
        assert said.statuses == (status,), name
        assert process.memory() - before < 64, name
        assert process.cpu() - busy < 3, name


async def test_bombs_in_series_leave_memory_flat(process: CollectorProcess) -> None:
    key, zeros = process.keys["ingest"], b"0" * 300_000_000
    bombs = [
        post(key, gzip.compress(zeros, 9), "Content-Encoding: gzip"), post(key, zlib.compress(zeros, 9), "Content-Encoding: deflate"),
        post(key, zstd.compress(zeros), "Content-Encoding: zstd"), post(key, WIDE, "Content-Encoding: zstd"),
    ]  # fmt: skip
    assert statuses(await all_of(process.port, [[bomb] for bomb in bombs])) == {413: 4}
    settled = process.memory("VmRSS")
    process.forget_peak()
    for _ in range(10):
        assert statuses(await all_of(process.port, [[bomb] for bomb in bombs])) == {413: 4}
    assert process.memory() < settled + 40
    assert process.memory("VmRSS") < settled + 20
    members = b"".join(gzip.compress(b" ") for _ in range(300_000))
    started = time.monotonic()
    assert statuses(await all_of(process.port, [[post(key, members, "Content-Encoding: gzip")]])) == {400: 1}
    assert time.monotonic() - started < 3


async def test_many_large_bodies_that_come_slowly_are_refused_before_memory_is_gone(process: CollectorProcess) -> None:
    begin = head(
        "POST",
        "/v1/events",
        "Content-Type: application/json",
        f"Content-Length: {limits.BODY_BYTES}",
        key=process.keys["ingest"],
    )
    parts = [begin + b"[", *[b" " * 838_860] * 9, b" " * (limits.BODY_BYTES - 2 - 9 * 838_860) + b"]"]
    said = await all_of(process.port, [parts] * 60, pause=0.3)
    assert process.memory() < CAP_MB
    assert set(statuses(said)) == {202, 503}
    assert all(b"Retry-After: " in one.text for one in said if one.statuses == (503,))
    assert statuses(await all_of(process.port, [[post(process.keys["ingest"], event())]])) == {202: 1}


async def test_while_the_log_is_slow_large_bodies_get_503_and_a_neighbour_is_taken(process: CollectorProcess) -> None:
    process.log("slow 2")
    big = json.dumps(BIG).encode()
    flood = asyncio.create_task(all_of(process.port, [[post(process.keys["ingest"], big)]] * 30))
    await asyncio.sleep(1)
    neighbour = await all_of(process.port, [[post(process.other["ingest"], event())]] * 20)
    said = await flood
    process.log("ok")
    assert statuses(neighbour) == {202: 20}
    assert set(statuses(said)) == {202, 503}
    assert process.memory() < CAP_MB


async def test_while_the_log_is_away_a_flood_gets_503_in_time(process: CollectorProcess) -> None:
    process.log("away")
    key, big = process.keys["ingest"], json.dumps(BIG).encode()
    small = gzip.compress(big)
    requests = (
        [[post(key, big)]] * 20 + [[post(key, small, "Content-Encoding: gzip")]] * 40 + [[post(key, event())]] * 400
    )
    said = await all_of(process.port, requests)
    process.log("ok")
    assert statuses(said) == {503: len(requests)}
    assert all(b"Retry-After: " in one.text for one in said)
    assert max(one.seconds for one in said) < limits.PUBLISH_SECONDS + 15  # a busy machine reads 160 MB beside it
    assert process.memory() < CAP_MB
    assert statuses(await all_of(process.port, [[post(key, event())]])) == {202: 1}
    assert_nothing_told(process, said)


async def test_idle_connections_make_room_before_descriptors_are_gone(tmp_path: Path) -> None:
    with CollectorProcess(tmp_path, descriptors=300) as few:
        kept, kept_writer = await asyncio.open_connection("127.0.0.1", few.port)
        request = post(few.keys["ingest"], event())
        idle = []
        for number in range(400):
            idle.append(await asyncio.open_connection("127.0.0.1", few.port))
            if number % 40 == 0:  # not idle: it never makes room
                kept_writer.write(request)
                assert b"202 Accepted" in await asyncio.wait_for(kept.readuntil(b"}"), 10)
        assert statuses(await all_of(few.port, [[request]] * 20)) == {202: 20}
        assert few.descriptors() < 200
        told = [await asyncio.wait_for(reader.read(1000), 1) for reader, _ in idle[:200]]
        assert all(answer.startswith(b"HTTP/1.1 503") and b"Retry-After" in answer for answer in told)
        for _, writer in [*idle, (kept, kept_writer)]:
            writer.close()
        assert "Traceback" not in few.output()


async def test_on_sigterm_nobody_is_cut_off(tmp_path: Path) -> None:
    with CollectorProcess(tmp_path) as ending:
        senders = [Sender(ending.port, ending.keys["ingest"]) for _ in range(12)]
        running = [asyncio.create_task(sender.run()) for sender in senders]
        idle = await asyncio.open_connection("127.0.0.1", ending.port)
        await asyncio.sleep(1)
        ending.log("slow 0.5")  # so that publishes are in flight
        body = event(id=(slow := str(uuid4())))
        request = post(ending.keys["ingest"], body)
        cut = len(request) - len(body) + 5
        coming = asyncio.create_task(exchange(ending.port, request[:cut], request[cut:], pause=2))
        await asyncio.sleep(0.3)
        ending.process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        await asyncio.sleep(0.2)
        ready, alive = await all_of(ending.port, [[head("GET", "/readyz")], [head("GET", "/healthz")]])
        idle[1].write(post(ending.keys["ingest"], event()))
        late = await asyncio.wait_for(idle[0].read(2000), 10)
        idle[1].close()
        in_flight = await coming
        await asyncio.wait_for(asyncio.gather(*running), 30)
        assert await asyncio.to_thread(ending.process.wait, 30) == 0
        assert time.monotonic() - started < limits.DRAIN_SECONDS + 5
        assert (ready.statuses, alive.statuses) == ((503,), (200,))
        assert in_flight.statuses == (202,)
        for top in [late, ready.text, *(top for sender in senders for top in sender.told)]:
            assert top.startswith(b"HTTP/1.1 503")
            assert b"Retry-After: 2\r\n" in top
            assert b"Connection: close\r\n" in top
        answered = {name: status for sender in senders for name, status in sender.sent.items()} | {slow: 202}
        assert set(answered.values()) == {202, 503}
        assert all(sender.told for sender in senders)
        assert sorted(ending.published()) == sorted(name for name, status in answered.items() if status == 202)
        assert_nothing_told(ending, [ready, alive, in_flight])


async def test_who_was_answered_last_may_still_ask(tmp_path: Path) -> None:
    with CollectorProcess(tmp_path) as ending:
        ending.log("slow 2")
        senders = [Sender(ending.port, ending.keys["ingest"]) for _ in range(12)]
        running = [asyncio.create_task(sender.run()) for sender in senders]
        await asyncio.sleep(0.7)
        ending.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*running), 30)
        assert await asyncio.to_thread(ending.process.wait, 30) == 0
        # What was in flight was answered with `Connection: close`, all at one time, and all came again at once.
        answers = [list(sender.sent.values()) for sender in senders]
        assert [202, 503] in answers
        assert all(one in ([202, 503], [503]) for one in answers)


async def test_who_comes_again_and_again_is_never_cut_off_either(tmp_path: Path) -> None:
    with CollectorProcess(tmp_path) as ending:
        senders = [Sender(ending.port, ending.keys["ingest"], patient=False) for _ in range(40)]
        running = [asyncio.create_task(sender.run()) for sender in senders]
        await asyncio.sleep(0.5)
        ending.process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        await asyncio.wait_for(asyncio.gather(*running), 40)  # until nobody listens: a reset would be an error here
        assert await asyncio.to_thread(ending.process.wait, 30) == 0
        assert time.monotonic() - started < limits.DRAIN_SECONDS + 5
        answered = [status for sender in senders for status in sender.sent.values()]
        assert set(answered) == {202, 503}
        assert answered.count(503) > 1_000


async def test_what_never_ends_holds_up_neither_the_others_nor_the_end(
    process: CollectorProcess, tmp_path: Path
) -> None:
    await asyncio.gather(_heads_without_an_end(process), _body_without_an_end(tmp_path))


async def _heads_without_an_end(process: CollectorProcess) -> None:
    begun = b"GET / HTTP/1.1\r\nX-A: " + b"a" * 15_000 + b"\r\nX-B: " + b"a" * 14_000
    said = await all_of(process.port, [[begun]] * 800, quiet=12)
    assert set(statuses(said)) == {408, 503}
    assert all(one.closed and one.seconds < 16 for one in said)
    assert process.memory() < CAP_MB
    assert statuses(await all_of(process.port, [[post(process.keys["ingest"], event())]])) == {202: 1}


async def _body_without_an_end(directory: Path) -> None:
    with CollectorProcess(directory) as ending:
        request = post(ending.keys["ingest"], event(prompt="x" * 100_000))
        stalled = asyncio.create_task(exchange(ending.port, request[:-10]))
        dripped = asyncio.create_task(exchange(ending.port, b"POST /v1/events HT"))
        await asyncio.sleep(0.5)
        ending.process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        assert await asyncio.to_thread(ending.process.wait, 30) == 0
        assert time.monotonic() - started < limits.DRAIN_SECONDS + 3
        assert (await stalled).statuses == (503,)
        assert (await dripped).statuses in ((), (408,))
