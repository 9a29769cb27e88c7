"""`make fuzz SECONDS=60`: atheris on every target, half of the time each; what it finds is written into the corpus.

`python -m tests.fuzz SECONDS` runs all of them, `python -m tests.fuzz TARGET ARGUMENTS...` one, with libFuzzer's arguments.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
FOUND = Path(".build") / "fuzz-corpus"  # what is new to it, kept from one run to the next


def fuzz_all(seconds: int) -> int:
    """The first status that is not 0."""
    from tests.fuzz.targets import TARGETS, WORDS

    FOUND.mkdir(parents=True, exist_ok=True)
    words = FOUND / "words"
    words.write_text("".join(_quoted(word) for word in WORDS))
    for name in TARGETS:
        found = FOUND / name
        found.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, "-m", "tests.fuzz", name, f"-max_total_time={max(1, seconds // len(TARGETS))}", "-timeout=5", "-rss_limit_mb=1024",
            "-max_len=16384", "-print_final_stats=1", "-verbosity=0", f"-dict={words}", f"-artifact_prefix={CORPUS / name}/", str(found), str(CORPUS / name),
        ]  # fmt: skip
        status = subprocess.run(command, check=False).returncode
        if status:
            return status
    return 0


def _quoted(word: str) -> str:
    """A line of libFuzzer's dictionary."""
    escaped = "".join(f"\\x{byte:02x}" for byte in word.encode())
    return f'"{escaped}"\n'


def fuzz_one(arguments: list[str]) -> None:
    """Does not return."""
    import atheris

    with atheris.instrument_imports(include=["pipeline", "query"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *arguments[1:]], TARGETS[arguments[0]])
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1].isdigit():
        sys.exit(fuzz_all(int(sys.argv[1])))
    fuzz_one(sys.argv[1:])
