"""SharedCache: what is the same for everybody, read once for many requests."""

from bisect import insort
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import itemgetter
from threading import Lock
from typing import Final, Generic, NamedTuple, TypeVar

import attrs

from realtime_pipeline.application.ports.catalogue import Catalogue
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.product_queries import ProductQueries, RatedProduct
from realtime_pipeline.domain.limits import at_least
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.recommendation.neighbours import inverse_document_frequency
from realtime_pipeline.domain.recommendation.trending import TrendingProduct, TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.streams.watermark import shop_time_ms
from realtime_pipeline.domain.views.product_stats import ProductStats

LIST_DEPTHS: Final = (200, 1_000, 5_000)
"""How long the remembered lists of what is trending and rated highest are: a longer one is read where filters leave too
little of a shorter one."""
TRENDING_MAX: Final = 200_000
"""Of how many products it is remembered that they are trending, over all lists."""
PRODUCTS_MAX = 100_000
LISTS_MAX = 2_000
LIST_LENGTH_MAX = 500
"""Of how many products the sessions are remembered that touched them, and how many of each: 200 take 23 KB."""
STALE_FACTOR_MAX = 10
"""How many times its age what is trending may have while somebody reads it anew."""

Listed = dict[SessionKey, int]
"""Sessions that touched a product, and when, newest first."""

K = TypeVar("K")
V = TypeVar("V")


@attrs.frozen
class CacheSettings:
    """How old what a process answers from may be, in ms; 0 for as new as it is.

    `trending_ms` what is trending (at most twice that in all) and what is rated highest, `products_ms` what events say
    of products: names, prices, numbers, how rare they are; `lists_ms` which sessions touched a product last, where they
    are as many as are looked at. Shorter lists, customers and sessions are always read.
    """

    trending_ms: int = 5_000
    products_ms: int = 30_000
    lists_ms: int = 5_000

    def __attrs_post_init__(self) -> None:
        at_least(0, self)


class TtlCache(Generic[K, V]):
    """What was read of late, let go of as it was read: while requests come, no single one waits for all to be freed."""

    def __init__(
        self, clock: Clock, refresh_ms: int, limit: int, is_kept: Callable[[K, V], bool] | None = None
    ) -> None:
        self._clock = clock
        self._refresh_ms = refresh_ms
        self._limit = limit
        self._is_kept = is_kept
        self._known: dict[K, V] = {}
        self._reads: deque[tuple[int, Collection[K]]] = deque()
        self._lock = Lock()

    def __call__(self, keys: Collection[K], read: Callable[[list[K]], Mapping[K, V]]) -> dict[K, V]:
        """The values of keys, without those that have none; `read` is asked for what is not remembered."""
        now_ms = self._clock.now_ms()
        with self._lock:
            self._evict(now_ms)
            known = self._known
            found = {key: known[key] for key in keys if key in known}
        lacking = [key for key in keys if key not in found]
        if lacking:
            more = read(lacking)
            found.update(more)
            cached = more
            if self._is_kept is not None:
                cached = {key: value for key, value in more.items() if self._is_kept(key, value)}
            if cached:
                with self._lock:
                    self._known.update(cached)
                    insort(self._reads, (now_ms, cached.keys()), key=itemgetter(0))  # a slow read may be overtaken
        return found

    def _evict(self, now_ms: int) -> None:
        reads, known = self._reads, self._known
        while reads and reads[-1][0] > now_ms:  # the clock was set back
            for key in reads.pop()[1]:
                known.pop(key, None)
        while reads and (not 0 <= now_ms - reads[0][0] < self._refresh_ms or len(known) > self._limit):
            for key in reads.popleft()[1]:
                known.pop(key, None)


def _is_full(key: tuple[ProductId, int], listed: Listed) -> bool:
    """Whether there are as many sessions as are looked at, so that what one more says comes to little."""
    return key[1] <= len(listed) <= LIST_LENGTH_MAX


class Segment(NamedTuple):
    """Where something is trending, by which rules, and how many products are listed at most."""

    settings: TrendingSettings
    category: str | None
    country: str | None
    depth: int


class SharedCache:
    """Reads what all customers share, which may be as old as the rules say; only the catalogue is always asked.

    What events say of products completes what the catalogue says.
    """

    def __init__(self, products: ProductQueries, catalogue: Catalogue, clock: Clock, settings: CacheSettings) -> None:
        self._products = products
        self._catalogue = catalogue
        self._clock = clock
        self._settings = settings
        self._total = (0, 0)
        self._shop_time = (0, 0)
        self._refresh_lock, self._rating_lock = Lock(), Lock()
        self._top_rated: dict[int, tuple[int, float, Sequence[RatedProduct]]] = {}
        self._trending: dict[Segment, tuple[int, Sequence[TrendingProduct]]] = {}
        self._interactions = TtlCache[ProductId, int](clock, settings.products_ms, PRODUCTS_MAX)
        self._idf = TtlCache[ProductId, float](clock, settings.products_ms, PRODUCTS_MAX)
        self._facts = TtlCache[ProductId, tuple[Product, ProductStats]](clock, settings.products_ms, PRODUCTS_MAX)
        self._lists = TtlCache[tuple[ProductId, int], Listed](clock, settings.lists_ms, LISTS_MAX, _is_full)

    def interactions_of(self, product_ids: Collection[ProductId]) -> dict[ProductId, int]:
        """How many views, carts and purchases products had; those never seen are left out."""
        return self._interactions(product_ids, self._products.interactions_of)

    def idf_of(self, product_ids: Collection[ProductId]) -> dict[ProductId, float]:
        """How rare products are; those never seen are left out."""
        return self._idf(product_ids, self._read_idf)

    def sessions_of(self, product_ids: Collection[ProductId], limit: int) -> dict[ProductId, Listed]:
        """List, for each product, the sessions that touched it and when, newest first, at most `limit`."""

        def read(lacking: Sequence[tuple[ProductId, int]]) -> dict[tuple[ProductId, int], Listed]:
            lists = self._products.sessions_of([product_id for product_id, _ in lacking], limit)
            return {(product_id, limit): listed for product_id, listed in lists.items()}

        lists = self._lists([(product_id, limit) for product_id in product_ids], read)
        return {product_id: listed for (product_id, _), listed in lists.items()}

    def product_stats(self, product_ids: Collection[ProductId]) -> dict[ProductId, ProductStats]:
        """The numbers of products; those never seen are left out."""
        return {product_id: tally for product_id, (_, tally) in self._facts(product_ids, self._read_facts).items()}

    def prefetch(self, product_ids: Collection[ProductId]) -> None:
        """Have what events say of products at hand for what will be asked soon, where that may be remembered.

        The catalogue is not asked: it may be dear, and only what is shown or chosen by its word is its business.
        """
        if self._settings.products_ms:
            self._facts(product_ids, self._read_facts)

    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, Product]:
        """Describe products; those of which nobody has said anything are left out."""
        described = {id_: product for id_, (product, _) in self._facts(product_ids, self._read_facts).items()}
        for product_id, product in self._catalogue.products(product_ids).items():
            if product.price is not None and not isinstance(product.price, int):
                raise TypeError(f"the price of {product_id} is {product.price!r}: 19.99 is written Amount(199_900)")
            observed = described.get(product_id)
            described[product_id] = product if observed is None else product.completed_by(observed)
        return described

    def of_category(self, category: str | None) -> Sequence[ProductId]:
        """List the products of a category, or all, as far as the catalogue can."""
        return self._catalogue.of_category(category)

    def trending(
        self,
        settings: TrendingSettings,
        category: str | None = None,
        country: str | None = None,
        limit: int = LIST_DEPTHS[0],
    ) -> Sequence[TrendingProduct]:
        """What is trending, in a category, in a country or anywhere: at most `limit` products.

        When the list that is remembered is too old, the first who asks reads it again; who asks meanwhile gets what was
        read before, unless that is much too old. A list longer than any that is remembered is always read.
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
                return read[1]  # there are no more
        raise AssertionError("no depth is as large as the largest")

    def _trending_in(self, segment: Segment) -> Sequence[TrendingProduct]:
        read = self._trending.get(segment)
        if read is not None and self._is_fresh(read[0]):
            return read[1]
        is_of_use = read is not None and self._is_fresh(read[0], STALE_FACTOR_MAX)
        if self._refresh_lock.acquire(blocking=not is_of_use):
            try:
                return self._read_trending(segment)
            finally:
                self._refresh_lock.release()
        return () if read is None else read[1]

    def top_rated(self, prior_ratings: float, limit: int) -> Sequence[RatedProduct]:
        """Which products are rated highest; a list longer than any that is remembered is always read."""
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
            popular = self._products.trending(
                segment.settings, segment.category, segment.depth, segment.country, max_staleness_ms, now_ms
            )
            self._trending.pop(segment, None)
            while self._trending and sum(one.depth for one in self._trending) + segment.depth > TRENDING_MAX:
                self._trending.pop(next(iter(self._trending)))
            read = self._trending[segment] = (self._clock.now_ms(), popular)
        return read[1]

    def now_ms(self) -> int:
        """The present time by this process's clock."""
        return self._clock.now_ms()

    def shop_time_ms(self) -> int:
        """How far the shop's time has come, by the newest events, and never further than the clock; remembered as what
        is trending is."""
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
        return {
            product_id: (state.as_product(product_id), state.stats)
            for product_id, state in self._products.products(product_ids).items()
        }

    def _is_fresh(self, read_ms: int, times: int = 1) -> bool:
        return 0 <= self._clock.now_ms() - read_ms < times * self._settings.trending_ms
