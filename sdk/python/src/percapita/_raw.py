"""Raw and streaming responses: the host reads the bytes itself, and we read along where they pass."""

from __future__ import annotations

import json
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from percapita._call import Call
from percapita._say import once
from percapita._stream import Hearing

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
    listener = call.surface.listener if streams else None
    _tap(response, _Answer(call, Hearing(call, listener(), False) if listener is not None else None), is_async)
    return None


def read_along_instead(response: Any, call: Call, hearing: Hearing, is_async: bool) -> None:
    """For a stream whose response somebody may read in its place, as the helpers of old releases do."""
    _tap(response, _Answer(call, hearing), is_async)


def _tap(response: Any, answer: _Answer, is_async: bool) -> None:
    name, close = ("aiter_bytes", "aclose") if is_async else ("iter_bytes", "close")
    setattr(response, name, (_tapped_async if is_async else _tapped)(getattr(response, name), answer))
    setattr(response, close, (_closing_async if is_async else _closing)(getattr(response, close), answer))
    weakref.finalize(response, answer.end, "aborted")


def _tapped(iter_bytes: Callable[..., Iterator[bytes]], answer: _Answer) -> Callable[..., Iterator[bytes]]:
    def tapped(*args: Any, **kwargs: Any) -> Iterator[bytes]:
        if answer.elsewhere:
            yield from iter_bytes(*args, **kwargs)
            return
        try:
            answer.inside = True
            for data in iter_bytes(*args, **kwargs):
                answer.inside = False
                answer.take(data)
                yield data
                answer.inside = True
            answer.end("ok")
        except BaseException as error:
            answer.fail(error)
            raise

    return tapped


def _tapped_async(
    aiter_bytes: Callable[..., AsyncIterator[bytes]], answer: _Answer
) -> Callable[..., AsyncIterator[bytes]]:
    async def tapped(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
        elsewhere = answer.elsewhere
        try:
            answer.inside = True
            async for data in aiter_bytes(*args, **kwargs):
                answer.inside = False
                if not elsewhere:
                    answer.take(data)
                yield data
                answer.inside = True
            if not elsewhere:
                answer.end("ok")
        except BaseException as error:
            if not elsewhere:
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
