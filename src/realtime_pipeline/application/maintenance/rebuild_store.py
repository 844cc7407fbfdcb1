"""RebuildStore: reset the store, so that the worker builds it again from the log."""

from collections.abc import Collection, Mapping

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.cell_store import CellStore, OwnerNotes
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.application.ports.snapshots import Snapshots
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.application.ports.window_results import WindowResults
from realtime_pipeline.domain.plurals import counted


class RebuildStore:
    """Erases cells and views; if the log's retention has deleted records, restores the snapshot that has their effects.

    Outputs stay, and are not emitted again; results of windows stay until they are written again. No worker may be
    running. If a call is interrupted, a worker that starts stops with an error, since its cell is missing: call this
    again.
    """

    def __init__(
        self,
        log: EventLog,
        cells: CellStore,
        views: Views,
        outputs: Outputs,
        snapshots: Snapshots,
        results: WindowResults,
    ) -> None:
        self._log = log
        self._cells = cells
        self._views = views
        self._outputs = outputs
        self._snapshots = snapshots
        self._results = results

    def __call__(self) -> int:
        """Reset the store; return how many records are to be processed again.

        Raises:
            UnrecoverableState: workers are running; or records within the log are missing; or the log no longer has all
                records and no snapshot has their effects; or the positions of the outputs are known to the store alone.
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
            self._results.write_again()  # before the panes go: where this is interrupted, nothing is taken for written
            self._cells.erase()
            self._views.erase()
            if any(starts.values()):
                self._snapshots.restore()
            else:
                self._snapshots.erase()  # of the old store: the next rebuild would restore its errors
            for partition, epoch in epochs.items():  # claimed at 0 it is to be built; unclaimed it is missing
                self._cells.claim(partition, epoch)
                self._views.claim(partition, epoch)
            self._cells.write_notes({partition: OwnerNotes(position) for partition, position in emitted.items()})
        return sum(end - starts[partition] for partition, (_, end) in bounds.items())

    def _starts(self, bounds: Mapping[int, tuple[int, int]]) -> Mapping[int, int]:
        """Return the position from which each partition is folded again: its beginning, or the snapshot's position."""
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
                f"{others}; a store that is rebuilt would lack it: keep this store, or build a second one in a new "
                "namespace and group"
            )
        return starts

    def _emitted(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Return the positions up to which outputs were emitted."""
        positions, emitted = self._cells.positions(partitions), dict[int, int]()
        for partition, known in self._outputs.committed_positions(partitions).items():
            if known is None and positions[partition] > 0:
                raise UnrecoverableState(
                    f"partition {partition}: the group's offsets are gone, and with them the positions of outputs: "
                    "start a worker once, which writes them again, or run realtime-pipeline outputs restore"
                )
            emitted[partition] = known or 0
        return emitted
