"""`python -m bench B1 [--scale N]`."""

from __future__ import annotations

import argparse
import importlib

BENCHES = {
    "B1": "worker", "B2": "collector", "B3": "end_to_end", "B4": "freshness", "B5": "queries", "B6": "overhead", "B7": "memory", "B8": "disk",
    "B9": "scale_out", "layouts": "layouts",
}  # fmt: skip


def main() -> None:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(prog="make bench B=...")
    parser.add_argument("id", choices=sorted(BENCHES))
    parser.add_argument("--scale", type=float, default=1.0, help="1 is the size that docs/measurements.md reports")
    given = parser.parse_args()
    importlib.import_module(f"bench.{BENCHES[given.id]}").run(given.scale)


main()
