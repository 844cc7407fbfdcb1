"""The catalogue's facts of products in SQLite, and the sales that their stock is counted by."""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.last_write import LastWrite
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.listings import Listing
from realtime_pipeline.domain.views.sales import by_product, first_needed_ms, merge_listing
from realtime_pipeline.infrastructure.sqlite.statements import as_json

SELECT_LISTINGS: Final = (
    "SELECT product_id, facts, sold FROM listings WHERE product_id IN (SELECT value FROM json_each(?))"
)
_SELECT_SALES: Final = "SELECT at_ms, units FROM sales WHERE product_id = ?"

_encode_facts: Final = msgspec.json.Encoder().encode
_decode_facts: Final = msgspec.json.Decoder(dict[str, tuple[str, int]]).decode


def to_listings(rows: Sequence[tuple[ProductId, str, int]]) -> dict[ProductId, Listing]:
    """Return listings from the rows of `SELECT_LISTINGS`."""
    return {product_id: Listing(_to_facts(facts), sold) for product_id, facts, sold in rows}


def merge_listings(connection: sqlite3.Connection, deltas: Deltas, latest_ms: int) -> None:
    """Add sales and facts, within the caller's transaction. A fact after `latest_ms` gives way to any other."""
    if not deltas.sales and not deltas.listings:
        return
    connection.executemany(
        "INSERT INTO sales VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET units = units + excluded.units",
        ((product_id, at_ms, units) for (product_id, at_ms), units in deltas.sales.items()),
    )
    sales = by_product(deltas.sales)
    rows = connection.execute(SELECT_LISTINGS, (as_json({*deltas.listings, *sales}),)).fetchall()
    stored = to_listings(rows) | {id_: Listing() for id_ in deltas.listings.keys() - {row[0] for row in rows}}
    for product_id, listing in stored.items():
        added = deltas.listings.get(product_id, Listing())
        read_sales = partial(_sales_of, connection, product_id)
        merge_listing(listing, added, sales.get(product_id, {}), read_sales, latest_ms)
    connection.executemany(
        "INSERT INTO listings VALUES (NULL, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " facts = excluded.facts, sold = excluded.sold, is_removed = excluded.is_removed",
        (
            (product_id, _encode_facts(listing.facts).decode(), listing.sold, listing.is_removed)
            for product_id, listing in stored.items()
        ),
    )


def delete_old_sales(connection: sqlite3.Connection, watermarks: Collection[Watermark], stock_lateness_ms: int) -> None:
    """Delete the sales that no stock level can be older than."""
    bound = connection.execute("SELECT value FROM meta WHERE name = 'built_from'").fetchone()
    if bound is not None:
        partitions = LogIdentity.partitions_in(bound[0])
        first_ms = first_needed_ms([mark.at_ms for mark in watermarks], partitions, stock_lateness_ms)
        connection.execute("DELETE FROM sales WHERE at_ms < ?", (first_ms,))


def _sales_of(connection: sqlite3.Connection, product_id: ProductId) -> Mapping[int, int]:
    return dict(connection.execute(_SELECT_SALES, (product_id,)))


def _to_facts(facts: str) -> dict[str, LastWrite]:
    return dict(_decode_facts(facts))
