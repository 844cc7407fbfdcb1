"""The log, as whoever looks something up reads it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from realtime_pipeline.domain.streams.records import Record


class LogReader(ABC):
    """Reads records beside the workers, and takes nothing from them."""

    @abstractmethod
    def read(self, partition: int, from_position: int, to_position: int) -> Iterator[Record]:
        """Read the records [from, to) of a partition that the log holds, in order, a bounded number at a time.

        Raises:
            Unavailable: the log does not answer, or has dropped some of them meanwhile.
        """
