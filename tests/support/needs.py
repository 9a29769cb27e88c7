"""What a test needs of the machine. Where CI is true a missing part fails; elsewhere it skips, and says why."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

from tests.emitters.environments import python_of
from tests.support import kafka
from tests.support.disks import can_mount
from tests.support.environments import ROOT, NotBuilt, environment


def need_kafka() -> None:
    """Java, and Kafka's jars or Maven to fetch them."""
    tools = ["java"] if kafka.resolved() else ["java", "mvn"]
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        without(f"Kafka needs {' and '.join(missing)} on PATH")


def need_cc() -> None:
    """A C compiler, and Linux: crash points are a library that is loaded into the server before all others."""
    if not sys.platform.startswith("linux"):
        without("crash points need Linux (LD_PRELOAD and /proc)")
    if shutil.which("cc") is None:
        without("crash points need a C compiler, cc, on PATH")


def need_disks() -> None:
    """The right to mount a tmpfs: disks that are full must be small."""
    with tempfile.TemporaryDirectory() as folder:
        if not can_mount(Path(folder)):
            without("full disks need the right to mount a tmpfs")


def need_chromium() -> str:
    """Chromium: the machine's, or Debian's, installed where this may be done. Answers its path."""
    found = _chromium()
    if found is None and in_ci() and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run(
                ["apt-get", "-q", *command],
                check=True,
                capture_output=True,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )
        found = _chromium()
    if found is None:
        without("the dashboard's tests need Chromium on PATH")
    return found


def _chromium() -> str | None:
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


def need_dashboard() -> None:
    """The dashboard, built."""
    if not (ROOT / "dashboard" / "dist" / "index.html").exists():
        without("the dashboard is not built: make setup builds it")


def need_emitter(name: str) -> None:
    """The environment of an emitter, built where CI is true or EMITTERS asks for it (`make emitters`)."""
    if not in_ci() and not os.environ.get("EMITTERS"):
        without(f"the packages of {name} were not run, only what they sent before: make emitters runs them")
    try:
        python_of(name)
    except NotBuilt as reason:
        without(f"nothing is proved of the packages of {name}: {reason}")


def need_environment(name: str, requirements: Path) -> Path:
    """The Python of an environment with these requirements."""
    try:
        return environment(name, requirements)
    except NotBuilt as reason:
        without(f"nothing is proved of {name}: {reason}")


def in_ci() -> bool:
    """Whether nothing may be skipped."""
    return os.environ.get("CI", "").lower() in {"1", "true"}


def without(reason: str) -> NoReturn:
    """What is missing, said: a failure where CI is true, else the reason of a skip."""
    if in_ci():
        pytest.fail(f"{reason}; CI is true, so this is not skipped")
    pytest.skip(reason)
