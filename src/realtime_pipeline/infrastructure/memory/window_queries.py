"""Windows in memory, for readers."""

from collections.abc import Collection, Mapping

from realtime_pipeline.application.ports.window_queries import CellPanes, WindowQueries
from realtime_pipeline.domain.analytics.pane_notes import NOTES_MS, TIME
from realtime_pipeline.domain.analytics.panes import PaneId
from realtime_pipeline.infrastructure.memory.cells import MemoryCellStore


class MemoryWindowQueries(WindowQueries):
    """Reads the dictionaries of the memory store."""

    def __init__(self, cells: MemoryCellStore) -> None:
        self._cells = cells

    def starts(self, fingerprint: str) -> Collection[int]:
        """The starts of all panes of a definition."""
        ids = {pane_id for panes in self._cells.panes.values() for pane_id in panes}
        return {id_.start_ms for id_ in ids if id_.fingerprint == fingerprint and id_.start_ms != NOTES_MS}

    def read(self, fingerprint: str, starts_ms: Collection[int]) -> Mapping[int, CellPanes]:
        """Read panes of every partition."""
        found: dict[int, CellPanes] = {}
        for partition in range(self._cells.partitions):
            panes = self._cells.panes.get(partition, {})
            ids = (TIME, *(PaneId(fingerprint, start_ms) for start_ms in (NOTES_MS, *starts_ms)))
            found[partition] = CellPanes.of({id_: dict(panes.get(id_, {})) for id_ in ids}, fingerprint)
        return found
