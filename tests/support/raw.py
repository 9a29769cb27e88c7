"""Bytes over a socket of one's own, and what came back: for requests that no client library would send."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """What a server said on one connection."""

    text: bytes
    statuses: tuple[int, ...]  # of every answer, 100 Continue among them
    closed: bool  # by the server
    reset: bool
    seconds: float  # until it was closed, or until nothing more came


def head(
    method: str = "POST", path: str = "/v1/events", *lines: str, key: str = "", version: str = "HTTP/1.1"
) -> bytes:
    """A request's head."""
    given = [f"{method} {path} {version}", "Host: x", *([f"Authorization: Bearer {key}"] if key else []), *lines]
    return "\r\n".join([*given, "", ""]).encode("utf-8", "surrogateescape")


def answers(text: bytes) -> list[tuple[int, bytes, bytes]]:
    """Status, head and body of each whole answer; an answer to HEAD looks like one that has no body."""
    found = []
    while text.startswith(b"HTTP/1."):
        top, blank, rest = text.partition(b"\r\n\r\n")
        if not blank:
            break
        length = next(
            (int(line.split(b":")[1]) for line in top.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        body = b"" if rest.startswith(b"HTTP/1.") else rest[:length]
        found.append((int(top.split(b" ")[1]), top, body))
        text = rest[len(body) :]
    return found


async def exchange(
    port: int, *parts: bytes, pause: float = 0, quiet: float = 5, seconds: float = 20, host: str = "127.0.0.1"
) -> Said:
    """Send the parts with a pause between them; listen until the server closes, or says nothing for `quiet` after an answer."""
    reader, writer = await asyncio.open_connection(host, port, limit=2**20)
    started = time.monotonic()
    sending = asyncio.create_task(_send(writer, parts, pause))
    heard, closed, reset = b"", False, False
    try:
        while time.monotonic() - started < seconds:
            whole = any(status >= 200 for status, _, _ in answers(heard)) and (sending.done() or pause > 0)
            try:
                chunk = await asyncio.wait_for(reader.read(65536), quiet if whole else 0.5)
            except TimeoutError:
                if whole:
                    break
                continue
            if not chunk:
                closed = True
                break
            heard += chunk
    except ConnectionError:
        closed = reset = True
    took = time.monotonic() - started
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    writer.close()
    return Said(heard, tuple(status for status, _, _ in answers(heard)), closed, reset, took)


async def _send(writer: asyncio.StreamWriter, parts: Sequence[bytes], pause: float) -> None:
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            if pause:
                await asyncio.sleep(pause)
    except ConnectionError:
        return


def chunked(body: bytes, size: int = 1000, extension: bytes = b"") -> bytes:
    """A body in chunks."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in pieces) + b"0\r\n\r\n"
