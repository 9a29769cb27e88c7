"""Raw and streaming responses: the host reads the bytes itself, and we read along where they pass."""

from __future__ import annotations

import json
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from percapita._call import Call
from percapita._say import once
from percapita._stream import Hearing, ends_with, ends_with_async

_MOST_BYTES = 32 * 1024 * 1024  # of an answer that is kept to be read; a longer one is recorded without its usage


class _Answer:
    """The bytes of one answer: JSON as a whole, events one after the other."""

    def __init__(self, call: Call, streams: bool) -> None:
        self._call = call
        listener = call.surface.listener
        self._listener = listener() if streams and listener is not None else None
        self.hearing = Hearing(call, self._listener, False) if self._listener is not None else None
        self._parts: list[bytes] = []
        self._size = 0
        self._rest = b""

    def take(self, data: bytes) -> None:
        """More of them."""
        try:
            if self.hearing is not None:
                self._events(data)
            elif self._size <= _MOST_BYTES:
                self._parts.append(data)
                self._size += len(data)
        except Exception as error:
            once("raw", f"an answer could not be read: {type(error).__name__}")

    def _events(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                text = line[5:].strip()
                if text.startswith(b"{") and self.hearing is not None:
                    self.hearing.hides(json.loads(text))

    def end(self, status: str) -> None:
        """All was read ("ok"), or the host left before ("aborted")."""
        try:
            if self.hearing is not None:
                return self.hearing.end(status)
            if status != "ok" or self._size > _MOST_BYTES:
                return self._call.end(status)
            body = b"".join(self._parts)
            return self._call.end("ok", len(body), lambda: self._call.surface.read(json.loads(body)))
        except Exception as error:
            once("raw", f"an answer was not recorded: {type(error).__name__}")
        return None

    def fail(self, error: BaseException) -> None:
        """Reading raised into the host."""
        if isinstance(error, GeneratorExit):
            self.end("aborted")
        elif self.hearing is not None:
            self.hearing.fail(error)
        else:
            self._call.fail(error)


def read_along(response: Any, call: Call, streams: bool, is_async: bool) -> None:
    """Listen to an httpx response, whose every reader goes through `iter_bytes`. One that was read already is read here."""
    if getattr(response, "is_stream_consumed", False) and not streams:
        body = response.content
        return call.end("ok", len(body), lambda: call.surface.read(json.loads(body)))
    answer = _Answer(call, streams)
    if is_async:
        response.aiter_bytes = _tapped_async(response.aiter_bytes, answer)
        ends_with_async(response, "aclose", answer)  # type: ignore[arg-type]  # ends as a hearing does
    else:
        response.iter_bytes = _tapped(response.iter_bytes, answer)
        ends_with(response, "close", answer)  # type: ignore[arg-type]
    weakref.finalize(response, answer.end, "aborted")
    return None


def _tapped(iter_bytes: Callable[..., Iterator[bytes]], answer: _Answer) -> Callable[..., Iterator[bytes]]:
    def tapped(*args: Any, **kwargs: Any) -> Iterator[bytes]:
        try:
            for data in iter_bytes(*args, **kwargs):
                answer.take(data)
                yield data
            answer.end("ok")
        except BaseException as error:
            answer.fail(error)
            raise

    return tapped


def _tapped_async(aiter_bytes: Callable[..., AsyncIterator[bytes]], answer: _Answer) -> Callable[..., AsyncIterator[bytes]]:
    async def tapped(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
        try:
            async for data in aiter_bytes(*args, **kwargs):
                answer.take(data)
                yield data
            answer.end("ok")
        except BaseException as error:
            answer.fail(error)
            raise

    return tapped
