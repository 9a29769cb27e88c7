"""Requests to a collector by hand, many at once, and senders that go on until nobody listens."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any
from uuid import uuid4

from tests.support.raw import Said, exchange, head

CANARY = "c4n4ry"  # content, to be looked for where none may be


def post(key: str, body: bytes, *lines: str) -> bytes:
    return (
        head("POST", "/v1/events", "Content-Type: application/json", f"Content-Length: {len(body)}", *lines, key=key)
        + body
    )


def event(**fields: Any) -> bytes:
    return json.dumps({"id": str(uuid4()), "type": "llm", "prompt": CANARY, **fields}).encode()


async def all_of(port: int, requests: list[list[bytes]], **given: Any) -> list[Said]:
    return list(await asyncio.gather(*(exchange(port, *parts, **{"quiet": 0.01, **given}) for parts in requests)))


def statuses(said: list[Said]) -> Counter[int]:
    return Counter(one.statuses[0] if one.statuses else 0 for one in said)


class Sender:
    """One keep-alive connection that posts event after event, and goes away when it is told to; for as long as it is `patient`."""

    def __init__(self, port: int, key: str, *, patient: bool = True) -> None:
        self._port, self._key, self._patient = port, key, patient
        self.sent: dict[str, int] = {}  # id -> status, 0 without an answer
        self.told: list[bytes] = []  # heads of refusals

    async def run(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except (ConnectionRefusedError, ConnectionResetError):
                return  # nobody listens, or not any more
            try:
                while await self._one(reader, writer):
                    await asyncio.sleep(0.01)
            finally:
                writer.close()
            if self.told and self._patient:
                await asyncio.sleep(2.2)  # Retry-After

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        name = str(uuid4())
        self.sent[name] = 0
        writer.write(post(self._key, event(id=name)))
        top = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        length = int(top.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        self.sent[name] = int(top.split(b" ")[1])
        if self.sent[name] != 202:
            self.told.append(top)
        return b"connection: close" not in top.lower()
