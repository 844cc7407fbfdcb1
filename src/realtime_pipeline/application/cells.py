"""A cell while its partition is held: what its owner knows of it."""

from collections.abc import Collection, Mapping

import attrs

from realtime_pipeline.application.errors import Stopped
from realtime_pipeline.application.ports.cell_store import CellStore, Entry
from realtime_pipeline.application.ports.outputs import Emission, Outputs
from realtime_pipeline.application.ports.views import Merge, SourceRange, Views
from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import Deltas
from realtime_pipeline.domain.streams.watermark import Watermark


@attrs.define
class HeldCell:
    """One partition's cell in its owner's hands, with where each of its readers stands.

    `view_positions` has a position for each view cell. `customers` is the owner's memory of the cell: it is right
    only as long as every commit is accepted, and is thrown away with the rest at the first refusal.
    """

    partition: int
    epoch: int
    position: int
    number: int
    watermark: Watermark
    view_positions: list[int]
    output_position: int
    customers: dict[CustomerId, Customer] = attrs.Factory(dict)

    def next_cut(self, to_position: int) -> int:
        """Where a batch that ends at `to_position` must be cut: no reader may stand inside of it.

        A reader stands ahead of its cell after the store lost commits that it had acknowledged.
        """
        ahead = (at for at in (*self.view_positions, self.output_position) if self.position < at < to_position)
        return min(ahead, default=to_position)

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

    def merge(self, held: Collection[tuple[HeldCell, Entry]]) -> None:
        """Bring every view cell along by one entry of each partition: in one call, its deltas combined.

        Raises:
            Fenced, Superseded: as `Views.merge`.
            Stopped: a view cell stands where no kept entry begins.
        """
        for view_cell in range(self.views.view_cells):
            behind = [
                (cell, entry) for cell, entry in held if self._stands_at(cell, cell.view_positions[view_cell], entry)
            ]
            if not behind:
                continue
            ranges = tuple(
                SourceRange(cell.partition, cell.epoch, entry.from_position, entry.to_position, entry.watermark)
                for cell, entry in behind
            )
            self.views.merge(Merge(view_cell, ranges, self._deltas_for(view_cell, [entry for _, entry in behind])))
            for cell, entry in behind:
                cell.view_positions[view_cell] = entry.to_position

    def emit(self, cell: HeldCell, entry: Entry) -> None:
        """Bring a partition's outputs along by one entry.

        Raises:
            Fenced, Superseded: as `Outputs.emit`.
            Stopped: the outputs stand where no kept entry begins.
        """
        if self._stands_at(cell, cell.output_position, entry):
            self.outputs.emit(
                Emission(
                    cell.partition,
                    cell.epoch,
                    entry.from_position,
                    entry.to_position,
                    entry.dead_letters,
                    entry.forgotten,
                )
            )
            cell.output_position = entry.to_position

    def trim(self, cell: HeldCell) -> None:
        """Let the cell go of the entries that every reader has."""
        has = min(*cell.view_positions, cell.output_position)
        self.cells.trim(cell.partition, cell.epoch, min(has, cell.position))

    def _deltas_for(self, view_cell: int, entries: list[Entry]) -> Deltas:
        parts = [entry.deltas.part(view_cell, self.views.view_cells) for entry in entries]
        if len(parts) == 1:
            return parts[0]
        combined = Deltas()
        for part in parts:
            combined.merge(part)
        return combined

    @staticmethod
    def _stands_at(cell: HeldCell, position: int, entry: Entry) -> bool:
        if position == entry.from_position:
            return True
        if position >= entry.to_position:
            return False
        raise Stopped(
            f"partition {cell.partition}: the store no longer holds the changes of records {position} to "
            f"{entry.from_position}, which its views lack; rebuild the store from the log"
        )
