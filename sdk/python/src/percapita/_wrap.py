"""`wrap(client)`: the same client with two of its methods replaced. Every surface of both packages goes through `request`.

So helpers (`stream`, `parse`, tool runners), raw and streaming responses, Azure, Bedrock and Vertex need no patches of their own, and
neither do the next surface or release. A patch that fails disables itself and says so once.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from percapita import _anthropic, _openai
from percapita._call import Call
from percapita._hosts import provider_of, takes_usage
from percapita._raw import read_along, read_along_instead
from percapita._reading import Listener
from percapita._say import once
from percapita._stream import Hearing, listen, listen_async
from percapita._turns import passes

if TYPE_CHECKING:
    from percapita._background import Background
    from percapita._percapita import Percapita

Client = TypeVar("Client")
_MARK = "_percapita_records"  # on a client: the configurations that record it
_RAW = "x-stainless-raw-response"  # the header by which both packages ask themselves for raw answers
_SURFACES = {"openai": _openai.SURFACES, "anthropic": _anthropic.SURFACES}


def wrap(percapita: Percapita, client: Client) -> Client:
    """The same client, recorded."""
    package = next((p for cls in type(client).__mro__ if (p := cls.__module__.partition(".")[0]) in _SURFACES), None)
    if package is None:
        once(
            f"client:{type(client).__name__}",
            f"{type(client).__name__} is no client of openai or anthropic: not recorded",
        )
        return client
    try:
        records: list[Percapita] = client.__dict__.setdefault(_MARK, [])
        if any(one is percapita for one in records):
            return client
        records.append(percapita)
    except Exception as error:
        once("mark", f"{type(client).__name__} is not recorded: {type(error).__name__}")
        return client
    for patch in (_record_requests, _wrap_copies):
        try:
            patch(percapita, client, package)
        except Exception as error:
            once(f"patch:{patch.__name__}", f"{type(client).__name__} is not recorded in full: {type(error).__name__}")
    return client


def _wrap_copies(percapita: Percapita, client: Any, _: str) -> None:
    """`with_options` answers another client: recorded too."""
    for name in ("copy", "with_options"):
        method = getattr(client, name, None)
        if method is not None:
            setattr(client, name, _copying(percapita, method))


def _copying(percapita: Percapita, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def copied(*args: Any, **kwargs: Any) -> Any:
        return wrap(percapita, method(*args, **kwargs))

    return copied


def _record_requests(percapita: Percapita, client: Any, package: str) -> None:
    inner = client.request
    recorder = _Recorder(percapita, client, package)
    if inspect.iscoroutinefunction(inspect.unwrap(inner)):

        @functools.wraps(inner)
        async def request_async(*args: Any, **kwargs: Any) -> Any:
            begun = recorder.begin(args, kwargs)
            if begun is None:
                return await inner(*args, **kwargs)
            try:
                result = await inner(*args, **kwargs)
            except BaseException as error:
                begun.fail(error)
                raise
            begun.answered(result, is_async=True)
            return result

        client.request = request_async
        return

    @functools.wraps(inner)
    def request(*args: Any, **kwargs: Any) -> Any:
        begun = recorder.begin(args, kwargs)
        if begun is None:
            return inner(*args, **kwargs)
        try:
            result = inner(*args, **kwargs)
        except BaseException as error:
            begun.fail(error)
            raise
        begun.answered(result, is_async=False)
        return result

    client.request = request


class _Recorder:
    """What stays the same between a client's calls."""

    def __init__(self, percapita: Percapita, client: Any, package: str) -> None:
        self._percapita = percapita
        self._surfaces = _SURFACES[package]
        self._background = percapita.background if package == "openai" else None
        self._provider = provider_of(client, package)
        self._takes_usage = takes_usage(client)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Begun | None:
        """The record of a call; None when it is none of ours, nothing is configured, or it could not be begun."""
        try:
            if self._percapita.sender() is None:
                return None
            options = kwargs["options"] if "options" in kwargs else args[1]
            path = options.url.partition("?")[0]
            surface = self._surfaces.get(path)
            if surface is None or options.method.upper() != "POST":
                return self._background.begin(path, options.method) if self._background is not None else None
            body = options.json_data if isinstance(options.json_data, dict) else {}
            extra = getattr(options, "extra_json", None)
            if isinstance(extra, Mapping):
                body = {**body, **extra}
            raw = isinstance(options.headers, Mapping) and any(name.lower() == _RAW for name in options.headers)
            call = Call(self._percapita, surface, self._provider, body)
            _read_before_parsing(options, call)
            streams = bool(kwargs.get("stream")) or body.get("stream") is True
            listener = surface.listener() if streams and surface.listener is not None else None
            asked = (
                listener is not None
                and not raw
                and surface.asks_usage
                and self._takes_usage
                and _ask_for_usage(options, body)
            )
            return _Call(call, listener, streams, raw, asked, self._background)
        except Exception as error:
            once("begin", f"a call was not recorded: {type(error).__name__}")
            return None


def _read_before_parsing(options: Any, call: Call) -> None:
    """`parse` raises where an answer was cut short or does not fit: it was served, and is paid for, all the same."""
    parser = getattr(options, "post_parser", None)
    if callable(parser):

        def parse(answer: Any) -> Any:
            call.served = answer
            return parser(answer)

        options.post_parser = parse


def _ask_for_usage(options: Any, body: dict[str, Any]) -> bool:
    """Add `stream_options.include_usage`; whether the host had not said itself what it wants."""
    if "data_sources" in body:
        return False  # Azure refuses the two together
    wanted = body.get("stream_options")
    if isinstance(wanted, Mapping):
        if "include_usage" in wanted:
            return False
        options.json_data = {**options.json_data, "stream_options": {**wanted, "include_usage": True}}
    else:
        options.json_data = {**options.json_data, "stream_options": {"include_usage": True}}
    return True


@functools.lru_cache(maxsize=256)
def _is_response(kind: type) -> bool:
    """Whether it is httpx's; `hasattr` of a model's class would take as long as all the rest."""
    return any("iter_bytes" in vars(cls) for cls in kind.__mro__)


class _Begun:
    """A call that is under way. Nothing here raises."""

    def answered(self, result: Any, *, is_async: bool) -> None:
        """The call returned."""

    def fail(self, error: BaseException) -> None:
        """The call raised."""


class _Call(_Begun):
    def __init__(
        self,
        call: Call,
        listener: Listener | None,
        streams: bool,
        raw: bool,
        asked: bool,
        background: Background | None,
    ) -> None:
        self._call, self._listener = call, listener
        self._streams, self._raw, self._asked = streams, raw, asked
        self._background = background

    def answered(self, result: Any, *, is_async: bool) -> None:
        try:
            call = self._call
            response = getattr(result, "http_response", None) if self._raw else None
            if response is None and _is_response(type(result)):  # type: ignore[arg-type]  # a class is hashable
                response = result  # the host asked for httpx's own
            if response is not None:
                read_along(response, call, self._streams, is_async)
            elif self._listener is not None and hasattr(result, "_iterator"):
                hearing = Hearing(call, self._listener, self._asked)
                (listen_async if is_async else listen)(result, hearing)
                read_along_instead(result.response, call, hearing, is_async)
            else:
                if self._background is not None and call.surface.operation == "responses":
                    self._background.note(call, result)
                call.answer(result)
        except Exception as error:
            if passes(error):
                raise
            once("answered", f"a call was not recorded: {type(error).__name__}")

    def fail(self, error: BaseException) -> None:
        try:
            self._call.fail(error)
        except Exception as problem:
            if passes(problem):
                raise
            once("failed", f"a call was not recorded: {type(problem).__name__}")
