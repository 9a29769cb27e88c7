"""What a test needs of the machine. Where CI is true a missing part fails; elsewhere it skips, and says why."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support import kafka
from tests.support.disks import can_mount


def need_kafka() -> None:
    """Java, and Kafka's jars or Maven to fetch them."""
    tools = ["java"] if kafka.resolved() else ["java", "mvn"]
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        _without(f"Kafka needs {' and '.join(missing)} on PATH")


def need_cc() -> None:
    """A C compiler, and Linux: crash points are a library that is loaded into the server before all others."""
    if not sys.platform.startswith("linux"):
        _without("crash points need Linux (LD_PRELOAD and /proc)")
    if shutil.which("cc") is None:
        _without("crash points need a C compiler, cc, on PATH")


def need_disks() -> None:
    """The right to mount a tmpfs: disks that are full must be small."""
    with tempfile.TemporaryDirectory() as folder:
        if not can_mount(Path(folder)):
            _without("full disks need the right to mount a tmpfs")


def _without(reason: str) -> None:
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"{reason}; CI is true, so this is not skipped")
    pytest.skip(reason)
