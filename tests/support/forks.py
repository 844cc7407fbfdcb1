"""Work done in a child of the test's process."""

import os
import signal
from collections.abc import Callable

BOUND_S = 30


def in_a_child(work: Callable[[], object]) -> str:
    """Fork; return what the work in the child returned, or what it failed with. A child that hangs is ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # whatever happens here must not come back into the tests
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(BOUND_S)
        try:
            said = repr(work())
        except BaseException as error:  # of whatever kind: it is looked at by the parent
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode()[:4_000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return said if ended == 0 else f"the child ended with {ended}"
