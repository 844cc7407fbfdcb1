"""Calls in a child of the test's process."""

import gc
import os
import signal
from collections.abc import Callable

TIMEOUT_S = 30


def in_a_child(work: Callable[[], object]) -> str:
    """Fork, and call `work` in the child; return its result or error as text. A timeout ends a child that hangs."""
    gc.collect()  # Kafka clients of earlier tests: their threads do not exist in the child, which must not end them
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # no error may get back into the tests
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(TIMEOUT_S)
        try:
            result = repr(work())
        except BaseException as error:  # every error: the parent gets its text
            result = f"{type(error).__name__}: {error}"
        os.write(writing, result.encode()[:4_000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        result = pipe.read().decode()
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return result if ended == 0 else f"the child ended with {ended}"
