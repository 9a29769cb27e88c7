"""Environments of their own for packages that the product does not need: built once, and anew when their requirements have changed."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


class NotBuilt(Exception):
    """An environment cannot be made here: no index of packages, or no such versions in it."""


def built(folder: Path, requirements: Path, *options: str) -> Path:
    """The Python of the environment in `folder`, made from these requirements with options of pip. Raises NotBuilt.

    Only what is missing needs the package index.
    """
    told = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp, wanted = folder / "built", f"{sys.version_info[:2]} {told}"
    python = folder / "bin" / "python"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests of one environment may run in several processes
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            _run(sys.executable, "-m", "venv", str(folder))
            _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options,
                 "-r", str(requirements))  # fmt: skip
            stamp.write_text(wanted)
    return python


def environment(name: str, requirements: Path) -> Path:
    """The Python of one under .build/environments. Raises NotBuilt."""
    return built(ROOT / ".build" / "environments" / name, requirements)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason told"]
        raise NotBuilt(f"{' '.join(command[:4])} ... failed: {last[0][:200]}")
