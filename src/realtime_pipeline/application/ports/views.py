"""Views: what every customer's events add up to."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs

from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.recommendation.trending import TrendingProduct, TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.product_stats import ProductState, ProductStats


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


@attrs.frozen
class RatedProduct:
    """A product, the Bayesian average of its ratings, and how many there are."""

    product_id: ProductId
    average: float
    ratings: int


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

    @abstractmethod
    def watermarks(self) -> Mapping[int, Watermark]:
        """How far each source partition's time has come, as all view cells know."""

    @abstractmethod
    def sessions_of(self, product_ids: Collection[ProductId], limit: int) -> dict[ProductId, dict[SessionKey, int]]:
        """List, for each product, the sessions that touched it and when, newest first, at most `limit`.

        How many are kept is a setting of the store; entries may lead to sessions that are gone.
        """

    @abstractmethod
    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, ProductState]:
        """Read products; those never seen are left out."""

    @abstractmethod
    def tallies(self, product_ids: Collection[ProductId]) -> dict[ProductId, ProductStats]:
        """Read only the numbers of products; those never seen are left out."""

    @abstractmethod
    def interactions_of(self, product_ids: Collection[ProductId]) -> dict[ProductId, int]:
        """How many views, carts and purchases products had; those never seen are left out."""

    @abstractmethod
    def interactions(self) -> int:
        """How many views, carts and purchases there were, of all products."""

    @abstractmethod
    def sums(self, projection: str, product_ids: Collection[ProductId]) -> dict[ProductId, dict[str, int]]:
        """Read what a `SumProjection` has of products, by the name of what is measured; sums never added to are left
        out, and so are products without any."""

    @abstractmethod
    def trending(
        self,
        settings: TrendingSettings,
        category: str | None,
        limit: int,
        country: str | None = None,
        max_staleness_ms: int = 0,
        now_ms: int = END_OF_TIME,
    ) -> Sequence[TrendingProduct]:
        """Rank products as `domain.recommendation.trending` does, of one category or of all.

        With `country`, by what is known to have been done there. Time is `shop_time_ms` of what was merged, by the
        reader's clock `now_ms`. A product's category is the one said last. What is ranked may be as it was
        `max_staleness_ms` ago, where that is cheaper.
        """

    @abstractmethod
    def top_rated(self, prior_ratings: float, limit: int) -> Sequence[RatedProduct]:
        """Rank products that have ratings by Bayesian average, the mean of all ratings being the prior."""

    @abstractmethod
    def scan(self) -> Iterator[tuple[ProductId, ProductState]]:
        """Read every product, in no particular order."""
