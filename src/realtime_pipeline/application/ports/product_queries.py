"""What readers ask of view cells: products, lists of sessions, rankings."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs

from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.recommendation.trending import TrendingProduct, TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.watermark import Watermark
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
    def interactions_of(self, product_ids: Collection[ProductId]) -> dict[ProductId, int]:
        """How many views, carts and purchases products had; those never seen are left out."""

    @abstractmethod
    def interactions(self) -> int:
        """How many views, carts and purchases there were, of all products."""

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
