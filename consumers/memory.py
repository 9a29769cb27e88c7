"""How a worker's process holds memory: a batch makes hundreds of thousands of objects, columns of megabytes, and no cycle."""

import contextlib
import ctypes
import gc

_YOUNG_OBJECTS = (
    400_000  # before Python first looks for cycles (half the time of a batch's rows); one of 20,000 makes about 300,000
)
# glibc's mallopt (malloc.h), and what is set. Left to itself it takes an arena for each thread, and after a first large block keeps
# larger and larger ones in them: free memory in pieces, some 50 MB in an hour.
_MALLOPT = {
    -8: 2,  # M_ARENA_MAX
    -3: 1 << 20,  # M_MMAP_THRESHOLD: larger blocks go back to the machine when they are freed
    -1: 16 << 20,  # M_TRIM_THRESHOLD: free memory at an arena's end that is not given back
}


def hold_little() -> None:
    """Call once when a worker's process starts."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 50)
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _MALLOPT.items():
            mallopt(parameter, value)
