"""Runs an emitter's driver in its environment, against a provider server and whatever takes its spans."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.emitters.environments import ROOT, environment, python_of


@dataclass(frozen=True)
class Done:
    """One call as its driver saw it. Times are unix us; `ended`: ok, the name of an exception, or not offered."""

    case: str
    start: int
    end: int
    ended: str


def drive(name: str, *, to: str, key: str, provider: str, flush_each: bool = False) -> list[Done]:
    """All calls of one emitter, in order. Raises NotBuilt; RuntimeError when the driver itself fails."""
    command = [
        str(python_of(name)), "-m", "tests.emitters.drive", name, "--to", to, "--key", key, "--provider", provider,
        *(["--flush-each"] if flush_each else []),
    ]  # fmt: skip
    # No timer may split a request: what only its own span names, the user above all, is known in the same export alone.
    patient = {"OTEL_BSP_SCHEDULE_DELAY": "60000"}
    ran = subprocess.run(
        command,
        cwd=ROOT,
        env=environment() | patient | {"PYTHONPATH": str(ROOT / "sdk" / "python" / "src")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"the driver of {name} failed:\n{ran.stderr[-4000:]}")
    return [Done(**json.loads(line)) for line in ran.stdout.splitlines()]


def as_json(python: Path, bodies: list[bytes]) -> list[object]:
    """OTLP bodies in protobuf as OTLP JSON, by an environment that has the protocol's package."""
    framed = b"".join(len(body).to_bytes(4) + body for body in bodies)
    ran = subprocess.run(
        [str(python), "-m", "tests.emitters.as_json"], cwd=ROOT, env=environment(), input=framed, capture_output=True,
        timeout=120, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in ran.stdout.splitlines()]
