"""Environments of their own for packages that the product does not need: built once, kept under .build/environments."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.needs import ROOT, without

_FOLDER = ROOT / ".build" / "environments"


def environment(name: str, requirements: Path) -> Path:
    """The Python of an environment with these requirements; built anew when they have changed. Needs the package index then."""
    folder = _FOLDER / name
    stamp, wanted = folder / "requirements.sha256", hashlib.sha256(requirements.read_bytes()).hexdigest()
    python = folder / "bin" / "python"
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests of one environment may run in several processes
        if not stamp.exists() or stamp.read_text() != wanted:
            _build(name, folder, requirements)
            stamp.write_text(wanted)
    return python


def _build(name: str, folder: Path, requirements: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
    done = subprocess.run(
        [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "")
        without(f"the environment {name} cannot be built: {said[:200]}")
