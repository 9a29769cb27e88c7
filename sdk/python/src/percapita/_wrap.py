"""`wrap(client)`: the same client with a few bound methods replaced. A patch that fails disables itself and says so once."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from percapita import _providers, _sender
from percapita._record import Call
from percapita._stream import AsyncRecorded, Recorded

Client = TypeVar("Client")
_MARK = "_percapita_wrapped"


def wrap(client: Client) -> Client:
    """Record every call of an `openai` or `anthropic` client, sync or async. Wrapping twice is once."""
    for surface in _providers.SURFACES:
        try:
            owner: Any = client
            for part in surface.path:
                owner = getattr(owner, part, None)
            if owner is None or not surface.fits(client):
                continue
            method = getattr(owner, surface.method, None)
            if method is None or getattr(method, _MARK, False):
                continue
            setattr(owner, surface.method, _patched(method, surface, client))
        except Exception as error:
            warnings.warn(
                f"percapita: {surface.operation} is not recorded: {type(error).__name__}", RuntimeWarning, stacklevel=2
            )
    return client


def _patched(method: Callable[..., Any], surface: _providers.Surface, client: Any) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(inspect.unwrap(method)):

        @functools.wraps(method)
        async def recorded_async(*args: Any, **kwargs: Any) -> Any:
            sender = _sender.default()
            if sender is None:
                return await method(*args, **kwargs)
            call, kwargs, asked = _begin(sender, surface, client, kwargs)
            try:
                result = await method(*args, **kwargs)
            except BaseException as error:
                _quietly(call.fail, error)
                raise
            return (
                _ended(call, surface, result, asked, AsyncRecorded)
                if kwargs.get("stream")
                else _done(call, surface, result)
            )

        setattr(recorded_async, _MARK, True)
        return recorded_async

    @functools.wraps(method)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        sender = _sender.default()
        if sender is None:
            return method(*args, **kwargs)
        call, kwargs, asked = _begin(sender, surface, client, kwargs)
        try:
            result = method(*args, **kwargs)
        except BaseException as error:
            _quietly(call.fail, error)
            raise
        return _ended(call, surface, result, asked, Recorded) if kwargs.get("stream") else _done(call, surface, result)

    setattr(recorded, _MARK, True)
    return recorded


class _Nothing:
    """Stands for a call that could not be recorded."""

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_args, **_kwargs: None


def _begin(
    sender: _sender.Sender, surface: _providers.Surface, client: Any, kwargs: dict[str, Any]
) -> tuple[Any, dict[str, Any], bool]:
    """The call's record, the arguments to pass on, and whether we asked for usage that the host did not."""
    try:
        call = Call(sender, surface.operation, surface.provider_of(client), kwargs, surface.prompt(kwargs))
        asking = surface.ask_for_usage(client, kwargs)
    except Exception:
        return _Nothing(), kwargs, False
    return (call, asking, True) if asking is not None else (call, kwargs, False)


def _quietly(action: Callable[..., None], *args: Any) -> None:
    try:
        action(*args)
    except Exception:
        return


def _done(call: Any, surface: _providers.Surface, result: Any) -> Any:
    def finish() -> None:
        call.end(**surface.read(result))

    _quietly(finish)
    return result


def _ended(call: Any, surface: _providers.Surface, stream: Any, asked: bool, kind: type[Any]) -> Any:
    """The provider's stream object itself, its iterator replaced by one that also listens."""
    try:
        return kind.listen(stream, call, surface.listener(), asked)
    except Exception:
        return stream
