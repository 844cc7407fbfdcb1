"""OutboxRelay: carry the outbox entries of committed cells to the views and the outputs."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import attrs

from realtime_pipeline.application.errors import Fenced, PositionMismatch, RecoverableError, UnrecoverableState
from realtime_pipeline.application.ports.cell_store import CellStore, OutboxEntry, OwnerNotes
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.application.ports.views import Merge, SourceRange, Views
from realtime_pipeline.application.processing.owned_cell import OwnedCell
from realtime_pipeline.domain.views.deltas import Deltas


@attrs.frozen
class OutboxRelay:
    """Merges outbox entries into the views, emits them as outputs, and trims what both have.

    Each view cell and the outputs of each partition have a position of their own; an entry goes only to those whose
    position is where the entry begins, so that a repeated entry changes nothing.
    """

    cells: CellStore
    views: Views
    outputs: Outputs
    observer: StageObserver

    def merge(self, owned: Mapping[int, OwnedCell], now_ms: int) -> None:
        """Merge all unmerged entries into every view cell, their deltas combined; `now_ms` is the worker's clock.

        Raises:
            Fenced, PositionMismatch, Unreachable: as `Views.merge`.
            UnrecoverableState: no outbox entry begins at the position of some view cell.
        """
        entries = [entry for cell in owned.values() for entry in cell.unmerged]
        for batch in self._batches(entries):
            self._merge(owned, batch, now_ms)
        for cell in owned.values():
            cell.unmerged.clear()
        if entries:
            self.observer.reached(Stage.MERGED, records_in(entries))

    def _batches(self, entries: Sequence[OutboxEntry]) -> Iterator[Sequence[OutboxEntry]]:
        batch: list[OutboxEntry] = []
        records = 0
        for entry in entries:
            size = records_in([entry])
            if batch and records + size > self.views.merge_records_max:
                yield batch
                batch, records = [], 0
            batch.append(entry)
            records += size
        if batch:
            yield batch

    def _merge(self, owned: Mapping[int, OwnedCell], entries: Sequence[OutboxEntry], now_ms: int) -> None:
        partitions = tuple(dict.fromkeys(entry.partition for entry in entries))
        # By positions of view cells: mostly all of them have the same.
        missing: dict[tuple[int, ...], tuple[dict[int, OutboxEntry], Sequence[Deltas]]] = {}
        merges = []
        advanced: list[tuple[OwnedCell, int, int]] = []
        for view_cell in range(self.views.view_cells):
            positions = tuple(owned[partition].view_positions[view_cell] for partition in partitions)
            if positions not in missing:
                missing[positions] = self._missing(owned, entries, dict(zip(partitions, positions, strict=True)))
            last, parts = missing[positions]
            if last:
                ranges = tuple(self._range(owned[entry.partition], view_cell, entry) for entry in last.values())
                merges.append(Merge(view_cell, ranges, parts[view_cell]))
                advanced += [(owned[entry.partition], view_cell, entry.to_position) for entry in last.values()]
        if merges:
            self.views.merge(merges, now_ms)
        for cell, view_cell, to_position in advanced:
            cell.view_positions[view_cell] = to_position

    def _missing(
        self, owned: Mapping[int, OwnedCell], entries: Sequence[OutboxEntry], positions: dict[int, int]
    ) -> tuple[dict[int, OutboxEntry], Sequence[Deltas]]:
        """What view cells at these positions lack: the last entry of each partition, and the deltas by view cell."""
        last: dict[int, OutboxEntry] = {}
        missing = []
        for entry in entries:
            if self._continues_at(owned[entry.partition], positions[entry.partition], entry):
                positions[entry.partition] = entry.to_position
                last[entry.partition] = entry
                missing.append(entry)
        return last, self._deltas_of(missing).parts(self.views.view_cells) if missing else ()

    @staticmethod
    def _range(cell: OwnedCell, view_cell: int, last: OutboxEntry) -> SourceRange:
        from_position = cell.view_positions[view_cell]
        return SourceRange(cell.partition, cell.epoch, from_position, last.to_position, last.watermark)

    def buffer(self, cell: OwnedCell, entry: OutboxEntry) -> None:
        """Buffer the outputs of an entry, to be emitted later.

        Raises:
            UnrecoverableState: no outbox entry begins at the position of the outputs.
        """
        if self._continues_at(cell, cell.buffered_to, entry):
            cell.buffer(entry)

    def emit(self, owned: Collection[OwnedCell]) -> None:
        """Emit the buffered outputs of partitions.

        Raises:
            Fenced, PositionMismatch, Unreachable: as `Outputs.emit`.
        """
        pending = [cell.pending_emission for cell in owned if cell.pending_emission is not None]
        if not pending:
            return
        self.outputs.emit(pending)
        for cell in owned:
            cell.output_position, cell.pending_emission = cell.buffered_to, None
        self.observer.reached(Stage.EMITTED, sum(emission.to_position - emission.from_position for emission in pending))

    def check_owner(self, cell: OwnedCell) -> None:
        """Check that this worker still owns a cell: entries that a later owner has trimmed are no gap.

        Raises:
            Fenced: another worker has claimed it.
            Unreachable: the store does not answer.
        """
        if self.cells.epoch(cell.partition) != cell.epoch:
            raise Fenced(f"partition {cell.partition} has another owner")

    def verify_and_trim(self, owned: Sequence[OwnedCell], now_ms: int, retention_ms: int) -> None:
        """Verify that cells, views and outputs still have the positions they reported; then trim the outboxes.

        An entry is trimmed when views and outputs have it and it is older than `retention_ms`: until then it can be
        relayed again to a view cell that a failover has set back.

        Raises:
            PositionMismatch: a cell, a view cell or the outputs have gone back, as after a failover that lost commits.
            Unreachable: a store or the log does not answer.
        """
        if not owned:
            return
        partitions = [cell.partition for cell in owned]
        cells, views = self.cells.positions(partitions), self.views.positions(partitions)
        outputs = self.outputs.positions(partitions)
        self.observer.reached(Stage.TRIMMING, sum(cell.has_expired(now_ms, retention_ms) for cell in owned))
        for cell in owned:
            reported = (cells[cell.partition], *views[cell.partition], outputs[cell.partition])
            expected = (cell.position, *cell.view_positions, cell.output_position)
            if any(found < wanted for found, wanted in zip(reported, expected, strict=True)):
                raise PositionMismatch({cell.partition: min(reported)})
            to_position = 0
            while cell.has_expired(now_ms, retention_ms) and cell.outbox[0].to_position <= min(reported):
                to_position = cell.pop_oldest()
            if to_position:
                self.cells.trim(cell.partition, cell.epoch, to_position)

    def note_progress(self, owned: Sequence[OwnedCell], consumed_position: Callable[[int], int]) -> None:
        """Write the owner's notes: the position of the outputs, and the end of the log behind the last record.

        `consumed_position` gives the position up to which a partition was polled. A failed write is repeated later.
        """
        current = {
            cell.partition: OwnerNotes(
                cell.output_position, cell.position, max(consumed_position(cell.partition), cell.position)
            )
            for cell in owned
        }
        changed = {
            cell.partition: current[cell.partition] for cell in owned if cell.last_noted != current[cell.partition]
        }
        if changed:
            with suppress(RecoverableError):
                self.cells.write_notes(changed)
                for cell in owned:
                    cell.last_noted = current[cell.partition]

    @staticmethod
    def _deltas_of(entries: Sequence[OutboxEntry]) -> Deltas:
        if len(entries) == 1:
            return entries[0].deltas
        combined = Deltas()
        for entry in entries:
            combined.merge(entry.deltas)
        return combined

    def _continues_at(self, cell: OwnedCell, position: int, entry: OutboxEntry) -> bool:
        if position == entry.from_position:
            return True
        if position >= entry.to_position:
            return False
        self.check_owner(cell)
        raise UnrecoverableState(
            f"partition {cell.partition}: the store no longer has the outbox entries of records {position} to "
            f"{entry.from_position}, which its views lack; rebuild the store from the log"
        )


def records_in(entries: Iterable[OutboxEntry]) -> int:
    """The number of positions that entries cover."""
    return sum(entry.to_position - entry.from_position for entry in entries)
