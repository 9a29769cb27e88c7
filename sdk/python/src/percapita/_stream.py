"""Streams: the provider's own object goes back to the host; what passes through its iterator is listened to."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

from percapita._call import Call
from percapita._reading import Listener
from percapita._say import once
from percapita._snapshot import characters
from percapita._turns import passes

_CHUNK_BYTES = 40


class Hearing:
    """Ends a stream's record once, however the stream ends: read out, broken off, closed, failed or forgotten."""

    def __init__(self, call: Call, listener: Listener, asked: bool) -> None:
        self._call, self._listener, self._asked = call, listener, asked
        self._chunks = 0
        self.started = False  # whether the stream is read through its own iterator
        self.inside = False  # while that looks for the next piece: it closes the response itself behind the last

    def hides(self, chunk: Any) -> bool:
        """Hear a chunk; whether it is the one that we asked for and the host did not."""
        try:
            self._call.token()
            self._chunks += 1
            self._listener.hear(chunk)
        except Exception as error:
            once("hear", f"a piece of a stream could not be read: {type(error).__name__}")
        try:
            return self._asked and self._listener.is_only_usage(chunk)
        except Exception:
            return False

    def end(self, status: str) -> None:
        """Read out ("ok"), or left before its end ("aborted")."""
        try:
            self._call.heard(self._listener, status, _CHUNK_BYTES * self._chunks)
        except Exception as error:
            if passes(error):
                raise
            once("heard", f"a stream was not recorded: {type(error).__name__}")

    def fail(self, error: BaseException) -> None:
        """The stream raised into the host."""
        if isinstance(error, GeneratorExit):
            return self.end("aborted")
        try:
            prompt = self._call.event.get("prompt")
            self._call.fail(error, lambda: self._listener.fields(characters(prompt)))
        except Exception as problem:
            if passes(problem):
                raise
            once("heard", f"a stream was not recorded: {type(problem).__name__}")
        return None


def listen(stream: Any, hearing: Hearing) -> None:
    """Listen to `openai.Stream` or `anthropic.Stream`: both iterate over `_iterator`."""
    inner = stream._iterator

    def chunks() -> Iterator[Any]:
        hearing.started = hearing.inside = True
        try:
            for chunk in inner:
                if not hearing.hides(chunk):
                    hearing.inside = False
                    yield chunk
                    hearing.inside = True
            hearing.end("ok")
        except BaseException as error:
            hearing.fail(error)
            raise

    stream._iterator = chunks()
    ends_with(stream, "close", hearing)
    weakref.finalize(stream.response, hearing.end, "aborted")


def listen_async(stream: Any, hearing: Hearing) -> None:
    """The same for the async streams."""
    inner = stream._iterator

    async def chunks() -> AsyncIterator[Any]:
        hearing.started = hearing.inside = True
        try:
            async for chunk in inner:
                if not hearing.hides(chunk):
                    hearing.inside = False
                    yield chunk
                    hearing.inside = True
            hearing.end("ok")
        except BaseException as error:
            hearing.fail(error)
            raise

    stream._iterator = chunks()
    for name in ("close", "aclose"):
        ends_with_async(stream, name, hearing)
    weakref.finalize(stream.response, hearing.end, "aborted")


def ends_with(closed: Any, name: str, hearing: Hearing) -> None:
    """The record ends when the host closes what it reads."""
    close = getattr(closed, name, None)
    if close is None:
        return

    def closing() -> Any:
        try:
            return close()
        finally:
            hearing.end("aborted")

    setattr(closed, name, closing)


def ends_with_async(closed: Any, name: str, hearing: Hearing) -> None:
    """The same where closing is awaited."""
    close = getattr(closed, name, None)
    if close is None:
        return

    async def closing() -> Any:
        try:
            return await close()
        finally:
            hearing.end("aborted")

    setattr(closed, name, closing)
