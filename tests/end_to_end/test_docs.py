"""What the documents tell a reader to type does what they say. Blocks marked `sh` are run, in order; the block behind one is its output."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.embedded import Running
from tests.support.providers import ProviderServer
from tests.support.stack import ROOT

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_END = "=== the end of a block"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path / "data")
    yield found
    assert found.end(signal.SIGTERM) == 0
    assert found.process.stdout is not None
    found.process.stdout.close()


def blocks(document: str) -> list[tuple[str, str | None]]:
    """(what is typed, what it prints; None where the document does not say)."""
    text = (ROOT / "docs" / document).read_text()
    found = list(_BLOCK.finditer(text))
    typed: list[tuple[str, str | None]] = []
    for one, following in zip(found, [*found[1:], None], strict=True):
        if one[1] == "sh":
            behind = following is not None and following[1] in ("", "json") and following.start() == one.end() + 1
            typed.append((one[2], following[2] if behind and following is not None else None))
    return typed


@pytest.mark.parametrize("document", ["events.md", "opentelemetry.md", "quickstart.md"])
def test_a_document_does_what_it_says(document: str, running: Running, tmp_path: Path) -> None:
    typed = blocks(document)
    assert sum(printed is not None for _, printed in typed) > 0
    # The reader's folder: the data, and an environment in .venv.
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    script = "set -e\n" + "".join(f"{what}\necho; echo {_END}\n" for what, _ in typed)
    script = script.replace("127.0.0.1:8900", f"127.0.0.1:{running.port}")
    with ProviderServer() as provider:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PERCAPITA_")},
            "PYTHONPATH": str(ROOT / "sdk" / "python" / "src"), "OPENAI_API_KEY": "sk-none", "OPENAI_BASE_URL": f"{provider.url}/v1",
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    said = done.stdout.split(f"\n{_END}\n")[:-1]
    assert len(said) == len(typed)
    for (what, printed), got in zip(typed, said, strict=True):
        if printed is not None:
            assert got == printed, what
    if document == "quickstart.md":
        assert {user["user_id"] for user in running.get("users")["data"]} == {"ada", "bob"}
