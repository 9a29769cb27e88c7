"""One frozen settings object; the only reader of the environment.

Every name has the prefix PERCAPITA_. A name that is not known is an error, so that a typo is never a default.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline import limits

PREFIX = "PERCAPITA_"
# Read by the SDK in the same environment, not by us.
SDK_NAMES = frozenset({"API_KEY", "URL", "PRIVACY", "AGENT", "INCLUDE_USAGE", "DEBUG"})


class ConfigError(Exception):
    """A setting that is unknown or has a value that cannot be used; the text names it and never its value."""


class Settings(BaseSettings):
    """Addresses, names and sizes of one process."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(8900, ge=0, le=65535)
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(0, ge=0, le=65535, description="0: no metrics server")
    data: Path = Path("data")

    kafka_bootstrap: str = "127.0.0.1:9092"
    topic: str = "percapita.events"
    keys_topic: str = "percapita.keys"
    group: str = "percapita.consumers"
    partitions: int = Field(6, ge=1, le=1024)
    replication: int = Field(1, ge=1, le=7)
    session_seconds: float = Field(10, ge=2, le=300)
    dead_letter_ratio: float = Field(
        limits.DEAD_LETTER_RATIO, gt=0, le=1, description="of records set aside, above which a worker stops; 1: never"
    )

    clickhouse_url: str = "http://127.0.0.1:8123"
    clickhouse_database: str = "default"
    clickhouse_user: str = "default"
    clickhouse_password: SecretStr = SecretStr("")
    clickhouse_cluster: str = Field("", description="name of the cluster: migrations run Replicated and ON CLUSTER")

    cursor_secret: SecretStr = Field(
        SecretStr(""), description="signs cursors and sessions; the same in every query service of a cluster"
    )
    questions_per_minute: int = Field(
        limits.QUESTIONS_PER_MINUTE, ge=1, description="with one key, in each query service"
    )
    ingest_url: str = Field(
        "",
        pattern=r"^(https?://[^\s/?#]+(/[^\s?#]*)?)?$",
        description="where SDKs send, as they reach it: the dashboard tells it to who installs one",
    )
    path_prefix: str = Field(
        "", pattern="^(/[A-Za-z0-9._~-]+)*$", description="the path under which a proxy serves the pages"
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment; `NAME_FILE` reads the value of a secret from a file. Raises ConfigError."""
    given = dict(os.environ if environment is None else environment)
    names = {name.removeprefix(PREFIX): value for name, value in given.items() if name.startswith(PREFIX)}
    known = {name.upper(): name for name in Settings.model_fields}
    secret = {name.upper() for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
    values: dict[str, str] = {}
    for name, value in names.items():
        if name in known:
            values[known[name]] = value
        elif name.removesuffix("_FILE") in secret and name.endswith("_FILE"):
            values[known[name.removesuffix("_FILE")]] = _read_secret(name, value)
        elif name not in SDK_NAMES:
            near = difflib.get_close_matches(name, [*known, *SDK_NAMES], 1)
            hint = f"; did you mean {PREFIX}{near[0]}?" if near else ""
            raise ConfigError(f"unknown setting {PREFIX}{name}{hint}")
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "?"
        raise ConfigError(f"{PREFIX}{name}: {first['msg']}") from None


def _read_secret(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{PREFIX}{name}: {error.strerror}") from None
