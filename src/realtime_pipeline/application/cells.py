"""A cell while its partition is held: what its owner knows of it."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import attrs

from realtime_pipeline.application.errors import Fenced, PositionMismatch, RecoverableError, UnrecoverableState
from realtime_pipeline.application.ports.cell_store import CellStore, OutboxEntry, OwnerNotes
from realtime_pipeline.application.ports.outputs import Emission, Outputs
from realtime_pipeline.application.ports.stages import Stage, StageObserver
from realtime_pipeline.application.ports.views import Merge, SourceRange, Views
from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import Deltas
from realtime_pipeline.domain.streams.watermark import Watermark


@attrs.frozen
class OutboxEntryRef:
    """An entry that lies in the store until it is trimmed: where it ends, since when, and how large it is."""

    to_position: int
    since_ms: int
    size: int


@attrs.define
class OwnedCell:
    """One partition's cell in its owner's hands, with where each of its readers stands.

    `view_positions` has a position for each view cell; `start_position` is where the log was to be read from when the
    cell was claimed; `noted` was written down for the next owner; `unmerged` are entries that are gathered for the
    views and not yet merged, `owed` is gathered for the outputs and not yet emitted. `customers` is the owner's memory
    of the cell: it is right only as long as every commit is accepted, and is thrown away with the rest at the first
    refusal.
    """

    partition: int
    epoch: int
    position: int
    commit_number: int
    watermark: Watermark
    view_positions: list[int]
    output_position: int
    start_position: int = 0
    last_noted: OwnerNotes = attrs.Factory(OwnerNotes)
    unmerged: list[OutboxEntry] = attrs.Factory(list)
    pending_emission: Emission | None = None
    outbox: deque[OutboxEntryRef] = attrs.Factory(deque)
    outbox_bytes: int = 0
    customers: dict[CustomerId, Customer] = attrs.Factory(dict)

    @property
    def is_new(self) -> bool:
        """Nothing was ever committed to the cell, and no reader knows of anything."""
        return self.commit_number == 0 and not any((self.position, *self.view_positions, self.output_position))

    @property
    def read_position(self) -> int:
        """Up to where the partition has been read."""
        return max(self.position, self.start_position)

    @property
    def buffered_to(self) -> int:
        """Up to where the outputs are emitted or gathered."""
        return self.output_position if self.pending_emission is None else self.pending_emission.to_position

    def next_cut(self, to_position: int) -> int:
        """Where a batch that ends at `to_position` must be cut: no reader may stand inside of it.

        A reader stands ahead of its cell after the store lost commits that it had acknowledged.
        """
        ahead = (at for at in (*self.view_positions, self.output_position) if self.position < at < to_position)
        return min(ahead, default=to_position)

    def track(self, entry: OutboxEntryRef) -> None:
        """Note an entry that lies in the store, behind those known."""
        self.outbox.append(entry)
        self.outbox_bytes += entry.size

    def restore(self, entries: Sequence[OutboxEntryRef]) -> None:
        """Note entries that lie in the store before those known, the one that ends first coming first."""
        self.outbox.extendleft(reversed(entries))
        self.outbox_bytes += sum(entry.size for entry in entries)

    def pop_oldest(self) -> int:
        """Forget the first entry kept; say where it ends."""
        gone = self.outbox.popleft()
        self.outbox_bytes -= gone.size
        return gone.to_position

    def has_expired(self, now_ms: int, retention_ms: int) -> bool:
        """Whether the first entry kept has been there for so long; or since a time that is yet to come again."""
        return bool(self.outbox) and not 0 <= now_ms - self.outbox[0].since_ms < retention_ms

    def buffer(self, entry: OutboxEntry) -> None:
        """Add an entry to what the outputs are owed; letters of who is forgotten in it are owed no longer."""
        pending = self.pending_emission
        before, from_position = (
            ((), entry.from_position) if pending is None else (pending.dead_letters, pending.from_position)
        )
        forgotten = frozenset() if pending is None else pending.forgotten
        letters = tuple(letter for letter in before if letter.customer_id not in entry.forgotten)
        self.pending_emission = Emission(
            self.partition,
            self.epoch,
            from_position,
            entry.to_position,
            letters + entry.dead_letters,
            forgotten | entry.forgotten,
            (() if pending is None else pending.outgoing) + entry.outgoing,
        )

    def evict_over(self, customers_max: int) -> None:
        """Let go of the customers used longest ago, over a limit."""
        while len(self.customers) > customers_max:
            del self.customers[next(iter(self.customers))]

    def mark_used(self, customers: Mapping[CustomerId, Customer]) -> None:
        """Remember customers as the ones used last."""
        for customer_id, customer in customers.items():
            self.customers.pop(customer_id, None)
            self.customers[customer_id] = customer


@attrs.frozen
class OutboxRelay:
    """The views and the outputs, which follow the cells entry by entry."""

    cells: CellStore
    views: Views
    outputs: Outputs
    observer: StageObserver

    def merge(self, owned: Mapping[int, OwnedCell], now_ms: int) -> None:
        """Bring every view cell along by what they have yet to be brought along by, its deltas combined.

        `now_ms` is the worker's clock.

        Raises:
            Fenced, PositionMismatch, Unreachable: as `Views.merge`.
            UnrecoverableState: a view cell stands where no kept entry begins.
        """
        entries = [entry for cell in owned.values() for entry in cell.unmerged]
        for some in self._batches(entries):
            self._merge(owned, some, now_ms)
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
        # By where view cells stand: mostly all of them stand alike.
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
        """What view cells lack that stand there: up to which entry of each partition, and its deltas by view cell."""
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
        """Note what an entry owes the outputs.

        Raises:
            UnrecoverableState: the outputs stand where no kept entry begins.
        """
        if self._continues_at(cell, cell.buffered_to, entry):
            cell.buffer(entry)

    def emit(self, owned: Collection[OwnedCell]) -> None:
        """Bring the outputs of partitions along by all that was gathered.

        Raises:
            Fenced, PositionMismatch, Unreachable: as `Outputs.emit`.
        """
        pending = [cell.pending_emission for cell in owned if cell.pending_emission is not None]
        if not pending:
            return
        self.outputs.emit(pending)
        for cell in owned:
            cell.output_position, cell.pending_emission = cell.buffered_to, None
        self.observer.reached(Stage.EMITTED, sum(one.to_position - one.from_position for one in pending))

    def check_owner(self, cell: OwnedCell) -> None:
        """See that a cell is this owner's still: what another has let go of since is no gap.

        Raises:
            Fenced: somebody else has claimed it.
            Unreachable: the store does not answer.
        """
        if self.cells.epoch(cell.partition) != cell.epoch:
            raise Fenced(f"partition {cell.partition} has another owner")

    def verify_and_trim(self, owned: Sequence[OwnedCell], now_ms: int, retention_ms: int) -> None:
        """See that store and readers stand where they said they do, then let cells go of what all readers have.

        Entries are kept for `retention_ms`, so that a reader which loses what it had can be served again.

        Raises:
            PositionMismatch: a cell or a reader has gone back, as after a fail-over that lost commits.
            Unreachable: somebody does not answer.
        """
        if not owned:
            return
        partitions = [cell.partition for cell in owned]
        cells, views = self.cells.positions(partitions), self.views.positions(partitions)
        outputs = self.outputs.positions(partitions)
        self.observer.reached(Stage.TRIMMING, sum(cell.has_expired(now_ms, retention_ms) for cell in owned))
        for cell in owned:
            reported = (cells[cell.partition], *views[cell.partition], outputs[cell.partition])
            believed = (cell.position, *cell.view_positions, cell.output_position)
            if any(has < should for has, should in zip(reported, believed, strict=True)):
                raise PositionMismatch({cell.partition: min(reported)})
            to_position = 0
            while cell.has_expired(now_ms, retention_ms) and cell.outbox[0].to_position <= min(reported):
                to_position = cell.pop_oldest()
            if to_position:
                self.cells.trim(cell.partition, cell.epoch, to_position)

    def note_progress(self, owned: Sequence[OwnedCell], consumed_position: Callable[[int], int]) -> None:
        """Write down how far outputs were emitted, and up to where the log holds no record behind what was committed.

        `consumed_position` says up to where a partition was read. A store that takes nothing now is told later.
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
            f"partition {cell.partition}: the store no longer holds the changes of records {position} to "
            f"{entry.from_position}, which its views lack; rebuild the store from the log"
        )


def records_in(entries: Iterable[OutboxEntry]) -> int:
    """How many positions entries go over."""
    return sum(entry.to_position - entry.from_position for entry in entries)
