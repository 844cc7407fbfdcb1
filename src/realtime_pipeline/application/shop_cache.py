"""ShopCache: what is the same for everybody, read once for many requests."""

from collections.abc import Collection, Mapping, Sequence
from threading import Lock
from typing import NamedTuple

import attrs

from realtime_pipeline.application.ports.catalogue import Catalogue
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.domain.recommendation.trending import Popular, TrendingRules
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product, Tally

TRENDING_MAX = 200
TRENDING_LISTS_MAX = 1_000
PRODUCTS_MAX = 200_000


class _Place(NamedTuple):
    """Where something is trending, and by which rules."""

    rules: TrendingRules
    category: str | None
    country: str | None


@attrs.define
class _Observed:
    """What events say of products, since when it is read."""

    since_ms: int
    interactions: dict[ProductId, int] = attrs.Factory(dict)
    tallies: dict[ProductId, Tally] = attrs.Factory(dict)
    products: dict[ProductId, Product] = attrs.Factory(dict)


class ShopCache:
    """Reads views and catalogue; what views say may be as old as the settings allow, the catalogue is always asked.

    What events say of products completes what the catalogue says.
    """

    def __init__(
        self, views: Views, catalogue: Catalogue, clock: Clock, trending_refresh_ms: int, products_refresh_ms: int
    ) -> None:
        self._views = views
        self._catalogue = catalogue
        self._clock = clock
        self._trending_refresh_ms = trending_refresh_ms
        self._products_refresh_ms = products_refresh_ms
        self._total = (0, 0)
        self._one_reads = Lock()
        self._trending: dict[_Place, tuple[int, Sequence[Popular]]] = {}
        self._observed = _Observed(0)

    def interactions(self) -> int:
        """All interactions of the shop."""
        read_ms, total = self._total
        if not total or not self._is_fresh(read_ms, self._trending_refresh_ms):
            total = self._views.interactions()
            self._total = (self._clock.now_ms(), total)
        return total

    def interactions_of(self, product_ids: Collection[ProductId]) -> Mapping[ProductId, int]:
        """How many views, carts and purchases products had, and perhaps others; those never seen are left out."""
        known = self._current().interactions
        lacking = [product_id for product_id in product_ids if product_id not in known]
        if lacking:
            known.update(self._views.interactions_of(lacking))
        return known

    def tallies(self, product_ids: Collection[ProductId]) -> Mapping[ProductId, Tally]:
        """The numbers of products, and perhaps of others; those never seen are left out."""
        return self._read(product_ids).tallies

    def products(self, product_ids: Collection[ProductId]) -> Mapping[ProductId, Product]:
        """Describe products, and perhaps others; those of which nobody has said anything are left out."""
        observed = self._read(product_ids).products
        given = self._catalogue.products(product_ids)
        if not given:
            return observed
        described = {product_id: observed[product_id] for product_id in product_ids if product_id in observed}
        for product_id, product in given.items():
            other = described.get(product_id)
            described[product_id] = product if other is None else product.completed_by(other)
        return described

    def of_category(self, category: str | None) -> Sequence[ProductId]:
        """List the products of a category, or all, as far as the catalogue can."""
        return self._catalogue.of_category(category)

    def trending(
        self, rules: TrendingRules, category: str | None = None, country: str | None = None
    ) -> Sequence[Popular]:
        """What is trending, in a category, in a country or anywhere.

        When it is too old, the first who asks reads it anew; who asks meanwhile gets what was read before.
        """
        place = _Place(rules, category, country)
        read = self._trending.get(place)
        if read is not None and self._is_fresh(read[0], self._trending_refresh_ms):
            return read[1]
        if self._one_reads.acquire(blocking=read is None):
            try:
                return self._read_trending(place)
            finally:
                self._one_reads.release()
        return () if read is None else read[1]

    def _read_trending(self, place: _Place) -> Sequence[Popular]:
        read = self._trending.get(place)
        if read is None or not self._is_fresh(read[0], self._trending_refresh_ms):
            if len(self._trending) >= TRENDING_LISTS_MAX:
                self._trending.clear()
            popular = self._views.trending(place.rules, place.category, TRENDING_MAX, place.country)
            read = self._trending[place] = (self._clock.now_ms(), popular)
        return read[1]

    def _read(self, product_ids: Collection[ProductId]) -> _Observed:
        """Know what events say of products: names, prices and numbers by one read."""
        known = self._current()
        lacking = [product_id for product_id in product_ids if product_id not in known.tallies]
        if lacking:
            for product_id, state in self._views.products(lacking).items():
                known.products[product_id] = state.described(product_id)
                known.tallies[product_id] = Tally(state.interactions, state.ratings, state.rating_sum)
        return known

    def _current(self) -> _Observed:
        """What is known, all of it let go of together: to look at each product's age would cost what reading does."""
        known = self._observed
        if not self._is_fresh(known.since_ms, self._products_refresh_ms) or (
            max(len(known.interactions), len(known.tallies)) >= PRODUCTS_MAX
        ):
            known = self._observed = _Observed(self._clock.now_ms())
        return known

    def _is_fresh(self, read_ms: int, refresh_ms: int) -> bool:
        return 0 <= self._clock.now_ms() - read_ms < refresh_ms
