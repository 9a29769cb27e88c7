"""Apache Kafka as plain JVM processes: one combined node, or three with replication 3 and min in-sync 2.

python -m tests.support.kafka --nodes 1      runs one in the foreground and prints its bootstrap
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import fcntl
import hashlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, PartitionMetadata
from confluent_kafka.cimpl import NewTopic

ROOT = Path(__file__).resolve().parents[2]
POM = ROOT / "deploy" / "kafka" / "pom.xml"
LOG_CONFIG = ROOT / "deploy" / "kafka" / "log4j2.properties"
LIBRARIES = ROOT / ".build" / "kafka" / "libs"
MESSAGE_BYTES = 2 * 1024 * 1024  # an event of 1 MiB and its envelope


class ClusterError(RuntimeError):
    """Kafka cannot be had or does not start; the text says what to do."""


def resolved() -> bool:
    """Whether the jars of this pom.xml are there."""
    stamp = LIBRARIES / ".complete"
    return stamp.exists() and stamp.read_text() == hashlib.sha256(POM.read_bytes()).hexdigest()


def libraries() -> Path:
    """The folder of Kafka's jars; the first call has Maven fetch them (55 MB). Raises ClusterError."""
    if resolved():
        return LIBRARIES
    for tool, package in (("java", "a Java 17 runtime"), ("mvn", "Maven 3.8 or newer")):
        if shutil.which(tool) is None:
            raise ClusterError(f"`{tool}` is not on PATH: Kafka for tests needs {package}")
    LIBRARIES.parent.mkdir(parents=True, exist_ok=True)
    with (LIBRARIES.parent / ".lock").open("w") as lock:  # test processes side by side fetch once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not resolved():
            print("fetching Apache Kafka's jars with Maven (55 MB, once) ...", file=sys.stderr, flush=True)
            shutil.rmtree(LIBRARIES, ignore_errors=True)
            command = ["mvn", "-B", "-q", "-f", str(POM), "dependency:copy-dependencies"]
            done = subprocess.run(
                [*command, f"-DoutputDirectory={LIBRARIES}"], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise ClusterError(f"Maven could not fetch Kafka:\n{(done.stdout + done.stderr)[-2000:]}")
            (LIBRARIES / ".complete").write_text(hashlib.sha256(POM.read_bytes()).hexdigest())
    return LIBRARIES


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody has now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


class KafkaCluster:
    """`nodes` brokers, each a controller too, on free loopback ports, with data, settings and logs under `directory`.

    Nodes are numbered from 1. Ports stay the same over kill and restart. `proxied` gives each broker a second listener
    which it advertises at that port: a proxy there forwards to `behind_proxy[node - 1]`. A context manager.
    """

    def __init__(
        self, nodes: int = 1, directory: Path | None = None, *, heap_megabytes: int = 512, proxied: Sequence[int] = ()
    ) -> None:
        if nodes not in {1, 3}:
            raise ValueError("one node or three")
        if proxied and len(proxied) != nodes:
            raise ValueError("one proxy for each node")
        self.nodes = tuple(range(1, nodes + 1))
        self._own = tempfile.TemporaryDirectory(prefix="kafka-") if directory is None else None
        self.directory = Path(self._own.name) if self._own else directory or Path()
        self._libraries = libraries()
        self._heap = heap_megabytes
        self._cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        ports = free_ports(3 * nodes)
        self.ports, self._controllers, self.behind_proxy = ports[:nodes], ports[nodes : 2 * nodes], ports[2 * nodes :]
        self._proxied = tuple(proxied)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        atexit.register(self._kill_all)
        try:
            self._format()
            for node in self.nodes:
                self._launch(node)
            self.wait_ready()
        except BaseException:
            self._kill_all()
            raise

    @property
    def bootstrap(self) -> str:
        """host:port of every broker, without any proxy."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def pid(self, node: int) -> int:
        """Of a running broker."""
        return self._running(node).pid

    def runs(self, node: int) -> bool:
        """Whether it was started, and has not ended by itself."""
        return node in self._processes and self._processes[node].poll() is None

    def kill(self, node: int = 1) -> None:
        """SIGKILL, and wait until it is gone."""
        process = self._running(node)
        process.kill()
        process.wait()
        del self._processes[node]

    def restart(self, node: int = 1) -> None:
        """Start a node again with its data and ports, killed before or not; returns when all that run are known."""
        if node in self._processes:
            self._end([node], seconds=30)
        self._launch(node)
        self.wait_ready()

    def pause(self, node: int = 1) -> None:
        """SIGSTOP: its connections stay open, nothing answers."""
        self._running(node).send_signal(signal.SIGSTOP)

    def resume(self, node: int = 1) -> None:
        """SIGCONT."""
        self._running(node).send_signal(signal.SIGCONT)

    def stop(self, *, seconds: float = 20) -> None:
        """End every broker with SIGTERM, those that hang after `seconds` with SIGKILL (the last has no quorum left)."""
        self._end(list(self._processes), seconds=seconds)
        atexit.unregister(self._kill_all)
        if self._own is not None:
            self._own.cleanup()

    def create_topic(self, name: str, partitions: int = 1, **config: str | int) -> None:
        """Make a topic, replicated to every node; `retention_ms=1` is `retention.ms`. Returns when it has leaders."""
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        topic = NewTopic(name, partitions, len(self.nodes), config=settings)
        try:
            admin.create_topics([topic], operation_timeout=20)[name].result(timeout=30)
        except KafkaException as error:
            raise ClusterError(f"cannot create topic {name}: {error.args[0].str()}") from None
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = admin.list_topics(name, timeout=5).topics[name]
            if len(found.partitions) == partitions and all(p.leader > 0 for p in found.partitions.values()):
                return
            time.sleep(0.05)
        raise ClusterError(f"topic {name} has no leaders after 20 s")

    def leader_of_most(self, topic: str) -> int:
        """The broker that leads most of the topic's partitions."""
        leaders = [p.leader for p in self._partitions(topic)]
        return max(set(leaders) & set(self._processes), key=leaders.count)

    def wait_in_sync(self, topic: str, *, seconds: float = 60) -> None:
        """Wait until every partition has a leader and all of its replicas in sync."""
        deadline = time.monotonic() + seconds
        while not (found := self._partitions(topic)) or not all(
            p.leader > 0 and len(p.isrs) == len(self.nodes) for p in found
        ):
            if time.monotonic() > deadline:
                raise ClusterError(f"topic {topic} is not in sync after {seconds:.0f} s")
            time.sleep(0.1)

    def _partitions(self, topic: str) -> list[PartitionMetadata]:
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        with contextlib.suppress(KafkaException):
            return list(admin.list_topics(topic, timeout=5).topics[topic].partitions.values())
        return []

    def wait_ready(self, *, seconds: float = 150) -> None:
        """Wait until metadata names every broker that runs.

        Raises ClusterError with the end of the log of each that is missing; one that hangs writes its threads' stacks there first.
        """
        deadline = time.monotonic() + seconds
        expected, known = set(self._processes), set[int]()
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 200})
        while time.monotonic() < deadline:
            for node, process in self._processes.items():
                if process.poll() is not None:
                    raise ClusterError(f"broker {node} ended with {process.returncode}:\n{self._tail(node)}")
            with contextlib.suppress(KafkaException):
                # A broker that died a moment ago is still named: its port must answer too.
                known = set(admin.list_topics(timeout=1).brokers)
                if expected <= known and all(map(self._listens, expected)):
                    return
            time.sleep(0.05)
        missing = sorted(expected - known) or sorted(node for node in expected if not self._listens(node))
        for node in missing:
            self._processes[node].send_signal(signal.SIGQUIT)
        time.sleep(2)
        told = "\n".join(f"broker {node}:\n{self._tail(node, 20_000)}" for node in missing)
        raise ClusterError(
            f"of {sorted(expected)} these brokers did not answer within {seconds:.0f} s: {missing}\n{told}"
        )

    def _listens(self, node: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports[node - 1])) == 0

    def _folder(self, node: int) -> Path:
        return self.directory / f"node-{node}"

    def _tail(self, node: int, most: int = 2000) -> str:
        return (self._folder(node) / "broker.log").read_text(encoding="utf-8", errors="replace")[-most:]

    def _java(self, *arguments: str, heap: int) -> list[str]:
        options = [f"-Xmx{heap}m", "-Xms64m", "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={LOG_CONFIG}"]
        return ["java", *options, "-cp", f"{self._libraries}/*", *arguments]

    def _format(self) -> None:
        formatting = []
        for node in self.nodes:
            folder = self._folder(node)
            folder.mkdir(parents=True, exist_ok=True)
            properties = folder / "server.properties"
            properties.write_text("".join(f"{name}={value}\n" for name, value in self._properties(node).items()))
            with (folder / "format.log").open("wb") as log:
                given = ["format", f"--cluster-id={self._cluster_id}", "--config", str(properties)]
                command = self._java("kafka.tools.StorageTool", *given, heap=128)
                formatting.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        for node, process in zip(self.nodes, formatting, strict=True):
            if process.wait(60):
                text = (self._folder(node) / "format.log").read_text(encoding="utf-8", errors="replace")
                raise ClusterError(f"formatting the storage of node {node} failed:\n{text[-2000:]}")

    def _properties(self, node: int) -> dict[str, str | int | Path]:
        copies = len(self.nodes)
        own, controller = self.ports[node - 1], self._controllers[node - 1]
        listeners, advertised = f"PLAINTEXT://127.0.0.1:{own}", f"PLAINTEXT://127.0.0.1:{own}"
        if self._proxied:
            listeners += f",PROXIED://127.0.0.1:{self.behind_proxy[node - 1]}"
            advertised += f",PROXIED://127.0.0.1:{self._proxied[node - 1]}"
        protocols = "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT"
        voters = (f"{n}@127.0.0.1:{port}" for n, port in zip(self.nodes, self._controllers, strict=True))
        return {
            "process.roles": "broker,controller",
            "node.id": node,
            "controller.quorum.voters": ",".join(voters),
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": protocols,
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": advertised,
            "log.dirs": self._folder(node) / "data",
            "default.replication.factor": copies,
            "min.insync.replicas": 2 if copies > 2 else 1,
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": 2 if copies > 2 else 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": 2 if copies > 2 else 1,
            "message.max.bytes": MESSAGE_BYTES,
            "replica.fetch.max.bytes": MESSAGE_BYTES,
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            # A dead broker is noticed in two seconds, not nine.
            "broker.heartbeat.interval.ms": 500,
            "broker.session.timeout.ms": 2000,
            "controller.quorum.fetch.timeout.ms": 1500,
            "controller.quorum.election.timeout.ms": 500,
            "controlled.shutdown.max.retries": 1,
            "num.recovery.threads.per.data.dir": 2,
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        }

    def _launch(self, node: int) -> None:
        if node in self._processes:
            raise ClusterError(f"broker {node} runs")
        command = self._java("kafka.Kafka", str(self._folder(node) / "server.properties"), heap=self._heap)
        with (self._folder(node) / "broker.log").open("ab") as log:
            self._processes[node] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def _running(self, node: int) -> subprocess.Popen[bytes]:
        if node not in self._processes:
            raise ClusterError(f"broker {node} does not run")
        return self._processes[node]

    def _end(self, nodes: Sequence[int], *, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for node in nodes:
            self._processes[node].send_signal(signal.SIGCONT)
            self._processes[node].terminate()
        for node in nodes:
            process = self._processes.pop(node)
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _kill_all(self) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()

    def __enter__(self) -> KafkaCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def main() -> None:
    """The command line: until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description="Apache Kafka in the foreground, for tests and benchmarks")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    parser.add_argument("--data", type=Path, help="a new folder; without it a temporary one that goes at the end")
    parser.add_argument("--topic", help="make this topic")
    parser.add_argument("--partitions", type=int, default=6)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), KafkaCluster(given.nodes, given.data) as cluster:
        if given.topic:
            cluster.create_topic(given.topic, given.partitions)
        print(f"bootstrap {cluster.bootstrap}", flush=True)
        while True:
            signal.pause()


if __name__ == "__main__":
    main()
