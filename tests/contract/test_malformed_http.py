"""Bytes that are no HTTP, or odd HTTP, or stop half way, against a real process over real sockets.

Each is answered with 4xx, in time, without a word of what was sent in the answer or in the log, and closed where nothing
more can be read; the next good request is taken.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.support.embedded_process import EmbeddedProcess
from tests.support.raw import Said, answers, chunked, exchange, head

EVENT = b'{"type":"log"}'
LENGTH = f"Content-Length: {len(EVENT)}"
USERS = "/v1/me/ai-apps/users"
CANARY = "c4n4ry"
KEY, READ = "KEY", "READ"  # replaced by the running process's


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedProcess]:
    with EmbeddedProcess(tmp_path_factory.mktemp("embedded")) as started:
        yield started


def post(*lines: str, body: bytes = b"", path: str = "/v1/events", version: str = "HTTP/1.1") -> bytes:
    return head("POST", path, "Content-Type: application/json", *lines, key=KEY, version=version) + body


def sent(*lines: str, **given: str) -> bytes:
    """One good event under odd lines."""
    return post(*lines, LENGTH, body=EVENT, **given)


def get(path: str, *lines: str, method: str = "GET", key: str = READ) -> bytes:
    return head(method, path, *lines, key=key)


class Row(NamedTuple):
    status: int
    data: bytes


# What cannot be read as HTTP ends the connection: nobody knows where the next request begins.
ENDS = {
    "TE and CL": Row(400, post("Transfer-Encoding: chunked", LENGTH, body=b"0\r\n\r\n")),
    "CL and TE": Row(400, post(LENGTH, "Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    "two CL": Row(400, post("Content-Length: 14", "Content-Length: 6", body=EVENT)),
    "two equal CL": Row(400, post(LENGTH, LENGTH, body=EVENT)),
    "a list of CL": Row(400, post("Content-Length: 14, 14", body=EVENT)),
    "CL with a plus": Row(400, post("Content-Length: +14", body=EVENT)),
    "a negative CL": Row(400, post("Content-Length: -1", body=EVENT)),
    "a hexadecimal CL": Row(400, post("Content-Length: 0xe", body=EVENT)),
    "CL with an underscore": Row(400, post("Content-Length: 1_4", body=EVENT)),
    "an empty CL": Row(400, post("Content-Length: ", body=EVENT)),
    "CL of 2^64": Row(400, post("Content-Length: 18446744073709551616")),
    "CL of 2^63": Row(413, post("Content-Length: 9223372036854775808")),
    "CL of 2^63 - 1": Row(413, post("Content-Length: 9223372036854775807")),
    "CL of 300 MB": Row(413, post("Content-Length: 300000000")),
    "TE that ends in something else": Row(400, post("Transfer-Encoding: identity", LENGTH, body=EVENT)),
    "TE chunked twice": Row(400, post("Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n")),
    "TE nearly chunked": Row(400, post("Transfer-Encoding: xchunked", body=b"0\r\n\r\n")),
    "two TE": Row(400, post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=chunked(EVENT))),
    "a chunk size that is none": Row(400, post("Transfer-Encoding: chunked", body=b"zz\r\n" + EVENT)),
    "a negative chunk": Row(400, post("Transfer-Encoding: chunked", body=b"-1\r\n\r\n")),
    "a chunk of 2^72": Row(400, post("Transfer-Encoding: chunked", body=b"ffffffffffffffffff\r\n")),
    "a chunk extension of 1 MB": Row(
        400, post("Transfer-Encoding: chunked", body=chunked(EVENT, 1, b";" + b"a" * 1_000_000))
    ),
    "a chunk extension without an end": Row(400, post("Transfer-Encoding: chunked", body=b"1;" + b"a" * 200_000)),
    "5,000 trailers": Row(400, post("Transfer-Encoding: chunked", body=b"0\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n")),
    "a bare CR": Row(400, b"POST /v1/events HTTP/1.1\rHost: x\r\n\r\n"),
    "a bare LF": Row(400, b"GET /healthz HTTP/1.1\nHost: x\n\n"),
    "CR in a value": Row(400, sent("X-A: a\rb")),
    "NUL in a value": Row(400, sent("X-A: a\0b")),
    "NUL in a name": Row(400, sent("X\0A: ab")),
    "a blank before the colon": Row(400, sent("X-A : ab")),
    "a folded line": Row(400, sent("X-A: a\r\n b")),
    "a header of 100 KB": Row(400, sent("X-A: " + "a" * 100_000)),
    "a head of 60 KB": Row(400, post(*[f"X-{n}: {'a' * 2000}" for n in range(30)], "X")),
    "200 headers": Row(400, sent(*["X-A: b"] * 200)),
    "a request line of 100 KB": Row(400, get("/" + "a" * 100_000)),
    "a method of 10 KB": Row(400, get("/healthz", method="A" * 10_000)),
    "TLS": Row(400, b"\x16\x03\x01\x02\x00" + b"\0" * 40 + b"\r\n\r\n"),
    "an HTTP/2 preface": Row(400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/2.0 in the request line": Row(400, sent(version="HTTP/2.0")),
    "HTTP/1.2": Row(400, sent(version="HTTP/1.2")),
    "HTTP/0.9": Row(400, sent(version="HTTP/0.9")),
    "HTTP/11": Row(400, sent(version="HTTP/11")),
    "no version": Row(400, b"GET /healthz\r\n\r\n"),
    "no Host": Row(400, f"POST /v1/events HTTP/1.1\r\nAuthorization: Bearer KEY\r\n{LENGTH}\r\n\r\n".encode() + EVENT),
    "two Hosts": Row(400, sent("Host: y")),
    "two Content-Types": Row(400, sent("Content-Type: text/plain")),
    "a key in a line that is no header": Row(400, b"GET /%zz HTTP/1.1\r\nAuthorization Bearer KEY\r\n\r\n"),
    "a key behind the version": Row(400, b"GET / HTTP/1.1 KEY\r\nHost: x\r\n\r\n"),
    "a key as the method": Row(400, b"KEY / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a key in an Expect": Row(417, sent("Expect: KEY")),
    "a relative target": Row(400, sent(path="x/v1/events")),
    "a star that is no OPTIONS": Row(400, get("*")),
    "NUL in the path": Row(400, get("/v1/ev\0ents")),
    "bytes in the path": Row(400, get("/\udcff\udcfe")),
    "bytes in the query": Row(400, get(f"{USERS}?userId=\udcff")),
    "a blank in the path": Row(400, get("/a b")),
    "no path": Row(400, get("?a=b")),
    "half an IPv6 address": Row(400, get("http://[::1")),
    "a port that is none": Row(400, get("http://x:99999999/")),
    "a method in lower case": Row(400, get("/healthz", method="get")),
    "a method nobody knows": Row(400, get("/healthz", method="BREW")),
    "hixie's websocket": Row(400, sent("Sec-WebSocket-Key1: x")),
    # Good, and the last by their version or by what they leave unsent.
    "HTTP/1.0": Row(202, sent(version="HTTP/1.0")),
    "Expect in HTTP/1.0": Row(202, sent("Expect: 100-continue", version="HTTP/1.0")),
    "an upgrade to a websocket": Row(202, sent("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x")),
    "an upgrade to HTTP/2": Row(
        202, sent("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAA")
    ),
    "a GET that keeps its body": Row(200, get(USERS, "Content-Length: 5000") + b"x"),
    "a refused body that does not come": Row(401, head("POST", "/v1/events", "Content-Length: 5000", key="none")),
}

# These are HTTP: answered, and the connection goes on.
GOES_ON = {
    "no body": Row(400, post()),
    "TE in several": Row(400, post("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n")),
    "two Authorizations": Row(401, sent("Authorization: Bearer KEY")),
    "no Authorization": Row(401, head("POST", "/v1/events", LENGTH) + EVENT),
    "Basic": Row(401, head("POST", "/v1/events", "Authorization: Basic KEY", LENGTH) + EVENT),
    "bytes as a key": Row(401, head("POST", "/v1/events", "Authorization: Bearer pc_live_\udcff", LENGTH) + EVENT),
    "a key of 15 KB": Row(
        401, head("POST", "/v1/events", f"Authorization: Bearer pc_live_{'a' * 15_000}", LENGTH) + EVENT
    ),
    "the wrong scope": Row(403, head("POST", "/v1/events", LENGTH, key=READ) + EVENT),
    "the other wrong scope": Row(403, get(USERS, key=KEY)),
    "a key in the query": Row(401, sent(path="/v1/events?key=KEY")),
    "a key in the query, percent-encoded": Row(401, sent(path="/v1/events?key=%4b".replace("%4b", "ENCODED"))),
    "a key in the query, encoded twice": Row(401, sent(path="/v1/events?key=TWICE")),
    "a key in a fragment": Row(401, sent(path="/v1/events#KEY")),
    "a key in the path": Row(401, get(f"{USERS}/KEY")),
    "a key as a user of the URL": Row(401, sent(path="http://KEY@x/v1/events")),
    "a key as a filter": Row(401, get(f"{USERS}?userId=KEY")),
    "doubled Content-Encoding": Row(415, sent("Content-Encoding: gzip", "Content-Encoding: gzip")),
    "doubled identity": Row(415, sent("Content-Encoding: identity", "Content-Encoding: identity")),
    "a list of Content-Encodings": Row(415, sent("Content-Encoding: gzip, identity")),
    "an unknown Content-Encoding": Row(415, sent("Content-Encoding: br")),
    "bytes as a Content-Encoding": Row(415, sent("Content-Encoding: \udcff")),
    "bytes as a Content-Type": Row(415, head("POST", "/v1/events", "Content-Type: \udcff", LENGTH, key=KEY) + EVENT),
    "OPTIONS": Row(405, get("/v1/events", method="OPTIONS")),
    "OPTIONS of everything": Row(404, get("*", method="OPTIONS")),
    "TRACE": Row(405, get("/v1/events", f"X-A: {CANARY}", method="TRACE")),
    "PATCH": Row(405, get("/v1/events", method="PATCH")),
    "DELETE of a user": Row(405, get(f"{USERS}/ada", method="DELETE")),
    "no such path": Row(404, get("/%zz")),
    "NUL percent-encoded": Row(404, get("/v1/events%00")),
    "a path that climbs": Row(404, get("/v1/../../etc/passwd")),
    "a slash percent-encoded": Row(404, sent(path="/v1%2fevents")),
    "two slashes": Row(404, sent(path="//v1/events")),
    "a path parameter": Row(404, sent(path="/v1/events;x=y")),
    "an absolute target": Row(202, sent(path="http://x/v1/events")),
    "a letter percent-encoded": Row(202, sent(path="/v1/%65vents")),
    "an empty Content-Encoding": Row(202, sent("Content-Encoding:")),
    "no Content-Type": Row(202, head("POST", "/v1/events", LENGTH, key=KEY) + EVENT),
    "chunks": Row(202, post("Transfer-Encoding: chunked", body=chunked(EVENT))),
    "chunks of one byte": Row(202, post("Transfer-Encoding: chunked", body=chunked(EVENT, 1))),
    "a small chunk extension": Row(202, post("Transfer-Encoding: chunked", body=chunked(EVENT, 7, b";a=b"))),
    "a trailer": Row(202, post("Transfer-Encoding: chunked", body=chunked(EVENT)[:-2] + b"X-A: b\r\n\r\n")),
    "a GET in chunks": Row(200, get(USERS, "Transfer-Encoding: chunked") + b"0\r\n\r\n"),
    "a GET with a body": Row(200, get(USERS, "Content-Length: 5") + b"hello"),
}


def filled(data: bytes, process: EmbeddedProcess) -> bytes:
    key = process.keys["ingest"]
    for word, value in (
        (b"ENCODED", key.replace("_", "%5F").replace("p", "%70", 1)),
        (b"TWICE", key.replace("_", "%255f")),
        (b"KEY", key),
        (b"READ", process.keys["read"]),
    ):
        data = data.replace(word, value.encode())
    return data


async def all_of(process: EmbeddedProcess, rows: dict[str, Row], behind: bytes = b"") -> dict[str, Said]:
    """Every row on a connection of its own, thirty at a time."""
    gate = asyncio.Semaphore(30)

    async def one(row: Row) -> Said:
        async with gate:
            return await exchange(process.port, filled(row.data + behind, process), seconds=18)

    said = await asyncio.gather(*(one(row) for row in rows.values()))
    return dict(zip(rows, said, strict=True))


def assert_nothing_told(process: EmbeddedProcess, said: dict[str, Said]) -> None:
    everything = process.logged() + "".join(one.text.decode("latin-1") for one in said.values())
    for token in process.keys.values():
        assert token not in everything
        assert token.split("_")[2] not in everything
        assert base64.b64encode(token.encode()).decode()[:30] not in everything
    assert CANARY not in everything
    assert "Traceback" not in everything


def assert_problems(said: dict[str, Said]) -> None:
    """Every refusal is a problem of ours with nosniff, but those to who had not asked a whole question."""
    for name, one in said.items():
        for status, top, body in answers(one.text):
            if status < 200:
                continue
            assert b"X-Content-Type-Options: nosniff" in top, name
            if body and status >= 400:
                assert b"application/problem+json" in top, name
                assert json.loads(body)["status"] == status, name


async def test_what_is_no_http_is_answered_once_and_closed(process: EmbeddedProcess) -> None:
    said = await all_of(process, ENDS)
    wrong = {
        name: (one.statuses, one.closed)
        for name, one in said.items()
        if one.statuses != (ENDS[name].status,) or not one.closed or one.seconds > 3
    }
    assert wrong == {}
    assert_problems(said)
    assert_nothing_told(process, said)


async def test_odd_http_is_answered_and_the_next_request_on_the_connection_is_taken(process: EmbeddedProcess) -> None:
    said = await all_of(process, GOES_ON, behind=sent("Connection: close"))
    wrong = {name: one.statuses for name, one in said.items() if one.statuses != (GOES_ON[name].status, 202)}
    assert wrong == {}
    assert_problems(said)
    assert_nothing_told(process, said)


async def test_head_has_no_body_and_connect_no_tunnel(process: EmbeddedProcess) -> None:
    said = await all_of(
        process,
        {
            "HEAD": Row(200, get(USERS, "Connection: close", method="HEAD")),
            "CONNECT": Row(404, get("example.com:443", "Connection: close", method="CONNECT")),
        },
    )
    assert [one.statuses for one in said.values()] == [(200,), (404,)]
    assert said["HEAD"].text.endswith(b"\r\n\r\n")


async def test_expect_is_answered_before_the_body_is_sent(process: EmbeddedProcess) -> None:
    parts = [filled(part, process) for part in (post("Expect: 100-continue", "Connection: close", LENGTH), EVENT)]
    said = await exchange(process.port, *parts, pause=0.2)
    assert said.statuses == (100, 202)


async def test_pipelined_requests_are_answered_in_order_and_none_is_read_ahead_without_bound(
    process: EmbeddedProcess,
) -> None:
    big = b"[" + b" " * 300_000 + b"]"
    many = (
        sent() * 3
        + get("/nothing")
        + post(f"Content-Length: {len(big)}", body=big) * 20
        + get(USERS, "Connection: close")
    )
    said = await exchange(process.port, filled(many, process))
    assert said.statuses == (202, 202, 202, 404, *[202] * 20, 200)


def dripped(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


LONG = post(f"X-A: {CANARY}", "Content-Length: 5000")
SLOW = {
    "nothing at all": [],
    "a request line that stops": [b"POST /v1/eve"],
    "a request line a byte a second": dripped(LONG[:60]),
    "a head that stops": [LONG[:-10]],
    "a head a byte a second, to the query service": dripped(get(USERS)),
    "a second head that stops": [sent(), LONG[:-10]],
    "a body that stops": [LONG + b"{"],
    "a body a byte a second": [LONG, *dripped(b"{" * 60)],
    "a body below the rate": [post("Content-Length: 8000000"), *[b" " * 4_000] * 60],
    "a chunk that stops": [post("Transfer-Encoding: chunked", body=b"5000\r\nx")],
    "chunks without an end": [post("Transfer-Encoding: chunked"), *[b"1\r\n \r\n"] * 60],
    "a chunk of 2^63 - 1": [post("Transfer-Encoding: chunked", body=b"7fffffffffffffff\r\nx")],
    "a chunk extension a byte a second": [post("Transfer-Encoding: chunked", body=b"5;"), *[b"a"] * 60],
}


# The clock of a second head starts with it; 4,000 bytes a second earn a body less than 1.2 s more.
LATEST = {"a second head that stops": 17.5, "a body below the rate": 17.5}


async def test_what_is_slow_is_told_408_and_closed_within_16_seconds(process: EmbeddedProcess) -> None:
    async def one(parts: list[bytes]) -> Said:
        return await exchange(process.port, *(filled(part, process) for part in parts), pause=1, quiet=18, seconds=25)

    said = dict(zip(SLOW, await asyncio.gather(*(one(parts) for parts in SLOW.values())), strict=True))
    wrong = {
        name: (one.statuses, one.closed, round(one.seconds, 1))
        for name, one in said.items()
        if one.statuses[-1:] != (408,) or not one.closed or not 9 < one.seconds < LATEST.get(name, 16)
    }
    assert wrong == {}
    assert_nothing_told(process, said)


async def test_404_and_405_are_problems(process: EmbeddedProcess) -> None:
    close = "Connection: close"
    said = await all_of(process, {"405": Row(405, get("/v1/events", close)), "404": Row(404, get("/nothing", close))})
    assert b"Allow: POST" in said["405"].text
    assert json.loads(answers(said["404"].text)[0][2])["code"] == "not_found"
