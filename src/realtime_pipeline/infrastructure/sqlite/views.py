"""Views in SQLite."""

import sqlite3
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from realtime_pipeline.application.errors import Fenced, PositionMismatch
from realtime_pipeline.application.ports.views import Merge, SourceRange, Views
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.last_write import AHEAD_MAX_MS, LastWrite
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.watermark import Watermark, shop_time_ms
from realtime_pipeline.domain.views.activity import HOUR_MS
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.product_stats import ProductState
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.statements import as_json

VIEW_TABLES = ("sources", "products", "activity", "product_sessions", "totals")
"""What is erased, and what a snapshot holds."""

TRIM_OVER = 1.2
"""A product's list is trimmed when it may have grown this far over what is kept of it."""

ANYWHERE = ""
"""The country of what was done in any."""

TIMES = "SELECT partition, watermark_ms, newest_ms, appended_at_ms, largest_ms FROM sources"
STATE = "interactions, ratings, rating_sum, name, name_at_ms, category, category_at_ms, price, price_at_ms"


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
        self._trim(connection, grown, now_ms)

    @staticmethod
    def _products_for(connection: sqlite3.Connection, deltas: Deltas) -> list[Any]:
        """Read the rows of all products the deltas name, made where there were none."""
        select = (
            f"SELECT id, product_id, listed, {STATE} FROM products"  # noqa: S608 - a constant list of columns
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
            state = state_of(*columns)
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
        newest_ms = shop_time_ms(marks(connection.execute(TIMES)).values(), now_ms)
        connection.execute("DELETE FROM activity WHERE hour < ?", (newest_ms // HOUR_MS - self._activity_hours,))


def marks(rows: Iterable[Sequence[int]]) -> dict[int, Watermark]:
    """The watermarks of source partitions, of rows that `TIMES` selects."""
    return {partition: Watermark(*times) for partition, *times in rows}


def state_of(interactions: int, ratings: int, rating_sum: int, *facts: str | int | None) -> ProductState:
    """A product's state, of the columns of `STATE`."""
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
