"""B6: what a wrapper adds to a call: ours beside the bare client and beside the wrappers of others, in their own environments.

Each contestant and the bare client of the same environment run in turns, each in a process of its own, over a transport that answers at
once what the local provider server answers; what they record goes to a collector in another process. Ours also call by call beside the
bare client in one process, and without a key.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from bench.common import ROOT, result, table
from bench.overhead_calls import ASKED
from tests.support.providers import ProviderServer

ROUNDS = 5
CALLS = 1_500  # of a round, at scale 1
GOALS = {"p50": 50.0, "p99": 200.0, "without a key": 2.0}  # microseconds
OTHERS = ("langfuse", "openinference", "traceloop")
_CALLS = Path(__file__).parent / "overhead_calls.py"


def run(scale: float) -> None:
    """Five rounds of CALLS calls for each, at any scale."""
    calls = max(200, int(CALLS * scale))
    began_load = os.getloadavg()[0]
    with tempfile.NamedTemporaryFile() as answer, subprocess.Popen(
        [sys.executable, "-m", "bench.overhead_sink"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as sink:  # fmt: skip
        try:
            answer.write(_answer())
            answer.flush()
            assert sink.stdout is not None
            given = [answer.name, sink.stdout.readline().strip()]
            rows = [_row("percapita", _rounds(Path(sys.executable), "percapita", calls, given))]
            for name in OTHERS:
                rows.append(_row(name, _rounds(_python_of(name), name, calls, given)))
            paired = _ask(Path(sys.executable), "paired", calls, given)
            idle = _ask(Path(sys.executable), "idle", calls, given)
        finally:
            sink.terminate()
    table(
        "B6 one chat completion, microseconds",
        [("", "bare p50", "p50", "added p50", "of rounds", "added p99", "version"), *rows],
    )
    added, alone, bare = paired["added"], paired["wrapped"], paired["bare"]
    table(
        "B6 ours, call by call beside the bare client in one process",
        [
            ("", "bare", "wrapped", "added", "goal"),
            ("p50", f"{bare[0]:.1f}", f"{alone[0]:.1f}", f"{added[0]:.1f}", f"{GOALS['p50']:.0f}"),
            ("p99", f"{bare[1]:.1f}", f"{alone[1]:.1f}", f"{added[1]:.1f}", f"{GOALS['p99']:.0f}"),
            ("without a key, a call", "", "", f"{idle['call']:.2f}", f"{GOALS['without a key']:.0f}"),
            ("without a key, a block", "", "", f"{idle['block']:.2f}", f"{GOALS['without a key']:.0f}"),
        ],
    )
    result(
        "B6", paired["added"][0], GOALS["p50"], scale=f"{ROUNDS} rounds of {calls} calls", unit="microseconds added at the median; the baseline is the goal",
        added_p99=paired["added"][1], without_a_key=idle, bare_p50=bare[0], load_before=began_load,
    )  # fmt: skip


def _answer() -> bytes:
    """What the provider answers."""
    with ProviderServer() as provider:
        request = urllib.request.Request(
            f"{provider.url}/v1/chat/completions", json.dumps(ASKED).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            told: bytes = answer.read()
            return told


def _python_of(name: str) -> Path:
    from tests.emitters.environments import python_of

    found: Path = python_of(name)
    return found


def _ask(python: Path, name: str, calls: int, given: list[str]) -> dict[str, Any]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PERCAPITA_", "OPENAI_"))}
    done = subprocess.run(
        [str(python), str(_CALLS), name, str(calls), *given],
        env={**kept, "PYTHONPATH": str(ROOT / "sdk" / "python" / "src"), "NO_PROXY": "*"},
        capture_output=True, text=True, check=True, timeout=600,
    )  # fmt: skip
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _rounds(python: Path, name: str, calls: int, given: list[str]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Pairs of the bare client and the contestant, the first of them in turns."""
    pairs = []
    for turn in range(ROUNDS):
        order = ("bare", name) if turn % 2 else (name, "bare")
        told = {which: _ask(python, which, calls, given) for which in order}
        pairs.append((told["bare"], told[name]))
    return pairs


def _row(name: str, pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> tuple[str, ...]:
    added = [theirs["p50"] - bare["p50"] for bare, theirs in pairs]
    tails = [theirs["p99"] - bare["p99"] for bare, theirs in pairs]
    bare, own = (statistics.median(pair[n]["p50"] for pair in pairs) for n in (0, 1))
    spread = f"{min(added):.0f} to {max(added):.0f}"
    return (
        name, f"{bare:.0f}", f"{own:.0f}", f"{statistics.median(added):.0f}", spread, f"{statistics.median(tails):.0f}",
        pairs[0][1]["versions"],
    )  # fmt: skip
