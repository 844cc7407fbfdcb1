"""Queries of the views in memory."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs

from realtime_pipeline.application.ports.product_queries import ProductQueries, RatedProduct
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.recommendation.trending import TrendingProduct, TrendingSettings, latest_hour, trending
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.watermark import Watermark, shop_time_ms
from realtime_pipeline.domain.views.activity import HOUR_MS, Activity
from realtime_pipeline.domain.views.deltas import Deltas, view_cell_of
from realtime_pipeline.domain.views.listings import Listing
from realtime_pipeline.domain.views.product_stats import ProductState, bayesian_average
from realtime_pipeline.infrastructure.memory.views import MemoryViews, ViewCell


class MemoryProductQueries(ProductQueries):
    """Reads the dictionaries of `MemoryViews`. It copies before it iterates: another thread may merge meanwhile."""

    def __init__(self, views: MemoryViews) -> None:
        self._views = views

    def positions(self, partitions: Collection[int]) -> Mapping[int, tuple[int, ...]]:
        """Read the position of each view cell in each partition."""
        return self._views.positions(partitions)

    def watermarks(self) -> Mapping[int, Watermark]:
        """Read the watermark of each source partition."""
        return {partition: source.watermark for partition, source in self._views.cells[0].sources.items()}

    def sessions_of(self, product_ids: Collection[ProductId], limit: int) -> dict[ProductId, dict[SessionKey, int]]:
        """List the sessions that touched each product, newest first."""
        found = {}
        for product_id in product_ids:
            listed = self._cell_of(product_id).lists.get(product_id, {})
            newest = sorted(((at_ms, key) for key, at_ms in list(listed.items())), reverse=True)[:limit]
            found[product_id] = {key: at_ms for at_ms, key in newest}
        return found

    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, ProductState]:
        """Read products."""
        states = ((product_id, self._cell_of(product_id).state.products.get(product_id)) for product_id in product_ids)
        return {product_id: attrs.evolve(state) for product_id, state in states if state is not None}

    def listings(self, product_ids: Collection[ProductId]) -> dict[ProductId, Listing]:
        """Read what the catalogue states of products."""
        found = ((product_id, self._cell_of(product_id).listings.get(product_id)) for product_id in product_ids)
        return {id_: Listing(dict(listing.facts), listing.sold) for id_, listing in found if listing is not None}

    def listed(self, limit: int, start: float) -> Sequence[ProductId]:
        """List some products of the catalogue."""
        listings = [entry for cell in self._views.cells for entry in list(cell.listings.items())]
        begin = int(start * len(listings))
        turned = [*listings[begin:], *listings[:begin]]
        return [product_id for product_id, listing in turned if not listing.is_removed][:limit]

    def interactions_of(self, product_ids: Collection[ProductId]) -> dict[ProductId, int]:
        """Count the views, carts and purchases of products."""
        return {product_id: state.interactions for product_id, state in self.products(product_ids).items()}

    def interactions(self) -> int:
        """Count all views, carts and purchases."""
        return sum(state.interactions for _, state in self.scan())

    def sums(self, projection: str, product_ids: Collection[ProductId]) -> dict[ProductId, dict[str, int]]:
        """Read the sums of products."""
        found = ((id_, self._cell_of(id_).sums.get(projection, {}).get(id_)) for id_ in product_ids)
        return {product_id: dict(sums) for product_id, sums in found if sums is not None}

    def trending(
        self,
        settings: TrendingSettings,
        category: str | None,
        limit: int,
        country: str | None = None,
        max_staleness_ms: int = 0,
        now_ms: int = END_OF_TIME,
    ) -> Sequence[TrendingProduct]:
        """Rank products by their recent actions."""
        activity = {}
        for cell in self._views.cells:
            for (hour, product_id), counted in _activity(cell.state, country):
                fact = cell.state.products[product_id].category
                if category is None or (fact is not None and fact[0] == category):
                    activity[hour, product_id] = counted
        newest_ms = shop_time_ms(self.watermarks().values(), now_ms)
        return trending(activity, newest_ms // HOUR_MS, latest_hour(now_ms), settings)[:limit]

    def top_rated(self, prior_ratings: float, limit: int) -> Sequence[RatedProduct]:
        """Rank products by the Bayesian average of their ratings."""
        rated = [(product_id, state) for product_id, state in self.scan() if state.ratings]
        total = sum(state.ratings for _, state in rated)
        mean = sum(state.rating_sum for _, state in rated) / total if total else 0.0
        averages = [
            RatedProduct(id_, bayesian_average(state.ratings, state.rating_sum, mean, prior_ratings), state.ratings)
            for id_, state in rated
        ]
        return sorted(averages, key=lambda product: (-product.average, product.product_id))[:limit]

    def scan(self) -> Iterator[tuple[ProductId, ProductState]]:
        """Read every product."""
        for cell in self._views.cells:
            for product_id, state in list(cell.state.products.items()):
                yield product_id, attrs.evolve(state)

    def _cell_of(self, product_id: ProductId) -> ViewCell:
        return self._views.cells[view_cell_of(product_id, self._views.view_cells)]


def _activity(state: Deltas, country: str | None) -> list[tuple[tuple[int, ProductId], Activity]]:
    """List the activity of each hour, of a country or of all."""
    if country is None:
        return list(state.activity.items())
    entries = list(state.by_country.items())
    return [
        ((hour, product_id), counted) for (hour, of_country, product_id), counted in entries if of_country == country
    ]
