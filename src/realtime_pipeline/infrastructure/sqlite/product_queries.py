"""Product queries on the views in SQLite."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from realtime_pipeline.application.ports.product_queries import ProductQueries, RatedProduct
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.recommendation.trending import (
    FIXED_POINT_ONE,
    TrendingProduct,
    TrendingSettings,
    latest_hour,
)
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.watermark import Watermark, shop_time_ms
from realtime_pipeline.domain.views.activity import HOUR_MS
from realtime_pipeline.domain.views.listings import Listing
from realtime_pipeline.domain.views.product_stats import ProductState
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.listings import SELECT_LISTINGS, to_listings
from realtime_pipeline.infrastructure.sqlite.statements import as_json
from realtime_pipeline.infrastructure.sqlite.views import (
    ANY_COUNTRY,
    SELECT_WATERMARKS,
    STATE_COLUMNS,
    to_state,
    to_watermarks,
)

_to_json = msgspec.json.Encoder().encode


class SqliteProductQueries(ProductQueries):
    """Reads the tables of the views. Readers of the file do not wait for the worker."""

    def __init__(self, database: Database, listed_sessions_max: int) -> None:
        self._database = database
        self._listed_sessions_max = listed_sessions_max

    def positions(self, partitions: Collection[int]) -> Mapping[int, tuple[int, ...]]:
        """Read the position of each source partition."""
        positions = dict(self._database.rows("SELECT partition, position FROM sources"))
        return {partition: (positions.get(partition, 0),) for partition in partitions}

    def watermarks(self) -> Mapping[int, Watermark]:
        """Return the watermark of each source partition."""
        return to_watermarks(self._database.rows(SELECT_WATERMARKS))

    def sessions_of(self, product_ids: Collection[ProductId], limit: int) -> dict[ProductId, dict[SessionKey, int]]:
        """Return the sessions that touched each product, newest first, with their times."""
        limit = min(limit, self._listed_sessions_max)
        return {
            product_id: dict(
                self._database.rows(
                    "SELECT session_key, at_ms FROM product_sessions"
                    " WHERE product = (SELECT id FROM products WHERE product_id = ?)"
                    " ORDER BY at_ms DESC, session_key DESC LIMIT ?",
                    (product_id, limit),
                )
            )
            for product_id in product_ids
        }

    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, ProductState]:
        """Read products."""
        rows = self._database.rows(
            f"SELECT product_id, {STATE_COLUMNS} FROM products"  # noqa: S608 - a constant list of columns
            " WHERE product_id IN (SELECT value FROM json_each(?))",
            (as_json(product_ids),),
        )
        return {product_id: to_state(*columns) for product_id, *columns in rows}

    def listings(self, product_ids: Collection[ProductId]) -> dict[ProductId, Listing]:
        """Read what the catalogue states of products."""
        return to_listings(self._database.rows(SELECT_LISTINGS, (as_json(product_ids),)))

    def listed(self, limit: int, start: float) -> Sequence[ProductId]:
        """List some products of the catalogue."""
        last = self._database.rows("SELECT ifnull(max(id), 0) FROM listings")[0][0]
        begin = int(start * last)
        rows = self._database.rows(
            "SELECT product_id FROM listings WHERE NOT is_removed ORDER BY id < ?, id LIMIT ?", (begin, limit)
        )
        return [row[0] for row in rows]

    def interactions_of(self, product_ids: Collection[ProductId]) -> dict[ProductId, int]:
        """Return how many views, carts and purchases each product had."""
        rows = self._database.rows(
            "SELECT product_id, interactions FROM products WHERE product_id IN (SELECT value FROM json_each(?))",
            (as_json(product_ids),),
        )
        return dict(rows)

    def interactions(self) -> int:
        """Return how many views, carts and purchases there were in all."""
        rows = self._database.rows("SELECT value FROM totals WHERE name = 'interactions'")
        return rows[0][0] if rows else 0

    def sums(self, projection: str, product_ids: Collection[ProductId]) -> dict[ProductId, dict[str, int]]:
        """Read the sums of products."""
        rows = self._database.rows(
            "SELECT product_id, measure, value FROM sums"
            " WHERE projection = ? AND product_id IN (SELECT value FROM json_each(?))",
            (projection, as_json(product_ids)),
        )
        found: dict[ProductId, dict[str, int]] = {}
        for product_id, measure, value in rows:
            found.setdefault(product_id, {})[measure] = value
        return found

    def trending(
        self,
        settings: TrendingSettings,
        category: str | None,
        limit: int,
        country: str | None = None,
        max_staleness_ms: int = 0,
        now_ms: int = END_OF_TIME,
    ) -> Sequence[TrendingProduct]:
        """Rank products by their weighted recent activity: the sums of `domain.recommendation.trending`, in SQL."""
        newest, latest = shop_time_ms(self.watermarks().values(), now_ms) // HOUR_MS, latest_hour(now_ms)
        later = self._database.rows("SELECT DISTINCT hour FROM activity WHERE hour > ? AND hour <= ?", (newest, latest))
        weights = {newest - age: weight for age, weight in enumerate(settings.hour_weights())}
        weights.update((hour, settings.hour_weight(0)) for (hour,) in later)
        rows = self._database.rows(
            "SELECT product_id,"
            "  sum(weight.value * (:view * views + :cart * carts + :purchase * purchases)) AS score,"
            "  sum(views + carts + purchases)"
            " FROM json_each(:weights) AS weight"
            " JOIN activity ON country = :country AND hour = CAST(weight.key AS INTEGER)"
            " JOIN products ON products.id = product WHERE :category IS NULL OR category = :category"
            " GROUP BY product HAVING score > 0 ORDER BY score DESC, product_id LIMIT :limit",
            {
                "view": settings.view_weight,
                "cart": settings.cart_weight,
                "purchase": settings.purchase_weight,
                "weights": _to_json(weights).decode(),
                "category": category,
                "country": country or ANY_COUNTRY,
                "limit": limit,
            },
        )
        return [TrendingProduct(product_id, score / FIXED_POINT_ONE, actions) for product_id, score, actions in rows]

    def top_rated(self, prior_ratings: float, limit: int) -> Sequence[RatedProduct]:
        """Rank products by the Bayesian average of their ratings, as `domain.views.product_stats.bayesian_average`."""
        ratings, rating_sum = self._database.rows(
            "SELECT sum(ratings), sum(rating_sum) FROM products WHERE ratings > 0"
        )[0]
        mean = rating_sum / ratings if ratings else 0.0
        rows = self._database.rows(
            "SELECT product_id, (:prior * :mean + rating_sum) / (:prior + ratings) AS average, ratings"
            " FROM products WHERE ratings > 0 ORDER BY average DESC, product_id LIMIT :limit",
            {"prior": float(prior_ratings), "mean": mean, "limit": limit},
        )
        return [RatedProduct(*row) for row in rows]

    def scan(self) -> Iterator[tuple[ProductId, ProductState]]:
        """Read every product."""
        for product_id, *columns in self._database.rows(
            f"SELECT product_id, {STATE_COLUMNS} FROM products"  # noqa: S608 - a constant list of columns
        ):
            yield product_id, to_state(*columns)
