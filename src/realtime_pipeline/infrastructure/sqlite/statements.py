"""Statements that several adapters of the file share."""

from collections.abc import Collection, Iterable

import msgspec

from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.infrastructure.codecs.state import decode_customer
from realtime_pipeline.infrastructure.sqlite.database import Database

_to_json = msgspec.json.Encoder().encode


def as_json(values: Iterable[str] | Iterable[int]) -> str:
    """Encode a list for `json_each`, so that one statement works for any number of values."""
    return _to_json(list(values)).decode()


def read_customers(database: Database, customer_ids: Collection[CustomerId]) -> dict[CustomerId, Customer]:
    """Read customers; those that the file does not contain are left out."""
    rows = database.rows(
        "SELECT customer_id, record FROM customers WHERE customer_id IN (SELECT value FROM json_each(?))",
        (as_json(customer_ids),),
    )
    return {customer_id: decode_customer(record, customer_id) for customer_id, record in rows}
