"""Question -> answer about tags: the keys that were sent, and the values of one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from query import shapes
from query.order import order
from query.question import Filter, Question
from query.reader import Answer, Reader, marked
from query.shapes import NOTHING, Measured
from query.sql import column, tag_key


class Tags:
    """Asked of the same reader as every other answer."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def keys(self, q: Question) -> Answer:
        """One row a key. An event stands in the row of each of its keys: they do not add up."""
        found, plan = self._reader.rows(q, [tag_key()], every_tag=True)
        distinct = self._reader.distinct(q, [tag_key()._replace(raw=_NAMES)])
        held: dict[str, list[tuple[str, Measured]]] = {}
        for (tag,), m in found:
            if m["events"] or m["cost"]:
                name, _, value = tag.partition("=")
                held.setdefault(name, []).append((value, m))
        data = []
        for name, values in held.items():
            m = Measured.total([m for _, m in values])
            traces = marked(q, m) if distinct is None else distinct.get((name,), 0)
            data.append({"key": name, "values": len(values), "_m": m, "_traces": traces})
        data.sort(key=order(q, "key"))
        return self._told(q, data, "key", None, plan)

    def values(self, q: Question, name: str) -> Answer:
        """One row a value of a key; with the events that have none they add up."""
        key, extra, group = tag_key(name), {"g0": f"{name}="}, ""
        if name == "userId":
            key, extra, group = column("user_id")._replace(name="key"), {}, "user"
        asked = replace(q, group_by=(f"tag.{name}",))
        found, plan = self._reader.rows(asked, [key], users=True, extra=extra)
        distinct = self._reader.distinct(asked, [key], extra, group)
        data: list[dict[str, Any]] = []
        without = NOTHING
        for (pair,), m, users in found:
            if not m["events"] and not m["cost"]:
                continue
            if name == "userId" and not pair:
                without = m
                continue
            value = pair if name == "userId" else pair[len(name) + 1 :]
            traces = marked(q, m, group) if distinct is None else distinct.get((pair,), 0)
            data.append({"value": value, "users": users, "_m": m, "_traces": traces})
        data.sort(key=order(q, "value"))
        none = replace(q, filters=(*q.filters, Filter("user_id" if group else f"tag.{name}", ("",))))
        if not group:
            without, _ = self._reader.sum(none)
        counted = self._reader.distinct(none, [], group=group)
        traces = marked(q, without, group) if counted is None else counted.get((), 0)
        return self._told(q, data, "value", shapes.measures(without, traces), plan)

    def _told(self, q: Question, data: list[dict[str, Any]], identity: str, nobody: Answer | None, plan: str) -> Answer:
        total, _ = self._reader.sum(q)
        totals = shapes.measures(total, self._reader.traces_of(q, total))
        return {"rows": data, "identity": (identity,), "totals": totals, "unattributed": nobody, "plan": plan}


_NAMES = (
    "arrayJoin(arrayDistinct(arrayMap(t -> substring(t, 1, position(t, '=') - 1), arrayConcat(e.tags, e.tags_over))))"
)
