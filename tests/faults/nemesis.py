"""The nemesis: steps at times, made from a seed before anything happens, printed, and carried out on a world under load.

Every verb counts its hits; a fault whose proof finds no hit has failed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from confluent_kafka import Producer

from pipeline.errors import StoreError
from tests.faults.load import Load
from tests.faults.process import IN_DOUBT
from tests.faults.world import Watched, World
from tests.support.stack import wait_http

POISON = (b"", b"\xff\x00", b"{}", b'{"v":9}', b"[" * 50_000, b'{"v":1,"event":null}')


class Step(NamedTuple):
    """At `at` seconds after the start do `verb` with `given`."""

    at: float
    verb: str
    given: tuple[object, ...] = ()

    def __str__(self) -> str:
        return f"t+{self.at:5.1f}  {self.verb}({', '.join(map(str, self.given))})"


class Nemesis:
    """Carries out steps, one after another; `hits` counts what really happened, `complaints` what must not.

    `alone`: no other fault runs beside, so that what a fault must leave untouched is judged too.
    """

    def __init__(self, world: World, load: Load, tell: Callable[[str], None], *, alone: bool = True) -> None:
        self.world, self.load, self.alone = world, load, alone
        self._store, self._log = threading.Lock(), threading.Lock()  # one fault at a time has them in hand
        self._orders = threading.Lock()  # there is one order to break at a time
        self.hits: Counter[str] = Counter()
        self.complaints: list[str] = []
        self._tell = tell

    def run(self, steps: Iterable[Step]) -> None:
        """Each at its time, or as soon as the one before is over."""
        began = time.monotonic()
        for step in steps:
            time.sleep(max(0.0, began + step.at - time.monotonic()))
            self._tell(f"  {time.monotonic() - began:5.1f}  {step.verb}({', '.join(map(str, step.given))})")
            try:
                getattr(self, step.verb)(*step.given)
            except Exception as error:
                self.complaints.append(f"the nemesis itself failed at {step.verb}: {error!r}")

    # --- processes

    def kill_collector(self, which: int, down: float) -> None:
        """SIGKILL."""
        self._down(self._of(self.world.collectors, which), signal.SIGKILL, down, "collector killed")

    def restart_collector(self, which: int) -> None:
        """SIGTERM, and up again: a rolling restart takes the next when this one is ready."""
        one = self._of(self.world.collectors, which)
        with one.lock:
            code = one.kill(signal.SIGTERM)
            one.start()
            if code:
                self.complaints.append(f"I1: a collector ended with {code} at SIGTERM")
            if self.alone:
                wait_http(f"{one.url}/readyz")
        self.hits["collector restarted"] += 1

    def kill_worker(self, which: int, down: float) -> None:
        """SIGKILL."""
        self._down(self._of(self.world.workers, which), signal.SIGKILL, down, "worker killed")

    def restart_worker(self, which: int, down: float) -> None:
        """SIGTERM: it finishes its batch and leaves the group."""
        code = self._down(self._of(self.world.workers, which), signal.SIGTERM, down, "worker restarted")
        self._ended_well(code)

    def pause_worker(self, which: int, seconds: float) -> None:
        """SIGSTOP for longer or shorter than a session."""
        one = self._of(self.world.workers, which)
        with one.lock:
            one.pause()
            time.sleep(seconds)
            one.resume()
        self.hits["worker paused"] += 1

    def break_worker(self, step: str, name: str, after: float = 0.0, asleep: float = 0.0) -> None:
        """Whichever worker reaches the step next dies there, or sleeps there for `asleep` seconds and is woken."""
        world, number = self.world, signal.Signals[name]
        with self._orders:
            if step in IN_DOUBT:  # it must have something to be in doubt about
                world.store.marker = b"insert_deduplication_token="
                world.store.replies_to_lose = 1
            world.break_at(step, number, after)
            pid = world.broke(12)
            if step in IN_DOUBT:
                world.store.replies_to_lose = 0
        if not pid:
            return
        self.hits[f"{name} {step}"] += 1
        self.hits["broke"] += 1
        if number is signal.SIGSTOP:
            time.sleep(asleep)
            with suppress(ProcessLookupError):  # another fault may have killed it in its sleep
                os.kill(pid, signal.SIGCONT)

    def join(self, seconds: float) -> None:
        """One more worker for a while."""
        one = self.world.add_worker()
        self.world.workers.append(one)
        time.sleep(seconds)
        with one.lock:
            self.world.workers.remove(one)
            self._ended_well(one.kill(signal.SIGTERM))
        self.hits["worker joined and left"] += 1

    def _ended_well(self, code: int) -> None:
        """0; by the signal, when it had not yet begun.

        Beside other faults also by its watchdog, when a log that is silent holds its commit, and by a SIGKILL that waited for
        whichever worker comes to a step.
        """
        if code not in (0, -signal.SIGTERM, *(() if self.alone else (70, -signal.SIGKILL))):
            self.complaints.append(f"a worker ended with {code} at SIGTERM")

    def _of(self, some: Sequence[Watched], which: int) -> Watched:
        return some[which % len(some)]

    def _down(self, one: Watched, number: signal.Signals, down: float, hit: str) -> int:
        with one.lock:
            code = one.kill(number)
            time.sleep(down)
            one.start()
        self.hits[hit] += 1
        return code

    def bad_deploy(self, seconds: float) -> None:
        """Every worker runs a version that can process nothing, and a supervisor that starts it again and again; then the good one."""
        world = self.world
        world.worker_environment["FAULT_DEPLOY"] = "bad"
        self._restart_workers()
        time.sleep(seconds)
        world.worker_environment.clear()
        self._restart_workers()
        self.hits["workers stopped by the ratio"] += sum(one.ends.count(1) for one in world.workers)
        time.sleep(2)
        told = json.loads(world.stack.run("dead-letters", "replay", "--json"))
        self.hits["dead letters replayed"] += told["replayed"]
        if told["left"]:
            self.complaints.append(f"I1: {told['left']} dead letters of a bad deploy could not be replayed")

    def _restart_workers(self) -> None:
        for one in self.world.workers:
            with one.lock:
                one.kill(signal.SIGTERM)
        for one in self.world.workers:
            one.start()

    # --- disks

    def fill_store(self, seconds: float) -> None:
        """Not a byte is left on ClickHouse's disk for a while, all at once: the server refuses inserts, or dies of it."""
        disk, before = self.world.disks["clickhouse"], self.world.logged("insert_in_doubt")
        disk.fill()
        time.sleep(seconds)
        disk.empty()
        if not self.world.stack.clickhouse.runs():
            self.world.stack.clickhouse.restart()
            self.hits["servers that died"] += 1
        self.hits["inserts failed on a full disk"] += self.world.logged("insert_in_doubt") - before

    def fill_log(self, share: float, seconds: float) -> None:
        """Kafka's disk passes what is left for what was accepted already; the broker must not die of more."""
        disk, ledger = self.world.disks["kafka"], self.load.ledger
        before = ledger.answers.get("unavailable", 0)
        disk.fill(share)
        time.sleep(seconds)
        if not self.world.stack.kafka.runs(1):
            self.complaints.append("the broker died of a full disk")
        disk.empty()
        self.hits["refused on a full disk"] += ledger.answers.get("unavailable", 0) - before

    def drown_broker(self, seconds: float) -> None:
        """Not a byte is left on one broker's disk, of three: it may die, the others go on."""
        kafka, disk, before = self.world.stack.kafka, self.world.disks["kafka"], self.load.ledger.count("ok")
        disk.fill()
        time.sleep(seconds)
        self.hits["events taken beside a full disk"] += self.load.ledger.count("ok") - before
        self.hits["brokers that died"] += not kafka.runs(1)
        disk.empty()
        kafka.restart(1)
        kafka.wait_in_sync(self.world.stack.topic)

    # --- the store

    def slow_view(self, seconds: float) -> None:
        """An insert takes so long that its worker dies first: the next owner must wait for it, or it must come to nothing."""
        world, store = self.world, self.world.stack.store
        with self._store:
            store.execute("CREATE TABLE IF NOT EXISTS slow_rows (n UInt8) ENGINE = Null")
            store.execute(
                "CREATE MATERIALIZED VIEW IF NOT EXISTS slows TO slow_rows AS SELECT sleep(2.5) AS n FROM usage_hours LIMIT 1"
            )
            time.sleep(0.5)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                with self._orders:
                    world.break_at("during the insert", signal.SIGKILL, 0.6)
                    pid = world.broke(4)
                if pid and self._insert_runs(0.5):
                    self.hits["inserts that outlived their worker"] += 1
            store.execute("DROP VIEW slows")

    def kill_store(self, down: float, *, wait_for_insert: float = 3.0) -> None:
        """SIGKILL in the middle of an insert."""
        if self._insert_runs(wait_for_insert):
            self.hits["store killed in mid insert"] += 1
        with self._store:
            self.world.stack.clickhouse.kill()
            self.hits["store killed"] += 1
            time.sleep(down)
            self.world.stack.clickhouse.start()

    def _insert_runs(self, seconds: float) -> bool:
        sql = "SELECT count() FROM system.processes WHERE position(query, 'INSERT INTO events') > 0 OR position(query, 'INSERT INTO `events`') > 0"
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(StoreError):
                rows = self.world.stack.store.select(f"{sql} AND query NOT LIKE '%system.processes%'", seconds=5).rows
                if rows[0][0]:
                    return True
        return False

    def stop_store(self, down: float) -> None:
        """Away, in good order, for a while."""
        stack, load = self.world.stack, self.load
        assigned, refused = self.world.logged("partitions_assigned"), load.ledger.answers.get("unavailable", 0)
        with self._store:
            stack.clickhouse.stop()
            before = load.ledger.count("ok")
            time.sleep(down)
            self.hits["events taken while the store was away"] += load.ledger.count("ok") - before
            if self.alone and load.ledger.answers.get("unavailable", 0) > refused:
                self.complaints.append("ingest was refused while the store was away")
            if self.alone and self.world.logged("partitions_assigned") > assigned:
                self.complaints.append("the group rebalanced while the store was away")
            stack.clickhouse.start()

    def pause_store(self, seconds: float) -> None:
        """SIGSTOP: connections stay, nothing answers."""
        with self._store:
            self.world.stack.clickhouse.pause()
            time.sleep(seconds)
            self.world.stack.clickhouse.resume()
        self.hits["store paused"] += 1

    def lose_replies(self, count: int, seconds: float) -> None:
        """The insert is done, its reply never arrives. On a slow machine one takes its time: it is waited for."""
        store = self.world.store
        store.marker, before = b"insert_deduplication_token=", store.replies_lost
        store.replies_to_lose = count
        latest = time.monotonic() + 5 * seconds
        time.sleep(seconds)
        while store.replies_lost == before and time.monotonic() < latest:
            time.sleep(0.02)
        store.replies_to_lose = 0
        self.hits["replies lost"] += store.replies_lost - before

    def slow_store(self, latency: float, seconds: float) -> None:
        """Every piece late."""
        self.world.store.latency_seconds = latency
        time.sleep(seconds)
        self.world.store.latency_seconds = 0.0
        self.hits["store slow"] += 1

    def cut_store(self, seconds: float) -> None:
        """Connections are reset, new ones refused."""
        before = self.world.store.refused
        self.world.store.cut = True
        self.world.store.reset_all()
        time.sleep(seconds)
        self.world.store.cut = False
        self.hits["store refused"] += self.world.store.refused - before

    def silence_store(self, seconds: float) -> None:
        """Half-open: bytes go nowhere, nobody is told."""
        before = self.world.store.swallowed
        self.world.store.silent = True
        time.sleep(seconds)
        self.world.store.heal()
        self.hits["bytes to and from the store swallowed"] += self.world.store.swallowed - before

    def break_view(self, seconds: float) -> None:
        """A view behind the rollups throws: the table takes the rows, the rollups in part."""
        store, before = self.world.stack.store, self.world.logged("insert_in_doubt")
        with self._store:
            store.execute("CREATE TABLE IF NOT EXISTS broken_rows (n UInt64) ENGINE = Null")
            store.execute(
                "CREATE MATERIALIZED VIEW IF NOT EXISTS breaks TO broken_rows AS "
                "SELECT toUInt64(throwIf(events >= 0)) AS n FROM usage_hours"
            )
            time.sleep(seconds)
            store.execute("DROP VIEW breaks")
        self.hits["inserts failed by the view"] += self.world.logged("insert_in_doubt") - before

    # --- the log

    def kill_broker(self, node: int, down: float) -> None:
        """SIGKILL; while its only broker is down a collector acknowledges nothing."""
        kafka, ledger = self.world.stack.kafka, self.load.ledger
        with self._log:
            kafka.kill(node)
            self.hits["broker killed"] += 1
            time.sleep(0.5)
            before = ledger.count("ok")
            time.sleep(down)
            if len(kafka.nodes) == 1 and ledger.count("ok") > before:
                self.complaints.append("I1: acknowledged while the only broker was down")
            kafka.restart(node)

    def kill_leader(self, down: float) -> None:
        """SIGKILL of the broker that leads most partitions, of three; it comes back later."""
        kafka = self.world.stack.kafka
        node = kafka.leader_of_most(self.world.stack.topic)
        self.load.slowest_ok = 0.0
        kafka.kill(node)
        self.hits["leader killed"] += 1
        time.sleep(down)
        if self.load.slowest_ok > 5:
            self.complaints.append(f"nothing was acknowledged for {self.load.slowest_ok:.1f} s after a leader died")
        kafka.restart(node)
        kafka.wait_in_sync(self.world.stack.topic)

    def roll_brokers(self) -> None:
        """SIGTERM and up again, one broker after the other, each when the one before is in step."""
        kafka = self.world.stack.kafka
        for node in kafka.nodes:
            kafka.restart(node)
            kafka.wait_in_sync(self.world.stack.topic)
            self.hits["broker restarted"] += 1

    def pause_broker(self, node: int, seconds: float) -> None:
        """SIGSTOP."""
        with self._log:
            self.world.stack.kafka.pause(node)
            time.sleep(seconds)
            self.world.stack.kafka.resume(node)
        self.hits["broker paused"] += 1

    def cut_log(self, seconds: float) -> None:
        """Kafka is unreachable: connections are reset, new ones refused."""
        before = sum(proxy.refused for proxy in self.world.stack.kafka_proxies)
        for proxy in self.world.stack.kafka_proxies:
            proxy.cut = True
            proxy.reset_all()
        time.sleep(seconds)
        for proxy in self.world.stack.kafka_proxies:
            proxy.heal()
        self.hits["log refused"] += sum(proxy.refused for proxy in self.world.stack.kafka_proxies) - before

    def silence_log(self, seconds: float) -> None:
        """A black hole."""
        for proxy in self.world.stack.kafka_proxies:
            proxy.silent = True
        time.sleep(seconds)
        for proxy in self.world.stack.kafka_proxies:
            self.hits["bytes to and from the log swallowed"] += proxy.swallowed
            proxy.swallowed = 0
            proxy.heal()

    def slow_log(self, latency: float, bytes_per_second: float, seconds: float) -> None:
        """Late, and through a straw."""
        for proxy in self.world.stack.kafka_proxies:
            proxy.latency_seconds, proxy.bytes_per_second = latency, bytes_per_second
        time.sleep(seconds)
        for proxy in self.world.stack.kafka_proxies:
            proxy.heal()
            proxy.reset_all()  # what is still in the straw would take minutes
        self.hits["log slow"] += 1

    def poison(self, count: int, seed: int) -> None:
        """Records that nobody can process, straight into the topic."""
        rng = random.Random(seed)
        producer = Producer({"bootstrap.servers": self.world.stack.kafka.bootstrap, "log_level": 0})
        for _ in range(count):
            producer.produce(
                self.world.stack.topic, value=rng.choice(POISON), partition=rng.randrange(self.world.stack.partitions)
            )
        if producer.flush(90):  # the broker may be down just now
            raise TimeoutError("the poison did not reach the log")
        self.hits["poisoned"] += count

    # --- clocks

    def wrong_clocks(self, seconds: float) -> None:
        """Collectors and workers beside the others whose clocks are a day off, either way."""
        world = self.world
        off = [world.add_collector(FAULT_CLOCK=str(by)) for by in (86_400, -86_400)]
        self.load.urls += [one.url for one in off]
        workers = [world.add_worker(FAULT_CLOCK=str(by)) for by in (86_400, -86_400)]
        world.workers += workers
        self.hits["clocks off"] += len(off) + len(workers)
        time.sleep(seconds)
        self.load.urls[-2:] = []
        time.sleep(1)
        for one in (*off, *workers):
            with one.lock:
                one.kill(signal.SIGTERM)
        world.collectors = [one for one in world.collectors if one not in off]
        world.workers = [one for one in world.workers if one not in workers]

    # --- several at once

    def at_once(self, *runs: Sequence[Step]) -> None:
        """Sequences of steps side by side."""
        threads = [threading.Thread(target=self.run, args=(run,)) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
