"""An environment for each emitter, built once under .build/emitters from its pinned requirements.

`python -m tests.emitters.environments` builds all of them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILT = ROOT / ".build" / "emitters"
REQUIREMENTS = Path(__file__).parent / "requirements"
NAMES = tuple(sorted(path.stem for path in REQUIREMENTS.glob("*.txt")))


OURS = "percapita"  # our own SDK runs in the environment of the tests


class NotBuilt(Exception):
    """The environment of an emitter cannot be made here: no index of packages, or no such versions in it."""


def is_built(name: str) -> bool:
    """Whether the environment is there, as its requirements are now."""
    stamp = BUILT / name / "built"
    return stamp.exists() and stamp.read_text() == _wanted(name)


def python_of(name: str) -> Path:
    """The emitter's Python; its environment is built where it is missing or its requirements have changed. Raises NotBuilt."""
    if name == OURS:
        return Path(sys.executable)
    folder = BUILT / name
    BUILT.mkdir(parents=True, exist_ok=True)
    with (BUILT / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_built(name):
            shutil.rmtree(folder, ignore_errors=True)
            _run(sys.executable, "-m", "venv", str(folder))
            _run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                 "--no-deps", "-r", str(REQUIREMENTS / f"{name}.txt"))  # fmt: skip
            (folder / "built").write_text(_wanted(name))
    return folder / "bin" / "python"


def environment() -> dict[str, str]:
    """What an emitter's process gets of ours: nothing that sets up OpenTelemetry, providers or Python."""
    ours = ("OTEL_", "OPENAI_", "ANTHROPIC_", "LANGFUSE_", "TRACELOOP_", "LOGFIRE_", "LITELLM_", "PERCAPITA_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _wanted(name: str) -> str:
    content = (REQUIREMENTS / f"{name}.txt").read_bytes()
    return f"{sys.version_info[:2]} {hashlib.sha256(content).hexdigest()}"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason told"]
        raise NotBuilt(f"{' '.join(command[:4])} ... failed: {last[0]}")


if __name__ == "__main__":
    for each in NAMES:
        print(each, "...", flush=True)
        python_of(each)
