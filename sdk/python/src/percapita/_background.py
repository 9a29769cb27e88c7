"""Background responses: begun now, their usage told when somebody asks for them. The first event is then replaced by the whole one."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from percapita._ids import new_id
from percapita._openai import SURFACES
from percapita._reading import get
from percapita._say import once

if TYPE_CHECKING:
    from percapita._call import Call
    from percapita._percapita import Percapita

_MOST = 1_000  # that are waited for; the oldest is forgotten
_UNDER_WAY = ("queued", "in_progress")
_READ = SURFACES["/responses"].read


class Background:
    """The responses of one client that were begun in the background."""

    def __init__(self, percapita: Percapita) -> None:
        self._percapita = percapita
        self._waiting: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def note(self, call: Call, response: Any) -> None:
        """A response that has only been queued: remember whose it is."""
        if get(response, "status") in _UNDER_WAY and isinstance(found := get(response, "id"), str):
            self._waiting[found] = dict(call.event)
            if len(self._waiting) > _MOST:
                self._waiting.popitem(last=False)

    def begin(self, path: str, method: str) -> Any:
        """Somebody asks for a response (GET /responses/ID): listen where it is one that is waited for."""
        if not self._waiting or method.upper() != "GET" or not path.startswith("/responses/"):
            return None
        event = self._waiting.get(path.rpartition("/")[2])
        return _Asked(self, event) if event is not None else None

    def ended(self, event: dict[str, Any], response: Any) -> None:
        """Record the whole one where it has come to its end."""
        sender = self._percapita.sender()
        if sender is None or get(response, "status") in (*_UNDER_WAY, None):
            return
        first = self._waiting.pop(get(response, "id"), None)
        if first is None:
            return
        told = {name: value for name, value in event.items() if name not in ("finish_reason", "latency_ms")}
        sender.put({**told, "id": new_id(), "replaces": event["id"], "status": "ok"}, 3_000, lambda: _READ(response))


class _Asked:
    def __init__(self, background: Background, event: dict[str, Any]) -> None:
        self._background, self._event = background, event

    def answered(self, result: Any, *, is_async: bool) -> None:
        try:
            self._background.ended(self._event, result)
        except Exception as error:
            once("background", f"a background response was not recorded: {type(error).__name__}")

    def fail(self, error: BaseException) -> None:
        """Asking failed; the response itself may be fine."""
