"""How often Python looks for cycles: a batch makes hundreds of thousands of objects and no cycle (half the time of its rows)."""

import gc

_YOUNG_OBJECTS = 400_000  # before the first look; a batch of 20,000 rows makes about 300,000


def collect_rarely() -> None:
    """Call once when a worker's process starts."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 50)
