"""What the host's operator should know, said once each through logging: never raised, never with anybody's content."""

from __future__ import annotations

import contextlib
import logging

_log = logging.getLogger("percapita")
_said: set[str] = set()


def once(about: str, message: str) -> None:
    """A warning, the first time that it is about this."""
    if about in _said or len(_said) > 1_000:
        return
    _said.add(about)
    with contextlib.suppress(Exception):
        _log.warning(message)
