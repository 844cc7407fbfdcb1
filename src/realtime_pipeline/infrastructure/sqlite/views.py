"""Views in SQLite: the writing side."""

import sqlite3
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from realtime_pipeline.application.errors import Fenced, PositionMismatch
from realtime_pipeline.application.ports.views import Merge, SourceRange, Views
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.last_write import FUTURE_SKEW_MAX_MS, LastWrite
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.domain.streams.watermark import Watermark, shop_time_ms
from realtime_pipeline.domain.views.activity import HOUR_MS
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.product_stats import ProductState
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.listings import delete_old_sales, merge_listings
from realtime_pipeline.infrastructure.sqlite.statements import as_json

VIEW_TABLES = ("sources", "products", "activity", "product_sessions", "totals", "sums", "listings", "sales")
"""The tables that `erase` empties and that a snapshot holds."""

TRIM_FACTOR = 1.2
"""A product's list of sessions is trimmed when it may have this many times its limit."""

ANY_COUNTRY = ""
"""The country of the rows that count the activity of all countries."""

SELECT_WATERMARKS = "SELECT partition, watermark_ms, newest_ms, appended_at_ms, largest_ms FROM sources"
STATE_COLUMNS = "interactions, ratings, rating_sum, name, name_at_ms, category, category_at_ms, price, price_at_ms"


class SqliteViews(Views):
    """One view cell: tables of products, their hourly activity and their newest sessions.

    A product's list holds its `listed_sessions_max` newest sessions (a few more between trims); activity is retained
    for `activity_retention_hours`.
    """

    def __init__(
        self,
        database: Database,
        listed_sessions_max: int,
        activity_retention_hours: int,
        stock_lateness_ms: int = FoldSettings().stock_lateness_ms,
    ) -> None:
        self._database = database
        self._listed_sessions_max = listed_sessions_max
        self._activity_hours = activity_retention_hours
        self._stock_lateness_ms = stock_lateness_ms

    @property
    def view_cells(self) -> int:
        """One file is one view cell."""
        return 1

    @property
    def merge_records_max(self) -> int:
        """No limit: readers of the file do not wait for a merge."""
        return sys.maxsize

    @property
    def linger_ms(self) -> int:
        """0: a merge is part of the commit's transaction."""
        return 0

    def epoch(self, partition: int) -> int:
        """Return the largest epoch by which a partition was claimed."""
        rows = self._database.rows("SELECT epoch FROM sources WHERE partition = ?", (partition,))
        return rows[0][0] if rows else 0

    def claim(self, partition: int, epoch: int) -> tuple[int, ...]:
        """Write a new epoch, which fences earlier owners, then read the position."""
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
        """Read the position of each source partition."""
        positions = dict(self._database.rows("SELECT partition, position FROM sources"))
        return {partition: (positions.get(partition, 0),) for partition in partitions}

    def merge(self, merges: Sequence[Merge], now_ms: int = END_OF_TIME) -> None:
        """Add the deltas of each merge in one transaction."""
        for merge in merges:
            with self._database.transaction() as connection:
                self._advance(connection, merge.ranges)
                self._add(connection, merge.deltas, now_ms)

    def erase(self) -> None:
        """Delete the rows of all views."""
        with self._database.transaction() as connection:
            for table in VIEW_TABLES:
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constant names

    @staticmethod
    def _advance(connection: sqlite3.Connection, ranges: Sequence[SourceRange]) -> None:
        """Check that each range has the owner's epoch and begins at the views' position; advance to its end.

        Raises:
            Fenced: a range has another epoch.
            PositionMismatch: a range begins at another position.
        """
        current = {
            partition: (epoch, position)
            for partition, epoch, position in connection.execute("SELECT partition, epoch, position FROM sources")
        }
        if any(current.get(source.partition, (0, 0))[0] != source.epoch for source in ranges):
            raise Fenced("the views have another epoch from some partition of the call")
        if any(current[source.partition][1] != source.from_position for source in ranges):
            raise PositionMismatch({source.partition: current[source.partition][1] for source in ranges})
        connection.executemany(
            "UPDATE sources SET position = ?, watermark_ms = ?, newest_ms = ?, appended_at_ms = ?, largest_ms = ?"
            " WHERE partition = ?",
            (
                (
                    source.to_position,
                    source.watermark.at_ms,
                    source.watermark.newest_ms,
                    source.watermark.appended_at_ms,
                    source.watermark.largest_ms,
                    source.partition,
                )
                for source in ranges
            ),
        )

    def _add(self, connection: sqlite3.Connection, deltas: Deltas, now_ms: int) -> None:
        rows = self._load_products(connection, deltas)
        ids = {product_id: row_id for row_id, product_id, *_ in rows}
        entries = Counter(product_id for product_id, _ in deltas.index)
        overlong = self._add_products(connection, deltas, rows, entries, now_ms + FUTURE_SKEW_MAX_MS)
        activity = [(ANY_COUNTRY, *where, counted) for where, counted in deltas.activity.items()]
        activity += [(country, hour, id_, counted) for (hour, country, id_), counted in deltas.by_country.items()]
        connection.executemany(
            "INSERT INTO activity VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET views = views + excluded.views,"
            " carts = carts + excluded.carts, purchases = purchases + excluded.purchases",
            (
                (country, hour, ids[product_id], counted.views, counted.carts, counted.purchases)
                for country, hour, product_id, counted in activity
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
        merge_listings(connection, deltas, now_ms + FUTURE_SKEW_MAX_MS)
        self._trim(connection, overlong, now_ms)

    @staticmethod
    def _load_products(connection: sqlite3.Connection, deltas: Deltas) -> list[Any]:
        """Read the rows of all products that the deltas name; insert missing ones first."""
        select = (
            f"SELECT id, product_id, listed, {STATE_COLUMNS} FROM products"  # noqa: S608 - a constant list of columns
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
        """Merge the products' deltas; return the row ids of products whose lists of sessions may be too long."""
        written = []
        for row_id, product_id, listed, *columns in rows:
            state = to_state(*columns)
            if product_id in deltas.products:
                state.merge(deltas.products[product_id], latest_ms)
            written.append((*_to_columns(state), listed + entries[product_id], row_id))
        connection.executemany(
            "UPDATE products SET interactions = ?, ratings = ?, rating_sum = ?, name = ?, name_at_ms = ?,"
            " category = ?, category_at_ms = ?, price = ?, price_at_ms = ?, listed = ? WHERE id = ?",
            written,
        )
        connection.execute(
            "INSERT INTO totals VALUES ('interactions', ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
            (sum(state.interactions for state in deltas.products.values()),),
        )
        limit = int(TRIM_FACTOR * self._listed_sessions_max)
        return [row_id for *_, listed, row_id in written if listed > limit]

    def _trim(self, connection: sqlite3.Connection, overlong: Sequence[int], now_ms: int) -> None:
        """Trim overlong lists to their newest sessions; delete the activity of expired hours and old sales."""
        limit = self._listed_sessions_max
        for product in overlong:
            connection.execute(
                "DELETE FROM product_sessions WHERE product = ?1 AND session_key NOT IN (SELECT session_key"
                " FROM product_sessions WHERE product = ?1 ORDER BY at_ms DESC, session_key DESC LIMIT ?2)",
                (product, limit),
            )
            connection.execute("UPDATE products SET listed = ? WHERE id = ?", (limit, product))
        watermarks = to_watermarks(connection.execute(SELECT_WATERMARKS)).values()
        newest_ms = shop_time_ms(watermarks, now_ms)
        connection.execute("DELETE FROM activity WHERE hour < ?", (newest_ms // HOUR_MS - self._activity_hours,))
        delete_old_sales(connection, watermarks, self._stock_lateness_ms)


def to_watermarks(rows: Iterable[Sequence[int]]) -> dict[int, Watermark]:
    """Return the watermark of each source partition, from the rows of `SELECT_WATERMARKS`."""
    return {partition: Watermark(*times) for partition, *times in rows}


def to_state(interactions: int, ratings: int, rating_sum: int, *last_writes: str | int | None) -> ProductState:
    """Return a product's state, from the values of `STATE_COLUMNS`."""
    name, name_at_ms, category, category_at_ms, price, price_at_ms = last_writes
    return ProductState(
        interactions,
        ratings,
        rating_sum,
        _to_last_write(name, name_at_ms),
        _to_last_write(category, category_at_ms),
        _to_last_write(price, price_at_ms),
    )


def _to_last_write(value: str | int | None, at_ms: str | int | None) -> LastWrite | None:
    return None if value is None or at_ms is None else (value, int(at_ms))


def _to_columns(state: ProductState) -> tuple[object, ...]:
    none = (None, None)
    return (
        state.interactions,
        state.ratings,
        state.rating_sum,
        *(state.name or none),
        *(state.category or none),
        *(state.price or none),
    )
