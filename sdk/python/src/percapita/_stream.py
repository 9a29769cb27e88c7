"""Streams: the provider's own object goes back to the host; what passes through its iterator is listened to."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

from percapita._providers import Listener


class _Ending:
    """Ends the record once, however the stream ends: read out, broken off, closed, failed or forgotten."""

    def __init__(self, call: Any, listener: Listener) -> None:
        self.call = call
        self.listener = listener
        self.ended = False

    def chunk(self, chunk: Any) -> None:
        try:
            self.call.token()
            self.listener.hear(chunk)
        except Exception:
            return

    def end(self, status: str) -> None:
        if self.ended:
            return
        self.ended = True
        try:
            fields = self.listener.fields()
            if status == "aborted" and not self.listener.complete:
                fields.setdefault("usage", self.listener.estimate())
                fields["usage_estimated"] = True
            elif self.listener.complete:
                status = "ok"
            self.call.end(status, **fields)
        except Exception:
            return

    def fail(self, error: BaseException) -> None:
        if isinstance(error, GeneratorExit):
            self.end("aborted")
        elif not self.ended:
            self.ended = True
            try:
                self.call.fail(error)
            except Exception:
                return


class Recorded:
    """For `openai.Stream` and `anthropic.Stream`: both iterate over `_iterator`."""

    @staticmethod
    def listen(stream: Any, call: Any, listener: Listener, asked: bool) -> Any:
        """The same stream, listening."""
        ending = _Ending(call, listener)
        inner = stream._iterator

        def chunks() -> Iterator[Any]:
            try:
                for chunk in inner:
                    ending.chunk(chunk)
                    if asked and listener.is_only_usage(chunk):
                        continue  # asked for by us: the host does not see it
                    yield chunk
                ending.end("ok")
            except BaseException as error:
                ending.fail(error)
                raise

        stream._iterator = chunks()
        _end_with_close(stream, ending)
        weakref.finalize(stream, ending.end, "aborted")
        return stream


class AsyncRecorded:
    """The same for the async streams."""

    @staticmethod
    def listen(stream: Any, call: Any, listener: Listener, asked: bool) -> Any:
        """The same stream, listening."""
        ending = _Ending(call, listener)
        inner = stream._iterator

        async def chunks() -> AsyncIterator[Any]:
            try:
                async for chunk in inner:
                    ending.chunk(chunk)
                    if asked and listener.is_only_usage(chunk):
                        continue
                    yield chunk
                ending.end("ok")
            except BaseException as error:
                ending.fail(error)
                raise

        stream._iterator = chunks()
        close = getattr(stream, "close", None)
        if close is not None:

            async def closing() -> Any:
                try:
                    return await close()
                finally:
                    ending.end("aborted")

            stream.close = closing
        weakref.finalize(stream, ending.end, "aborted")
        return stream


def _end_with_close(stream: Any, ending: _Ending) -> None:
    close = getattr(stream, "close", None)
    if close is None:
        return

    def closing() -> Any:
        try:
            return close()
        finally:
            ending.end("aborted")

    stream.close = closing
