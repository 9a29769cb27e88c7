"""Whose request it is: a trace and its tags, in a context variable."""

from __future__ import annotations

import contextvars
import functools
import inspect
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ContextDecorator
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Trace:
    """One `with_trace` block as calls inside it see it. Nested blocks keep the trace id."""

    __slots__ = ("id", "name", "outermost", "started", "started_ms", "tags")

    def __init__(self, trace_id: str, name: str, tags: dict[str, Any], outermost: bool) -> None:
        self.id = trace_id
        self.name = name
        self.tags = tags
        self.outermost = outermost
        self.started = time.perf_counter()
        self.started_ms = int(time.time() * 1000)


_current: contextvars.ContextVar[Trace | None] = contextvars.ContextVar("percapita_trace", default=None)


def current() -> Trace | None:
    """The innermost block around the caller."""
    return _current.get()


def new_id() -> str:
    """A UUIDv7: time first, so that the server can tell a late retry by its id."""
    value = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class with_trace(ContextDecorator):  # noqa: N801  # reads as a statement: with with_trace(...)
    """A request: `with`, `async with` or a decorator. Tags of inner blocks are added to, and override, outer ones."""

    def __init__(self, tags: Mapping[str, Any] | None = None, *, name: str = "") -> None:
        self._tags = dict(tags or {})
        self._name = name
        self._entered: list[tuple[Trace, contextvars.Token[Trace | None]]] = []

    def __enter__(self) -> Trace:
        outer = _current.get()
        tags = {**(outer.tags if outer else {}), **self._tags}
        trace = Trace(outer.id if outer else new_id(), self._name or (outer.name if outer else ""), tags, outer is None)
        self._entered.append((trace, _current.set(trace)))
        return trace

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._entered:
            return
        entered, token = self._entered.pop()
        try:
            _current.reset(token)
        except ValueError:
            _current.set(None)  # left in another context than it was entered in: an async generator's finalizer
        if entered.outermost:
            from percapita._record import trace_ended

            trace_ended(entered, error)

    async def __aenter__(self) -> Trace:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function, coroutine function or (async) generator function: each call is a block of its own."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def in_coroutine(*args: Any, **kwargs: Any) -> Any:
                with with_trace(self._tags, name=self._name or function.__name__):
                    return await function(*args, **kwargs)

            return in_coroutine

        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def in_async_generator(*args: Any, **kwargs: Any) -> Any:
                with with_trace(self._tags, name=self._name or function.__name__):
                    async for item in function(*args, **kwargs):
                        yield item

            return in_async_generator

        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def in_generator(*args: Any, **kwargs: Any) -> Any:
                with with_trace(self._tags, name=self._name or function.__name__):
                    return (yield from function(*args, **kwargs))

            return in_generator

        @functools.wraps(function)
        def in_call(*args: Any, **kwargs: Any) -> Any:
            with with_trace(self._tags, name=self._name or function.__name__):
                return function(*args, **kwargs)

        return in_call


def tag(**tags: Any) -> None:
    """Add tags to the block around the caller, for calls from here on."""
    trace = _current.get()
    if trace is not None:
        trace.tags = {**trace.tags, **tags}


def copy_context(function: Callable[P, R]) -> Callable[P, R]:
    """The function bound to the tags of now: for thread pools, which start with an empty context."""
    trace = _current.get()

    @functools.wraps(function)
    def bound(*args: P.args, **kwargs: P.kwargs) -> R:
        token = _current.set(trace)
        try:
            return function(*args, **kwargs)
        finally:
            _current.reset(token)

    return bound
