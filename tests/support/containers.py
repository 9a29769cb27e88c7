"""The real images through testcontainers, where Docker runs: those that docker-compose.yml names."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.support.kafka import MESSAGE_BYTES, free_ports

ROOT = Path(__file__).resolve().parents[2]


class Database(NamedTuple):
    """Where a ClickHouse server is, as `open_clickhouse` takes it."""

    url: str
    database: str
    user: str
    password: str


@cache
def docker_runs() -> bool:
    """Whether a Docker engine answers; asked once."""
    import docker  # type: ignore[import-untyped]  # has no types

    with suppress(docker.errors.DockerException):
        client = docker.from_env(timeout=5)
        try:
            return bool(client.ping())
        finally:
            client.close()
    return False


def image_of(name: str) -> str:
    """The pinned image of docker-compose.yml whose repository is `name`."""
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    found = re.search(rf"^\s*image: ({re.escape(name)}:\S+)$", compose, re.MULTILINE)
    if found is None:
        raise LookupError(f"docker-compose.yml names no image {name}")
    return found.group(1)


@contextmanager
def kafka_container() -> Iterator[str]:
    """One broker of apache/kafka; gives its bootstrap."""
    from testcontainers.core.container import DockerContainer

    port = free_ports(1)[0]  # a broker must know beforehand what to advertise
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@127.0.0.1:9093",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_MESSAGE_MAX_BYTES": str(MESSAGE_BYTES),
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    }
    container = DockerContainer(image_of("apache/kafka")).with_bind_ports(9092, port)
    for name, value in settings.items():
        container = container.with_env(name, value)
    with container:
        bootstrap = f"127.0.0.1:{port}"
        _wait(
            lambda: bool(AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=2).brokers)
        )
        yield bootstrap


@contextmanager
def clickhouse_container() -> Iterator[Database]:
    """One clickhouse-server with the shipped configuration."""
    from testcontainers.core.container import DockerContainer

    given = Database("", "percapita", "percapita", "for-tests")
    folder = ROOT / "deploy" / "clickhouse"
    container = (
        DockerContainer(image_of("clickhouse/clickhouse-server"))
        .with_exposed_ports(8123)
        .with_env("CLICKHOUSE_DB", given.database)
        .with_env("CLICKHOUSE_USER", given.user)
        .with_env("CLICKHOUSE_PASSWORD", given.password)
        .with_volume_mapping(str(folder / "server.xml"), "/etc/clickhouse-server/config.d/percapita.xml", "ro")
        .with_volume_mapping(str(folder / "profile.xml"), "/etc/clickhouse-server/users.d/percapita.xml", "ro")
    )
    with container:
        url = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(8123)}"
        _wait(lambda: _answers(f"{url}/ping"))
        yield given._replace(url=url)


def _answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)


def _wait(ready: Callable[[], bool], *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(KafkaException, urllib.error.URLError, ConnectionError, TimeoutError):
            if ready():
                return
        time.sleep(0.2)
    raise TimeoutError(f"the container did not answer within {seconds:.0f} s")
