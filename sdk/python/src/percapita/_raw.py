"""Raw and streaming responses: the host reads the bytes itself, and we read along where they pass."""

from __future__ import annotations

import json
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from percapita._call import Call
from percapita._say import once
from percapita._stream import Hearing
from percapita._turns import passes

_MOST_BYTES = 32 * 1024 * 1024  # of an answer that is kept to be read; a longer one is recorded without its usage


class _Answer:
    """The bytes of one answer: JSON as a whole, events one after the other."""

    def __init__(self, call: Call, hearing: Hearing | None) -> None:
        self._call, self.hearing = call, hearing
        self.inside = False  # while httpx looks for the next bytes: it closes the response itself behind the last
        self._parts: list[bytes] = []
        self._size = 0
        self._rest = b""

    @property
    def elsewhere(self) -> bool:
        """Whether the stream's own iterator is what reads these bytes."""
        return self.hearing is not None and self.hearing.started

    def closed(self) -> None:
        """The response was closed: by what reads it at its end, or by a host or a helper that has read enough."""
        reads = self.hearing if self.hearing is not None and self.hearing.started else self
        if not reads.inside:
            self.end("aborted")

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
            if not body:
                return self._call.end("ok")  # it was read, and not to be read by us
            return self._call.end("ok", len(body), lambda: self._call.surface.read(json.loads(body)))
        except Exception as error:
            if passes(error):
                raise
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
    """Listen to an httpx response, whose every reader goes through `iter_bytes` or `iter_raw`. One that was read already is read here."""
    if getattr(response, "is_stream_consumed", False) and not streams:
        body = response.content
        return call.end("ok", len(body), lambda: call.surface.read(json.loads(body)))
    listener = call.surface.listener if streams else None
    _tap(response, _Answer(call, Hearing(call, listener(), False) if listener is not None else None), is_async)
    return None


def read_along_instead(response: Any, call: Call, hearing: Hearing, is_async: bool) -> None:
    """For a stream whose response somebody may read in its place, as the helpers of old releases do."""
    _tap(response, _Answer(call, hearing), is_async)


def _tap(response: Any, answer: _Answer, is_async: bool) -> None:
    tapped, prefix, close = (_tapped_async, "a", "aclose") if is_async else (_tapped, "", "close")
    for name in ("iter_bytes", "iter_raw"):
        read = getattr(response, prefix + name, None)
        if read is not None:
            setattr(response, prefix + name, tapped(read, answer, _Way(response, answer, name)))
    setattr(response, close, (_closing_async if is_async else _closing)(getattr(response, close), answer))
    weakref.finalize(response, answer.end, "aborted")


class _Way:
    """By which the bytes are read: as they were meant, or as they came (which is what the first of the two reads itself)."""

    def __init__(self, response: Any, answer: _Answer, name: str) -> None:
        self._answer, self._is_raw = answer, name == "iter_raw"
        self._is_packed = self._is_raw and response.headers.get("content-encoding", "identity") != "identity"

    def is_others(self) -> bool:
        """Whether somebody listens elsewhere already."""
        return self._answer.elsewhere or (self._is_raw and self._answer.inside)

    def take(self, data: bytes) -> None:
        """What is compressed has passed, and cannot be read."""
        if not self._is_packed:
            self._answer.take(data)


def _tapped(read: Callable[..., Iterator[bytes]], answer: _Answer, way: _Way) -> Callable[..., Iterator[bytes]]:
    def tapped(*args: Any, **kwargs: Any) -> Iterator[bytes]:
        if way.is_others():
            yield from read(*args, **kwargs)
            return
        try:
            answer.inside = True
            for data in read(*args, **kwargs):
                answer.inside = False
                way.take(data)
                yield data
                answer.inside = True
            answer.end("ok")
        except BaseException as error:
            answer.fail(error)
            raise

    return tapped


def _tapped_async(
    read: Callable[..., AsyncIterator[bytes]], answer: _Answer, way: _Way
) -> Callable[..., AsyncIterator[bytes]]:
    async def tapped(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
        others = way.is_others()
        try:
            answer.inside = answer.inside or not others
            async for data in read(*args, **kwargs):
                if others:
                    yield data
                    continue
                answer.inside = False
                way.take(data)
                yield data
                answer.inside = True
            if not others:
                answer.end("ok")
        except BaseException as error:
            if not others:
                answer.fail(error)
            raise

    return tapped


def _closing(close: Callable[[], None], answer: _Answer) -> Callable[[], None]:
    def closing() -> None:
        try:
            close()
        finally:
            answer.closed()

    return closing


def _closing_async(close: Callable[[], Awaitable[None]], answer: _Answer) -> Callable[[], Awaitable[None]]:
    async def closing() -> None:
        try:
            await close()
        finally:
            answer.closed()

    return closing
