"""RestoreOutputs: write how far outputs were emitted, where the group's offsets no longer say it."""

from collections.abc import Mapping

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.outputs import GroupOutputs
from realtime_pipeline.application.processing.outbox_relay import OutboxRelay
from realtime_pipeline.application.processing.output_positions import InDoubt, recover_position


class RestoreOutputs:
    """Writes positions for a person who has decided what becomes of outputs that may be out or not.

    Positions that are known are left as they are, but for those before what the store still has.
    """

    def __init__(self, log: EventLog, relay: OutboxRelay, outputs: GroupOutputs) -> None:
        self._log = log
        self._relay = relay
        self._outputs = outputs

    def __call__(self, in_doubt: InDoubt) -> Mapping[int, int]:
        """Write what is not known; return the positions written, by partition.

        Raises:
            UnrecoverableState: workers are running. Nothing was written.
            WrongLog: the store was built from another log.
            Unavailable: log or store does not answer.
        """
        running = self._log.workers()
        if running:
            raise UnrecoverableState(f"{running} workers are running: end them, restore, and start them again")
        self._relay.cells.bind(self._log.identity)
        written = {}
        for partition, known in self._outputs.committed_positions(range(self._log.identity.partitions)).items():
            position = self._position(partition, known, in_doubt)
            if position != known:
                written[partition] = position
        if written:
            self._outputs.restore(written)
        return written

    def _position(self, partition: int, known: int | None, in_doubt: InDoubt) -> int:
        if known is None:
            return recover_position(self._relay, partition, self._outputs.search, in_doubt)
        if in_doubt is InDoubt.AGAIN:
            return known
        position = self._relay.cells.positions([partition])[partition]
        first = next(self._relay.cells.outbox(partition, known), None)
        return max(known, position if first is None else first.from_position)
