"""RebuildStore: empty the store, so that the worker builds it again from the log."""

from realtime_pipeline.application.errors import Stopped
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.domain.words import counted


class RebuildStore:
    """Erases cells and views. What was put out stays, and is not put out again.

    No worker may be running. One that starts after this was interrupted stops, for want of its cell; then this is to
    be called again.
    """

    def __init__(self, log: EventLog, cells: CellStore, views: Views) -> None:
        self._log = log
        self._cells = cells
        self._views = views

    def __call__(self) -> int:
        """Empty the store; return how many records there are to fold again.

        Raises:
            Stopped: workers are running, or the log no longer holds all records, and what those did would be missing.
                Nothing was erased.
            WrongLog: the store was built from another log.
        """
        running = self._log.workers()
        if running:
            workers = counted(running, "worker is", "workers are")
            raise Stopped(f"{workers} running: end them, rebuild, and start them again")
        self._cells.bind(self._log.identity)
        partitions = range(self._log.identity.partitions)
        bounds = self._log.bounds(partitions)
        begun = {partition: first for partition, (first, _) in bounds.items() if first > 0}
        if begun:
            partition, first = next(iter(begun.items()))
            others = f", nor that of {counted(len(begun) - 1, 'other')}" if len(begun) > 1 else ""
            raise Stopped(
                f"the log no longer holds what came before position {first} of partition {partition}{others}; a store "
                "that was built again would lack it: build one beside it, in a new namespace and group, if that will do"
            )
        epochs = {number: 1 + max(self._cells.epoch(number), self._views.epoch(number)) for number in partitions}
        with self._cells.together():
            self._cells.erase()
            self._views.erase()
            for partition, epoch in epochs.items():  # a cell that stands at 0 is one to build, not one that is missing
                self._cells.claim(partition, epoch)
                self._views.claim(partition, epoch)
        return sum(end for _, end in bounds.values())
