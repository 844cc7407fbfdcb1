"""ClaimCells: fence earlier owners of partitions off, then read the positions to go on from."""

from collections.abc import Collection, Mapping
from functools import partial
from itertools import islice
from typing import Final

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.snapshots import Snapshots
from realtime_pipeline.application.processing.outbox_relay import OutboxRelay
from realtime_pipeline.application.processing.output_positions import RESTORE, recover_position
from realtime_pipeline.application.processing.owned_cell import OutboxEntryRef, OwnedCell

EXPIRED_ENTRIES_MAX: Final = 1_000
"""How many outbox entries of a partition a claim looks at; later claims or trims remove the others."""


class ClaimCells:
    """Fences earlier owners off, and only then reads the positions of cells, view cells and outputs.

    The new epoch is larger than any found in the cell, its view cells and its outputs, and is written to all of them
    first. `catch_up` then relays the outbox entries that view cells or outputs lack.
    """

    def __init__(
        self, log: EventLog, relay: OutboxRelay, snapshots: Snapshots, clock: Clock, outbox_retention_ms: int
    ) -> None:
        self._log = log
        self._relay = relay
        self._snapshots = snapshots
        self._clock = clock
        self._outbox_retention_ms = outbox_retention_ms

    def __call__(self, partitions: Collection[int]) -> dict[int, OwnedCell]:
        """Claim the cells of partitions; `catch_up` must follow before anything is folded.

        Raises:
            UnrecoverableState: a cell is missing, while views or outputs have a position of it.
            Fenced: another worker claims a cell at the same time.
            Unreachable: a store or the log does not answer.
        """
        return {partition: self._claim(partition) for partition in partitions}

    def catch_up(self, owned: Mapping[int, OwnedCell]) -> None:
        """Verify that the log has the positions of claimed cells, and relay what their views and outputs lack.

        Raises:
            UnrecoverableState: going on would lose or double records; the message names the range and the way out.
            Fenced, PositionMismatch, Unreachable: as `Views.merge` and `Outputs.emit`.
        """
        bounds = self._log.bounds(owned.keys())  # after the claims: until then an earlier owner may still commit
        for partition, cell in owned.items():
            first, end = bounds[partition]
            if cell.is_new:
                cell.start_position = first  # the log is older than the store, and was shortened: begin where it begins
            else:
                self._check_log(cell, first, end)
        for cell in owned.values():  # only now: nothing may be appended to another log
            self._catch_up(cell)

    def _claim(self, partition: int) -> OwnedCell:
        """Claim one cell. Outputs come first: where a consumer group assigns partitions, they refuse a non-owner."""
        cells, views, outputs = self._relay.cells, self._relay.views, self._relay.outputs
        with cells.transaction():
            found = cells.epoch(partition)
            if not found:
                self._check_missing(partition)
            epoch = 1 + max(found, views.epoch(partition), outputs.epoch(partition))
            output_position = outputs.claim(partition, epoch, partial(recover_position, self._relay, partition))
            claimed = cells.claim(partition, epoch)
            view_positions = views.claim(partition, epoch)
        cell = OwnedCell(
            partition,
            epoch,
            claimed.position,
            claimed.number,
            claimed.watermark,
            list(view_positions),
            output_position,
            start_position=claimed.position,
        )
        self._track_expired(cell)
        return cell

    def _track_expired(self, cell: OwnedCell) -> None:
        """Track outbox entries that had expired before the claim: a worker that runs now and then, and ends before its
        own entries expire, would trim none otherwise."""
        now_ms, to_position = self._clock.now_ms(), 0
        for entry in islice(self._relay.cells.outbox(cell.partition, 0), EXPIRED_ENTRIES_MAX):
            if 0 <= now_ms - entry.at_ms < self._outbox_retention_ms:
                break
            to_position = entry.to_position
        if to_position:
            cell.track(OutboxEntryRef(to_position, now_ms - self._outbox_retention_ms, 0))

    def _check_missing(self, partition: int) -> None:
        """Stop where a cell is missing while views or outputs have a position; leave it so, to stop the next owner."""
        views, outputs = self._relay.views.positions([partition]), self._relay.outputs.positions([partition])
        furthest = max(*views[partition], outputs[partition])
        if furthest > 0:
            raise UnrecoverableState(
                f"partition {partition}: its cell is missing, while its views or outputs have records up to "
                f"{furthest}; bring the store back, rebuild it from the log, or give a new store a new group"
            )

    def _catch_up(self, cell: OwnedCell) -> None:
        """Relay the outbox entries that view cells or outputs lack."""
        oldest = min(*cell.view_positions, cell.output_position)
        for entry in self._relay.cells.outbox(cell.partition, min(oldest, cell.position)):
            cell.unmerged.append(entry)
            self._relay.merge({cell.partition: cell}, self._clock.now_ms())
            self._relay.buffer(cell, entry)
        self._relay.emit([cell])
        cell.track(OutboxEntryRef(cell.position, self._clock.now_ms(), 0))
        self._check_gap(cell, "views", min(cell.view_positions), "")
        self._check_gap(cell, "outputs", cell.output_position, f", or leave these outputs out: {RESTORE} skip")

    def _check_gap(self, cell: OwnedCell, follower: str, behind: int, way_out: str) -> None:
        """Stop where views or outputs lack entries that the outbox no longer has."""
        if behind < cell.position:
            self._relay.check_owner(cell)
            raise UnrecoverableState(
                f"partition {cell.partition}: the {follower} are at position {behind}, their cell is at "
                f"{cell.position}, and no outbox entry covers the gap; rebuild the store from the log{way_out}"
            )

    def _check_log(self, cell: OwnedCell, first: int, end: int) -> None:
        """Stop where the positions of a cell, its views or its outputs are outside of the log."""
        ahead = max(cell.position, *cell.view_positions, cell.output_position)
        if cell.position < first:
            noted = self._relay.cells.read_notes(cell.partition)
            if noted.empty_from <= cell.position and first <= noted.empty_to:
                cell.start_position = first  # only marks of transactions are gone from the log
        if not (first <= cell.start_position and ahead <= end):
            self._relay.check_owner(cell)
            has_beginning = first <= self._snapshots.positions().get(cell.partition, 0)
            can_rebuild = has_beginning and cell.output_position <= end  # emitted outputs are not retracted
            raise UnrecoverableState(
                f"partition {cell.partition}: the store is at positions {cell.position} to {ahead}, but the log holds "
                f"positions {first} to {end}: it is another log, or a trimmed log; restore the right log"
                f"{', rebuild the store' if can_rebuild else ''} or build another store in a new namespace and group"
            )
