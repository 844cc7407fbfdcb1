"""Ownership: the partitions assigned to a worker, and the cells it has claimed of them."""

from collections import deque
from collections.abc import Collection, Mapping

from realtime_pipeline.application.errors import RecoverableError
from realtime_pipeline.application.ports.event_log import EventLog, RebalanceListener
from realtime_pipeline.application.processing.claim_cells import ClaimCells
from realtime_pipeline.application.processing.owned_cell import OutboxEntryRef, OwnedCell
from realtime_pipeline.application.processing.relay_schedule import RelaySchedule


class Ownership(RebalanceListener):
    """Claims the cells of partitions when they are assigned, and again whenever memory may be ahead of the store.

    `cells` are those claimed; a partition that is assigned and not among them is claimed before the next round. What is
    in memory (`OwnedCell.customers`, buffered entries) is valid only from a claim to the first failure.
    """

    def __init__(self, log: EventLog, claim_cells: ClaimCells, schedule: RelaySchedule) -> None:
        self._log = log
        self._claim_cells = claim_cells
        self._schedule = schedule
        self._outboxes: dict[int, deque[OutboxEntryRef]] = {}
        self._memory_is_valid = True
        self.assigned: set[int] = set()
        self.cells: dict[int, OwnedCell] = {}

    def on_assigned(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Claim the cells of partitions; return the position to read each from, of none where a claim fails now."""
        self.assigned |= set(partitions)
        for partition in partitions:
            self.cells.pop(partition, None)
        try:
            return self._claim(partitions)
        except RecoverableError:
            return {}  # the next round claims what is assigned and not claimed

    def on_revoked(self, partitions: Collection[int]) -> None:
        """Drop all memory of partitions."""
        self.assigned -= set(partitions)
        for partition in partitions:
            self.cells.pop(partition, None)
            self._outboxes.pop(partition, None)

    @property
    def must_claim(self) -> bool:
        """Whether a partition that is assigned is not claimed, or a failure has left memory ahead of the store."""
        return not self._memory_is_valid or self.assigned != self.cells.keys()

    def claim_again(self) -> None:
        """Claim the cells of all partitions assigned, and read on from their positions.

        Raises:
            UnrecoverableState, RecoverableError: as `ClaimCells`.
        """
        self._log.seek(self._claim(sorted(self.assigned)))
        self._log.resume(self.assigned)

    def begin_round(self) -> None:
        """Count memory as ahead of the store, until the round has ended well."""
        self._memory_is_valid = False

    def end_round(self) -> None:
        """Trust memory again: all that was read is committed."""
        self._memory_is_valid = True

    def drop_memory(self) -> None:
        """Drop what is known of all cells, but for how old and how large their outboxes are."""
        self._outboxes.update((partition, cell.outbox) for partition, cell in self.cells.items())
        self.cells.clear()
        self._memory_is_valid = False

    def evict_customers_over(self, customers_max: int) -> None:
        """Evict the least recently used customers of each cell, its share of `customers_max` being exceeded."""
        for cell in self.cells.values():
            cell.evict_over(customers_max // len(self.cells))

    @property
    def outbox_bytes(self) -> int:
        """The bytes of the store that the outboxes of all cells take."""
        return sum(cell.outbox_bytes for cell in self.cells.values())

    def _claim(self, partitions: Collection[int]) -> dict[int, int]:
        claimed = self._claim_cells(partitions)
        for partition, cell in claimed.items():  # what lay in the outbox before is still there, as old and as large
            before = self._outboxes.get(partition, ())
            cell.restore([ref for ref in before if ref.to_position <= cell.position])
        self._schedule.verify_and_trim(claimed)  # a store that is full may accept nothing before its outbox is trimmed
        self._claim_cells.catch_up(claimed)
        for partition in claimed:
            self._outboxes.pop(partition, None)
        self.cells.update(claimed)
        return {partition: cell.start_position for partition, cell in claimed.items()}
