"""Detects a fork. A child process must neither use nor close what its parent has opened."""

import os

from realtime_pipeline.application.errors import Unavailable


class OpeningProcess:
    """Remembers the process that opened a client. In a child, the client has no threads, and locks stay locked."""

    def __init__(self) -> None:
        self._process_id = os.getpid()

    @property
    def is_this(self) -> bool:
        """Whether the calling process is the one that opened the client."""
        return os.getpid() == self._process_id

    def check(self) -> None:
        """Check that the calling process opened the client.

        Raises:
            Unavailable: the calling process is a child of that process.
        """
        if os.getpid() != self._process_id:
            raise Unavailable(
                "this pipeline was opened before the process was forked, and its connections do not survive that: "
                "open a Pipeline in each process, after the fork"
            )
