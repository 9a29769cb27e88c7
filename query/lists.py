"""Lists: a page of an ordered answer, later pages of the same, or all of it as an export."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from pipeline import limits
from pipeline.errors import BadQuestion
from query import compare, formats, openapi, rows, shapes
from query.answers import Answers
from query.by_user import UserRows
from query.events import Events
from query.pages import Pages
from query.question import Question
from query.replies import Replies
from query.shapes import Measured
from query.sparks import Sparks
from query.traces import Traces

_NEWEST = ("started_at", "timestamp")
LABEL = "org"  # the tag whose value stands beside a user's id


class Lists:
    """Of measured rows, which the first page keeps for the later ones; of raw rows, which each page reads."""

    def __init__(
        self, answers: Answers, sparks: Sparks, pages: Pages, replies: Replies, clock: Callable[[], int]
    ) -> None:
        self._answers, self._sparks, self._pages, self._replies, self._clock = answers, sparks, pages, replies, clock
        self._exports = ThreadPoolExecutor(limits.EXPORTS, "export")  # of their own: pages never wait for one

    async def measured(
        self,
        request: web.Request,
        q: Question,
        fingerprint: str,
        answer: Callable[[Question], dict[str, Any]],
        row: type[rows.Measures],
        *,
        spark: tuple[str, str] = ("", ""),
    ) -> web.StreamResponse:
        """One page of an ordered answer; the first page keeps the whole for the later ones. Or all of it, exported."""
        name, offset = "", 0
        if q.format != "json":
            return await self.export(request, q, row, lambda: self._parts(q, answer))
        if q.cursor:
            _, name, offset = self._pages.read(q.cursor, fingerprint)
            q, held = self._pages.kept(q.account, name)
            q = q.anew()
        else:
            held = await asyncio.to_thread(self._whole, q, answer)
        more_follows = offset + q.limit < len(held["rows"])
        page, rest, name = await asyncio.gather(
            asyncio.to_thread(self._page, q, held, offset, q.limit),
            asyncio.to_thread(compare.rest, held, offset, q.limit),
            asyncio.to_thread(self._named, name, fingerprint, q, held if more_follows else None),
        )
        body = {
            "data": page,
            "totals": dict(held["totals"]),
            "rest": rest,
            "unattributed": None if held["unattributed"] is None else dict(held["unattributed"]),
            "plan": held["plan"],
            "next_cursor": None,
        }
        if more_follows:
            body["next_cursor"] = self._pages.sign([fingerprint, name, offset + q.limit])
        more: dict[str, Any] = {}
        if q.spark and spark[0]:
            more["spark_days"] = await asyncio.to_thread(self._sparks.add, q, *spark, page, body)
        return await self._replies.send(request, q, body, held["as_of"], more)

    def _named(self, name: str, fingerprint: str, q: Question, held: dict[str, Any] | None) -> str:
        """The name that an answer is kept under, when more of it is to follow."""
        return name or ("" if held is None else self._pages.keep(fingerprint, q, held))

    def _parts(self, q: Question, answer: Callable[[Question], dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
        if q.format == "focus":
            yield from self._charges(q, answer)
            return
        held = self._whole(q, answer)
        for first in range(0, len(held["rows"]), formats.PART_ROWS):
            yield self._page(q, held, first, formats.PART_ROWS)

    def _charges(self, q: Question, answer: Callable[[Question], dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
        """The rows of each month, and what stands in no row: charges add up to the spend."""
        for asked in formats.by_month(q):
            held = self._whole(asked, answer)
            nobody = [held["unattributed"]] if held["unattributed"] else []
            yield [row | {formats.PERIOD: asked.window} for row in [*map(compare.shown, held["rows"]), *nobody]]

    async def export(
        self,
        request: web.Request,
        q: Question,
        row: type[BaseModel],
        made: Callable[[], Iterator[list[dict[str, Any]]]],
    ) -> web.StreamResponse:
        async def parts() -> AsyncIterator[list[dict[str, Any]]]:
            source, loop = made(), asyncio.get_running_loop()
            while (part := await loop.run_in_executor(self._exports, next, source, None)) is not None:
                yield part

        name = request.path.removeprefix(f"{openapi.BASE}/").split("/")[0]
        return await formats.send(request, q.format, name, formats.writer(q.format, q, row), parts())

    def _whole(self, q: Question, answer: Callable[[Question], dict[str, Any]]) -> dict[str, Any]:
        held = _found(answer(q), q.search)
        if q.compare:
            compare.stand_beside(held, _found(answer(q.before()), q.search))
        held["as_of"] = self._clock()
        return held

    def _page(self, q: Question, held: dict[str, Any], offset: int, count: int) -> list[dict[str, Any]]:
        """The rows as they are shown; of users what is asked for those on the page alone."""
        page = [compare.shown(row) for row in held["rows"][offset : offset + count]]
        if held["identity"] == ("user_id",) and page:
            users = [row["user_id"] for row in page]
            labels, tops = self._answers.beside_users(q, users, LABEL)
            for row in page:
                row["label"], row["top_model"] = labels.get(row["user_id"]), tops.get(row["user_id"])
        return page

    async def raw(
        self, request: web.Request, q: Question, fingerprint: str, source: Traces | Events, row: type[BaseModel]
    ) -> web.StreamResponse:
        """A page of what had been received when the first was asked for; its sums are those of the first page too."""
        as_of, state = self._clock(), None
        sums: dict[str, Any] = {}
        if q.format != "json":
            if q.compare:
                raise BadQuestion("an export has rows alone, and totals are compared", "compare")
            if q.sort and (q.sort not in _NEWEST or not q.descending):
                raise BadQuestion(
                    "an export of these is newest first, as it is read: sort it where it is opened", "sort"
                )
            return await self.export(request, q, row, lambda: source.all(q, as_of, formats.PART_ROWS))
        if q.cursor:
            _, state, as_of, start, end, sums = self._pages.read(q.cursor, fingerprint)
            q = replace(q, window=q.window._replace(start=start, end=end))
        page = asyncio.to_thread(source.page, q, as_of, state)
        if sums:
            found = await page
        else:
            found, sums = await asyncio.gather(page, asyncio.to_thread(self._sums, q, row is rows.Trace))
        total, traces = Measured.unpacked(sums["total"]), sums["traces"]
        if found["sums"]["events"] > total["events"]:
            total = found["sums"]  # the page was read a moment after its sums, and is all there is
        on_page = len(found["rows"]) if row is rows.Trace else found["sums"]["traces"]
        body = {
            "data": found["rows"],
            "totals": shapes.measures(total, traces) | ({"previous": sums["before"]} if q.compare else {}),
            "rest": shapes.measures(total.less(found["sums"]), max(0, traces - on_page)),
            "unattributed": None,
            **({"untraced": sums["untraced"]} if row is rows.Trace else {}),
            "plan": "raw",
            "next_cursor": None,
        }
        if found["more"] is not None:
            body["next_cursor"] = self._pages.sign([fingerprint, found["more"], as_of, q.start, q.end, sums])
        return await self._replies.send(request, q, body, as_of)

    def _sums(self, q: Question, of_traces: bool) -> dict[str, Any]:
        """Of everything that is listed, as a cursor holds it."""
        total, untraced = self._answers.sum_and_untraced(q) if of_traces else (self._answers.sum(q)[0], None)
        found = {"total": total.packed(), "traces": self._answers.traces_of(q, total), "untraced": untraced}
        if q.compare:
            before, _ = self._answers.sum(q.before())
            found["before"] = shapes.measures(before, self._answers.traces_of(q.before(), before))
        return found


def _found(answer: dict[str, Any], text: str) -> dict[str, Any]:
    """The rows whose name holds a text, and their sums. Users are searched where they are columns."""
    if not text or isinstance(answer["rows"], UserRows):
        return answer
    needle = text.casefold()
    names = [name for name in answer["identity"] if name not in ("_place", "bucket")]
    rows = [row for row in answer["rows"] if any(needle in str(row[name] or "").casefold() for name in names)]
    totals = shapes.measures(Measured.total([row["_m"] for row in rows]), sum(row["_traces"] for row in rows))
    return answer | {"rows": rows, "totals": totals, "unattributed": None}
