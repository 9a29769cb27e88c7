"""The clustered mode as real processes: Kafka, the development ClickHouse, collector, consumers, query service."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from pipeline.config import Settings
from pipeline.store import open_clickhouse
from tests.support.clickhouse import ChdbServer
from tests.support.kafka import KafkaCluster

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Stack:
    """Everything up after construction; consumers are started and killed one by one. A context manager."""

    def __init__(self, directory: Path, *, partitions: int = 6, nodes: int = 1, session_seconds: float = 6) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.kafka = KafkaCluster(nodes=nodes, directory=directory / "kafka")
        self.clickhouse = ChdbServer(directory / "clickhouse")
        self.collector_port, self.query_port = free_port(), free_port()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PERCAPITA_")},
            "PERCAPITA_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "PERCAPITA_CLICKHOUSE_URL": self.clickhouse.url,
            "PERCAPITA_PARTITIONS": str(partitions),
            "PERCAPITA_REPLICATION": str(nodes),
            "PERCAPITA_SESSION_SECONDS": str(session_seconds),
        }
        self.partitions = partitions
        self.topic = Settings().topic
        self.store = open_clickhouse(self.clickhouse.url, database="default", user="default", password="")
        self.consumers: list[subprocess.Popen[bytes]] = []
        self._others: list[subprocess.Popen[bytes]] = []
        self.run("migrate")
        self.account: dict[str, Any] = json.loads(self.run("accounts", "create", "acme", "--json"))

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
        command = [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=600, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"percapita {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A command that goes on; its output in a file of its own."""
        log = (self.directory / f"{arguments[0]}-{time.monotonic_ns()}.log").open("wb")
        command = [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT)

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
                process.send_signal(signal.SIGTERM)
        for process in [*self.consumers, *self._others]:
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
        self.store.close()
        self.clickhouse.stop()
        self.kafka.stop()

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
