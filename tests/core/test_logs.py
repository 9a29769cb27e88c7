"""A log that cannot be written costs its lines, never the work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SAY = 'import structlog; from pipeline.logs import set_up_logs; set_up_logs("info"); say = structlog.get_logger()\n'


def said(code: str, errors: Path) -> str:
    with errors.open("w") as stream:
        done = subprocess.run([sys.executable, "-c", SAY + code], stdout=subprocess.PIPE, stderr=stream, check=True)
    return done.stdout.decode()


def test_a_full_disk_under_the_log_ends_nothing() -> None:
    assert said("for n in range(10_000): say.error('told', n=n)\nprint('done')", Path("/dev/full")) == "done\n"


def test_a_line_is_json_with_its_level_and_time(tmp_path: Path) -> None:
    said("say.debug('not this'); say.info('this', n=1)", tmp_path / "log")
    line = (tmp_path / "log").read_text()
    assert line.startswith('{"n": 1, "event": "this", "level": "info", "timestamp": "')
    assert line.count("\n") == 1
