"""Question -> answer: overview, users, models, tools, tags. Rows, totals, rest and unattributed add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from statistics import median
from typing import Any

from pipeline.budgets import OverBudget
from pipeline.errors import NotFound
from pipeline.store import Store
from query import shapes, windows
from query.folds import Folds
from query.order import order, with_empty_buckets
from query.plan import foldable, name_of, sources
from query.question import Filter, Question
from query.shapes import NOTHING, Measured
from query.sql import Conditions, Key, Sql, bucket_key, column, distinct_traces, key_of, measured, untraced
from query.windows import Span

Answer = dict[str, Any]
_DISTINCT_FIELDS = frozenset({"provider", "model", "agent", "status"})


class Answers:
    """The questions that rollups answer."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._over = OverBudget(store)
        self._folds = Folds(store)

    # --- overview

    def overview(self, q: Question) -> Answer:
        """Everything in the window; with group_by a list of rows."""
        if q.group_by:
            return self._grouped(q)
        total, plan = self.sum(q)
        by_user, _ = self.rows(q, [column("user_id")])
        users = sum(1 for key, _ in by_user if key[0])
        data = shapes.measures(total, self._traces_of(q, total)) | {"users": users}
        unattributed = next((m for key, m in by_user if not key[0]), NOTHING)
        if q.named == "mtd":
            data["forecast"] = shapes.money(self.forecast(q))
        return {
            "data": data,
            "totals": dict(data),
            "unattributed": shapes.measures(unattributed, unattributed["user_traces"]),
            "plan": plan,
        }

    def _grouped(self, q: Question) -> Answer:
        bucket = next((name for name in q.group_by if name in ("day", "hour")), None)
        name = next((name for name in q.group_by if name not in ("day", "hour")), None)
        keys: list[Key] = []
        extra: dict[str, Any] = {}
        if bucket:
            keys.append(bucket_key(bucket))
            extra["tz"] = q.tz
        if name:
            keys.append(key_of(name))
            if name.startswith("tag."):
                extra["g0"] = f"{name[4:]}="
        # Only days that begin at midnight UTC and half-hour-free zones may read rollups for buckets.
        rows, plan = self.rows(q, keys, extra=extra, bucket=bucket)
        users = self._users_by(q, keys, extra, bucket)
        distinct = self._distinct(q, keys, extra, name)
        data = []
        for key, m in rows:
            row: Answer = {}
            if bucket:
                row["bucket" if name else "key"] = shapes.time(int(key[0]) * 1_000_000)
            if name:
                row["key"] = key[-1] or None
            traces = distinct.get(key) if distinct is not None else (m["user_traces"] if name == "user" else None)
            data.append(row | shapes.measures(m, traces) | {"users": users.get(key, 0), "_m": m, "_key": key})
        if bucket:
            data = with_empty_buckets(data, q, bucket, bool(name))
            data.sort(key=lambda r: (r["bucket" if name else "key"], str(r.get("key") or "")))
        else:
            data.sort(key=order(q, "key"))
        total, _ = self.sum(q)
        return {
            "rows": data,
            "identity": ("bucket", "key") if bucket and name else ("key",),
            "totals": shapes.measures(total, self._traces_of(q, total)),
            "unattributed": None,  # what has no value is the row whose key is null
            "plan": plan,
        }

    def _users_by(
        self, q: Question, keys: Sequence[Key], extra: Answer, bucket: str | None
    ) -> dict[tuple[Any, ...], int]:
        rows, _ = self.rows(q, [*keys, column("user_id")], extra=extra, bucket=bucket)
        counts: dict[tuple[Any, ...], int] = {}
        for key, m in rows:
            if key[-1] and m["events"]:
                counts[key[:-1]] = counts.get(key[:-1], 0) + 1
        return counts

    # --- users

    def users(self, q: Question) -> Answer:
        """One row per user, sorted; the events of nobody apart."""
        found, plan = self.rows(q, [column("user_id"), column("model")])
        by_user: dict[str, Measured] = {}
        tops: dict[str, tuple[Any, ...]] = {}
        for (user, model), m in found:
            by_user[user] = by_user[user].plus(m) if user in by_user else m
            if model and m["calls"] > 0:
                rank = (-m["cost"], -m["calls"], model)
                tops[user] = min(tops.get(user, rank), rank)
        distinct = self._distinct(q, [column("user_id")], {}, None)
        unattributed = by_user.pop("", NOTHING)
        by_user = {user: m for user, m in by_user.items() if m["events"]}
        if q.search:
            needle = q.search.casefold()
            by_user = {user: m for user, m in by_user.items() if needle in user.casefold()}
        attributed = NOTHING
        for m in by_user.values():
            attributed = attributed.plus(m)
        whole = attributed if q.search else attributed.plus(unattributed)
        rows = [
            {
                "user_id": user,
                **shapes.measures(m, distinct.get((user,), 0) if distinct is not None else m["user_traces"]),
                "top_model": tops[user][2] if user in tops else None,
                "share": shapes.share(m, whole),
                "label": None,
                "_m": m,
            }
            for user, m in by_user.items()
        ]
        rows.sort(key=order(q, "user_id"))
        traces = None if q.search else self._traces_of(q, whole)
        if q.search:
            traces = sum(row["traces"] for row in rows)
        spends = [m["cost"] for m in by_user.values()]
        totals = shapes.measures(whole, traces) | {
            "users": len(by_user),
            "mean_spend": shapes.money(_rounded(sum(spends, Decimal(0)) / len(spends))) if spends else None,
            "median_spend": shapes.money(_rounded(Decimal(median(spends)))) if spends else None,
        }
        if q.above:
            totals["users_above"] = sum(1 for s in spends if s > Decimal(q.above))
        nobody = None
        if not q.search:
            nobody = shapes.measures(
                unattributed, distinct.get(("",), 0) if distinct is not None else unattributed["user_traces"]
            )
        return {"rows": rows, "identity": ("user_id",), "totals": totals, "unattributed": nobody, "plan": plan}

    def user(self, q: Question, user_id: str) -> Answer:
        """One user; NotFound when never seen, zeros outside the window."""
        seen = self._store.select(
            "SELECT count(), min(ts) FROM events WHERE account = {account:String} AND user_id = {user:String}",
            {"account": q.account, "user": user_id},
        ).rows[0]
        narrowed = replace(q, compare=False, filters=(*q.filters, Filter("user_id", (user_id,))))
        restricted = [f for f in q.filters if f.field.startswith("tag.") or f.field == "user_id"]
        if not seen[0]:
            raise NotFound("this user was never seen")
        answer = self.users(narrowed)
        if restricted and not answer["rows"] and not self._seen_under(replace(narrowed, filters=narrowed.filters)):
            raise NotFound("this user was never seen")
        row = (
            answer["rows"][0] if answer["rows"] else {"user_id": user_id, **shapes.measures(NOTHING), "top_model": None}
        )
        row = {name: value for name, value in row.items() if name not in ("label", "_m")}
        row["first_seen"] = shapes.time(seen[1])
        row["tags"] = self._frequent_tags(narrowed)
        return {"data": row, "totals": None, "unattributed": None, "plan": answer["plan"]}

    def _seen_under(self, q: Question) -> bool:
        total, _ = self.sum(replace(q, window=windows.ALL_TIME))
        return bool(total["events"])

    def _frequent_tags(self, q: Question) -> dict[str, str]:
        rows, _ = self.rows(
            q, [Key("key", "arrayJoin(r.tags)", "arrayJoin(arrayConcat(e.tags, e.tags_over))")], every_tag=True
        )
        best: dict[str, tuple[int, str]] = {}
        for (tag,), m in rows:
            name, _, value = tag.partition("=")
            best[name] = max(best.get(name, (0, "")), (int(m["events"]), value))
        return {name: value for name, (_, value) in sorted(best.items())}

    # --- models, tools, tags

    def models(self, q: Question) -> Answer:
        """By provider and model, with latencies; tool spend under model null."""
        keys = [column("provider"), column("model")]
        rows, plan = self.rows(q, keys, maps=True)
        distinct = self._distinct(q, keys, {}, "model") or {}
        total, _ = self.sum(q)
        data, others = [], NOTHING
        for key, m, latency, first in ((k, m, *maps) for k, m, maps in rows):
            if not m["calls"] and not m["cost"] and not m["unpriced"]:
                others = others.plus(m)  # tools without a cost, lines of logs: events of no model
                continue
            data.append(
                {
                    "provider": key[0] or None,
                    "model": key[1] or None,
                    **shapes.measures(m, distinct.get(key, 0)),
                    "latency_ms": shapes.quantiles(latency),
                    "time_to_first_token_ms": shapes.quantiles(first),
                    "share": shapes.share(m, total),
                    "_m": m,
                }
            )
        data.sort(key=order(q, "model"))
        return {"rows": data, "identity": ("provider", "model"), "totals": shapes.measures(total, self._traces_of(q, total)),
                "unattributed": shapes.measures(others), "plan": plan}  # fmt: skip

    def tools(self, q: Question) -> Answer:
        """By tool: calls are tool calls here."""
        rows, plan = self.rows(q, [column("tool_name"), column("user_id"), column("status")], maps=True)
        by_tool: dict[str, Answer] = {}
        for (tool, user, status), m, (latency, _) in rows:
            if not tool or not m["tool_calls"]:
                continue
            held = by_tool.setdefault(tool, {"m": NOTHING, "ok": 0, "latency": {}, "users": {}})
            held["m"] = held["m"].plus(m.of_tools())
            held["ok"] += m["tool_calls"] if status == "ok" else 0
            for bucket, count in latency.items():
                held["latency"][bucket] = held["latency"].get(bucket, 0) + count
            if user:
                held["users"][user] = held["users"].get(user, 0) + m["tool_calls"]
        distinct = self._distinct(q, [column("tool_name")], {}, "model") or {}
        whole = NOTHING
        for held in by_tool.values():
            whole = whole.plus(held["m"])
        data = []
        for tool, held in by_tool.items():
            m = held["m"]
            top = sorted(held["users"].items(), key=lambda item: (-item[1], item[0]))[:5]
            data.append(
                {
                    "tool_name": tool,
                    **shapes.measures(m, distinct.get((tool,), 0)),
                    "users": len(held["users"]),
                    "share": round(m["tool_calls"] / whole["tool_calls"], 6) if whole["tool_calls"] else 0.0,
                    "success_rate": round(held["ok"] / m["tool_calls"], 6),
                    "latency_ms": shapes.quantiles(held["latency"]),
                    "top_users": [{"user_id": user, "calls": int(calls)} for user, calls in top],
                    "_m": m,
                }
            )
        data.sort(key=order(replace(q, sort=q.sort or "calls"), "tool_name"))
        called = replace(q, filters=(*q.filters, Filter("tool_name", ("",), exclude=True)))
        totals = shapes.measures(whole, (self._distinct(called, [], {}, "model") or {}).get((), 0))
        return {"rows": data, "identity": ("tool_name",), "totals": totals, "unattributed": None, "plan": plan}

    def tags(self, q: Question, name: str = "") -> Answer:
        """The tag keys that were sent; with `name` the values of one key."""
        key = Key("key", "arrayJoin(r.tags)", "arrayJoin(arrayConcat(e.tags, e.tags_over))")
        rows, plan = self.rows(q, [key, column("user_id")], every_tag=True)
        total, _ = self.sum(q)
        held: dict[str, Answer] = {}
        for (tag, user), m in rows:
            tag_name, _, value = tag.partition("=")
            if name and tag_name != name:
                continue
            entry = held.setdefault(value if name else tag_name, {"m": NOTHING, "users": set(), "values": set()})
            entry["m"] = entry["m"].plus(m)
            entry["values"].add(value)
            if user:
                entry["users"].add(user)
        if name:
            data = [
                {"value": v, **shapes.measures(e["m"]), "users": len(e["users"]), "_m": e["m"]} for v, e in held.items()
            ]
        else:
            data = [
                {"key": k, "values": len(e["values"]), **shapes.measures(e["m"]), "_m": e["m"]} for k, e in held.items()
            ]
        data.sort(key=order(q, "value" if name else "key"))
        nobody = None
        if name:  # the events without this key: with them the values add up
            without, _ = self.sum(replace(q, filters=(*q.filters, Filter(f"tag.{name}", ("",)))))
            nobody = shapes.measures(without)
        return {"rows": data, "identity": ("value" if name else "key",), "totals": shapes.measures(total, self._traces_of(q, total)),
                "unattributed": nobody, "plan": plan}  # fmt: skip

    # --- parts

    def total(self, q: Question) -> tuple[Answer, str]:
        """The same as measures, traces counted as the filters ask for."""
        total, plan = self.sum(q)
        return shapes.measures(total, self._traces_of(q, total)), plan

    def untraced(self, q: Question) -> str | None:
        """Spend outside any trace."""
        sql = untraced(q, sources(q, [], raw_only=self._needs_raw(q, every_tag=False)))
        return shapes.money(self._store.select(sql.text, sql.parameters).rows[0][0] or Decimal(0))

    def count(self, q: Question) -> int:
        """Events in all of q's scope, cheaply: asked again and again."""
        if q.scope:
            return int(self.sum(q)[0]["events"])
        rows = self._store.select(
            "SELECT sum(events) FROM tag_hours WHERE account = {account:String} AND tag = ''", {"account": q.account}
        ).rows
        return int(rows[0][0])

    def tag_keys(self, q: Question) -> list[str]:
        """The tag keys that were ever sent, within the key's scope."""
        key = "substring(tag, 1, position(tag, '=') - 1)"
        if not q.scope:
            sql = Sql(
                f"SELECT DISTINCT {key} FROM tag_hours WHERE account = {{account:String}} AND tag != ''",
                {"account": q.account},
            )
        else:
            conditions = Conditions(replace(q, filters=q.scope))
            where = conditions.where(Span("days", 0, windows.ALL_TIME.end))
            sql = Sql(
                f"SELECT DISTINCT {key} FROM (SELECT arrayJoin(r.tags) AS tag FROM usage_days AS r WHERE {where})",
                conditions.parameters,
            )
        return sorted(row[0] for row in self._store.select(sql.text, sql.parameters).rows)

    def forecast(self, q: Question) -> Decimal | None:
        """Of a month to date: its spend, and for each day to come the mean of that weekday in the last four weeks."""
        zone = windows.zone_of(q.tz)
        today = windows.moment(q.end, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        past = replace(q, window=windows.between(windows.micros(today - timedelta(days=28)), windows.micros(today)))
        by_weekday: dict[int, Decimal] = {}
        for key, m in self.rows(past, [bucket_key("day")], extra={"tz": q.tz}, bucket="day")[0]:
            weekday = windows.moment(int(key[0]) * 1_000_000, zone).weekday()
            by_weekday[weekday] = by_weekday.get(weekday, Decimal(0)) + m["cost"]
        so_far = shapes.spend(self.sum(q)[0])
        if so_far is None:
            return None
        month, day = today.month, today + timedelta(days=1)
        while day.month == month:
            so_far += by_weekday.get(day.weekday(), Decimal(0)) / 4
            day += timedelta(days=1)
        return _rounded(so_far)

    def labels(self, q: Question, users: Sequence[str], tag: str) -> dict[str, str]:
        """The value of a tag that each user's events carry most."""
        narrowed = replace(q, filters=(*q.filters, Filter("user_id", tuple(users))))
        rows, _ = self.rows(narrowed, [column("user_id"), key_of(f"tag.{tag}")], extra={"g0": f"{tag}="})
        best: dict[str, tuple[int, str]] = {}
        for (user, value), m in rows:
            if value:
                best[user] = max(best.get(user, (0, "")), (int(m["events"]), value))
        return {user: value for user, (_, value) in best.items()}

    def rows(
        self,
        q: Question,
        keys: Sequence[Key],
        *,
        maps: bool = False,
        extra: Answer | None = None,
        bucket: str | None = None,
        every_tag: bool = False,
    ) -> tuple[list[Any], str]:
        """Measures by key, from the cheapest exact source; and the plan."""
        whole_days = bucket is None or (bucket == "day" and q.tz == "UTC")
        raw_only = (bucket is not None and not _whole_hours(q)) or self._needs_raw(q, every_tag)
        parts = sources(q, keys, whole_days=whole_days, raw_only=raw_only)
        if not maps and foldable(q, keys):
            parts = self._folds.of(q.account, parts)
        sql, plan = measured(q, keys, parts, maps=maps), name_of(parts)
        answer = self._store.select(sql.text, sql.parameters | (extra or {}))
        width = len(keys)
        if maps:
            return [
                (row[:width], shapes.read((*row[:-3], row[-1]), width), (row[-3], row[-2])) for row in answer.rows
            ], plan
        return [(row[:width], shapes.read(row, width)) for row in answer.rows], plan

    def _needs_raw(self, q: Question, every_tag: bool) -> bool:
        """Whether the question is about a tag key that is over its budget, so that rollups do not have it."""
        named = {name[4:] for name in (*q.group_by, *(f.field for f in q.filters)) if name.startswith("tag.")}
        if not named and not every_tag:
            return False
        over = self._over.keys(q.account)
        return bool(over) if every_tag else not named.isdisjoint(over)

    def sum(self, q: Question) -> tuple[Measured, str]:
        """The sums of everything that is asked for, and the plan that found them."""
        rows, plan = self.rows(q, [])
        return (rows[0][1] if rows else NOTHING), plan

    def _traces_of(self, q: Question, total: Measured) -> int:
        """Traces of a total: where their first event stands, or distinct ones under filters that split traces."""
        distinct = self._distinct(q, [], {}, None)
        if distinct is not None:
            return distinct.get((), 0)
        by_user = any(f.field == "user_id" for f in q.filters)
        return int(total["user_traces"] if by_user else total["traces"])

    def _distinct(
        self, q: Question, keys: Sequence[Key], extra: Answer, group: str | None
    ) -> dict[tuple[Any, ...], int] | None:
        splits = any(f.field in _DISTINCT_FIELDS for f in q.filters) or group in _DISTINCT_FIELDS
        if not splits:
            return None
        sql = distinct_traces(q, keys)
        rows = self._store.select(sql.text, sql.parameters | extra).rows
        return {row[:-1]: int(row[-1]) for row in rows}


def _whole_hours(q: Question) -> bool:
    """Whether the zone's days and hours begin at whole UTC hours in the window."""
    zone = windows.zone_of(q.tz)
    offsets = {windows.moment(at, zone).utcoffset() for at in (q.start, q.end)}
    return all(offset is not None and offset.total_seconds() % 3600 == 0 for offset in offsets)


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("1e-9"))
