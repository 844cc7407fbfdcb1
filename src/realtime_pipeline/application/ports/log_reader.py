"""LogReader: reading ranges of the log beside the workers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from realtime_pipeline.domain.streams.records import Record


class LogReader(ABC):
    """Reads records without joining the workers. Called for traces, a range at a time; blocks until records come."""

    @abstractmethod
    def read(self, partition: int, from_position: int, to_position: int) -> Iterator[Record]:
        """Read the records [from, to) that a partition still has, in order, a bounded number at a time.

        Raises:
            Unavailable: the log does not answer, or has deleted some of them meanwhile.
        """
