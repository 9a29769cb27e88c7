"""The faults to survive, by number: a schedule made from a seed, how the world and the load are, and the proof that it hit."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tests.faults.load import Load
from tests.faults.nemesis import Nemesis, Step
from tests.faults.process import STEPS
from tests.faults.world import World

Plan = Callable[[random.Random, float], list[Step]]
Proof = Callable[[Nemesis, Load, World], list[str]]
SESSION = 6.0  # seconds, of the workers of a world


@dataclass(frozen=True)
class Fault:
    """`seconds` is how long a run takes to hit once or twice; the full set takes `full`, or four times that."""

    name: str
    plan: Plan
    proof: Proof
    seconds: float = 12
    full: float = 0
    load: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    world: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def hit(**least: int) -> Proof:
    """At least so many hits of each; underscores stand for blanks."""

    def proof(nemesis: Nemesis, _: Load, __: World) -> list[str]:
        return [
            f"the fault never hit: {name.replace('_', ' ')} {nemesis.hits[name.replace('_', ' ')]} of {count}"
            for name, count in least.items()
            if nemesis.hits[name.replace("_", " ")] < count
        ]

    return proof


def both(*proofs: Proof) -> Proof:
    """All of them."""
    return lambda nemesis, load, world: [told for proof in proofs for told in proof(nemesis, load, world)]


def every(gap: tuple[float, float], make: Callable[[random.Random], tuple[str, tuple[object, ...]]]) -> Plan:
    """A step now and again until the time is over."""

    def plan(rng: random.Random, seconds: float) -> list[Step]:
        steps, at = [], 1.0
        while at < seconds:
            verb, given = make(rng)
            steps.append(Step(round(at, 1), verb, given))
            at += rng.uniform(*gap)
        return steps

    return plan


def _unknown(_: Nemesis, load: Load, __: World) -> list[str]:
    return [] if load.ledger.answers.get("cut off") else ["no request was under way when a collector was killed"]


def _only_503(_: Nemesis, load: Load, __: World) -> list[str]:
    count = load.ledger.answers.get("cut off", 0)
    return [f"I1: {count} requests were cut off by a collector that was told to end"] if count else []


def _in_time(_: Nemesis, load: Load, __: World) -> list[str]:
    if not load.unavailable_seconds:
        return ["the fault never hit: nothing was refused"]
    slowest = max(load.unavailable_seconds)
    return [f"a 503 took {slowest:.1f} s"] if slowest > 6.5 else []


def _churned(nemesis: Nemesis, load: Load, _: World) -> list[str]:
    changes = nemesis.hits["worker joined and left"] + nemesis.hits["worker restarted"]
    return [] if changes >= 3 else [f"the fault never hit: {changes} changes of the group"]


def _store_troubled(nemesis: Nemesis, _: Load, world: World) -> list[str]:
    trouble = world.logged("insert_in_doubt") + world.logged("store_unavailable") + nemesis.hits["store slow"]
    return [] if trouble else ["the fault never hit"]


def _no_refusal(_: Nemesis, load: Load, __: World) -> list[str]:
    slowest = load.slowest_ok
    return [f"nothing was acknowledged for {slowest:.1f} s"] if slowest > 5 else []


def _rejections(_: Nemesis, load: Load, __: World) -> list[str]:
    wanted = ("rejected:timestamp_in_future", "rejected:timestamp_too_old")
    return [f"the fault never hit: nothing is {what}" for what in wanted if not load.ledger.count(what)]


def _order(rng: random.Random, first: list[str], count: int) -> list[str]:
    """So many steps, those that must be there and as many others as fit; all of them when the time is long."""
    others = [step for step in STEPS if step not in first and "dead letters" not in step]
    rng.shuffle(others)
    return [*first, *others][:count]


def _breaks(rng: random.Random, seconds: float) -> list[Step]:
    """Dies before, during and after the insert, before the commit, and at every rule for doubt."""
    first = ["before the insert", "during the insert", "after the insert", "before the intent is committed"]
    return [
        Step(1 + 2.5 * n, "break_worker", (step, "SIGKILL", 0.01 if step.startswith("during") else 0.0))
        for n, step in enumerate(_order(rng, first, max(6, int(seconds / 2.5))))
    ]


def _sleepers(rng: random.Random, seconds: float) -> list[Step]:
    """Asleep for longer than a session, between any two steps; its partitions have a new owner when it wakes."""
    first = ["after the intent is committed", "before the retry", "after the offsets are read"]
    asleep = SESSION + 3
    return [
        Step(1 + 11.0 * n, "break_worker", (step, "SIGSTOP", 0.005 if step.startswith("during") else 0.0, asleep))
        for n, step in enumerate(_order(rng, first, max(1, int(seconds / 11))))
    ]


def _churn(rng: random.Random, seconds: float) -> list[Step]:
    return [
        Step(1 + 2.0 * n, *rng.choice((("join", (1.5,)), ("restart_worker", (rng.randrange(3), 0.3)))))
        for n in range(int(seconds / 2))
    ]


def _poison(rng: random.Random, seconds: float) -> list[Step]:
    return [Step(1 + 2.0 * n, "poison", (rng.randint(5, 40), rng.randrange(1 << 30))) for n in range(int(seconds / 2))]


def _with_kills(plan: Plan) -> Plan:
    def both_plans(rng: random.Random, seconds: float) -> list[Step]:
        kills = every((2, 4), lambda r: ("kill_worker", (r.randrange(3), round(r.uniform(0, 0.5), 1))))
        return sorted(plan(rng, seconds) + kills(rng, seconds))

    return both_plans


FAULTS: dict[str, Fault] = {
    "1": Fault(
        "kill -9 of collectors under load",
        every((0.6, 1.6), lambda r: ("kill_collector", (r.randrange(2), round(r.uniform(0, 0.6), 1)))),
        both(hit(collector_killed=3), _unknown),
    ),
    "2": Fault(
        "SIGTERM of collectors, rolling",
        every((0.5, 1.5), lambda r: ("restart_collector", (r.randrange(2),))),
        both(hit(collector_restarted=3), _only_503),
    ),
    "3": Fault(
        "kill -9 of workers before, during and after an insert",
        _breaks,
        hit(broke=5),
        seconds=15,
        full=2.5 * len(STEPS),
    ),
    "4": Fault(
        "kill -9 of ClickHouse in mid-insert",
        every((2, 4), lambda r: ("kill_store", (round(r.uniform(0, 1.5), 1),))),
        hit(store_killed_in_mid_insert=1, store_killed=2),
        load={"rate": 800},
    ),
    "5": Fault(
        "kill -9 of the broker",
        every((7, 9), lambda r: ("kill_broker", (1, round(r.uniform(1, 2.5), 1)))),
        hit(broker_killed=1),
        seconds=14,
    ),
    "5b": Fault(
        "kill -9 of the leader of three brokers",
        every((12, 14), lambda r: ("kill_leader", (round(r.uniform(5, 7), 1),))),
        hit(leader_killed=1),
        world={"nodes": 3},
        seconds=12,
    ),
    "5c": Fault(
        "rolling restart of three brokers",
        lambda *_: [Step(1, "roll_brokers", ())],
        both(hit(broker_restarted=3), _no_refusal),
        world={"nodes": 3},
    ),
    "6": Fault(
        "Kafka unreachable",
        every((12, 14), lambda r: (r.choice(("cut_log", "silence_log")), (round(r.uniform(8, 10), 1),))),
        _in_time,
        seconds=14,
    ),
    "7": Fault(
        "Kafka slow",
        every((7, 8), lambda r: ("slow_log", r.choice(((0.2, 0, 5), (0, 1024, 6), (0.05, 20_000, 6))))),
        hit(log_slow=1),
        seconds=15,
    ),
    "8": Fault(
        "ClickHouse away for long",
        lambda _, seconds: [Step(1, "stop_store", (seconds - 2,))],
        hit(events_taken_while_the_store_was_away=500),
        load={"rate": 1500},
    ),
    "9": Fault(
        "replies to inserts that are lost",
        every((0.8, 1.5), lambda _: ("lose_replies", (1, 0.7))),
        hit(replies_lost=2),
    ),
    "9b": Fault(
        "the store slow, cut off and silent in turn",
        every(
            (3, 4),
            lambda r: r.choice((("slow_store", (0.15, 2.5)), ("cut_store", (2.0,)), ("silence_store", (2.0,)))),
        ),
        _store_troubled,
    ),
    "10": Fault(
        "a view that fails while the table succeeds",
        every((3, 4), lambda r: ("break_view", (round(r.uniform(0.8, 2), 1),))),
        hit(inserts_failed_by_the_view=2),
    ),
    "11": Fault("workers that join and leave all the time", _churn, _churned, seconds=14),
    "12": Fault(
        "workers that sleep past their session and wake", _sleepers, hit(broke=1), seconds=12, full=11.0 * len(STEPS)
    ),
    "12b": Fault(
        "inserts that outlive their worker",
        lambda _, seconds: [Step(1, "slow_view", (seconds,))],
        hit(inserts_that_outlived_their_worker=1),
        seconds=10,
        load={"rate": 150},
    ),
    "13": Fault("poison straight into the topic", _poison, hit(poisoned=10), seconds=8),
    "14": Fault(
        "everything poison after a bad deploy",
        lambda _, seconds: [Step(1, "bad_deploy", (seconds,))],
        hit(workers_stopped_by_the_ratio=1, dead_letters_replayed=1_000),
        load={"rate": 1000},
        seconds=16,
    ),
    "15": Fault(
        "Kafka's disk fills",
        every((9, 10), lambda r: ("fill_log", (round(r.uniform(0.87, 0.93), 2), 6.0))),
        hit(refused_on_a_full_disk=3),
        world={"disks": {"kafka": 512}},
        seconds=12,
    ),
    "15b": Fault(
        "one of three brokers' disks is full to the last byte",
        lambda _, seconds: [Step(1, "drown_broker", (seconds,))],
        hit(events_taken_beside_a_full_disk=500),
        world={"nodes": 3, "disks": {"kafka": 256}},
        load={"pad": 4000, "rate": 300},
        seconds=20,
    ),
    "16": Fault(
        "ClickHouse's disk is full",
        every((8, 9), lambda r: ("fill_store", (round(r.uniform(4, 6), 1),))),
        hit(inserts_failed_on_a_full_disk=2),
        world={"disks": {"clickhouse": 384}},
        seconds=14,
    ),
    "17": Fault(
        "a flood of repeats, across restarts",
        _with_kills(every((1.5, 3), lambda r: ("kill_collector", (r.randrange(2), 0.2)))),
        hit(worker_killed=1),
        load={"repeats": 0.7, "rate": 250},
    ),
    "18": Fault("two accounts with identical ids, users and seconds", lambda *_: [], hit(), seconds=5),
    "19": Fault(
        "canaries in content, with 3 and 13",
        lambda rng, seconds: sorted([*_breaks(rng, seconds / 2)[:3], *_poison(rng, seconds)[:3]]),
        hit(poisoned=5, broke=1),
        seconds=14,
    ),
    "20": Fault(
        "clocks a day off, events ten years off",
        lambda _, seconds: [Step(0, "wrong_clocks", (seconds,))],
        both(hit(clocks_off=4), _rejections),
        load={"odd_times": 0.05},
        seconds=12,
    ),
}
