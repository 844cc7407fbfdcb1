"""RestoreOutputs: write the positions up to which outputs were emitted, if the consumer group has lost its offsets."""

from collections.abc import Mapping

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.outputs import GroupOutputs
from realtime_pipeline.application.processing.outbox_relay import OutboxRelay
from realtime_pipeline.application.processing.output_positions import InDoubt, recover_position


class RestoreOutputs:
    """Writes positions of outputs, once an operator has decided about outputs that may have been emitted or not.

    A known position stays, unless it is before the first outbox entry of the store.
    """

    def __init__(self, log: EventLog, relay: OutboxRelay, outputs: GroupOutputs) -> None:
        self._log = log
        self._relay = relay
        self._outputs = outputs

    def __call__(self, in_doubt: InDoubt) -> Mapping[int, int]:
        """Write the positions that are not known.

        Args:
            in_doubt: emits outputs that may have been emitted again, or skips them.

        Returns:
            The positions written, by partition.

        Raises:
            UnrecoverableState: workers are running. Nothing was written.
            WrongLog: the store was built from another log.
            Unavailable: the log or the store does not respond.
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
