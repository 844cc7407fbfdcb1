"""Publishing a source's records to the log in memory."""

from collections.abc import Sequence

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.source import Positions
from realtime_pipeline.application.ports.source_publisher import SourcePublisher
from realtime_pipeline.infrastructure.memory.log import MemoryLog


class MemorySourcePublisher(SourcePublisher):
    """Keeps the positions of sources beside the log's records."""

    def __init__(self, log: MemoryLog, source: str) -> None:
        self._log = log
        self._source = source
        self._epoch = 0

    def claim(self) -> Positions:
        """Claim the source by a higher number."""
        with self._log.appended:
            self._epoch = self._log.source_epochs.get(self._source, 0) + 1
            self._log.source_epochs[self._source] = self._epoch
            return dict(self._log.source_positions.get(self._source, {}))

    def publish(self, records: Sequence[Outgoing], positions: Positions) -> None:
        """Append the records, and store the positions."""
        with self._log.appended:
            if self._log.source_epochs.get(self._source) != self._epoch:
                raise UnrecoverableState(f"another process reads {self._source} now: let only one run")
            self._log.publish(records)
            self._log.source_positions.setdefault(self._source, {}).update(positions)

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""
