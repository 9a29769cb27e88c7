"""What a service's process is made of is not looked through for garbage while it serves."""

from __future__ import annotations

import subprocess
import sys


def test_what_a_service_is_made_of_is_frozen_when_it_begins_to_serve() -> None:
    script = """
import gc, query.app, collector.main
from pipeline.memory import settle
before = len(gc.get_objects())
settle()
print(before, len(gc.get_objects()), gc.get_threshold()[0])
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    before, after, young = map(int, told)
    assert before > 50_000
    assert after < 1_000
    assert young >= 50_000
