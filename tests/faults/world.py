"""The product under faults: real processes on real Kafka and chDB behind HTTP, all behind proxies, watched and restarted."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

from pipeline.kafka_log import KafkaSettings
from pipeline.keyring import create_account
from pipeline.store_keys import ClusterKeys
from tests.faults.load import MODES, Tenant
from tests.support.disks import SmallDisk
from tests.support.proxy import Proxy
from tests.support.stack import Stack, free_port, wait_http

# I9: resident megabytes of one process, whatever happens.
CAPS = {"collector": 200, "consumer": 500, "query": 400}


class Watched:
    """One process of the product, started again when it ends by itself; faults end, stop and resume it."""

    def __init__(self, kind: str, launch: Callable[[], subprocess.Popen[bytes]], url: str = "") -> None:
        self.kind, self.url = kind, url
        self._launch = launch
        self.process = launch()
        self.lock = threading.Lock()  # held by the fault that has it in hand
        self.expected = False  # a fault ends it: not to be started again until the fault says so
        self.ends: list[int] = []  # exit codes of ends that nobody asked for

    @property
    def pid(self) -> int:
        """Of the process that runs now, or ran last."""
        return self.process.pid

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it, and wait for the end; its exit code. It stays down until `start`."""
        self.expected = True
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        return self.process.wait(60)

    def start(self) -> None:
        """Again, when it is down."""
        if self.process.poll() is not None:
            self.process = self._launch()
        self.expected = False

    def pause(self) -> None:
        """SIGSTOP."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT; nothing when it is gone."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)


class World:
    """A running product: `collectors`, `workers`, a query service; `stack` has Kafka, the store and their proxies."""

    def __init__(
        self, folder: Path, *, nodes: int = 1, workers: int = 3, collectors: int = 2, session_seconds: float = 6,
        disks: Mapping[str, int] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """`disks`: megabytes of small disks for the folders of "kafka" (of its first node) and "clickhouse"."""
        self.folder = folder
        self._closing = ExitStack()
        places = {name: folder / name for name in disks}
        if "kafka" in places:
            places["kafka"] = folder / "kafka" / "node-1"
        self.disks = {
            name: self._closing.enter_context(SmallDisk(places[name], megabytes)) for name, megabytes in disks.items()
        }
        self.worker_environment: dict[str, str] = {}  # of workers that start from now on
        self.order = folder / "break"  # see tests.faults.process
        self.stack = Stack(
            folder, nodes=nodes, session_seconds=session_seconds, proxied=True, entry=("-m", "tests.faults.process")
        )
        self.stack.environment["FAULT_BREAK"] = str(self.order)
        self.collectors = [self._collector() for _ in range(collectors)]
        self.query = Watched("query", lambda: self.stack.start("query", "--port", str(self.stack.query_port)))
        self.workers = [self.add_worker() for _ in range(workers)]
        self.peaks: dict[str, int] = {}  # kind -> highest resident megabytes of any one process
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._watcher.start()
        for collector in self.collectors:
            wait_http(f"{collector.url}/readyz")
        wait_http(f"{self.stack.query_url}/healthz")

    # --- parts

    @property
    def kafka(self) -> Proxy:
        """The proxy before the (first) broker."""
        return self.stack.kafka_proxies[0]

    @property
    def store(self) -> Proxy:
        """The proxy before ClickHouse."""
        assert self.stack.store_proxy is not None
        return self.stack.store_proxy

    @property
    def processes(self) -> list[Watched]:
        """All that are watched."""
        return [*self.collectors, *self.workers, self.query]

    def add_worker(self, **environment: str) -> Watched:
        """One more member of the group."""
        return Watched("consumer", lambda: self.stack.start("consumer", **self.worker_environment | environment))

    def _collector(self, **environment: str) -> Watched:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        return Watched("collector", lambda: self.stack.start("collector", "--port", str(port), **environment), url)

    def add_collector(self, **environment: str) -> Watched:
        """One more, when it answers."""
        made = self._collector(**environment)
        self.collectors.append(made)
        wait_http(f"{made.url}/readyz")
        return made

    def tenants(self, modes: Sequence[str] = MODES) -> list[Tenant]:
        """Fresh accounts, one of each mode."""
        made = []
        store = ClusterKeys(self.stack.store, KafkaSettings(self.stack.kafka.bootstrap))
        for mode in modes:
            account = create_account(store, mode, privacy=mode)
            keys = account["keys"]
            marks = (f"{name}{mode}{uuid4().hex[:12]}" for name in ("agent", "canary"))
            made.append(Tenant(account["account"], mode, keys["ingest"], keys["read"], *marks))
        return made

    def urls(self) -> list[str]:
        """Of the collectors."""
        return [collector.url for collector in self.collectors]

    # --- orders to break

    def break_at(self, step: str, number: signal.Signals, after: float = 0.0) -> None:
        """The next process to reach the step takes the signal."""
        draft = self.order.with_suffix(".draft")
        draft.write_text(f"{step}|{number.name}|{after}", encoding="utf-8")
        draft.rename(self.order)

    def broke(self, seconds: float) -> int:
        """The pid of the process that took the order; 0 when none did in time (the order is then withdrawn)."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for path in self.folder.glob("break.[0-9]*"):
                path.unlink()
                return int(path.suffix[1:])
            time.sleep(0.02)
        with suppress(FileNotFoundError):
            self.order.unlink()
        return 0

    # --- evidence

    def logged(self, what: str, kind: str = "consumer") -> int:
        """Lines of these processes' logs that say so."""
        return sum(path.read_text(errors="replace").count(what) for path in self.folder.glob(f"{kind}-*.log"))

    def unasked_ends(self) -> list[str]:
        """Processes that ended by themselves."""
        return [f"{one.kind} ended by itself with {code}" for one in self.processes for code in one.ends]

    def heal(self) -> None:
        """Every fault ends: proxies are wires, everything that was stopped goes on, everything that is down starts."""
        for proxy in (*self.stack.kafka_proxies, self.store):
            proxy.heal()
        self.worker_environment.clear()
        for disk in self.disks.values():
            disk.empty()
        for node in self.stack.kafka.nodes:
            if not self.stack.kafka.runs(node):
                self.stack.kafka.restart(node)
            self.stack.kafka.resume(node)
        if not self.stack.clickhouse.runs():
            self.stack.clickhouse.restart()
        self.stack.clickhouse.resume()
        with suppress(FileNotFoundError):
            self.order.unlink()
        for one in self.processes:
            one.resume()
            one.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.25):
            for one in self.processes:
                code = one.process.poll()
                if code is None:
                    self.peaks[one.kind] = max(self.peaks.get(one.kind, 0), resident_megabytes(one.pid))
                elif not one.expected and not self._ended.is_set():
                    # As a supervisor does; what took an order to die is not counted as an end of its own.
                    if code != -signal.SIGKILL:
                        one.ends.append(code)
                    one.start()

    def over_cap(self) -> list[str]:
        """I9."""
        return [
            f"I9: a {kind} took {peak} MB of its {CAPS[kind]}" for kind, peak in self.peaks.items() if peak > CAPS[kind]
        ]

    def stop(self) -> None:
        """End every process."""
        self._ended.set()
        self._watcher.join()
        for one in self.processes:
            one.resume()
            with suppress(ProcessLookupError):
                one.process.send_signal(signal.SIGTERM)
        for one in self.processes:
            try:
                one.process.wait(40)
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()
        self.stack.stop()
        self._closing.close()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def resident_megabytes(pid: int) -> int:
    """VmRSS; 0 when the process is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) // 1024
    return 0
