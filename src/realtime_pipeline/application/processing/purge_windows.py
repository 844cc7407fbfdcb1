"""PurgeWindows: delete panes whose windows are final and whose results are written."""

from collections.abc import Mapping, Sequence
from typing import Final

from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.window_queries import CellNotes, WindowQueries
from realtime_pipeline.application.ports.window_results import WindowResults
from realtime_pipeline.application.processing.owned_cell import OwnedCell
from realtime_pipeline.domain.analytics.compiled import CompiledAggregate

PURGED_AT_ONCE: Final = 200
"""Panes of one deletion, which blocks a store for some milliseconds at most."""
PURGED_AT_MOST: Final = 10_000
"""Panes that one call deletes of a cell and a definition."""


class PurgeWindows:
    """Deletes panes of owned cells."""

    def __init__(
        self,
        cells: CellStore,
        queries: WindowQueries,
        results: WindowResults,
        definitions: Sequence[CompiledAggregate],
    ) -> None:
        self._cells = cells
        self._queries = queries
        self._results = results
        self._definitions = definitions
        self._left: set[tuple[str, int]] = set()  # definitions and cells with more to delete than one call takes

    def __call__(self, owned: Mapping[int, OwnedCell], notes: Mapping[int, CellNotes]) -> bool:
        """Delete what may be deleted, a bounded number of panes; return whether more is to be deleted.

        Raises:
            Fenced: another worker has claimed a cell.
            Unreachable: the store does not respond.
        """
        written = self._results.emitted([found.fingerprint for found in self._definitions])
        left, self._left = self._left, set()
        for compiled in self._definitions:
            fingerprint = compiled.fingerprint
            settled_ms = written[fingerprint].settled_ms
            due = [
                partition
                for partition in owned
                if (fingerprint, partition) in left or _has_due(compiled, notes[partition], settled_ms)
            ]
            if due:
                self._purge(compiled, due, owned, settled_ms)
        return bool(self._left)

    def _purge(
        self, compiled: CompiledAggregate, partitions: Sequence[int], owned: Mapping[int, OwnedCell], settled_ms: int
    ) -> None:
        fingerprint = compiled.fingerprint
        starts = self._queries.starts(fingerprint)
        for partition in partitions:
            gone = sorted(start for start in starts[partition] if compiled.last_final_ms(start) <= settled_ms)
            for begin in range(0, min(max(len(gone), 1), PURGED_AT_MOST), PURGED_AT_ONCE):
                chosen = gone[begin : begin + PURGED_AT_ONCE]
                self._cells.purge_panes(partition, owned[partition].epoch, fingerprint, chosen, settled_ms)
            if len(gone) > PURGED_AT_MOST:
                self._left.add((fingerprint, partition))


def _has_due(compiled: CompiledAggregate, notes: CellNotes, settled_ms: int) -> bool:
    """Whether windows of a cell were settled since its panes were deleted last."""
    found = notes.definitions.get(compiled.fingerprint)
    return found is not None and compiled.becomes_final(found.purged_ms, settled_ms)
