"""Queries of the views in Redis."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from realtime_pipeline.application.ports.product_queries import ProductQueries, RatedProduct
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.recommendation.trending import TrendingProduct, TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.watermark import Watermark, shop_time_ms
from realtime_pipeline.domain.views.deltas import view_cell_of
from realtime_pipeline.domain.views.product_stats import ProductState, bayesian_average
from realtime_pipeline.infrastructure.redis.client import Key, RedisClient
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.rows import interactions_in, listed_in, source_in, state_in
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from realtime_pipeline.infrastructure.redis.trending import RedisTrending

SCANNED_PRODUCTS = 1_000
_FIELDS = ("products", "ratings", "rating_sums")


class RedisProductQueries(ProductQueries):
    """Reads the hashes and sorted sets of view cells; needs the right to read, and no Function."""

    def __init__(self, client: RedisClient, settings: RedisSettings, listed_sessions_max: int) -> None:
        self._client = client
        self._keys = Keys(settings.namespace)
        self._settings = settings
        self._groups = settings.view_groups
        self._listed_sessions_max = listed_sessions_max
        self._trending = RedisTrending(client, settings, self._shop_time_ms)
        self._layout_is_checked = False

    def positions(self, partitions: Collection[int]) -> Mapping[int, tuple[int, ...]]:
        """Read positions."""
        found = self._sources_of(partitions)
        return {partition: tuple(position for _, position, _ in sources) for partition, sources in found.items()}

    def watermarks(self) -> Mapping[int, Watermark]:
        """How far each source partition's time has come, by what all view cells have heard."""
        heard: dict[int, Watermark] = {}
        for fields in self._client.execute([(key, ("HGETALL", key)) for key in self._sources()]):
            for partition, said in fields.items():
                _, _, mark = source_in(said)
                known = heard.get(int(partition))
                if known is None or mark.at_ms < known.at_ms:
                    heard[int(partition)] = mark
        return heard

    def _shop_time_ms(self, now_ms: int) -> int:
        return shop_time_ms(self.watermarks().values(), now_ms)

    def sessions_of(self, product_ids: Collection[ProductId], limit: int) -> dict[ProductId, dict[SessionKey, int]]:
        """List the sessions that touched each product, newest first."""
        self._check_layout()
        last = min(limit, self._listed_sessions_max) - 1
        keys = [self._keys.list(self._group_of(product_id), product_id) for product_id in product_ids]
        answers = self._client.execute([(key, ("ZRANGE", key, 0, last, "REV", "WITHSCORES")) for key in keys])
        return {product_id: listed_in(answer) for product_id, answer in zip(product_ids, answers, strict=True)}

    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, ProductState]:
        """Read products."""
        read = self._fields(_FIELDS, product_ids)
        return {product_id: state_in(*said) for product_id, said in read.items() if said[0] is not None}

    def interactions_of(self, product_ids: Collection[ProductId]) -> dict[ProductId, int]:
        """How many views, carts and purchases products had."""
        read = self._fields(_FIELDS[:1], product_ids)
        return {product_id: interactions_in(row) for product_id, (row,) in read.items() if row is not None}

    def _fields(self, names: Sequence[str], product_ids: Collection[ProductId]) -> dict[ProductId, tuple[Any, ...]]:
        """Read fields of products, those of all groups by one request."""
        self._check_layout()
        by_group: dict[int, list[ProductId]] = {}
        for product_id in product_ids:
            by_group.setdefault(self._group_of(product_id), []).append(product_id)
        asked = [(self._keys.view(group, name), ids) for group, ids in by_group.items() for name in names]
        answers = iter(self._client.execute([(key, ("HMGET", key, *ids)) for key, ids in asked]))
        found: dict[ProductId, tuple[Any, ...]] = {}
        for ids in by_group.values():
            found.update(zip(ids, zip(*[next(answers) for _ in names], strict=True), strict=True))
        return found

    def interactions(self) -> int:
        """How many views, carts and purchases there were."""
        totals = [self._keys.view(group, "totals") for group in range(self._groups)]
        return sum(
            int(said or 0) for said in self._client.execute([(key, ("HGET", key, "interactions")) for key in totals])
        )

    def trending(
        self,
        settings: TrendingSettings,
        category: str | None,
        limit: int,
        country: str | None = None,
        max_staleness_ms: int = 0,
        now_ms: int = END_OF_TIME,
    ) -> Sequence[TrendingProduct]:
        """Rank products by what is done with them lately."""
        return self._trending.ranked(settings, category, limit, country, max_staleness_ms, now_ms)

    def top_rated(self, prior_ratings: float, limit: int) -> Sequence[RatedProduct]:
        """Rank products by the Bayesian average of their ratings."""
        rated: list[tuple[ProductId, int, int]] = []
        for names in self._listed("ratings"):
            numbers = self._fields(_FIELDS[1:], names)
            rated += [(id_, int(n), int(sum_ or 0)) for id_, (n, sum_) in numbers.items() if int(n or 0)]
        total = sum(ratings for _, ratings, _ in rated)
        mean = sum(rating_sum for *_, rating_sum in rated) / total if total else 0.0
        averages = [RatedProduct(id_, bayesian_average(n, sum_, mean, prior_ratings), n) for id_, n, sum_ in rated]
        return sorted(averages, key=lambda one: (-one.average, one.product_id))[:limit]

    def scan(self) -> Iterator[tuple[ProductId, ProductState]]:
        """Read every product. The ids of all are held meanwhile: Redis may list one twice."""
        for names in self._listed("products"):
            yield from self.products(names).items()

    def _listed(self, name: str) -> Iterator[list[ProductId]]:
        """The products that a hash of each group has, some at a time: all at once would hold up every other reader."""
        self._check_layout()
        for group in range(self._groups):
            key = self._keys.view(group, name)
            seen: set[bytes] = set()
            cursor = -1
            while cursor:
                cursor, fields = self._execute(key, "HSCAN", key, max(cursor, 0), "COUNT", SCANNED_PRODUCTS)
                names = [field for field in fields if field not in seen]
                seen.update(names)
                yield [ProductId(field.decode()) for field in names]

    def _check_layout(self) -> None:
        """See once that the store lies as is believed: with another number of view cells, products are elsewhere.

        Raises:
            WrongLog: it does not.
        """
        if not self._layout_is_checked:
            meta = self._keys.meta
            layout, view_cells = self._execute(meta, "HMGET", meta, "layout", "view_cells")
            self._settings.check_layout(layout, view_cells)
            self._layout_is_checked = view_cells is not None

    def _sources_of(self, partitions: Collection[int]) -> dict[int, list[tuple[int, int, Watermark]]]:
        """For each partition, what each view cell has of it: epoch, position, watermark."""
        names = list(partitions)
        answers = self._client.execute([(key, ("HMGET", key, *names)) for key in self._sources()]) if names else []
        return {name: [source_in(answer[index]) for answer in answers] for index, name in enumerate(names)}

    def _sources(self) -> list[Key]:
        return [self._keys.sources(cell % self._groups, cell) for cell in range(self._settings.view_cells)]

    def _group_of(self, product_id: ProductId) -> int:
        """In which group the view cell of a product lies: its number modulo theirs, of which theirs is a multiple."""
        return view_cell_of(product_id, self._groups)

    def _execute(self, key: Key, *request: str | int | bytes) -> Any:
        asked: Request = request
        return self._client.execute([(key, asked)])[0]
