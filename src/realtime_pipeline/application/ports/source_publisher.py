"""SourcePublisher: the log as a source's records are written to it, with the source's positions."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.source import Positions


class SourcePublisher(ABC):
    """Appends the records of one source, together with how far the source was read.

    Records and positions become durable in one step, so a repeated or killed publication doubles and loses nothing,
    whether the records carry ids or not. `RunSource` calls it from one thread: `claim` once and after every failure,
    then `publish` for one batch after the other.
    """

    @abstractmethod
    def claim(self) -> Positions:
        """Become the only publisher of this source; return the positions of its parts. Earlier claims end with it.

        Raises:
            Unreachable: the log does not answer.
            Unavailable: the log denies access.
        """

    @abstractmethod
    def publish(self, records: Sequence[Outgoing], positions: Positions) -> None:
        """Append records, and store the positions of the parts that have moved: all or nothing, durable on return.

        Blocks while the log applies back-pressure; drops nothing.

        Raises:
            UnrecoverableState: another process has claimed the source since; nothing was changed.
            Unreachable: it is not known whether it was done: `claim` again, which says.
            Unavailable: the log refused it.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what was opened."""
