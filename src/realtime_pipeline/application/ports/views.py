"""Views: the owner's side of view cells, into which the deltas of all customers are merged."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

import attrs

from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.deltas import Deltas


@attrs.frozen
class SourceRange:
    """The records [from, to) of one partition, with its watermark at `to`."""

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
    """Shared state that merges commutatively, spread over view cells by product.

    A view cell stores, for each source partition, the epoch, the position merged so far and the watermark. They change
    together with the deltas, so that a merge can be repeated after any failure without counting anything twice.

    Only workers use it, each for its own partitions, from one thread: `claim` when a partition is assigned and after
    every failure, `merge` at most every `linger_ms` under load, `positions` once a second. All block until the store
    has replied; each may raise `Unreachable`. Readers use `ProductQueries`.
    """

    @property
    @abstractmethod
    def view_cells(self) -> int:
        """The number of view cells; fixed when the store is made."""

    @property
    @abstractmethod
    def merge_records_max(self) -> int:
        """About how many records' deltas a merge may have, so that no merge delays readers for long."""

    @property
    @abstractmethod
    def linger_ms(self) -> int:
        """For how long entries may be buffered; 0 where a merge is cheap, or part of the commit."""

    @abstractmethod
    def epoch(self, partition: int) -> int:
        """The largest epoch that any view cell has of a partition; 0 where there is none."""

    @abstractmethod
    def claim(self, partition: int, epoch: int) -> tuple[int, ...]:
        """Write a new epoch to every view cell, then read the position of each for the partition.

        Raises:
            Fenced: some view cell has this epoch or a larger one already.
        """

    @abstractmethod
    def positions(self, partitions: Collection[int]) -> Mapping[int, tuple[int, ...]]:
        """Read, for each partition, the position of each view cell."""

    @abstractmethod
    def merge(self, merges: Sequence[Merge], now_ms: int = END_OF_TIME) -> None:
        """Add deltas to view cells, and advance their positions and watermarks; at most one merge for each view cell.

        Each merge is atomic by itself. It deletes activity of hours that are out of the retention, by the newest event
        times merged and by `now_ms`, the worker's clock. A product's fact whose time is `FUTURE_SKEW_MAX_MS` or more
        ahead of that clock loses to a fact of any other time. It counts the units sold since a product's stock was set
        (`merge_listing`), and deletes sales that no stock level can be older than (`first_needed_ms`).

        Raises:
            Fenced: a range has another epoch than the view cell, which was not changed.
            PositionMismatch: a range does not begin at the position of the view cell, which was not changed. Carries
                the positions of all partitions of the merge.
            Unreachable: it is not known what was written.
        """

    @abstractmethod
    def erase(self) -> None:
        """Delete everything that was merged, with all positions."""
