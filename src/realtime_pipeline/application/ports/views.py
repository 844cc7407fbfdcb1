"""Views: what every customer's events add up to, as the worker writes it."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

import attrs

from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.deltas import Deltas


@attrs.frozen
class SourceRange:
    """The records [from, to) of one partition, and how far its time had come at `to`."""

    partition: int
    epoch: int
    from_position: int
    to_position: int
    watermark: Watermark


@attrs.frozen
class Merge:
    """What ranges of one or more partitions add to one view cell."""

    view_cell: int
    ranges: tuple[SourceRange, ...]
    deltas: Deltas


class Views(ABC):
    """Shared, mergeable state, spread over view cells by product.

    A view cell keeps, for each source partition, the epoch, the position merged so far and the watermark. They
    change together with the deltas, so a merge can be repeated after any failure without counting anything twice.
    """

    @property
    @abstractmethod
    def view_cells(self) -> int:
        """How many view cells there are; fixed when the views are made."""

    @property
    @abstractmethod
    def merge_records_max(self) -> int:
        """Over about how many records' deltas a merge may go, so that none holds readers up for long."""

    @property
    @abstractmethod
    def linger_ms(self) -> int:
        """How long what is to be merged may be gathered; 0 where a merge is cheap, or a part of the commit."""

    @abstractmethod
    def epoch(self, partition: int) -> int:
        """The largest epoch any view cell has from a partition; 0 for none."""

    @abstractmethod
    def claim(self, partition: int, epoch: int) -> tuple[int, ...]:
        """Write a new epoch to every view cell, then read each one's position for the partition.

        Raises:
            Fenced: some view cell has this epoch or a larger one already.
        """

    @abstractmethod
    def positions(self, partitions: Collection[int]) -> Mapping[int, tuple[int, ...]]:
        """Read, for each partition, the position of each view cell."""

    @abstractmethod
    def merge(self, merges: Sequence[Merge], now_ms: int = END_OF_TIME) -> None:
        """Add deltas to view cells, and move their positions and watermarks on; at most one merge a view cell.

        Each merge stands for itself. Activity of hours that are too old by the newest event times merged, and by
        `now_ms`, the clock of who merges, is deleted. A fact of a product with a time of `AHEAD_MAX_MS` later than that
        clock, or more, gives way to a fact of any other time.

        Raises:
            Fenced: some range has an epoch that is not the view cell's, which was not changed.
            PositionMismatch: some range does not begin where the view cell stands, which was not changed. Carries the
                positions of all the merge's partitions.
            Unreachable: what was written is not known.
        """

    @abstractmethod
    def erase(self) -> None:
        """Delete all that was ever merged, and how far."""
