"""A cell while its partition is held: what its owner knows of it."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import attrs

from realtime_pipeline.application.errors import Fenced, Refusal, Stopped, Superseded
from realtime_pipeline.application.ports.cell_store import CellStore, Entry, Noted
from realtime_pipeline.application.ports.outputs import Emission, Outputs
from realtime_pipeline.application.ports.stages import Stage, Stages
from realtime_pipeline.application.ports.views import Merge, SourceRange, Views
from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import Deltas
from realtime_pipeline.domain.streams.watermark import Watermark


@attrs.frozen
class Kept:
    """An entry that lies in the store until it is trimmed: where it ends, since when, and how large it is."""

    to_position: int
    since_ms: int
    size: int


@attrs.define
class HeldCell:
    """One partition's cell in its owner's hands, with where each of its readers stands.

    `view_positions` has a position for each view cell; `reads_from` is where the log was to be read from when the cell
    was claimed; `noted` was written down for the next owner; `unmerged` are entries that are gathered for the views
    and not yet merged, `owed` is gathered for the outputs and not yet emitted.
    `customers` is the owner's memory of the cell: it is right only as long as every commit is accepted, and is
    thrown away with the rest at the first refusal.
    """

    partition: int
    epoch: int
    position: int
    number: int
    watermark: Watermark
    view_positions: list[int]
    output_position: int
    reads_from: int = 0
    noted: Noted = attrs.Factory(Noted)
    unmerged: list[Entry] = attrs.Factory(list)
    owed: Emission | None = None
    kept: deque[Kept] = attrs.Factory(deque)
    kept_bytes: int = 0
    customers: dict[CustomerId, Customer] = attrs.Factory(dict)

    @property
    def is_new(self) -> bool:
        """Nothing was ever committed to the cell, and no reader knows of anything."""
        return self.number == 0 and not any((self.position, *self.view_positions, self.output_position))

    @property
    def stands_at(self) -> int:
        """Up to where the partition has been read."""
        return max(self.position, self.reads_from)

    @property
    def gathered_to(self) -> int:
        """Up to where the outputs are emitted or gathered."""
        return self.output_position if self.owed is None else self.owed.to_position

    def next_cut(self, to_position: int) -> int:
        """Where a batch that ends at `to_position` must be cut: no reader may stand inside of it.

        A reader stands ahead of its cell after the store lost commits that it had acknowledged.
        """
        ahead = (at for at in (*self.view_positions, self.output_position) if self.position < at < to_position)
        return min(ahead, default=to_position)

    def keep(self, entry: Kept) -> None:
        """Note an entry that lies in the store, behind those known."""
        self.kept.append(entry)
        self.kept_bytes += entry.size

    def keep_older(self, entries: Sequence[Kept]) -> None:
        """Note entries that lie in the store before those known, the one that ends first coming first."""
        self.kept.extendleft(reversed(entries))
        self.kept_bytes += sum(entry.size for entry in entries)

    def let_go(self) -> int:
        """Forget the first entry kept; say where it ends."""
        gone = self.kept.popleft()
        self.kept_bytes -= gone.size
        return gone.to_position

    def has_old(self, now_ms: int, keep_ms: int) -> bool:
        """Whether the first entry kept has been there for so long; or since a time that is yet to come again."""
        return bool(self.kept) and not 0 <= now_ms - self.kept[0].since_ms < keep_ms

    def gather(self, entry: Entry) -> None:
        """Add an entry to what the outputs are owed; letters of who is forgotten in it are owed no longer."""
        owed = self.owed
        before, from_position = ((), entry.from_position) if owed is None else (owed.dead_letters, owed.from_position)
        forgotten = frozenset() if owed is None else owed.forgotten
        letters = tuple(letter for letter in before if letter.customer_id not in entry.forgotten)
        self.owed = Emission(
            self.partition,
            self.epoch,
            from_position,
            entry.to_position,
            letters + entry.dead_letters,
            forgotten | entry.forgotten,
            (() if owed is None else owed.outgoing) + entry.outgoing,
        )

    def bounded_to(self, customers_max: int) -> None:
        """Let go of the customers used longest ago, over a limit."""
        while len(self.customers) > customers_max:
            del self.customers[next(iter(self.customers))]

    def use(self, customers: Mapping[CustomerId, Customer]) -> None:
        """Remember customers as the ones used last."""
        for customer_id, customer in customers.items():
            self.customers.pop(customer_id, None)
            self.customers[customer_id] = customer


@attrs.frozen
class Readers:
    """The views and the outputs, which follow the cells entry by entry."""

    cells: CellStore
    views: Views
    outputs: Outputs
    stages: Stages

    def merge(self, held: Mapping[int, HeldCell], now_ms: int) -> None:
        """Bring every view cell along by what they have yet to be brought along by, its deltas combined.

        `now_ms` is the worker's clock.

        Raises:
            Fenced, Superseded, Unreachable: as `Views.merge`.
            Stopped: a view cell stands where no kept entry begins.
        """
        entries = [entry for cell in held.values() for entry in cell.unmerged]
        for some in self._some_at_a_time(entries):
            self._merge(held, some, now_ms)
        for cell in held.values():
            cell.unmerged.clear()
        if entries:
            self.stages.reached(Stage.MERGED, records_of(entries))

    def _some_at_a_time(self, entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
        some: list[Entry] = []
        records = 0
        for entry in entries:
            size = records_of([entry])
            if some and records + size > self.views.merge_records_max:
                yield some
                some, records = [], 0
            some.append(entry)
            records += size
        if some:
            yield some

    def _merge(self, held: Mapping[int, HeldCell], entries: Sequence[Entry], now_ms: int) -> None:
        partitions = tuple(dict.fromkeys(entry.partition for entry in entries))
        # By where view cells stand: mostly all of them stand alike.
        lacked: dict[tuple[int, ...], tuple[dict[int, Entry], Sequence[Deltas]]] = {}
        merges = []
        moved: list[tuple[HeldCell, int, int]] = []
        for view_cell in range(self.views.view_cells):
            stand = tuple(held[partition].view_positions[view_cell] for partition in partitions)
            if stand not in lacked:
                lacked[stand] = self._lacked(held, entries, dict(zip(partitions, stand, strict=True)))
            last, parts = lacked[stand]
            if last:
                ranges = tuple(self._range(held[entry.partition], view_cell, entry) for entry in last.values())
                merges.append(Merge(view_cell, ranges, parts[view_cell]))
                moved += [(held[entry.partition], view_cell, entry.to_position) for entry in last.values()]
        if merges:
            self.views.merge(merges, now_ms)
        for cell, view_cell, to_position in moved:
            cell.view_positions[view_cell] = to_position

    def _lacked(
        self, held: Mapping[int, HeldCell], entries: Sequence[Entry], stand: dict[int, int]
    ) -> tuple[dict[int, Entry], Sequence[Deltas]]:
        """What view cells lack that stand there: up to which entry of each partition, and its deltas by view cell."""
        last: dict[int, Entry] = {}
        lacking = []
        for entry in entries:
            if self._stands_at(held[entry.partition], stand[entry.partition], entry):
                stand[entry.partition] = entry.to_position
                last[entry.partition] = entry
                lacking.append(entry)
        return last, self._deltas_of(lacking).parts(self.views.view_cells) if lacking else ()

    @staticmethod
    def _range(cell: HeldCell, view_cell: int, last: Entry) -> SourceRange:
        from_position = cell.view_positions[view_cell]
        return SourceRange(cell.partition, cell.epoch, from_position, last.to_position, last.watermark)

    def gather(self, cell: HeldCell, entry: Entry) -> None:
        """Note what an entry owes the outputs.

        Raises:
            Stopped: the outputs stand where no kept entry begins.
        """
        if self._stands_at(cell, cell.gathered_to, entry):
            cell.gather(entry)

    def emit(self, held: Collection[HeldCell]) -> None:
        """Bring the outputs of partitions along by all that was gathered.

        Raises:
            Fenced, Superseded, Unreachable: as `Outputs.emit`.
        """
        owed = [cell.owed for cell in held if cell.owed is not None]
        if not owed:
            return
        self.outputs.emit(owed)
        for cell in held:
            cell.output_position, cell.owed = cell.gathered_to, None
        self.stages.reached(Stage.EMITTED, sum(one.to_position - one.from_position for one in owed))

    def check_owner(self, cell: HeldCell) -> None:
        """See that a cell is this owner's still: what another has let go of since is no gap.

        Raises:
            Fenced: somebody else has claimed it.
            Unreachable: the store does not answer.
        """
        if self.cells.epoch(cell.partition) != cell.epoch:
            raise Fenced(f"partition {cell.partition} has another owner")

    def look_back(self, held: Sequence[HeldCell], now_ms: int, keep_ms: int) -> None:
        """See that store and readers stand where they said they do, then let cells go of what all readers have.

        Entries are kept for `keep_ms`, so that a reader which loses what it had can be served again.

        Raises:
            Superseded: a cell or a reader has gone back, as after a fail-over that lost commits.
            Unreachable: somebody does not answer.
        """
        if not held:
            return
        partitions = [cell.partition for cell in held]
        cells, views = self.cells.positions(partitions), self.views.positions(partitions)
        outputs = self.outputs.positions(partitions)
        self.stages.reached(Stage.TRIMMING, sum(cell.has_old(now_ms, keep_ms) for cell in held))
        for cell in held:
            reported = (cells[cell.partition], *views[cell.partition], outputs[cell.partition])
            believed = (cell.position, *cell.view_positions, cell.output_position)
            if any(has < should for has, should in zip(reported, believed, strict=True)):
                raise Superseded({cell.partition: min(reported)})
            to_position = 0
            while cell.has_old(now_ms, keep_ms) and cell.kept[0].to_position <= min(reported):
                to_position = cell.let_go()
            if to_position:
                self.cells.trim(cell.partition, cell.epoch, to_position)

    def note(self, held: Sequence[HeldCell], read_to: Callable[[int], int]) -> None:
        """Write down how far outputs were emitted, and up to where the log holds no record behind what was committed.

        `read_to` says up to where a partition was read. A store that takes nothing now is told later.
        """
        now = {
            cell.partition: Noted(cell.output_position, cell.position, max(read_to(cell.partition), cell.position))
            for cell in held
        }
        new = {cell.partition: now[cell.partition] for cell in held if cell.noted != now[cell.partition]}
        if new:
            with suppress(Refusal):
                self.cells.note(new)
                for cell in held:
                    cell.noted = now[cell.partition]

    @staticmethod
    def _deltas_of(entries: Sequence[Entry]) -> Deltas:
        if len(entries) == 1:
            return entries[0].deltas
        combined = Deltas()
        for entry in entries:
            combined.merge(entry.deltas)
        return combined

    def _stands_at(self, cell: HeldCell, position: int, entry: Entry) -> bool:
        if position == entry.from_position:
            return True
        if position >= entry.to_position:
            return False
        self.check_owner(cell)
        raise Stopped(
            f"partition {cell.partition}: the store no longer holds the changes of records {position} to "
            f"{entry.from_position}, which its views lack; rebuild the store from the log"
        )


def records_of(entries: Iterable[Entry]) -> int:
    """How many positions entries go over."""
    return sum(entry.to_position - entry.from_position for entry in entries)
