"""Runs one emitter: `python -m tests.emitters.drive NAME --to URL --key KEY --provider URL`, by the Python of its environment.

Tells what it did, a JSON line a call: its case, when (unix us), and how it ended.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
import time
from typing import Any

from tests.emitters.calls import NotOffered
from tests.emitters.cases import CASES, Case


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--to", required=True, help="base URL that spans are sent to")
    parser.add_argument("--key", required=True)
    parser.add_argument("--provider", required=True, help="base URL of the provider server")
    parser.add_argument("--cases", nargs="*", help="only these")
    parser.add_argument(
        "--flush-each", action="store_true", help="an export after each call, instead of one at the end"
    )
    asked = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    driver: Any = importlib.import_module(f"tests.emitters.drivers.{asked.name.replace('-', '_')}")
    told, sys.stdout = sys.stdout, sys.stderr  # what packages print is not what we tell
    emitter = driver.Emitter(asked.to, asked.key, asked.provider)
    for case in CASES:
        if case.provider not in driver.PROVIDERS or (asked.cases and case.name not in asked.cases):
            continue
        print(json.dumps(_one(emitter, case)), file=told, flush=True)
        if asked.flush_each:
            emitter.flush()
    emitter.flush()
    emitter.end()


def _one(emitter: Any, case: Case) -> dict[str, Any]:
    time.sleep(0.003)  # so that the times of two calls are apart
    made: dict[str, Any] = {"case": case.name, "start": time.time_ns() // 1000, "ended": "ok"}
    try:
        with emitter.block(case):
            emitter.perform(case)
    except NotOffered:
        made["ended"] = "not offered"
    except Exception as error:
        made["ended"] = type(error).__name__
    made["end"] = time.time_ns() // 1000
    return made


if __name__ == "__main__":
    main()
