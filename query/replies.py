"""An answer -> JSON: with what stands around it, and an ETag that says whether anything moved but the clock."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from pipeline.http import unmoved
from query.meta import Meta, unpriced
from query.question import Question

_MOVING = frozenset({"as_of", "from", "to", "freshness_seconds", "complete_through", "previous", "plan"})


class Replies:
    """What every question is answered with."""

    def __init__(self, meta: Meta, clock: Callable[[], int]) -> None:
        self._meta, self._clock = meta, clock

    async def send(
        self,
        request: web.Request,
        q: Question,
        answer: dict[str, Any],
        as_of: int | None = None,
        more: dict[str, Any] | None = None,
    ) -> web.Response:
        """`answer` with its `plan`, read at `as_of`; `more` goes into `meta`. 304 when the asker has it already."""
        meta = await asyncio.to_thread(self._meta.of, q, as_of or self._clock())
        meta["plan"] = answer.pop("plan")
        meta["unpriced_events"] = answer.pop("unpriced_events") if "unpriced_events" in answer else unpriced(answer)
        meta |= more or {}
        body = {**answer, "meta": meta}
        still = {
            **answer,
            "meta": {k: v for k, v in meta.items() if k not in _MOVING},
            "next_cursor": bool(answer.get("next_cursor")),
        }
        tag = f'"{hashlib.sha256(json.dumps(still, sort_keys=True).encode()).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept"}
        if unmoved(request, tag):
            return web.Response(status=304, headers=headers)
        return web.Response(body=json.dumps(body).encode(), content_type="application/json", headers=headers)
