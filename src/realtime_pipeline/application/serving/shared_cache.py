"""SharedCache: what all customers' requests share, read once for many of them."""

from collections.abc import Collection, Mapping, Sequence
from threading import Lock
from typing import Final, NamedTuple

import attrs

from realtime_pipeline.application.ports.catalogue import Catalogue
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.product_queries import ProductQueries, RatedProduct
from realtime_pipeline.application.serving.ttl_cache import TtlCache
from realtime_pipeline.domain.limits import at_least
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.recommendation.neighbours import inverse_document_frequency
from realtime_pipeline.domain.recommendation.trending import TrendingProduct, TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.streams.watermark import shop_time_ms
from realtime_pipeline.domain.views.product_stats import ProductStats

LIST_DEPTHS: Final = (200, 1_000, 5_000)
"""The lengths of cached lists of trending and top rated products; a longer list is read if filters leave too few."""
TRENDING_MAX: Final = 200_000
"""How many trending products are cached at most, over all segments."""
PRODUCTS_MAX = 100_000
"""How many products are cached at most."""
LISTS_MAX = 2_000
"""How many lists of sessions are cached at most."""
LIST_LENGTH_MAX = 500
"""How many sessions a cached list has at most; 200 take 23 KB."""
SAMPLED_MAX: Final = 500
"""How many products of the catalogue in the store exploration draws from at a time."""
GOLDEN_RATIO: Final = 0.6180339887498949
"""Multiples of it are spread evenly over 0 to 1, so that samples begin at other products each time."""
NO_STATS: Final = ProductStats(0)
STALE_FACTOR_MAX = 10
"""How many times `trending_ms` a stale list may be old while another thread refreshes it."""

Listed = dict[SessionKey, int]
"""The sessions that touched a product, with the time in ms, the newest first."""


@attrs.frozen
class CacheSettings:
    """The time to live of cached values, in ms of the process's clock; 0 caches nothing.

    `trending_ms` is for trending lists (with the store's own cache they may be twice as old) and top rated products;
    `products_ms` for what events say of products: names, prices, counts, inverse document frequency; `lists_ms` for the
    sessions of a product, if there are as many as the recommender reads. Shorter lists, customers and sessions are
    never cached.
    """

    trending_ms: int = 5_000
    products_ms: int = 30_000
    lists_ms: int = 5_000

    def __attrs_post_init__(self) -> None:
        at_least(0, self)


def _is_full(key: tuple[ProductId, int], listed: Listed) -> bool:
    """Whether a list has as many sessions as the recommender reads: then another session changes little."""
    return key[1] <= len(listed) <= LIST_LENGTH_MAX


class Segment(NamedTuple):
    """Which trending list it is: its settings, category and country (None: all), and its length at most."""

    settings: TrendingSettings
    category: str | None
    country: str | None
    depth: int


class SharedCache:
    """Reads products and lists from the store, through caches with a time to live; safe to call from any thread.

    A shop's own catalogue (the port) is not cached. What it lacks is taken from the catalogue in the store, then from
    what events say.
    """

    def __init__(self, products: ProductQueries, catalogue: Catalogue, clock: Clock, settings: CacheSettings) -> None:
        self._products = products
        self._catalogue = catalogue
        self._clock = clock
        self._settings = settings
        self._total = (0, 0)
        self._sample: tuple[int, dict[str | None, list[ProductId]]] = (0, {})
        self._shop_time = (0, 0)
        self._refresh_lock, self._rating_lock = Lock(), Lock()
        self._top_rated: dict[int, tuple[int, float, Sequence[RatedProduct]]] = {}
        self._trending: dict[Segment, tuple[int, Sequence[TrendingProduct]]] = {}
        self._interactions = TtlCache[ProductId, int](clock, settings.products_ms, PRODUCTS_MAX)
        self._idf = TtlCache[ProductId, float](clock, settings.products_ms, PRODUCTS_MAX)
        self._facts = TtlCache[ProductId, tuple[Product, ProductStats]](clock, settings.products_ms, PRODUCTS_MAX)
        self._lists = TtlCache[tuple[ProductId, int], Listed](clock, settings.lists_ms, LISTS_MAX, _is_full)

    def interactions_of(self, product_ids: Collection[ProductId]) -> dict[ProductId, int]:
        """Read the views, carts and purchases of products, added up; products never seen are left out."""
        return self._interactions(product_ids, self._products.interactions_of)

    def idf_of(self, product_ids: Collection[ProductId]) -> dict[ProductId, float]:
        """Read the inverse document frequency of products; products never seen are left out."""
        return self._idf(product_ids, self._read_idf)

    def sessions_of(self, product_ids: Collection[ProductId], limit: int) -> dict[ProductId, Listed]:
        """Read, for each product, at most `limit` sessions that touched it, the newest first."""

        def read(missing: Sequence[tuple[ProductId, int]]) -> dict[tuple[ProductId, int], Listed]:
            lists = self._products.sessions_of([product_id for product_id, _ in missing], limit)
            return {(product_id, limit): listed for product_id, listed in lists.items()}

        lists = self._lists([(product_id, limit) for product_id in product_ids], read)
        return {product_id: listed for (product_id, _), listed in lists.items()}

    def product_stats(self, product_ids: Collection[ProductId]) -> dict[ProductId, ProductStats]:
        """Read the counts and ratings of products; products never seen are left out."""
        return {product_id: stats for product_id, (_, stats) in self._facts(product_ids, self._read_facts).items()}

    def prefetch(self, product_ids: Collection[ProductId]) -> None:
        """Read what events say of products in one round trip, for the calls that follow, if it may be cached.

        The catalogue is not asked: a call may be expensive, and fewer products need its descriptions.
        """
        if self._settings.products_ms:
            self._facts(product_ids, self._read_facts)

    def stored(self, product_ids: Collection[ProductId]) -> dict[ProductId, Product]:
        """Describe products by what the store has, without the shop's own catalogue; unknown products are left out."""
        return {product_id: product for product_id, (product, _) in self._facts(product_ids, self._read_facts).items()}

    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, Product]:
        """Describe products; a product without a description is left out.

        Raises:
            TypeError: the catalogue gives a price that is no `Amount`.
        """
        described = self.stored(product_ids)
        for product_id, product in self._catalogue.products(product_ids).items():
            if product.price is not None and not isinstance(product.price, int):
                raise TypeError(f"the price of {product_id} is {product.price!r}: 19.99 is written Amount(199_900)")
            observed = described.get(product_id)
            described[product_id] = product if observed is None else product.completed_by(observed)
        return described

    def of_category(self, category: str | None) -> Sequence[ProductId]:
        """List the products of a category, or all: of the shop's own catalogue, else some of the one in the store.

        Those are `SAMPLED_MAX` of all products listed there, other ones each time that the cached list expires.
        """
        return self._catalogue.of_category(category) or self._sampled().get(category, ())

    def _sampled(self) -> Mapping[str | None, Sequence[ProductId]]:
        read_ms, by_category = self._sample
        if not read_ms or not self._is_fresh(read_ms):
            start = (self._clock.now_ms() * GOLDEN_RATIO) % 1.0
            listed = self._products.listed(SAMPLED_MAX, start)
            by_category = {None: list(listed)} if listed else {}
            for product_id, product in self.stored(listed).items():
                if product.category is not None:
                    by_category.setdefault(product.category, []).append(product_id)
            self._sample = self._clock.now_ms(), by_category
        return by_category

    def trending(
        self,
        settings: TrendingSettings,
        category: str | None = None,
        country: str | None = None,
        limit: int = LIST_DEPTHS[0],
    ) -> Sequence[TrendingProduct]:
        """List at most `limit` products that are trending in a category, in a country or in the whole shop.

        When a cached list has expired, one thread takes the refresh lock and reads it again; the other threads get the
        stale list meanwhile, or wait if it is too stale (`STALE_FACTOR_MAX`). So a popular list that expires does not
        cause a stampede on the store. A list longer than `LIST_DEPTHS` is never cached.
        """
        if limit > LIST_DEPTHS[-1]:
            max_staleness_ms, now_ms = self._settings.trending_ms, self._clock.now_ms()
            return self._products.trending(settings, category, limit, country, max_staleness_ms, now_ms)
        for depth in LIST_DEPTHS:
            segment = Segment(settings, category, country, depth)
            if depth >= limit:
                return self._trending_in(segment)[:limit]
            read = self._trending.get(segment)
            if read is not None and self._is_fresh(read[0]) and len(read[1]) < depth:
                return read[1]  # the store has no more
        raise AssertionError("no depth is as large as the largest")

    def _trending_in(self, segment: Segment) -> Sequence[TrendingProduct]:
        read = self._trending.get(segment)
        if read is not None and self._is_fresh(read[0]):
            return read[1]
        is_usable = read is not None and self._is_fresh(read[0], STALE_FACTOR_MAX)
        if self._refresh_lock.acquire(blocking=not is_usable):
            try:
                return self._read_trending(segment)
            finally:
                self._refresh_lock.release()
        return () if read is None else read[1]

    def top_rated(self, prior_ratings: float, limit: int) -> Sequence[RatedProduct]:
        """List the products rated highest; a list longer than `LIST_DEPTHS` is never cached."""
        depth = next((depth for depth in LIST_DEPTHS if depth >= limit), None)
        if depth is None:
            return self._products.top_rated(prior_ratings, limit)
        with self._rating_lock:
            known = self._top_rated.get(depth)
            if known is None or known[1] != prior_ratings or not self._is_fresh(known[0]):
                rated = self._products.top_rated(prior_ratings, depth)
                known = self._top_rated[depth] = self._clock.now_ms(), prior_ratings, rated
        return known[2][:limit]

    def _read_trending(self, segment: Segment) -> Sequence[TrendingProduct]:
        read = self._trending.get(segment)
        if read is None or not self._is_fresh(read[0]):
            max_staleness_ms, now_ms = self._settings.trending_ms, self._clock.now_ms()
            products = self._products.trending(
                segment.settings, segment.category, segment.depth, segment.country, max_staleness_ms, now_ms
            )
            self._trending.pop(segment, None)
            while self._trending and sum(known.depth for known in self._trending) + segment.depth > TRENDING_MAX:
                self._trending.pop(next(iter(self._trending)))
            read = self._trending[segment] = (self._clock.now_ms(), products)
        return read[1]

    def now_ms(self) -> int:
        """Return the time of this process's clock in ms."""
        return self._clock.now_ms()

    def shop_time_ms(self) -> int:
        """Return the shop's watermark in ms, at most the clock's time; cached for `trending_ms`."""
        read_ms, time_ms = self._shop_time
        if not read_ms or not self._is_fresh(read_ms):
            now_ms = self._clock.now_ms()
            time_ms = shop_time_ms(self._products.watermarks().values(), now_ms)
            self._shop_time = now_ms, time_ms
        return time_ms

    def _read_idf(self, product_ids: Collection[ProductId]) -> dict[ProductId, float]:
        known = self._products.interactions_of(product_ids)
        total = self._interactions_total()
        return {product_id: inverse_document_frequency(number, total) for product_id, number in known.items()}

    def _interactions_total(self) -> int:
        read_ms, total = self._total
        if not total or not self._is_fresh(read_ms):
            total = self._products.interactions()
            self._total = (self._clock.now_ms(), total)
        return total

    def _read_facts(self, product_ids: Collection[ProductId]) -> dict[ProductId, tuple[Product, ProductStats]]:
        listings = self._products.listings(product_ids)
        found = {
            product_id: (state.as_product(product_id), state.stats)
            for product_id, state in self._products.products(product_ids).items()
        }
        for product_id, listing in listings.items():
            observed, stats = found.get(product_id, (Product(product_id), NO_STATS))
            found[product_id] = listing.as_product(product_id).completed_by(observed), stats
        return found

    def _is_fresh(self, read_ms: int, times: int = 1) -> bool:
        return 0 <= self._clock.now_ms() - read_ms < times * self._settings.trending_ms
