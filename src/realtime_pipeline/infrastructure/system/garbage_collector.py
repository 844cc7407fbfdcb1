"""Tunes the garbage collector of a process that only processes a log, or only serves requests."""

import gc
from typing import Final

OF_A_ROUND: Final = 200_000
"""New objects between two collections of a worker: about those that a few rounds leave."""
OF_REQUESTS: Final = 5_000
"""The same of a server. A collection takes about 0.4 µs an object, and the requests that arrive meanwhile wait."""


def tune_gc(young: int = OF_A_ROUND) -> None:
    """Make full collections rare: objects of a worker live long, have no cycles, and are freed by reference counts.

    This changes the whole process, so only programs call it, never the library.

    Args:
        young: the number of new objects between two collections of the youngest generation.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, 25 * OF_A_ROUND // young, 1_000)
