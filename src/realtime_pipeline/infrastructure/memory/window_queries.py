"""Windows in memory, for readers."""

from collections.abc import Collection, Mapping

from realtime_pipeline.application.ports.window_queries import CellNotes, CellPanes, WindowQueries
from realtime_pipeline.domain.analytics.pane_notes import NOTES_MS, TIME
from realtime_pipeline.domain.analytics.panes import Chunks, PaneId
from realtime_pipeline.infrastructure.memory.cells import MemoryCellStore


class MemoryWindowQueries(WindowQueries):
    """Reads the dictionaries of the memory store."""

    def __init__(self, cells: MemoryCellStore) -> None:
        self._cells = cells

    def notes(self, fingerprints: Collection[str]) -> Mapping[int, CellNotes]:
        """Read the notes of every partition."""
        wanted = (TIME.fingerprint, *fingerprints)
        return {
            partition: CellNotes.of({name: self._chunks(partition, PaneId(name, NOTES_MS)) for name in wanted})
            for partition in range(self._cells.partitions)
        }

    def starts(self, fingerprint: str) -> Mapping[int, Collection[int]]:
        """The starts of all panes of a definition."""
        return {
            partition: {
                id_.start_ms
                for id_ in list(self._cells.panes.get(partition, {}))
                if id_.fingerprint == fingerprint and id_.start_ms != NOTES_MS
            }
            for partition in range(self._cells.partitions)
        }

    def read(self, fingerprint: str, starts_ms: Mapping[int, Collection[int]]) -> Mapping[int, CellPanes]:
        """Read panes; the time before them, the notes after them."""
        found: dict[int, CellPanes] = {}
        for partition, starts in starts_ms.items():
            ids = (TIME, *(PaneId(fingerprint, start_ms) for start_ms in (*starts, NOTES_MS)))
            found[partition] = CellPanes.of({id_: self._chunks(partition, id_) for id_ in ids}, fingerprint)
        return found

    def _chunks(self, partition: int, pane_id: PaneId) -> Chunks:
        return dict(self._cells.panes.get(partition, {}).get(pane_id, {}))
