"""Views in SQLite."""

import sqlite3
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from realtime_pipeline.application.errors import Fenced, PositionMismatch
from realtime_pipeline.application.ports.views import Merge, RatedProduct, SourceRange, Views
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.recommendation.trending import ONE, TrendingProduct, TrendingSettings, latest_hour
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.last_write import AHEAD_MAX_MS, LastWrite
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.watermark import Watermark, shop_time_ms
from realtime_pipeline.domain.views.activity import HOUR_MS
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.product_stats import ProductState, ProductStats
from realtime_pipeline.infrastructure.sqlite.cells import as_json
from realtime_pipeline.infrastructure.sqlite.database import Database

_to_json = msgspec.json.Encoder().encode

VIEW_TABLES = ("sources", "products", "activity", "product_sessions", "totals", "sums")
"""What is erased, and what a snapshot holds."""

TRIM_OVER = 1.2
"""A product's list is trimmed when it may have grown this far over what is kept of it."""

ANYWHERE = ""
"""The country of what was done in any."""

_TIMES = "SELECT partition, watermark_ms, newest_ms, appended_at_ms, largest_ms FROM sources"
_STATE = "interactions, ratings, rating_sum, name, name_at_ms, category, category_at_ms, price, price_at_ms"


class SqliteViews(Views):
    """One view cell: tables of products, their hourly activity and their newest sessions.

    Of a product's sessions the `listed_sessions_max` newest are kept (a little more between trims), of activity the
    last `activity_retention_hours`.
    """

    def __init__(self, database: Database, listed_sessions_max: int, activity_retention_hours: int) -> None:
        self._database = database
        self._listed_sessions_max = listed_sessions_max
        self._activity_hours = activity_retention_hours

    @property
    def view_cells(self) -> int:
        """One file is one view cell."""
        return 1

    @property
    def merge_records_max(self) -> int:
        """Readers of the file do not wait for a merge."""
        return sys.maxsize

    @property
    def linger_ms(self) -> int:
        """A merge is a part of the commit's transaction."""
        return 0

    def epoch(self, partition: int) -> int:
        """The epoch the views have from a partition."""
        rows = self._database.rows("SELECT epoch FROM sources WHERE partition = ?", (partition,))
        return rows[0][0] if rows else 0

    def claim(self, partition: int, epoch: int) -> tuple[int, ...]:
        """Write a new epoch, then read the position."""
        with self._database.transaction() as connection:
            written = connection.execute(
                "INSERT INTO sources VALUES (?, ?, 0, -1, -1, -1, -1)"
                " ON CONFLICT (partition) DO UPDATE SET epoch = excluded.epoch WHERE excluded.epoch > epoch",
                (partition, epoch),
            )
            if written.rowcount != 1:
                raise Fenced(f"the views have epoch {epoch} or a larger one from partition {partition} already")
            row = connection.execute("SELECT position FROM sources WHERE partition = ?", (partition,)).fetchone()
        return (row[0],)

    def positions(self, partitions: Collection[int]) -> Mapping[int, tuple[int, ...]]:
        """Read positions."""
        stand = dict(self._database.rows("SELECT partition, position FROM sources"))
        return {partition: (stand.get(partition, 0),) for partition in partitions}

    def merge(self, merges: Sequence[Merge], now_ms: int = END_OF_TIME) -> None:
        """Add deltas, all or nothing."""
        for merge in merges:
            with self._database.transaction() as connection:
                self._move(connection, merge.ranges)
                self._add(connection, merge.deltas, now_ms)

    def erase(self) -> None:
        """Delete all that was ever merged."""
        with self._database.transaction() as connection:
            for table in VIEW_TABLES:
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own

    def watermarks(self) -> Mapping[int, Watermark]:
        """How far each source partition's time has come."""
        return _marks(self._database.rows(_TIMES))

    def sessions_of(self, product_ids: Collection[ProductId], limit: int) -> dict[ProductId, dict[SessionKey, int]]:
        """List the sessions that touched each product, newest first."""
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
            f"SELECT product_id, {_STATE} FROM products"  # noqa: S608 - a constant list of columns
            " WHERE product_id IN (SELECT value FROM json_each(?))",
            (as_json(product_ids),),
        )
        return {product_id: _state(*columns) for product_id, *columns in rows}

    def tallies(self, product_ids: Collection[ProductId]) -> dict[ProductId, ProductStats]:
        """Read the counts of products."""
        rows = self._database.rows(
            "SELECT product_id, interactions, ratings, rating_sum FROM products"
            " WHERE product_id IN (SELECT value FROM json_each(?))",
            (as_json(product_ids),),
        )
        return {product_id: ProductStats(*counts) for product_id, *counts in rows}

    def interactions_of(self, product_ids: Collection[ProductId]) -> dict[ProductId, int]:
        """How many views, carts and purchases products had."""
        rows = self._database.rows(
            "SELECT product_id, interactions FROM products WHERE product_id IN (SELECT value FROM json_each(?))",
            (as_json(product_ids),),
        )
        return dict(rows)

    def interactions(self) -> int:
        """How many views, carts and purchases there were."""
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
        """Rank products by what is done with them lately: the sums of `domain.recommendation.trending`, in SQL."""
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
                "country": country or ANYWHERE,
                "limit": limit,
            },
        )
        return [TrendingProduct(product_id, score / ONE, actions) for product_id, score, actions in rows]

    def top_rated(self, prior_ratings: float, limit: int) -> Sequence[RatedProduct]:
        """Rank products by the Bayesian average of their ratings, as `domain.shop.product.bayesian_average`."""
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
            f"SELECT product_id, {_STATE} FROM products"  # noqa: S608 - a constant list of columns
        ):
            yield product_id, _state(*columns)

    @staticmethod
    def _move(connection: sqlite3.Connection, ranges: Sequence[SourceRange]) -> None:
        """Check that every range is its owner's and begins where the views stand; move on to where it ends."""
        stands = {
            partition: (epoch, position)
            for partition, epoch, position in connection.execute("SELECT partition, epoch, position FROM sources")
        }
        if any(stands.get(one.partition, (0, 0))[0] != one.epoch for one in ranges):
            raise Fenced("the views have another epoch from some partition of the call")
        if any(stands[one.partition][1] != one.from_position for one in ranges):
            raise PositionMismatch({one.partition: stands[one.partition][1] for one in ranges})
        connection.executemany(
            "UPDATE sources SET position = ?, watermark_ms = ?, newest_ms = ?, appended_at_ms = ?, largest_ms = ?"
            " WHERE partition = ?",
            (
                (
                    one.to_position,
                    one.watermark.at_ms,
                    one.watermark.newest_ms,
                    one.watermark.appended_at_ms,
                    one.watermark.largest_ms,
                    one.partition,
                )
                for one in ranges
            ),
        )

    def _add(self, connection: sqlite3.Connection, deltas: Deltas, now_ms: int) -> None:
        rows = self._products_for(connection, deltas)
        ids = {product_id: number for number, product_id, *_ in rows}
        entries = Counter(product_id for product_id, _ in deltas.index)
        grown = self._add_products(connection, deltas, rows, entries, now_ms + AHEAD_MAX_MS)
        done = [(ANYWHERE, *where, counted) for where, counted in deltas.activity.items()]
        done += [(country, hour, id_, counted) for (hour, country, id_), counted in deltas.by_country.items()]
        connection.executemany(
            "INSERT INTO activity VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET views = views + excluded.views,"
            " carts = carts + excluded.carts, purchases = purchases + excluded.purchases",
            (
                (country, hour, ids[product_id], counted.views, counted.carts, counted.purchases)
                for country, hour, product_id, counted in done
            ),
        )
        connection.executemany(
            "INSERT INTO product_sessions VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms WHERE excluded.at_ms > at_ms",
            ((ids[product_id], key, at_ms) for (product_id, key), at_ms in deltas.index.items()),
        )
        connection.executemany(
            "INSERT INTO sums VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
            ((*key, number) for key, number in deltas.sums.items()),
        )
        self._trim(connection, grown, now_ms)

    @staticmethod
    def _products_for(connection: sqlite3.Connection, deltas: Deltas) -> list[Any]:
        """Read the rows of all products the deltas name, made where there were none."""
        select = (
            f"SELECT id, product_id, listed, {_STATE} FROM products"  # noqa: S608 - a constant list of columns
            " WHERE product_id IN (SELECT value FROM json_each(?))"
        )
        named = {*deltas.products, *(product_id for product_id, _ in deltas.index)}
        rows = connection.execute(select, (as_json(named),)).fetchall()
        if len(rows) < len(named):
            new = named - {row[1] for row in rows}
            connection.executemany(
                "INSERT INTO products VALUES (NULL, ?, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0)",
                ((product_id,) for product_id in new),
            )
            rows += connection.execute(select, (as_json(new),)).fetchall()
        return rows

    def _add_products(
        self,
        connection: sqlite3.Connection,
        deltas: Deltas,
        rows: Sequence[Any],
        entries: Mapping[ProductId, int],
        latest_ms: int,
    ) -> list[int]:
        """Merge the products' deltas in; return the numbers of those whose lists may have grown too long."""
        written = []
        for number, product_id, listed, *columns in rows:
            state = _state(*columns)
            if product_id in deltas.products:
                state.merge(deltas.products[product_id], latest_ms)
            written.append((*_columns(state), listed + entries[product_id], number))
        connection.executemany(
            "UPDATE products SET interactions = ?, ratings = ?, rating_sum = ?, name = ?, name_at_ms = ?,"
            " category = ?, category_at_ms = ?, price = ?, price_at_ms = ?, listed = ? WHERE id = ?",
            written,
        )
        connection.execute(
            "INSERT INTO totals VALUES ('interactions', ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
            (sum(state.interactions for state in deltas.products.values()),),
        )
        limit = int(TRIM_OVER * self._listed_sessions_max)
        return [number for *_, listed, number in written if listed > limit]

    def _trim(self, connection: sqlite3.Connection, grown: Sequence[int], now_ms: int) -> None:
        """Cut the lists that have grown over their limit back to their newest, and old hours away."""
        kept = self._listed_sessions_max
        for product in grown:
            connection.execute(
                "DELETE FROM product_sessions WHERE product = ?1 AND session_key NOT IN (SELECT session_key"
                " FROM product_sessions WHERE product = ?1 ORDER BY at_ms DESC, session_key DESC LIMIT ?2)",
                (product, kept),
            )
            connection.execute("UPDATE products SET listed = ? WHERE id = ?", (kept, product))
        newest_ms = shop_time_ms(_marks(connection.execute(_TIMES)).values(), now_ms)
        connection.execute("DELETE FROM activity WHERE hour < ?", (newest_ms // HOUR_MS - self._activity_hours,))


def _marks(rows: Iterable[Sequence[int]]) -> dict[int, Watermark]:
    return {partition: Watermark(*times) for partition, *times in rows}


def _state(interactions: int, ratings: int, rating_sum: int, *facts: str | int | None) -> ProductState:
    name, name_at_ms, category, category_at_ms, price, price_at_ms = facts
    return ProductState(
        interactions,
        ratings,
        rating_sum,
        _fact(name, name_at_ms),
        _fact(category, category_at_ms),
        _fact(price, price_at_ms),
    )


def _fact(value: str | int | None, at_ms: str | int | None) -> LastWrite | None:
    return None if value is None or at_ms is None else (value, int(at_ms))


def _columns(state: ProductState) -> tuple[object, ...]:
    none = (None, None)
    return (
        state.interactions,
        state.ratings,
        state.rating_sum,
        *(state.name or none),
        *(state.category or none),
        *(state.price or none),
    )
