"""One configuration: a key and an address, the traces of its own, and the clients that it records."""

from __future__ import annotations

import contextvars
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from percapita import _trace, _wrap
from percapita._background import Background
from percapita._event import Mask, money, tags_of
from percapita._say import once
from percapita._sender import EXIT_SECONDS, Sender
from percapita._snapshot import snapshot
from percapita._trace import Block, Trace
from percapita._turns import passes

Client = TypeVar("Client")
P = ParamSpec("P")
R = TypeVar("R")

_MODES = ("", "minimal", "standard", "full")
_URL = "http://127.0.0.1:8900"


class Percapita:
    """A configuration. Several stand side by side, each with its own key, tags and privacy; the module's functions are one of them.

    Without `api_key` and `url` the environment's PERCAPITA_API_KEY and PERCAPITA_URL are taken, at the first use; without a key
    nothing is recorded. `agent` names the app on every event. `privacy` ("minimal", "standard", "full") is applied before anything
    leaves the process; the server can only be stricter. `mask` is given each event as a dict, in the background, and answers what may
    be sent.
    """

    def __init__(
        self,
        api_key: str | None = None,
        url: str | None = None,
        *,
        agent: str = "",
        privacy: str = "",
        mask: Mask | None = None,
    ) -> None:
        self.trace: contextvars.ContextVar[Trace | None] = contextvars.ContextVar("percapita_trace", default=None)
        self.background = Background(self)
        self._guard = threading.Lock()
        _all.add(self)
        self._configured(api_key, url, agent, privacy, mask)

    def _configured(self, api_key: str | None, url: str | None, agent: str, privacy: str, mask: Mask | None) -> None:
        if privacy not in _MODES:
            once("privacy", "privacy is one of minimal, standard, full: minimal is taken")
            privacy = "minimal"
        self._settings = (api_key, url, agent, privacy, mask)
        self._sender: Sender | None = None
        self._looked = False
        self.agent = agent

    def configure(
        self,
        api_key: str | None = None,
        url: str | None = None,
        *,
        agent: str = "",
        privacy: str = "",
        mask: Mask | None = None,
    ) -> None:
        """Other settings from here on; what was recorded under the former ones is sent with them. An empty key: nothing is recorded."""
        with self._guard:
            before = self._sender
            self._configured(api_key, url, agent, privacy, mask)
        if before is not None:
            before.close()

    def sender(self) -> Sender | None:
        """Where events go; None when there is no key."""
        return self._sender if self._looked else self._look()

    def _look(self) -> Sender | None:
        with self._guard:
            if not self._looked:
                api_key, url, agent, privacy, mask = self._settings
                key = os.environ.get("PERCAPITA_API_KEY", "") if api_key is None else api_key
                mode = privacy or os.environ.get("PERCAPITA_PRIVACY", "")
                if mode not in _MODES:
                    once("privacy", "PERCAPITA_PRIVACY is one of minimal, standard, full: minimal is taken")
                    mode = "minimal"
                self.agent = agent or os.environ.get("PERCAPITA_AGENT", "")
                where = url or os.environ.get("PERCAPITA_URL") or _URL
                if key and _is_address(where):
                    self._sender = Sender(key, where, privacy=mode, mask=mask)
                elif key:
                    once("url", "PERCAPITA_URL is no address like https://percapita.example:8900: nothing is recorded")
                self._looked = True
        return self._sender

    # --- recording

    def wrap(self, client: Client) -> Client:
        """Record every call of an `openai` or `anthropic` client, sync or async; the same client. Wrapping twice is once."""
        return _wrap.wrap(self, client)

    def with_trace(
        self, tags: Mapping[str, Any] | None = None, *, name: str = "", agent: str = "", session_id: str = ""
    ) -> Block:
        """A request: `with`, `async with` or a decorator. Tags of inner blocks are added to, and override, outer ones."""
        return Block(self, tags, name, agent, session_id)

    def tag(self, **tags: Any) -> None:
        """Add tags to the block around the caller, for calls from here on."""
        trace = self.trace.get()
        if trace is not None:
            trace.add(tags)

    def log(self, *lines: Any) -> None:
        """Log lines of the request."""
        self._send("log", logs=list(lines))

    def tool(
        self,
        name: str,
        *,
        arguments: Any = None,
        result: Any = None,
        latency_ms: float | None = None,
        status: str = "ok",
        error_message: str | None = None,
        cost_usd: Any = None,
    ) -> None:
        """A tool call. `status`: ok, error or aborted; `cost_usd`: what the tool itself cost, a Decimal, a number or decimal text."""
        self._send(
            "tool", tool_name=name, operation="execute_tool", tool_arguments=arguments, tool_result=result,
            latency_ms=latency_ms, status=status, error_message=error_message, cost_usd=money(cost_usd),
        )  # fmt: skip

    def log_usage(self, provider: str, model: str, usage: Mapping[str, Any], **fields: Any) -> None:
        """A call that happened elsewhere: a batch, a background response. `usage` as the provider words it, or in our classes.

        `fields`: any other field of an event, such as `processing="batch"`, `timestamp`, `id` (a UUID that makes a repeat harmless).
        """
        self._send("llm", provider=provider, model=model, usage=usage, **fields)

    def _send(self, kind: str, /, **fields: Any) -> None:
        try:
            sender = self.sender()
            if sender is None:
                return
            told, weight = snapshot({name: value for name, value in fields.items() if value is not None})
            event = self.event(kind)
            if (more := told.pop("metadata", None)) is not None:
                event["metadata"] = _merged(event.get("metadata", {}), more)
            sender.put(event | told, weight)
        except Exception as error:
            if passes(error):
                raise
            once("send", f"something was not recorded: {type(error).__name__}")

    def event(self, kind: str) -> dict[str, Any]:
        """An event of now, with what the block around the caller says. Its id is given to it in the background, unless it has one."""
        return self._event(kind, self.trace.get(), time.time())

    def _event(self, kind: str, trace: Trace | None, at: float) -> dict[str, Any]:
        event: dict[str, Any] = {"type": kind, "timestamp": round(at * 1000, 3)}
        agent = self.agent
        if trace is not None:
            event["trace_id"] = trace.id
            if trace.name:
                event["name"] = trace.name
            if trace.session_id:
                event["session_id"] = trace.session_id
            if metadata := trace.metadata:
                event["metadata"] = metadata
            agent = trace.agent or agent
        if agent:
            event["agent"] = agent
        return event

    def trace_ended(self, trace: Trace, error: BaseException | None) -> None:
        """Every outermost block is one event, so that an empty block is a trace too."""
        if trace.outer is not None:
            return
        try:
            sender = self.sender()
            if sender is None:
                return
            event = self._event("trace", trace, trace.started_at)
            event["status"] = "ok" if error is None or isinstance(error, GeneratorExit) else "error"  # left is no error
            event["latency_ms"] = round((time.perf_counter() - trace.started) * 1000, 3)
            sender.put(event, 0)
        except Exception as problem:
            if passes(problem):
                raise
            once("trace", f"a trace was not recorded: {type(problem).__name__}")

    def copy_context(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function bound to the tags of now: for thread pools, which start with an empty context."""
        return _trace.bound(self.trace, function)

    # --- delivery

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until everything recorded so far was answered; False when the time (seconds) was up first."""
        sender = self._sender
        return sender.flush(timeout) if sender is not None else True

    def shutdown(self, timeout: float = EXIT_SECONDS) -> None:
        """Send what is left within the time, and stop recording."""
        sender = self._sender
        if sender is not None:
            sender.close(timeout)


def _merged(ours: dict[str, Any], given: Any) -> dict[str, Any]:
    """What the host says of one event, over what the block around it says."""
    if not isinstance(given, dict):
        once("metadata", "metadata was left out: it is no mapping")
        return ours
    tags = given.get("tags")
    return {**given, "tags": tags_of(tags if isinstance(tags, dict) else {}, ours.get("tags"))}


def _is_address(url: str) -> bool:
    """With http or https, and a host: `host:8900` would otherwise be taken for something on this machine."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


_all: weakref.WeakSet[Percapita] = weakref.WeakSet()


def _after_fork() -> None:
    """Another thread of the parent's may have held the lock; who waits for a background response is the parent."""
    for one in list(_all):
        one._guard = threading.Lock()
        one.background.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
