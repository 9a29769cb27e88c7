"""Background responses: begun now, their usage told when somebody asks for them. The first event is then replaced by the whole one."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from percapita._ids import new_id
from percapita._openai import SURFACES
from percapita._reading import get
from percapita._say import once
from percapita._turns import passes

if TYPE_CHECKING:
    from percapita._call import Call
    from percapita._percapita import Percapita

_MOST = 1_000  # that are waited for; the oldest is forgotten
_MOST_CHARACTERS = 8_000_000  # of their prompts together; one that is too many is told by the first event only
_UNDER_WAY = ("queued", "in_progress")
_READ = SURFACES["/responses"].read


class Background:
    """The responses that were begun in the background: a client and its `with_options` share them."""

    def __init__(self, percapita: Percapita) -> None:
        self._percapita = percapita
        self._waiting: OrderedDict[str, tuple[dict[str, Any], int]] = OrderedDict()
        self._characters = 0

    def note(self, call: Call, response: Any) -> None:
        """A response that has only been queued: remember whose it is."""
        if get(response, "status") in _UNDER_WAY and isinstance(found := get(response, "id"), str):
            call.event["id"] = new_id()  # the whole one tells which it replaces
            event, characters = dict(call.event), call.weight
            if self._characters + characters > _MOST_CHARACTERS:
                event.pop("prompt", None)
                characters = 0
            self._characters += characters
            self._waiting[found] = (event, characters)
            if len(self._waiting) > _MOST:
                self._characters -= self._waiting.popitem(last=False)[1][1]

    def forget(self) -> None:
        """All of them: in a forked child, whose parent asks for them itself."""
        self._waiting.clear()
        self._characters = 0

    def begin(self, path: str, method: str) -> Any:
        """Somebody asks for a response (GET /responses/ID): listen where it is one that is waited for."""
        if not self._waiting or method.upper() != "GET" or not path.startswith("/responses/"):
            return None
        waiting = self._waiting.get(path.rpartition("/")[2])
        return _Asked(self, waiting[0]) if waiting is not None else None

    def ended(self, event: dict[str, Any], response: Any) -> None:
        """Record the whole one where it has come to its end."""
        sender = self._percapita.sender()
        if sender is None or get(response, "status") in (*_UNDER_WAY, None):
            return
        first = self._waiting.pop(get(response, "id"), None)
        if first is None:
            return
        self._characters -= first[1]
        told = {name: value for name, value in event.items() if name not in ("finish_reason", "latency_ms")}
        whole = {**told, "id": new_id(), "replaces": event["id"], "status": "ok"}
        sender.put(whole, 3_000 + first[1], lambda: _READ(response))


class _Asked:
    def __init__(self, background: Background, event: dict[str, Any]) -> None:
        self._background, self._event = background, event

    def answered(self, result: Any, *, is_async: bool) -> None:
        try:
            self._background.ended(self._event, result)
        except Exception as error:
            if passes(error):
                raise
            once("background", f"a background response was not recorded: {type(error).__name__}")

    def fail(self, error: BaseException) -> None:
        """Asking failed; the response itself may be fine."""
