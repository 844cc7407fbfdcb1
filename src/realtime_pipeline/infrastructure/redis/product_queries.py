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
from realtime_pipeline.domain.views.listings import Listing
from realtime_pipeline.domain.views.product_stats import ProductState, bayesian_average
from realtime_pipeline.infrastructure.redis.client import Key, RedisClient
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.merge_request import sum_field
from realtime_pipeline.infrastructure.redis.rows import (
    decode_listing,
    interactions_in,
    parse_sessions,
    parse_source,
    product_state,
)
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from realtime_pipeline.infrastructure.redis.trending import RedisTrending

SCANNED_PRODUCTS = 1_000
_HASHES = ("products", "ratings", "rating_sums")


class RedisProductQueries(ProductQueries):
    """Reads the hashes and sorted sets of view cells. It needs the right to read, and no Function."""

    def __init__(self, client: RedisClient, settings: RedisSettings, listed_sessions_max: int) -> None:
        self._client = client
        self._keys = Keys(settings.namespace)
        self._settings = settings
        self._groups = settings.view_groups
        self._listed_sessions_max = listed_sessions_max
        self._trending = RedisTrending(client, settings, self._shop_time_ms)
        self._layout_is_checked = False

    def positions(self, partitions: Collection[int]) -> Mapping[int, tuple[int, ...]]:
        """Read the position of each view cell in each partition."""
        by_partition = self._sources_of(partitions)
        return {partition: tuple(position for _, position, _ in sources) for partition, sources in by_partition.items()}

    def watermarks(self) -> Mapping[int, Watermark]:
        """Read the watermark of each source partition: the earliest that a view cell has."""
        earliest: dict[int, Watermark] = {}
        for fields in self._client.execute([(key, ("HGETALL", key)) for key in self._sources()]):
            for partition, raw in fields.items():
                _, _, mark = parse_source(raw)
                known = earliest.get(int(partition))
                if known is None or mark.at_ms < known.at_ms:
                    earliest[int(partition)] = mark
        return earliest

    def _shop_time_ms(self, now_ms: int) -> int:
        return shop_time_ms(self.watermarks().values(), now_ms)

    def sessions_of(self, product_ids: Collection[ProductId], limit: int) -> dict[ProductId, dict[SessionKey, int]]:
        """List the sessions that touched each product, newest first."""
        self._check_layout()
        last = min(limit, self._listed_sessions_max) - 1
        keys = [self._keys.list(self._group_of(product_id), product_id) for product_id in product_ids]
        replies = self._client.execute([(key, ("ZRANGE", key, 0, last, "REV", "WITHSCORES")) for key in keys])
        return {product_id: parse_sessions(reply) for product_id, reply in zip(product_ids, replies, strict=True)}

    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, ProductState]:
        """Read products."""
        rows = self._read_hashes(_HASHES, product_ids)
        return {product_id: product_state(*values) for product_id, values in rows.items() if values[0] is not None}

    def listings(self, product_ids: Collection[ProductId]) -> dict[ProductId, Listing]:
        """Read what the catalogue states of products."""
        rows = self._read_hashes(("listings",), product_ids)
        return {product_id: decode_listing(row) for product_id, (row,) in rows.items() if row is not None}

    def listed(self, limit: int, start: float) -> Sequence[ProductId]:
        """Draw some products of the catalogue, by the server's dice: it has no order to begin in."""
        self._check_layout()
        share = -(-limit // self._groups)
        keys = [self._keys.view(group, "listings") for group in range(self._groups)]
        replies = self._client.execute([(key, ("HRANDFIELD", key, share, "WITHVALUES")) for key in keys])
        drawn = [(id_, row) for reply in replies for id_, row in zip(reply[::2], reply[1::2], strict=True)]
        return [ProductId(id_.decode()) for id_, row in drawn if not decode_listing(row).is_removed][:limit]

    def interactions_of(self, product_ids: Collection[ProductId]) -> dict[ProductId, int]:
        """Count the views, carts and purchases of products."""
        rows = self._read_hashes(_HASHES[:1], product_ids)
        return {product_id: interactions_in(row) for product_id, (row,) in rows.items() if row is not None}

    def _read_hashes(
        self, names: Sequence[str], product_ids: Collection[ProductId]
    ) -> dict[ProductId, tuple[Any, ...]]:
        """Read the values of products in the hashes of these names, of all groups by one call."""
        self._check_layout()
        by_group = self._by_group(product_ids)
        wanted = [(self._keys.view(group, name), ids) for group, ids in by_group.items() for name in names]
        replies = iter(self._client.execute([(key, ("HMGET", key, *ids)) for key, ids in wanted]))
        values: dict[ProductId, tuple[Any, ...]] = {}
        for ids in by_group.values():
            values.update(zip(ids, zip(*[next(replies) for _ in names], strict=True), strict=True))
        return values

    def sums(self, projection: str, product_ids: Collection[ProductId]) -> dict[ProductId, dict[str, int]]:
        """Read the sums of products: first the measures of the projection, then the fields of each product."""
        self._check_layout()
        by_group = self._by_group(product_ids)
        keys = [self._keys.measures(group, projection) for group in by_group]
        measures = self._client.execute([(key, ("HKEYS", key)) for key in keys]) if keys else []
        wanted: list[tuple[Key, list[tuple[ProductId, str]]]] = []
        for (group, ids), names in zip(by_group.items(), measures, strict=True):
            if names:
                fields = [(product_id, name.decode()) for product_id in ids for name in names]
                wanted.append((self._keys.sums(group, projection), fields))
        requests: list[tuple[Key, Request]] = [
            (key, ("HMGET", key, *(sum_field(measure, product_id) for product_id, measure in fields)))
            for key, fields in wanted
        ]
        found: dict[ProductId, dict[str, int]] = {}
        for (_, fields), values in zip(wanted, self._client.execute(requests) if requests else [], strict=True):
            for (product_id, measure), value in zip(fields, values, strict=True):
                if value is not None:
                    found.setdefault(product_id, {})[measure] = int(value)
        return found

    def _by_group(self, product_ids: Collection[ProductId]) -> dict[int, list[ProductId]]:
        by_group: dict[int, list[ProductId]] = {}
        for product_id in product_ids:
            by_group.setdefault(self._group_of(product_id), []).append(product_id)
        return by_group

    def interactions(self) -> int:
        """Count all views, carts and purchases."""
        totals = [self._keys.view(group, "totals") for group in range(self._groups)]
        replies = self._client.execute([(key, ("HGET", key, "interactions")) for key in totals])
        return sum(int(raw or 0) for raw in replies)

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
        return self._trending.ranked(settings, category, limit, country, max_staleness_ms, now_ms)

    def top_rated(self, prior_ratings: float, limit: int) -> Sequence[RatedProduct]:
        """Rank products by the Bayesian average of their ratings."""
        rated: list[tuple[ProductId, int, int]] = []
        for names in self._listed("ratings"):
            counts = self._read_hashes(_HASHES[1:], names)
            rated += [(id_, int(n), int(sum_ or 0)) for id_, (n, sum_) in counts.items() if int(n or 0)]
        total = sum(ratings for _, ratings, _ in rated)
        mean = sum(rating_sum for *_, rating_sum in rated) / total if total else 0.0
        averages = [RatedProduct(id_, bayesian_average(n, sum_, mean, prior_ratings), n) for id_, n, sum_ in rated]
        return sorted(averages, key=lambda product: (-product.average, product.product_id))[:limit]

    def scan(self) -> Iterator[tuple[ProductId, ProductState]]:
        """Read every product. All ids stay in memory meanwhile, because `HSCAN` may list a field twice."""
        for names in self._listed("products"):
            yield from self.products(names).items()

    def _listed(self, name: str) -> Iterator[list[ProductId]]:
        """List the products of a hash of each group, in parts: a long reply would block every other reader."""
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
        """Check the layout of the store, once: with another number of view cells, products are in other hashes.

        Raises:
            NewerRelease: a newer release has changed the layout.
            WrongLog: the store has another layout or another number of view cells.
        """
        if not self._layout_is_checked:
            meta = self._keys.meta
            layout, view_cells = self._execute(meta, "HMGET", meta, "layout", "view_cells")
            self._settings.check_layout(layout, view_cells)
            self._layout_is_checked = view_cells is not None

    def _sources_of(self, partitions: Collection[int]) -> dict[int, list[tuple[int, int, Watermark]]]:
        """Read what each view cell has of each partition: epoch, position, watermark."""
        fields = list(partitions)
        replies = self._client.execute([(key, ("HMGET", key, *fields)) for key in self._sources()]) if fields else []
        return {field: [parse_source(reply[index]) for reply in replies] for index, field in enumerate(fields)}

    def _sources(self) -> list[Key]:
        return [self._keys.sources(cell % self._groups, cell) for cell in range(self._settings.view_cells)]

    def _group_of(self, product_id: ProductId) -> int:
        """The group of a product's view cell; the number of view cells is a multiple of that of groups."""
        return view_cell_of(product_id, self._groups)

    def _execute(self, key: Key, *request: str | int | bytes) -> Any:
        return self._client.execute([(key, request)])[0]
