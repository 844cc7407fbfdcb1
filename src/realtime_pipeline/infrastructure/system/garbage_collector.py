"""The garbage collector of a process that does nothing but work off a log."""

import gc


def settle_collector() -> None:
    """Make full collections rare: what a worker keeps lives long, holds no cycles, and is freed when let go.

    Changes the whole process, so only programs call it, never the library.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)
