"""Reading customers by any id they are known by: a visitor who has signed in is an alias of the customer."""

from collections.abc import Sequence

from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId


def resolve_customer(queries: CustomerQueries, customer_id: CustomerId) -> Customer:
    """Read a customer, as `known_customers` does."""
    return resolve_customers(queries, [customer_id])[0]


def resolve_customers(queries: CustomerQueries, customer_ids: Sequence[CustomerId]) -> list[Customer]:
    """Read customers, a blank one where nothing is known; for a visitor who has signed in, whom they turned out to
    be."""
    customers = _read(queries, customer_ids)
    signed_in = [one.aliases.alias_of for one in customers if one.aliases.alias_of is not None]
    if not signed_in:
        return customers
    whom = iter(_read(queries, signed_in))
    return [one if one.aliases.alias_of is None else next(whom) for one in customers]


def _read(queries: CustomerQueries, customer_ids: Sequence[CustomerId]) -> list[Customer]:
    known = queries.read_customers(customer_ids)
    return [known.get(customer_id) or Customer(customer_id) for customer_id in customer_ids]
