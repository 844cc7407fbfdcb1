"""ProductQueries: the readers' side of view cells: products, their sessions, rankings."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs

from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.recommendation.trending import TrendingProduct, TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.listings import Listing
from realtime_pipeline.domain.views.product_stats import ProductState


@attrs.frozen
class RatedProduct:
    """A product, the Bayesian average of its ratings, and how many there are."""

    product_id: ProductId
    average: float
    ratings: int


class ProductQueries(ABC):
    """Reads what all customers' events add up to. Open to any number of processes; none of them can change a view cell.

    Readers may see a merge of several view cells half done, never one of a single view cell. Methods are called for
    every request, from any thread; they may block for a round trip to the store. Each may raise `Unreachable`.
    """

    @abstractmethod
    def positions(self, partitions: Collection[int]) -> Mapping[int, tuple[int, ...]]:
        """Read, for each partition, the position of each view cell."""

    @abstractmethod
    def watermarks(self) -> Mapping[int, Watermark]:
        """The watermark of each source partition, up to which all view cells have merged."""

    @abstractmethod
    def sessions_of(self, product_ids: Collection[ProductId], limit: int) -> dict[ProductId, dict[SessionKey, int]]:
        """List, for each product, at most `limit` sessions that touched it and when, the newest first.

        The store keeps the newest `listed_sessions_max`; some may be of sessions that are deleted.
        """

    @abstractmethod
    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, ProductState]:
        """Read products; unknown products are left out."""

    @abstractmethod
    def listings(self, product_ids: Collection[ProductId]) -> dict[ProductId, Listing]:
        """Read what the catalogue states of products; products of which it states nothing are left out."""

    @abstractmethod
    def listed(self, limit: int, start: float) -> Sequence[ProductId]:
        """List at most `limit` products that the catalogue lists, of those that it has removed none.

        Args:
            limit: how many products at most.
            start: from 0 to 1, where to begin among all of them, so that other calls get others.
        """

    @abstractmethod
    def interactions_of(self, product_ids: Collection[ProductId]) -> dict[ProductId, int]:
        """The number of views, carts and purchases of products; unknown products are left out."""

    @abstractmethod
    def interactions(self) -> int:
        """The number of views, carts and purchases of all products."""

    @abstractmethod
    def sums(self, projection: str, product_ids: Collection[ProductId]) -> dict[ProductId, dict[str, int]]:
        """Read the sums of a `SumProjection` by product and measure; products and measures without any are left out."""

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

        With `country`, by the events known to be of that country. Time is `shop_time_ms` of what was merged, by the
        reader's clock `now_ms`. A product's category is that of the last write. The ranking may be `max_staleness_ms`
        old, where that is cheaper.
        """

    @abstractmethod
    def top_rated(self, prior_ratings: float, limit: int) -> Sequence[RatedProduct]:
        """Rank products that have ratings by Bayesian average, the mean of all ratings being the prior."""

    @abstractmethod
    def scan(self) -> Iterator[tuple[ProductId, ProductState]]:
        """Read every product, in no particular order."""
