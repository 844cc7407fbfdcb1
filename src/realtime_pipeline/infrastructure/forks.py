"""What was opened before a process was forked: the child must not use it, nor close it."""

import os

from realtime_pipeline.application.errors import Unavailable


class OpeningProcess:
    """The process that opened something. Threads of clients, and locks that other threads held, end with a fork."""

    def __init__(self) -> None:
        self._process_id = os.getpid()

    @property
    def is_this(self) -> bool:
        """Whether it is the process that asks."""
        return os.getpid() == self._process_id

    def check(self) -> None:
        """See that what was opened may be used here.

        Raises:
            Unavailable: the process was forked since.
        """
        if os.getpid() != self._process_id:
            raise Unavailable(
                "this pipeline was opened before the process was forked, and its connections do not survive that: "
                "open a Pipeline in each process, after the fork"
            )
