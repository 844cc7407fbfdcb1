"""ResolveCustomers: read customers by id, following aliases (identity resolution)."""

from collections.abc import Sequence

from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId


def resolve_customer(queries: CustomerQueries, customer_id: CustomerId) -> Customer:
    """Read one customer, as `resolve_customers` does."""
    return resolve_customers(queries, [customer_id])[0]


def resolve_customers(queries: CustomerQueries, customer_ids: Sequence[CustomerId]) -> list[Customer]:
    """Read customers in the order of their ids.

    The id of a visitor who has signed in is an alias: it gives the customer they signed in as. An id of which nothing
    is known gives a blank customer.
    """
    customers = _read(queries, customer_ids)
    aliased = [customer.aliases.alias_of for customer in customers if customer.aliases.alias_of is not None]
    if not aliased:
        return customers
    identified = iter(_read(queries, aliased))
    return [customer if customer.aliases.alias_of is None else next(identified) for customer in customers]


def _read(queries: CustomerQueries, customer_ids: Sequence[CustomerId]) -> list[Customer]:
    known = queries.read_customers(customer_ids)
    return [known.get(customer_id) or Customer(customer_id) for customer_id in customer_ids]
