"""An environment for each emitter, built once under .build/emitters from its pinned requirements.

`python -m tests.emitters.environments` builds all of them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.support.environments import ROOT, built

BUILT = ROOT / ".build" / "emitters"
REQUIREMENTS = Path(__file__).parent / "requirements"
NAMES = tuple(sorted(path.stem for path in REQUIREMENTS.glob("*.txt")))
OURS = "percapita"  # our own SDK runs in the environment of the tests


def python_of(name: str) -> Path:
    """The emitter's Python; its environment is built where it is missing or its requirements have changed. Raises NotBuilt."""
    if name == OURS:
        return Path(sys.executable)
    return built(BUILT / name, REQUIREMENTS / f"{name}.txt", "--no-deps")


def environment() -> dict[str, str]:
    """What an emitter's process gets of ours: nothing that sets up OpenTelemetry, providers or Python."""
    ours = ("OTEL_", "OPENAI_", "ANTHROPIC_", "LANGFUSE_", "TRACELOOP_", "LOGFIRE_", "LITELLM_", "PERCAPITA_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


if __name__ == "__main__":
    for each in NAMES:
        print(each, "...", flush=True)
        python_of(each)
