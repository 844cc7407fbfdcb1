"""RestoreOutputs: write how far outputs were emitted, where the group's offsets no longer say it."""

from collections.abc import Mapping

from realtime_pipeline.application.cells import Readers
from realtime_pipeline.application.errors import Stopped
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.outputs import GroupOutputs
from realtime_pipeline.application.recall_outputs import Owed, recalled


class RestoreOutputs:
    """Writes positions for a person who has decided what becomes of outputs that may be out or not.

    Positions that are known are left as they are, but for those before what the store still has.
    """

    def __init__(self, log: EventLog, readers: Readers, outputs: GroupOutputs) -> None:
        self._log = log
        self._readers = readers
        self._outputs = outputs

    def __call__(self, owed: Owed) -> Mapping[int, int]:
        """Write what is not known; return the positions written, by partition.

        Raises:
            Stopped: workers are running. Nothing was written.
            WrongLog: the store was built from another log.
            Unavailable: log or store does not answer.
        """
        running = self._log.workers()
        if running:
            raise Stopped(f"{running} workers are running: end them, restore, and start them again")
        self._readers.cells.bind(self._log.identity)
        written = {}
        for partition, known in self._outputs.known(range(self._log.identity.partitions)).items():
            position = self._position(partition, known, owed)
            if position != known:
                written[partition] = position
        if written:
            self._outputs.restore(written)
        return written

    def _position(self, partition: int, known: int | None, owed: Owed) -> int:
        if known is None:
            return recalled(self._readers, partition, self._outputs.search, owed)
        if owed is Owed.AGAIN:
            return known
        position = self._readers.cells.positions([partition])[partition]
        kept = next(self._readers.cells.kept(partition, known), None)
        return max(known, position if kept is None else kept.from_position)
