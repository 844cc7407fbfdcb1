"""Random access to the log in memory."""

from collections.abc import Iterator

from realtime_pipeline.application.ports.log_reader import LogReader
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.memory.log import MemoryLog


class MemoryLogReader(LogReader):
    """Reads ranges of a `MemoryLog`."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def read(self, partition: int, from_position: int, to_position: int) -> Iterator[Record]:
        """Read the records [from, to) of a partition."""
        yield from self._log.records[partition][from_position:to_position]
