"""The clustered mode as real processes: Kafka, the development ClickHouse, collector, consumers, query service."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.config import Settings
from pipeline.store import open_clickhouse
from tests.support.clickhouse import ChdbServer
from tests.support.kafka import KafkaCluster
from tests.support.proxy import Proxy

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Stack:
    """Everything up after construction; consumers are started and killed one by one. A context manager.

    `proxied` puts a proxy before Kafka (one for each broker) and one before ClickHouse: `kafka_proxies`, `store_proxy`.
    Product processes reach both through them; the test itself goes directly.
    """

    def __init__(
        self,
        directory: Path,
        *,
        partitions: int = 6,
        nodes: int = 1,
        session_seconds: float = 6,
        proxied: bool = False,
        entry: Sequence[str] = ("-c", "from pipeline.cli import main; main()"),
    ) -> None:
        """`entry` is python's way to the command."""
        self.directory = directory
        self.entry = tuple(entry)
        directory.mkdir(parents=True, exist_ok=True)
        self._closing = contextlib.ExitStack()
        self.kafka_proxies = [self._closing.enter_context(Proxy()) for _ in range(nodes * proxied)]
        self.kafka = KafkaCluster(
            nodes=nodes, directory=directory / "kafka", proxied=[p.port for p in self.kafka_proxies]
        )
        for proxy, port in zip(self.kafka_proxies, self.kafka.behind_proxy, strict=False):
            proxy.target = port
        self.clickhouse = ChdbServer(directory / "clickhouse")
        self.store_proxy = self._closing.enter_context(Proxy(self.clickhouse.port)) if proxied else None
        self.collector_port, self.query_port = free_port(), free_port()
        bootstrap = ",".join(f"127.0.0.1:{p.port}" for p in self.kafka_proxies) or self.kafka.bootstrap
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PERCAPITA_")},
            "PERCAPITA_KAFKA_BOOTSTRAP": bootstrap,
            "PERCAPITA_CLICKHOUSE_URL": self.store_proxy.url if self.store_proxy else self.clickhouse.url,
            "PERCAPITA_PARTITIONS": str(partitions),
            "PERCAPITA_REPLICATION": str(nodes),
            "PERCAPITA_SESSION_SECONDS": str(session_seconds),
        }
        self.partitions = partitions
        self.topic, self.group = Settings().topic, Settings().group
        self.store = open_clickhouse(self.clickhouse.url, database="default", user="default", password="")
        self.consumers: list[subprocess.Popen[bytes]] = []
        self._others: list[subprocess.Popen[bytes]] = []
        self.run("migrate")
        self.account: dict[str, Any] = self.create_account("acme")

    @property
    def url(self) -> str:
        """Of the collector."""
        return f"http://127.0.0.1:{self.collector_port}"

    @property
    def query_url(self) -> str:
        """Of the query service."""
        return f"http://127.0.0.1:{self.query_port}"

    def run(self, *arguments: str, check: bool = True) -> str:
        """One command to its end; its standard output."""
        command = [sys.executable, *self.entry, *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=600, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"percapita {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def create_account(self, name: str, *options: str) -> dict[str, Any]:
        """{"account": id, "keys": {scope: key}}."""
        made: dict[str, Any] = json.loads(self.run("accounts", "create", name, *options, "--json"))
        return made

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """A command that goes on; its output in a file of its own."""
        command = [sys.executable, *self.entry, *arguments]
        with (self.directory / f"{arguments[0]}-{time.monotonic_ns()}.log").open("wb") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=self.environment | environment, stdout=log, stderr=subprocess.STDOUT
            )

    def start_services(self) -> None:
        """Collector and query service, until both answer."""
        self._others.append(self.start("collector", "--port", str(self.collector_port)))
        self._others.append(self.start("query", "--port", str(self.query_port)))
        wait_http(f"{self.url}/readyz")
        wait_http(f"{self.query_url}/healthz")

    def start_consumer(self) -> subprocess.Popen[bytes]:
        """One more worker."""
        consumer = self.start("consumer")
        self.consumers.append(consumer)
        return consumer

    def get(self, path: str) -> Any:
        """An answer of the query service."""
        request = urllib.request.Request(f"{self.query_url}/v1/me/ai-apps/{path}")
        request.add_header("Authorization", f"Bearer {self.account['keys']['read']}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def stored(self) -> int:
        """Rows of the raw table; -1 while it cannot be asked."""
        try:
            with urllib.request.urlopen(
                f"{self.clickhouse.url}/?query=SELECT%20count()%20FROM%20events", timeout=20
            ) as answer:
                return int(answer.read())
        except (OSError, ValueError):
            return -1

    def wait_stored(self, rows: int, seconds: float = 120) -> float:
        """Until that many rows are stored; how long it took. Raises TimeoutError."""
        started = time.monotonic()
        while (held := self.stored()) < rows:
            if time.monotonic() - started > seconds:
                raise TimeoutError(f"{held} of {rows} rows after {seconds} s; logs in {self.directory}")
            time.sleep(0.2)
        return time.monotonic() - started

    def stop(self) -> None:
        """End every process that was started here."""
        for process in [*self.consumers, *self._others]:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
        for process in [*self.consumers, *self._others]:
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
        self.store.close()
        self.clickhouse.stop()
        self.kafka.stop()
        self._closing.close()

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def wait_http(url: str, seconds: float = 60) -> None:
    """Until a GET answers 200."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(url) from None
            time.sleep(0.1)


def wait_started(process: subprocess.Popen[bytes], url: str, seconds: float = 60) -> None:
    """Until a GET answers 200. Raises RuntimeError when the process has ended instead, TimeoutError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return wait_http(url, 0.5)
        except TimeoutError:
            if process.poll() is not None:
                raise RuntimeError(f"it ended with {process.returncode}; its output is beside its data") from None
            if time.monotonic() > deadline:
                raise
