"""Bytes that are no HTTP, or stop half way: answered, closed in time, never echoed; over real sockets."""

from __future__ import annotations

import logging
import time

import pytest

from tests.support.collecting import Collector, collector

__all__ = ["collector"]

HEAD = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\nContent-Type: application/json\r\n"
MALFORMED = [
    ("TE and CL", HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    ("two CL", HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    ("a bare CR", b"POST /v1/events HTTP/1.1\rHost: x\r\n\r\n"),
    ("a giant header", HEAD + b"X-A: " + b"a" * 100_000 + b"\r\n\r\n"),
    ("not HTTP", b"\x16\x03\x01\x02\x00" + b"\x00" * 40 + b"\r\n\r\n"),
    (
        "a key in a line that cannot be read",
        b"GET /%zz HTTP/9.9 pc_live_SECRET\r\nAuthorization Bearer pc_live_SECRET\r\n\r\n",
    ),
    ("HTTP/2.0", b"POST /v1/events HTTP/2.0\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"),
    ("a Content-Length of 2^63", HEAD + b"Content-Length: 9223372036854775808\r\n\r\n"),
]


@pytest.mark.parametrize("data", [row[1] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
async def test_malformed_http_is_answered_and_closed_without_an_echo(
    collector: Collector, data: bytes, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = await collector.raw(data.replace(b"KEY", collector.tokens["ingest"].encode()))
    status = int(answer.split(b" ")[1])
    assert 400 <= status < 500
    said = answer.decode(errors="replace") + caplog.text + "".join(capsys.readouterr())
    assert "SECRET" not in said
    assert collector.tokens["ingest"] not in said
    assert collector.log.records == []


@pytest.mark.parametrize(
    "begun",
    [b"POST /v1/eve", HEAD[:-20], HEAD + b"Content-Length: 5000\r\n\r\n{"],
    ids=["a request line that stops", "a head that stops", "a body that stops"],
)
async def test_what_stops_half_way_is_closed_within_16_seconds(collector: Collector, begun: bytes) -> None:
    started = time.monotonic()
    await collector.raw(begun.replace(b"KEY", collector.tokens["ingest"].encode()), 25)
    assert time.monotonic() - started < 16.5


async def test_404_and_405_are_problems(collector: Collector) -> None:
    async with collector.session.get(f"http://127.0.0.1:{collector.port}/v1/events") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert answer.headers["Content-Type"].startswith("application/problem+json")
    async with collector.session.get(f"http://127.0.0.1:{collector.port}/nothing") as answer:
        assert answer.status == 404
        assert (await answer.json(content_type=None))["code"] == "not_found"
