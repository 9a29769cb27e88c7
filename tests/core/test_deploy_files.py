"""The deployment files parse, and keep what they promise: pins, loopback ports, bounded logs, settings that exist."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import app
from pipeline.config import load

ROOT = Path(__file__).resolve().parents[2]
OURS = ("migrate", "collector", "consumer", "query")
XML = sorted([*(ROOT / "deploy" / "clickhouse").glob("*.xml"), ROOT / "deploy" / "kafka" / "pom.xml"])


class Reader:
    """The YAML that docker-compose.yml uses: mappings, lists, flow lists as JSON, anchors, merges. Refuses the rest."""

    def __init__(self, text: str) -> None:
        lines = [line.rstrip() for line in text.splitlines()]
        self._lines = [line for line in lines if line and not line.lstrip().startswith("#")]
        self._anchors: dict[str, Any] = {}
        assert not any("\t" in line for line in self._lines)

    def read(self, depth: int = 0) -> Any:
        if self._lines and self._lines[0].startswith(" " * depth + "- "):
            return self._list(depth)
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while self._lines and (indent := len(self._lines[0]) - len(self._lines[0].lstrip())) >= depth:
            assert indent == depth, self._lines[0]
            parts = re.fullmatch(r"\s*([\w<.-]+):(?: (.*))?", self._lines.pop(0))
            assert parts is not None
            name, value = parts.group(1), self._value(parts.group(2) or "", depth)
            assert name not in found, name
            if name == "<<":
                merged = value
            else:
                found[name] = value
        return {**merged, **found}

    def _list(self, depth: int) -> list[Any]:
        items = []
        while self._lines and self._lines[0].startswith(" " * depth + "- "):
            items.append(self._value(self._lines.pop(0)[depth + 2 :], depth))
        return items

    def _value(self, text: str, depth: int) -> Any:
        if text.startswith("*"):
            return self._anchors[text[1:]]
        if text.startswith("&"):
            self._anchors[text[1:]] = self.read(depth + 2)
            return self._anchors[text[1:]]
        if not text:
            return self.read(depth + 2)
        if text[0] in '["{':
            return json.loads(text)
        assert not re.search(r"[#|>&*!%@`]| \w+: ", text.replace("@sha256", "")), text
        return int(text) if text.isdigit() else {"true": True, "false": False}.get(text, text)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found = Reader((ROOT / "docker-compose.yml").read_text(encoding="utf-8")).read()
    assert isinstance(found, dict)
    return found


def substituted(value: str) -> str:
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


@pytest.mark.parametrize("path", XML, ids=lambda path: path.name)
def test_xml_parses(path: Path) -> None:
    assert ET.parse(path).getroot().tag.rpartition("}")[2] in {"clickhouse", "project"}


def test_compose_has_every_service(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"kafka", "clickhouse", *OURS}
    assert compose["services"]["consumer"]["deploy"]["replicas"] == 2


def test_images_are_pinned_and_ports_are_loopback(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name not in OURS:
            assert re.fullmatch(r"[\w/-]+:\d+(\.\d+)+(@sha256:[0-9a-f]{64})?", service["image"]), name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), port


def test_logs_are_bounded_and_files_are_many(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        assert service["ulimits"]["nofile"] >= 65_536, name


def test_what_others_wait_for_says_that_it_is_healthy(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for other, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert services[other]["healthcheck"]["test"], (name, other)
            else:
                assert wanted["condition"] == "service_completed_successfully", (name, other)


def test_commands_exist(compose: dict[str, Any]) -> None:
    known = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    for name in OURS:
        assert compose["services"][name]["command"] == [name]
        assert name in known


@pytest.mark.parametrize("name", OURS)
def test_the_settings_of_every_service_are_known(compose: dict[str, Any], name: str, tmp_path: Path) -> None:
    given = {key: substituted(value) for key, value in compose["services"][name]["environment"].items()}
    assert given["PERCAPITA_CLICKHOUSE_PASSWORD_FILE"] == "/run/secrets/clickhouse_password"
    assert compose["services"][name]["secrets"] == ["clickhouse_password"]
    (tmp_path / "password").write_text("p\n")
    settings = load({**given, "PERCAPITA_CLICKHOUSE_PASSWORD_FILE": str(tmp_path / "password")})
    assert settings.clickhouse_password.get_secret_value() == "p"
    assert settings.kafka_bootstrap == "kafka:9092"


def test_mounted_files_exist(compose: dict[str, Any]) -> None:
    mounts = [volume for service in compose["services"].values() for volume in service.get("volumes", [])]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert len(files) == 2
    assert all((ROOT / file).is_file() for file in files)


def test_every_variable_of_compose_is_in_the_example() -> None:
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    example = (ROOT / "deploy" / ".env.example").read_text(encoding="utf-8")
    assert used == set(re.findall(r"^(\w+)=", example, re.MULTILINE))


def test_the_servers_own_logs_end() -> None:
    root = ET.parse(ROOT / "deploy" / "clickhouse" / "server.xml").getroot()
    logs = [node for node in root if node.tag.endswith("_log")]
    assert {"query_log", "part_log", "metric_log", "text_log", "trace_log"} <= {node.tag for node in logs}
    for node in logs:
        assert node.get("remove") == "1" or " DELETE" in node.findtext("ttl", ""), node.tag


def test_what_the_image_copies_exists_and_is_sent() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    sent = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--)(.+)$", dockerfile, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source}\n" in sent, source
