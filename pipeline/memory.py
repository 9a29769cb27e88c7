"""How a service's process looks for garbage in cycles."""

import gc

_YOUNG_OBJECTS = 50_000  # before Python first looks for cycles; an answer makes some thousand objects, and no cycle


def settle() -> None:
    """Call when a process is about to serve: what it is made of by then is never looked through again.

    A look through all of a service's modules takes 100 ms, in which it answers nobody; every tenth list of traces was one.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(max(_YOUNG_OBJECTS, gc.get_threshold()[0]), 20, 20)
