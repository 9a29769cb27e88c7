"""Question -> answer: overview, users, models, tools. Rows, totals, rest and unattributed add up.

A row of an answer holds its own columns, its sums as `_m` and its traces as `_traces`; what is shown of it is filled in then.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pipeline import limits
from pipeline.errors import NotFound
from query import shapes, windows
from query.order import bucket_starts, order, with_empty_buckets
from query.question import Filter, Question
from query.reader import Answer, Reader, marked
from query.shapes import NOTHING, Measured
from query.sql import NOBODY, Key, bucket_key, column, key_of, pair_key, tag_key
from query.sums import Row

_BUCKETS = ("day", "hour")
_BY_MODEL: tuple[Key, tuple[str, ...]] = (column("model"), ("cost", "calls"))  # what top models are told from


class Answers(Reader):
    """The questions that rollups answer, but those about tags: see query.tags."""

    # --- overview

    def overview(self, q: Question) -> Answer:
        """Everything in the window; with group_by a list of rows."""
        if q.group_by:
            return self._grouped(q)
        total, nobody, users, plan = self._everything(q)
        data = shapes.measures(total, self.traces_of(q, total)) | {"users": users}
        if q.named == "mtd":
            data["forecast"] = shapes.money(self.forecast(q))
        return {
            "data": data,
            "totals": dict(data),
            "unattributed": self._unattributed(q, nobody),
            "plan": plan,
        }

    def _everything(self, q: Question) -> tuple[Measured, Measured, int, str]:
        """Every sum, those of nobody, how many users, and the plan.

        From sums by user where these are few enough to be kept for the next time, else counted in the store.
        """
        if self.few_users(q):
            found, plan = self.by_user(q)
            users = found.count()
            self.note_users(q, users)
            return found.total(), found.nobody(), users, plan
        rows, plan = self.rows(q, [NOBODY], users=True)
        parts = {bool(key[0]): m for key, m, _ in rows}
        users = sum(count for _, _, count in rows)
        self.note_users(q, users)
        return Measured.total(list(parts.values())), parts.get(True, NOTHING), users, plan

    def _unattributed(self, q: Question, m: Measured) -> Answer:
        distinct = self.distinct(replace(q, filters=(*q.filters, Filter("user_id", ("",)))), [], group="user")
        return shapes.measures(m, marked(q, m, "user") if distinct is None else distinct.get((), 0))

    def _grouped(self, q: Question) -> Answer:
        bucket = next((name for name in q.group_by if name in _BUCKETS), None)
        name = next((name for name in q.group_by if name not in _BUCKETS), "").replace("tag.userId", "user")
        keys: list[Key] = []
        extra: dict[str, Any] = {}
        starts = bucket_starts(q, bucket) if bucket else []
        if bucket:
            moved = bucket == "hour" and windows.moved_within_the_hour(q.start, q.end, windows.zone_of(q.tz))
            # Of a window with more hours than are told the starts are cut short, and name no hour behind the last.
            by_starts = moved and len(starts) <= limits.BUCKETS
            keys.append(bucket_key(bucket, by_starts=by_starts))
            extra["tz"] = q.tz
            if by_starts:
                extra["starts"] = [at // 1_000_000 for at in starts]
        if name:
            keys.append(key_of(name))
            if name.startswith("tag."):
                extra["g0"] = f"{name[4:]}="
        # Only days that begin at midnight UTC and half-hour-free zones may read rollups for buckets.
        found, plan = self.rows(q, keys, users=True, extra=extra, bucket=bucket)
        distinct = self.distinct(q, keys, extra, name)
        data = []
        for key, m, users in found:
            if not m["events"] and not m["cost"]:
                continue  # what stood here was corrected, and stands elsewhere
            row: Answer = {}
            if bucket:
                row["bucket" if name else "key"] = shapes.time(int(key[0]) * 1_000_000)
                row["_place"] = bisect_right(starts, int(key[0]) * 1_000_000)
            if name:
                row["key"] = key[-1] or None
            traces = marked(q, m, name) if distinct is None else distinct.get(key, 0)
            data.append(row | {"users": users, "_m": m, "_traces": traces})
        if bucket and not name:
            data = with_empty_buckets(data, q, bucket)
        if bucket and not q.sort:
            data.sort(key=lambda r: (r["bucket" if name else "key"], str(r.get("key") or "")))
        else:
            data.sort(key=order(q, "key"))
        total = self.sum(q)[0]
        return {
            "rows": data,
            # Of two windows the first days are compared, and the second, whatever their dates.
            "identity": (*(("_place",) if bucket else ()), *(("key",) if name else ())),
            "totals": shapes.measures(total, self.traces_of(q, total)),
            "unattributed": None,  # what has no value is the row whose key is null
            "plan": plan,
        }

    # --- users

    def users(self, q: Question) -> Answer:
        """One row per user, sorted; the events of nobody apart. `top_model` and `label` are told of the rows that are shown."""
        found, plan = self.by_user(q)
        unattributed, users = found.nobody(), found.users(q.search)
        self.note_users(q, len(found))
        attributed, spends = users.total(), users.spends()
        whole = attributed if q.search else attributed.plus(unattributed)
        distinct = self.distinct(q, [column("user_id")], group="user")
        rows = users.rows(q, whole, distinct, self.top_models(q) if q.sort == "top_model" else {})
        traces = rows.sum()["traces"] if q.search else self.traces_of(q, whole)
        totals = shapes.measures(whole, traces) | {
            "users": len(users),
            "mean_spend": shapes.money(_rounded(spends.mean())),
            "median_spend": shapes.money(_rounded(spends.median())),
        }
        if q.above:
            totals["users_above"] = spends.above(Decimal(q.above))
        nobody = None
        if not q.search:
            traces = unattributed["user_traces"] if distinct is None else distinct.get(("",), 0)
            nobody = shapes.measures(unattributed, traces)
        return {"rows": rows, "identity": ("user_id",), "totals": totals, "unattributed": nobody, "plan": plan}

    def top_models(self, q: Question, users: Sequence[str] = ()) -> dict[str, str]:
        """By spend, then calls, then name; of all users when none is named."""
        if users:
            return _tops(self.of_users(q, users, _BY_MODEL)[0])
        key, only = _BY_MODEL
        return _tops(self.rows(q, [column("user_id"), key], only=only)[0])

    def beside_users(self, q: Question, users: Sequence[str], tag: str) -> tuple[dict[str, str], dict[str, str]]:
        """Of each user the value of a tag that most of their events carry, and the top model."""
        asked, extra = replace(q, group_by=(f"tag.{tag}",)), {"g0": f"{tag}="}
        pairs, models = self.of_users(asked, users, (pair_key(), ("events",)), _BY_MODEL, extra=extra)
        return {user: pair[len(tag) + 1 :] for user, pair in _most(pairs).items()}, _tops(models)

    def user(self, q: Question, user_id: str) -> Answer:
        """One user; NotFound when never seen, zeros outside the window and under filters that nothing of theirs matches."""
        mine = replace(q, compare=False, filters=(*q.filters, Filter("user_id", (user_id,))))
        first = self.first_seen(replace(q, filters=(*q.scope, Filter("user_id", (user_id,)))))
        if first is None:
            raise NotFound("this user was never seen")
        answer = self.users(mine)
        row = answer["rows"][0] if answer["rows"] else {"user_id": user_id, "_m": NOTHING, "_traces": 0}
        data = shapes.filled({name: value for name, value in row.items() if name not in ("label", "share")})
        data["top_model"] = self.top_models(q, [user_id]).get(user_id)
        data["first_seen"] = first
        data["tags"] = self._frequent_tags(q, user_id)
        return {"data": data, "totals": None, "unattributed": None, "plan": answer["plan"]}

    def _frequent_tags(self, q: Question, user_id: str) -> dict[str, str]:
        best: dict[str, tuple[int, str]] = {}
        for (_, tag), m in self.of_users(q, [user_id], (tag_key(), ("events",)), every_tag=True)[0]:
            name, _, value = tag.partition("=")
            best[name] = max(best.get(name, (0, "")), (int(m["events"]), value))
        return {name: value for name, (_, value) in sorted(best.items())}

    # --- models, tools

    def models(self, q: Question) -> Answer:
        """By provider and model, with latencies; the spend of tools under model null."""
        found, plan = self.rows(q, [column("provider"), column("model"), column("tool_name")], maps=True)
        rows: dict[tuple[str, str], Answer] = {}
        others = [NOTHING]
        for (provider, model, _), m, latency, first in found:
            if not m["events"] and not m["cost"]:
                continue
            if not m["calls"] and not m["cost"] and not m["unpriced"]:
                others.append(m)  # tools without a cost, lines of logs: events of no model
                continue
            row = rows.setdefault((provider, model), {"m": [], "latency": {}, "first": {}})
            row["m"].append(m)
            _add(row["latency"], latency)
            _add(row["first"], first)
        distinct = self.distinct(q, [column("provider"), column("model")], group="model") or {}
        total, _ = self.sum(q)
        data = []
        for key, row in rows.items():
            m = Measured.total(row["m"])
            data.append(
                {
                    "provider": key[0] or None,
                    "model": key[1] or None,
                    "latency_ms": shapes.quantiles(row["latency"]),
                    "time_to_first_token_ms": shapes.quantiles(row["first"]),
                    "share": shapes.share(m, total),
                    "_m": m,
                    "_traces": distinct.get(key, 0),
                }
            )
        data.sort(key=order(q, "model"))
        return {"rows": data, "identity": ("provider", "model"), "totals": shapes.measures(total, self.traces_of(q, total)),
                "unattributed": shapes.measures(Measured.total(others)), "plan": plan}  # fmt: skip

    def tools(self, q: Question) -> Answer:
        """By tool: calls are tool calls here."""
        rows, plan = self.rows(q, [column("tool_name"), column("user_id"), column("status")], maps=True)
        by_tool: dict[str, Answer] = {}
        for (tool, user, status), m, latency, _ in rows:
            if not tool or not m["tool_calls"]:
                continue
            held = by_tool.setdefault(tool, {"m": [], "ok": 0, "latency": {}, "users": {}})
            held["m"].append(m.of_tools())
            held["ok"] += m["tool_calls"] if status == "ok" else 0
            _add(held["latency"], latency)
            if user:
                held["users"][user] = held["users"].get(user, 0) + m["tool_calls"]
        sums = {tool: Measured.total(held["m"]) for tool, held in by_tool.items()}
        distinct = self.distinct(q, [column("tool_name")], group="model") or {}
        whole = Measured.total(list(sums.values()))
        data = []
        for tool, held in by_tool.items():
            m = sums[tool]
            top = sorted(held["users"].items(), key=lambda item: (-item[1], item[0]))[:5]
            data.append(
                {
                    "tool_name": tool,
                    "users": len(held["users"]),
                    "share": round(m["tool_calls"] / whole["tool_calls"], 6) if whole["tool_calls"] else 0.0,
                    "success_rate": round(held["ok"] / m["tool_calls"], 6),
                    "latency_ms": shapes.quantiles(held["latency"]),
                    "top_users": [{"user_id": user, "calls": int(calls)} for user, calls in top],
                    "_m": m,
                    "_traces": distinct.get((tool,), 0),
                }
            )
        data.sort(key=order(replace(q, sort=q.sort or "calls"), "tool_name"))
        called = replace(q, filters=(*q.filters, Filter("tool_name", ("",), exclude=True)))
        totals = shapes.measures(whole, (self.distinct(called, [], group="model") or {}).get((), 0))
        return {"rows": data, "identity": ("tool_name",), "totals": totals, "unattributed": None, "plan": plan}

    # --- parts

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


def _tops(by_model: Sequence[Row]) -> dict[str, str]:
    best: dict[str, tuple[Any, ...]] = {}
    for (user, model), m in by_model:
        if model and m["calls"] > 0:
            rank = (-m["cost"], -m["calls"], model)
            best[user] = min(best.get(user, rank), rank)
    return {user: rank[2] for user, rank in best.items()}


def _most(by_pair: Sequence[Row]) -> dict[str, str]:
    """Of each user the pair that most events have; none for those whose events have none."""
    best: dict[str, tuple[int, str]] = {}
    for (user, pair), m in by_pair:
        if pair:
            best[user] = max(best.get(user, (0, "")), (int(m["events"]), pair))
    return {user: pair for user, (_, pair) in best.items()}


def _add(held: dict[int, int], counts: dict[int, int]) -> None:
    for bucket, count in counts.items():
        held[bucket] = held.get(bucket, 0) + count


def _rounded(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.quantize(Decimal("1e-9"))
