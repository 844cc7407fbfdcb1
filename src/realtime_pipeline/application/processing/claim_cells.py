"""ClaimCells: take partitions over from whoever had them, exactly where they stand."""

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
"""How many entries of a partition are looked at when it is claimed; the others go with the next claim, or in time."""


class ClaimCells:
    """Makes every write of earlier owners impossible, and only then reads where cells and readers stand.

    The new epoch is larger than any found in the cell, its view cells and its outputs, and is written to all of
    them first. Readers that are behind are then served from the entries the cell has kept.
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
        """Claim the cells of partitions; they are to be served before anything is folded.

        Raises:
            UnrecoverableState: a cell is missing that others know of.
            Fenced: somebody else claims a cell at the same time, or owns it meanwhile.
            Unreachable: a store or the log does not answer.
        """
        return {partition: self._claim(partition) for partition in partitions}

    def catch_up(self, owned: Mapping[int, OwnedCell]) -> None:
        """Bring the readers of cells that were claimed along to where these stand, and see that all is in the log.

        Raises:
            UnrecoverableState: going on would lose or double something; the message names the range and the way out.
            Fenced, PositionMismatch, Unreachable: as `Views.merge` and `Outputs.emit`.
        """
        bounds = self._log.bounds(owned.keys())  # after the claims: until then an earlier owner may still commit
        for partition, cell in owned.items():
            first, end = bounds[partition]
            if cell.is_new:
                cell.start_position = first  # of a log that is older than the store, and shortened: begin where it does
            else:
                self._check_log(cell, first, end)
        for cell in owned.values():  # only now: into another log nothing may be put
            self._catch_up(cell)

    def _claim(self, partition: int) -> OwnedCell:
        """Claim one cell. The outputs come first: where a group says who owns what, they refuse who does not."""
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
        """Note entries that were old enough to go when the cell was claimed: a worker that is started now and then, and
        ends before its own are, would never let go of any."""
        now_ms, to_position = self._clock.now_ms(), 0
        for entry in islice(self._relay.cells.outbox(cell.partition, 0), EXPIRED_ENTRIES_MAX):
            if 0 <= now_ms - entry.at_ms < self._outbox_retention_ms:
                break
            to_position = entry.to_position
        if to_position:
            cell.track(OutboxEntryRef(to_position, now_ms - self._outbox_retention_ms, 0))

    def _check_missing(self, partition: int) -> None:
        """Stop where a cell is missing that others know of, and leave it missing: whoever comes next must stop too."""
        views, outputs = self._relay.views.positions([partition]), self._relay.outputs.positions([partition])
        furthest = max(*views[partition], outputs[partition])
        if furthest > 0:
            raise UnrecoverableState(
                f"partition {partition}: its cell is missing, while its views or outputs have records up to "
                f"{furthest}; bring the store back, rebuild it from the log, or give a new store a new group"
            )

    def _catch_up(self, cell: OwnedCell) -> None:
        """Bring readers that are behind along by the entries the cell has kept."""
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
        """Stop where readers lack what the store no longer has."""
        if behind < cell.position:
            self._relay.check_owner(cell)
            raise UnrecoverableState(
                f"partition {cell.partition}: the {follower} stand at {behind}, their cell at {cell.position}, and "
                f"nothing kept covers the gap; rebuild the store from the log{way_out}"
            )

    def _check_log(self, cell: OwnedCell, first: int, end: int) -> None:
        """Stop where a cell and its readers are not within the log."""
        ahead = max(cell.position, *cell.view_positions, cell.output_position)
        if cell.position < first:
            noted = self._relay.cells.read_notes(cell.partition)
            if noted.empty_from <= cell.position and first <= noted.empty_to:
                cell.start_position = first  # what is gone from the log were marks of transactions
        if not (first <= cell.start_position and ahead <= end):
            self._relay.check_owner(cell)
            has_beginning = first <= self._snapshots.positions().get(cell.partition, 0)
            can_rebuild = has_beginning and cell.output_position <= end  # what was put out is not taken back
            raise UnrecoverableState(
                f"partition {cell.partition}: the store stands at {cell.position} to {ahead}, the log holds {first} to "
                f"{end}; this is another log or a shortened one: bring back the right log"
                f"{', rebuild the store' if can_rebuild else ''} or build another, in a new namespace and group"
            )
