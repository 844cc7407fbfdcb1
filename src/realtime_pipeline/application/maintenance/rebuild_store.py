"""RebuildStore: set the store back, so that the worker builds it again from the log."""

from collections.abc import Collection, Mapping

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.cell_store import CellStore, OwnerNotes
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.application.ports.snapshots import Snapshots
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.domain.plurals import counted


class RebuildStore:
    """Erases cells and views; where the log has lost its oldest records, puts back a snapshot from before that.

    What was put out stays, and is not put out again. No worker may be running. One that starts after this was
    interrupted stops, for want of its cell; then this is to be called again.
    """

    def __init__(self, log: EventLog, cells: CellStore, views: Views, outputs: Outputs, snapshots: Snapshots) -> None:
        self._log = log
        self._cells = cells
        self._views = views
        self._outputs = outputs
        self._snapshots = snapshots

    def __call__(self) -> int:
        """Set the store back; return how many records there are to fold again.

        Raises:
            UnrecoverableState: workers are running; or records are missing amid the log; or the log no longer holds all
            records
                and no snapshot has what those did; or only what is to be erased can tell how far outputs were emitted.
                Nothing was erased.
            WrongLog: the store was built from another log.
        """
        running = self._log.workers()
        if running:
            workers = counted(running, "worker is", "workers are")
            raise UnrecoverableState(f"{workers} running: end them, rebuild, and start them again")
        self._cells.bind(self._log.identity)
        partitions = range(self._log.identity.partitions)
        bounds = self._log.bounds(partitions)
        self._log.check_whole(partitions)
        starts = self._starts(bounds)
        emitted = self._emitted(partitions)
        epochs = {number: 1 + max(self._cells.epoch(number), self._views.epoch(number)) for number in partitions}
        with self._cells.transaction():
            self._cells.erase()
            self._views.erase()
            if any(starts.values()):
                self._snapshots.restore()
            else:
                self._snapshots.erase()  # of the store as it was: the next rebuild would bring back what this mends
            for partition, epoch in epochs.items():  # a cell that stands at 0 is one to build, not one that is missing
                self._cells.claim(partition, epoch)
                self._views.claim(partition, epoch)
            self._cells.write_notes({partition: OwnerNotes(position) for partition, position in emitted.items()})
        return sum(end - starts[partition] for partition, (_, end) in bounds.items())

    def _starts(self, bounds: Mapping[int, tuple[int, int]]) -> Mapping[int, int]:
        """From where each partition is folded again: its beginning, or where the snapshot stands."""
        begun = {partition: first for partition, (first, _) in bounds.items() if first > 0}
        if not begun:
            return dict.fromkeys(bounds, 0)
        covered = self._snapshots.positions()
        starts = {partition: covered.get(partition, 0) for partition in bounds}
        lacking = [partition for partition, first in begun.items() if starts[partition] < first]
        if lacking:
            partition = lacking[0]
            others = f", nor that of {counted(len(lacking) - 1, 'other')}" if len(lacking) > 1 else ""
            raise UnrecoverableState(
                f"the log no longer holds what came before position {begun[partition]} of partition {partition}"
                f"{others}; a store that was built again would lack it: build one beside it, in a new namespace and "
                "group, if that will do"
            )
        return starts

    def _emitted(self, partitions: Collection[int]) -> Mapping[int, int]:
        """How far outputs were emitted."""
        stand, emitted = self._cells.positions(partitions), dict[int, int]()
        for partition, known in self._outputs.committed_positions(partitions).items():
            if known is None and stand[partition] > 0:
                raise UnrecoverableState(
                    f"partition {partition}: the group's offsets are gone, and with them how far outputs were emitted: "
                    "let a worker start once, which writes it again, or see realtime-pipeline outputs restore"
                )
            emitted[partition] = known or 0
        return emitted
