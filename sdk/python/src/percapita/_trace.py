"""Whose request it is: a trace and its tags, in a context variable."""

from __future__ import annotations

import contextvars
import functools
import inspect
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from percapita._event import tags_of
from percapita._ids import new_id
from percapita._say import once

if TYPE_CHECKING:
    from percapita._percapita import Percapita

P = ParamSpec("P")
R = TypeVar("R")


class Trace:
    """One `with_trace` block as calls inside it see it. Nested blocks share the trace id."""

    __slots__ = (
        "_given",
        "_ids",
        "_metadata",
        "_tags",
        "agent",
        "name",
        "outer",
        "session_id",
        "started",
        "started_at",
    )

    name: str
    agent: str
    session_id: str

    def __init__(self, outer: Trace | None, tags: dict[str, Any], name: str, agent: str, session_id: str) -> None:
        self.outer, self._given = outer, tags
        self._tags: dict[str, Any] | None = None
        self._metadata: dict[str, Any] | None = None
        if outer is None:
            self._ids: list[str] = []
            self.name, self.agent, self.session_id = name, agent, session_id
        else:
            self._ids = outer._ids
            self.name = name or outer.name
            self.agent = agent or outer.agent
            self.session_id = session_id or outer.session_id
        self.started = time.perf_counter()
        self.started_at = time.time()  # not told from the other, which stands still while a machine is frozen

    @property
    def tags(self) -> dict[str, Any]:
        """Those of the blocks around it, and its own over them; looked at when something is recorded."""
        if self._tags is None:
            self._tags = tags_of(self._given, self.outer.tags if self.outer is not None else None)
        return self._tags

    def add(self, tags: Mapping[str, Any]) -> None:
        """More tags, for what is recorded from here on."""
        self._tags = tags_of(tags, self.tags)
        self._metadata = None

    @property
    def metadata(self) -> dict[str, Any]:
        """What every event of it says; the same object until a tag is added. Not to be changed."""
        if self._metadata is None:
            self._metadata = {"tags": self.tags} if self.tags else {}
        return self._metadata

    @property
    def id(self) -> str:
        """A UUIDv7, made when it is asked for first: most blocks in a process that records nothing need none."""
        if not self._ids:
            self._ids.append(new_id(self.started_at))
        return self._ids[0]  # the first one, whoever else has appended meanwhile


class Block:
    """What `with_trace` answers: `with`, `async with` or a decorator, any number of times, nested or side by side."""

    __slots__ = ("_entered", "_given", "_percapita")

    def __init__(
        self, percapita: Percapita, tags: Mapping[str, Any] | None, name: str, agent: str, session_id: str
    ) -> None:
        self._percapita = percapita
        try:
            own = dict(tags) if tags else {}
        except Exception:
            once("tags", "tags were left out: with_trace takes a mapping of them")
            own = {}
        self._given = (own, name, agent, session_id)
        self._entered: list[tuple[Trace, Trace | None]] = []

    def _begun(self, name: str = "") -> Trace:
        tags, own_name, agent, session_id = self._given
        return Trace(self._percapita.trace.get(), tags, own_name or name, agent, session_id)

    def __enter__(self) -> Trace:
        current = self._percapita.trace
        outer = current.get()
        trace = Trace(outer, *self._given)
        self._entered.append((trace, outer))
        current.set(trace)
        return trace

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not self._entered:
            return
        current = self._percapita.trace
        here, last = current.get(), -1
        if self._entered[last][0] is not here:
            # One block object may be entered by several tasks at once: its own trace is the one that stands here.
            last = next((n for n, (trace, _) in enumerate(self._entered) if trace is here), last)
        trace, outer = self._entered.pop(last)
        if trace is here:  # else it is left in another context than it was entered in, by a generator's finalizer
            current.set(outer)
        self._percapita.trace_ended(trace, error)

    async def __aenter__(self) -> Trace:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, _)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function, coroutine function or (async) generator function: each call is a block of its own."""
        name = getattr(function, "__name__", "") or getattr(getattr(function, "func", function), "__name__", "")
        wrapped: Any
        if inspect.iscoroutinefunction(function):
            wrapped = self._coroutine(function, name)
        elif inspect.isasyncgenfunction(function):
            wrapped = _async_generator(function, lambda: self._stepwise(name))
        elif inspect.isgeneratorfunction(function):
            wrapped = _generator(function, lambda: self._stepwise(name))
        else:
            wrapped = self._call(function, name)
        return functools.wraps(function)(wrapped)

    def _fresh(self, name: str) -> Block:
        tags, own_name, agent, session_id = self._given
        return Block(self._percapita, tags, own_name or name, agent, session_id)

    def _call(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._fresh(name):
                return function(*args, **kwargs)

        return call

    def _coroutine(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with self._fresh(name):
                return await function(*args, **kwargs)

        return coroutine

    def _stepwise(self, name: str) -> _Within:
        trace = self._begun(name)
        return _Within(self._percapita.trace, trace, lambda error: self._percapita.trace_ended(trace, error))


class _Within:
    """The trace of a generator, in force while a step of it runs: of the blocks inside it, the one that the step before left open.

    A generator shares the context of whoever asks it for the next item. Between two items the host's own tags stand there, and two
    generators that are read in turns do not see each other's.
    """

    def __init__(
        self,
        current: contextvars.ContextVar[Trace | None],
        trace: Trace | None,
        ended: Callable[[BaseException | None], None],
    ) -> None:
        self._current, self._inside, self._ended = current, trace, ended
        self._outside: list[Trace | None] = []
        self._is_over = False

    def __enter__(self) -> None:
        self._outside.append(self._current.get())
        self._current.set(self._inside)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._inside = self._current.get()
        self._current.set(self._outside.pop())

    def end(self, error: BaseException | None) -> None:
        """Once."""
        if not self._is_over:
            self._is_over = True
            self._ended(error)


def _generator(function: Callable[..., Any], begin: Callable[[], _Within]) -> Callable[..., Any]:
    def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        run = begin()
        inner = function(*args, **kwargs)
        step, value = inner.send, None
        try:
            while True:
                try:
                    with run:
                        item = step(value)
                except StopIteration as end:
                    run.end(None)
                    return end.value
                try:
                    value = yield item
                    step = inner.send
                except GeneratorExit:
                    with run:
                        inner.close()
                    raise
                except BaseException as error:
                    step, value = inner.throw, error
        except BaseException as error:
            run.end(error)
            raise

    return generator


def _async_generator(function: Callable[..., Any], begin: Callable[[], _Within]) -> Callable[..., Any]:
    async def generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        run = begin()
        inner = function(*args, **kwargs)
        step, value = inner.asend, None
        try:
            while True:
                try:
                    with run:
                        item = await step(value)
                except StopAsyncIteration:
                    run.end(None)
                    return
                try:
                    value = yield item
                    step = inner.asend
                except GeneratorExit:
                    with run:
                        await inner.aclose()
                    raise
                except BaseException as error:
                    step, value = inner.athrow, error
        except BaseException as error:
            run.end(error)
            raise

    return generator


def bound(current: contextvars.ContextVar[Trace | None], function: Callable[P, R]) -> Callable[P, R]:
    """The function bound to the trace of now: for thread pools, which start with an empty context."""
    trace = current.get()

    def stepwise() -> _Within:
        return _Within(current, trace, lambda _: None)

    if inspect.isasyncgenfunction(function):
        return functools.wraps(function)(_async_generator(function, stepwise))
    if inspect.isgeneratorfunction(function):
        in_steps: Callable[..., Any] = _generator(function, stepwise)
        return functools.wraps(function)(in_steps)
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def in_coroutine(*args: Any, **kwargs: Any) -> Any:
            token = current.set(trace)
            try:
                return await function(*args, **kwargs)
            finally:
                current.reset(token)

        return in_coroutine  # type: ignore[return-value]  # a coroutine function, as the one that was given

    @functools.wraps(function)
    def in_call(*args: P.args, **kwargs: P.kwargs) -> R:
        token = current.set(trace)
        try:
            return function(*args, **kwargs)
        finally:
            current.reset(token)

    return in_call
